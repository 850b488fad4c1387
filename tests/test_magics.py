"""``%delta`` in a real IPython: loading, parsing, results."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

from deltanb import deltas, engine
from deltanb._errors import DeltaError
from deltanb.backbones._byte_tokenizer import byte_tokenizer
from deltanb.magics._parse import parse
from deltanb.magics._verbs import DELTA_TYPES, VERBS
from tests.models import bert

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deltanb.workbench import Workbench


@pytest.fixture(scope="session")
def one_shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        yield InteractiveShell.instance(config=config)
        InteractiveShell.clear_instance()


@pytest.fixture
def shell(one_shell: Any) -> Iterator[Any]:
    """A shell with ``%delta``, and no variables of other tests."""
    before = dict(one_shell.user_ns)
    one_shell.run_cell("%load_ext deltanb")
    yield one_shell
    one_shell.run_cell("%unload_ext deltanb")
    one_shell.user_ns.clear()
    one_shell.user_ns.update(before)


def bench_of(shell: Any) -> Workbench:
    return shell.magics_manager.registry["DeltaMagics"].bench  # type: ignore[no-any-return]


def run(shell: Any, source: str) -> Any:
    """The result of a cell that must not fail."""
    found = shell.run_cell(source)
    found.raise_error()
    return found.result


def fails(shell: Any, source: str) -> tuple[DeltaError, str]:
    """The error of a cell that must fail, and all that is drawn of it."""
    with capture_output() as drawn:
        found = shell.run_cell(source)
    assert isinstance(found.error_in_exec, DeltaError), found.error_in_exec
    return found.error_in_exec, drawn.stdout + drawn.stderr


@pytest.fixture
def model(shell: Any) -> Any:
    """A tiny BERT of the user's own, as the variable ``net``, taken as backbone."""
    shell.user_ns["net"] = bert()
    run(shell, "%delta backbone net")
    return shell.user_ns["net"]


# Loading -----------------------------------------------------------------------------------------------------------------


def test_loading_imports_neither_torch_nor_transformers_nor_does_looking_for_help() -> None:
    lines = ["%load_ext deltanb", "%delta", "%delta help attach", "%delta frobnicate"]
    source = f"""if True:
        import sys
        from IPython.core.interactiveshell import InteractiveShell
        from IPython.core.completer import provisionalcompleter
        shell = InteractiveShell.instance()
        for line in {lines}: shell.run_cell(line)
        for text in ("%delta ", "%delta attach ", "%delta backbone mi", "%delta data mo", "%delta load "):
            with provisionalcompleter():
                list(shell.Completer.completions(text, len(text)))
        print([name for name in ("torch", "transformers", "pandas", "datasets") if name in sys.modules])"""
    found = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "[]"


def test_unloading_leaves_nothing_behind_and_reloading_works(one_shell: Any) -> None:
    def registered() -> Any:
        manager = one_shell.magics_manager
        kinds = {kind: set(manager.magics[kind]) for kind in ("line", "cell")}
        return kinds, set(manager.registry), list(one_shell.configurables), list(one_shell.Completer.custom_matchers), set(vars(one_shell))

    for line in ("%load_ext deltanb", "%unload_ext deltanb"):  # IPython makes some magics of its own when they are first used
        one_shell.run_cell(line)
    before = registered()
    for line in ("%load_ext deltanb", "%reload_ext deltanb", "%reload_ext deltanb"):
        one_shell.run_cell(line).raise_error()
        kinds, names, configurables, matchers, _ = registered()
        assert "delta" in kinds["line"] & kinds["cell"]
        assert (len(configurables), len(matchers)) == (len(before[2]) + 1, len(before[3]) + 1)
        assert "DeltaMagics" in names
        assert one_shell.run_cell("%delta help undo").result.title.startswith("%delta undo")
    one_shell.run_cell("%unload_ext deltanb").raise_error()
    assert registered() == before


def test_the_types_that_help_lists_are_the_engines() -> None:
    assert list(DELTA_TYPES) == list(engine.DELTA_TYPES)


# Lines -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "words", "options"),
    [
        ("attach adapter fc2 bottleneck_dim=12", ["adapter", "fc2"], {"bottleneck_dim": "12"}),
        ("attach adapter fc2 --bottleneck-dim 12", ["adapter", "fc2"], {"bottleneck_dim": "12"}),
        ("attach adapter fc2 --bottleneck_dim=12  # why", ["adapter", "fc2"], {"bottleneck_dim": "12"}),
        ("attach\tadapter  --exclude fc1 fc2 --name x", ["adapter"], {"exclude": ["fc1", "fc2"], "name": "x"}),
        ("match [r][0-9]{2} layers.$.fc2 *.fc1", ["[r][0-9]{2}", "layers.$.fc2", "*.fc1"], {}),
        (r"match '[r](\d)+ a#b' ;", [r"[r](\d)+ a#b"], {}),
        ("train reviews.csv --epochs .5 lr=1e-3 --restart", ["reviews.csv"], {"epochs": 0.5, "lr": 1e-3, "restart": True}),
        ("backbone minilm random=true --seed 3", ["minilm"], {"random": True, "seed": 3}),
        ("predict I didn't like it; not at all", ["I didn't like it; not at all"], {}),
        ('predict "One." "Two."', ["One.", "Two."], {}),
        ("predict {texts}", ["TEXTS"], {}),
        ("freeze --exclude {names} classifier;", [], {"exclude": ["a", "b", "classifier"]}),
        ("save 'my delta' --force", ["my delta"], {"force": True}),
    ],
)
def test_a_line_is_understood(line: str, words: list[str], options: dict[str, Any]) -> None:
    call = parse(line, {"texts": "TEXTS", "names": ["a", "b"]})
    assert [getattr(word, "value", word) for word in call.words] == words
    assert call.options == options


