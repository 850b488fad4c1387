"""The Explorer's and the preview's state: traits, validation, what follows the workbench, verbs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import traitlets
from IPython.core.interactiveshell import InteractiveShell
from torch import nn

import deltanb
from deltanb import AdapterModel, DeltaError, LoraModel, Workbench, deltas
from deltanb.addressing._split import join_patterns, split_patterns
from deltanb.reports import MatchReport, StructureReport
from deltanb.widgets import Explorer, Preview
from deltanb.widgets._payload import payload
from tests.models import bart

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def explorer() -> Iterator[Explorer]:
    made = Explorer(bart())
    yield made
    made.close()


def test_the_pattern_finds_what_the_engine_finds(explorer: Explorer) -> None:
    seen: list[list[str]] = []
    explorer.observe(lambda change: seen.append(change["new"]), "matched")
    explorer.pattern = "fc1 'q_proj, v_proj'"
    assert explorer.matched == deltanb.match(explorer.model, ["fc1", "q_proj, v_proj"]).names == seen[-1]
    explorer.exclude = "decoder"
    assert explorer.matched == deltanb.match(explorer.model, ["fc1", "q_proj, v_proj"], "decoder").names
    explorer.pattern = ["fc2"]
    assert explorer.pattern == "fc2"
    for wrong, said in (("fc9", "matches none"), ("'fc1", "never closed"), ("[r](", "invalid"), ("layers.5-1", "backwards")):
        explorer.pattern = wrong
        assert explorer.matched == []
        assert said in explorer.problem
    explorer.pattern = ""
    assert (explorer.matched, explorer.problem) == ([], "")


def test_traits_can_be_linked(explorer: Explorer) -> None:
    other = Preview(explorer.bench)
    traitlets.link((explorer, "pattern"), (other, "pattern"))
    explorer.pattern = "fc2"
    assert other.matched == explorer.matched != []


@pytest.mark.parametrize(
    ("name", "value"),
    [("pattern", 3), ("exclude", [1]), ("selected", "fc1"), ("selected", ["model.nothing"]), ("view", "list"), ("delta_type", "adaptor"),
     ("delta_options", [1]), ("delta_name", "two words"), ("delta_name", None)],
)  # fmt: skip
def test_a_wrong_value_is_refused_in_words(explorer: Explorer, name: str, value: Any) -> None:
    before = getattr(explorer, name)
    with pytest.raises(DeltaError) as caught:
        setattr(explorer, name, value)
    assert caught.value.expected
    assert getattr(explorer, name) == before
    with pytest.raises(DeltaError):
        Explorer(explorer.bench, **{name: value})


def test_unknown_options_and_no_model() -> None:
    with pytest.raises(DeltaError, match="'patern'") as caught:
        Explorer(bart(), patern="fc2")
    assert caught.value.nearest[0] == "pattern"
    for wrong in (Workbench(), 3, None):
        with pytest.raises(DeltaError):
            Explorer(wrong)  # type: ignore[arg-type]


def test_a_model_with_deltas_keeps_them() -> None:
    model = bart()
    AdapterModel(model, modified_modules=["fc2"], bottleneck_dim=2)
    LoraModel(model, modified_modules=["q_proj"], lora_r=2, name="reviews")
    before = {name: id(value) for name, value in model.state_dict(keep_vars=True).items()}
    explorer = Explorer(model, pattern="fc2")
    assert list(deltas(model)) == ["adapter", "reviews"]
    assert {name: id(value) for name, value in model.state_dict(keep_vars=True).items()} == before
    assert explorer.structure == payload(model)
    assert "reviews = deltanb.deltas(model)['reviews']" in explorer.bench.code()
    assert explorer.bench.undo().title == "There is nothing to undo."
    explorer.on_freeze(["reviews"])
    assert "reviews" in explorer.bench.code()


def test_the_view_follows_what_is_done_elsewhere() -> None:
    bench = Workbench()
    bench.adopt(bart())
    explorer = Explorer(bench, pattern="fc2", selected=["model.encoder.layers.0.fc1"])
    first = explorer.structure
    bench.attach("adapter", ["fc2"], bottleneck_dim=2)
    assert explorer.structure == payload(bench.model) != first
    assert explorer.before == first["totals"]
    assert explorer.selected == ["model.encoder.layers.0.fc1"]
    bench.undo()
    assert explorer.structure == first
    bench.redo()
    assert explorer.structure["totals"][2] > 0
    bench.backbone(nn.Sequential(nn.Linear(2, 2)))
    assert (explorer.selected, explorer.matched, explorer.structure["modules"]) == ([], [], 1)
    explorer.close()
    closed = explorer.structure
    bench.backbone(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)))
    assert explorer.structure == closed


def test_a_view_cannot_break_a_step(caplog: pytest.LogCaptureFixture) -> None:
    class View:
        def refresh(self) -> None:
            msg = "gone"
            raise RuntimeError(msg)

    bench, view = Workbench(), View()
    bench.listeners.add(view.refresh)
    bench.adopt(bart())
    bench.attach("adapter", ["fc2"])
    assert list(bench.attached) == ["adapter"]
    assert "could not follow" in caplog.text
    caplog.clear()
    bench.listeners.remove(view.refresh)
    bench.undo()
    assert not caplog.text


def test_what_is_done_in_the_view_is_a_step_of_the_workbench(explorer: Explorer) -> None:
    told = explorer.answer("attach", {"delta_type": "adapter", "patterns": ["fc2"], "options": {"bottleneck_dim": 2}})
    assert told["ok"]
    assert explorer.history == ["%delta attach adapter fc2 bottleneck_dim=2"]
    assert explorer.structure == payload(explorer.model)
    assert explorer.answer("undo", {})["ok"]
    assert deltas(explorer.model) == {}
    refused = explorer.answer("attach", {"delta_type": "adapter", "patterns": ["fc9"]})
    assert refused["error"]["nearest"]


def test_static_forms(explorer: Explorer) -> None:
    assert isinstance(explorer.static_form(), StructureReport)
    explorer.pattern = "fc2"
    form = explorer.static_form()
    assert isinstance(form, MatchReport)
    assert form.names == explorer.matched
    explorer.pattern = "fc9"
    assert isinstance(explorer.static_form(), StructureReport)


def test_the_face_of_the_package() -> None:
    view = deltanb.preview(bart(), ["fc1", "fc2"], exclude="decoder", projector=True)
    assert isinstance(view, Preview)
    assert (view.pattern, len(view.matched), view.projector) == ("fc1 fc2", 4, True)
    assert view.answer("match", {"patterns": ["fc1"]})["value"]["names"] == deltanb.match(view.model, "fc1").names
    assert deltanb.Explorer is Explorer


@pytest.mark.parametrize("patterns", [["fc1"], ["a b", "c"], ["[r](x|y)'z"], ['"', "'"], ["a#b", "c;"], ['it\'s "so"']])
def test_patterns_and_the_box_s_text(patterns: list[str]) -> None:
    assert split_patterns(join_patterns(patterns)) == patterns


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    made = InteractiveShell()
    made.extension_manager.load_extension("deltanb")
    made.user_ns["net"] = bart()
    made.run_cell("%delta backbone net", silent=True)
    yield made
    made.extension_manager.unload_extension("deltanb")


def test_the_verbs(shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> None:
    run = shell.run_line_magic
    assert isinstance(run("delta", "explore"), StructureReport)  # a terminal has no widgets
    assert isinstance(run("delta", "match fc2 --live"), MatchReport)
    run("delta", "explore fc2 q_proj --exclude decoder --view both --projector --as e")
    made = shell.user_ns["e"]
    assert isinstance(made, Explorer)
    assert (made.pattern, made.exclude, made.view, made.projector) == ("fc2 q_proj", "decoder", "both", True)
    run("delta", "attach adapter fc2")
    assert made.structure["totals"][2] > 0
    with pytest.raises(DeltaError, match="There is no view"):
        run("delta", "explore --view list")
    shown: list[Any] = []
    monkeypatch.setattr("deltanb.reports.in_notebook", lambda: True)
    monkeypatch.setattr("deltanb.widgets._base.show_with_static", shown.append)
    assert run("delta", "match fc2 --live") is None
    assert run("delta", "explore") is None
    assert isinstance(shown[0], Preview)
    assert isinstance(shown[1], Explorer)


def test_interactive_modify_opens_the_explorer_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    model = bart()
    with pytest.raises(DeltaError, match="none to open"):
        AdapterModel(model, interactive_modify=True)
    shown: list[Any] = []
    monkeypatch.setattr("deltanb.reports.in_notebook", lambda: True)
    monkeypatch.setattr("deltanb.widgets._base.show_with_static", shown.append)
    with pytest.raises(DeltaError, match="opened the Explorer"):
        LoraModel(model, modified_modules=["q_proj"], interactive_modify=True)
    assert (shown[0].delta_type, shown[0].pattern, shown[0].model) == ("lora", "q_proj", model)
    assert deltas(model) == {}


def test_a_wrong_pattern_is_said_where_only_the_static_form_is_shown(explorer: Explorer) -> None:
    explorer.pattern = "fc3"
    form = explorer.static_form()
    for text in (form.text(), form.html()):
        assert "The pattern 'fc3' matches none of the" in text.replace("&#x27;", "'").replace("&#39;", "'")
    explorer.pattern = ""
    assert "matches none" not in explorer.static_form().text()


def test_a_view_that_there_is_not_is_refused_as_the_line_would_be_written() -> None:
    from deltanb.magics._live import explore

    with pytest.raises(DeltaError, match=r"no view 'tre'.*Nearest: tree.*Try: %delta explore --view"):
        explore(Workbench(), [], bind=False, view="tre")