@pytest.mark.parametrize("verb", [verb for verb in VERBS.values() if verb.example])
def test_every_example_in_the_help_is_understood(verb: Any) -> None:
    assert parse(verb.example, {}).verb is verb


def test_patterns_reach_the_engine_as_they_were_typed(shell: Any, model: Any) -> None:
    for pattern in ("layer.$.output.dense", "[r]layer\\.[0-9]{1}\\.output\\.dense", "'[r]layer.[01].output.dense$'", "layer.{0-1}.output"):
        if "{0" in pattern:
            fails(shell, f"%delta match {pattern}")
        else:
            assert len(run(shell, f"%delta match {pattern}").result.names) == 2
    shell.user_ns["where"] = ["query", "key"]
    assert len(run(shell, "%delta match {where}").result.names) == 4
    assert "no variable called 'wher'" in fails(shell, "%delta match {wher}")[1]
    assert model.training is False


def test_a_users_model_by_its_bare_name_and_in_braces(shell: Any, model: Any) -> None:
    assert bench_of(shell).model is model
    shell.user_ns["other"] = bert(seed=1)
    run(shell, "%delta backbone {other}")
    assert bench_of(shell).model is shell.user_ns["other"]
    assert "load_backbone(other)" in bench_of(shell).code()


# Results -----------------------------------------------------------------------------------------------------------------


def test_a_result_is_displayed_once_as_text_and_html(shell: Any, model: Any) -> None:
    with capture_output() as shown:
        result = run(shell, "%delta attach adapter output.dense b=2")
    assert shown.stdout.count("Attached adapter to 4 modules.") == 1
    assert set(result._repr_mimebundle_()) == {"text/plain", "text/html"}
    assert list(deltas(model)) == ["adapter"]


@pytest.mark.parametrize("end", [";", " ;  # quietly", "  ;"])
def test_a_semicolon_keeps_it_quiet(end: str, shell: Any, model: Any) -> None:
    with capture_output() as shown:
        assert run(shell, f"%delta attach adapter output.dense{end}") is None
    assert not shown.stdout
    assert deltas(model)


def test_as_binds_what_is_behind_the_result(shell: Any, model: Any) -> None:
    assert repr(run(shell, "%delta attach lora query --as d")) == "d = LoraModel, from %delta attach"
    assert shell.user_ns["d"] is deltas(model)["lora"]
    run(shell, "%delta params --as table --by type")
    assert "Linear" in shell.user_ns["table"].text()
    assert "variable's name" in fails(shell, "%delta params --as 2x")[1]


def test_a_cell_carries_out_each_line_and_shows_each_result(shell: Any, model: Any) -> None:
    with capture_output() as shown:
        run(shell, "%%delta\n# first a look\nmatch query\n\nattach lora query;\n%delta freeze  # all else\n")
    assert [output.data["text/plain"].split()[0] for output in shown.outputs] == ["2", "Frozen:"]
    assert list(deltas(model)) == ["lora"]


def test_training_measuring_and_predicting(shell: Any) -> None:
    tiny = bert(vocab_size=300, max_position_embeddings=64)
    shell.user_ns |= {
        "tiny": tiny,
        "bytes_": byte_tokenizer(tiny.config),
        "rows": [(f"{word} {i}", word) for word in "ab" for i in range(20)],
    }
    run(shell, "%delta backbone tiny --tokenizer {bytes_};")
    run(shell, "%delta attach adapter output.dense b=2;")
    run(shell, "%delta freeze --exclude deltas classifier;")
    assert run(shell, "%delta data rows").facts["labels"] == "a, b"
    with capture_output():
        run(shell, "%delta train --max-steps 2 batch_size=8 --as first")
        run(shell, "%delta train rows --max-steps 1 --batch-size 8 --as second")
    first, second = shell.user_ns["first"], shell.user_ns["second"]
    assert len(second.history) > len(first.history) > 0
    assert "resume=result" in bench_of(shell).code()
    run(shell, "%delta evaluate --as measured")
    assert shell.user_ns["measured"].metrics["accuracy"] == pytest.approx(second.metrics["accuracy"])
    shell.user_ns["rows"] = ["a 1", "b 2"]
    for line in ('predict "a 1" "b 2"', "predict a 1", "predict {rows}"):
        assert run(shell, f"%delta {line}").text().startswith("label")
