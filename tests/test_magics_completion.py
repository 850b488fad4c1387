"""Help in all its forms, and completion at every position through IPython's own completer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from IPython.core.completer import provisionalcompleter

from deltanb.engine import DELTA_TYPES
from deltanb.magics._verbs import VERBS
from tests.test_magics import fails, model, one_shell, run, shell

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["model", "one_shell", "shell"]


def offered(shell: Any, text: str) -> list[str]:
    """The whole lines that completion would give, without the text that is there."""
    last = text.rpartition("\n")[2]
    start = len(text) - len(last)
    with provisionalcompleter():
        found = list(shell.Completer.completions(text, len(text)))
    assert all(completion.end == len(text) and completion.start >= start for completion in found)
    return [completion.text for completion in found if "magic" not in completion.type and completion.type != "path"]


def test_verbs_first(shell: Any) -> None:
    assert offered(shell, "%delta ") == list(VERBS)
    assert offered(shell, "%delta re") == ["reattach", "remove", "redo"]
    assert offered(shell, "table = %delta para") == ["params"]
    assert offered(shell, "x = 1\n%delta gr") == ["graph"]


def test_lines_of_a_cell_are_completed_as_those_after_the_magic(shell: Any) -> None:
    assert offered(shell, "%%delta\nbackbone minilm\natt") == ["attach"]
    assert offered(shell, "%%delta\n%delta attach ad") == ["adapter"]


def test_other_lines_are_left_alone(shell: Any) -> None:
    assert "attach" not in offered(shell, "%deltax att")
    assert "attach" not in offered(shell, "delta att")
    assert offered(shell, "%delta nonsense att") == []


@pytest.mark.parametrize(
    ("line", "some"),
    [
        ("attach ", list(DELTA_TYPES)),
        ("attach ad", ["adapter"]),
        ("attach adapter ", ["bottleneck_dim=", "output.dense", "query", "bert.encoder.layer.0.output.dense"]),
        ("attach adapter output.d", ["output.dense"]),
        ("attach adapter bert.encoder.layer.1.att", ["bert.encoder.layer.1.attention.self.query"]),
        ("attach adapter 'out", ["output.dense"]),
        ("attach adapter query bot", ["bottleneck_dim="]),
        ("attach adapter query --", ["--bottleneck-dim", "--non-linearity", "--exclude", "--name", "--as", "--help"]),
        ("attach lora query --l", ["--lora-r", "--lora-alpha", "--lora-dropout"]),
        ("attach lora query --exclude cl", ["classifier"]),
        ("match cl", ["classifier"]),
        ("freeze --exclude ", ["deltas", "adapter", "parked", "classifier"]),
        ("freeze --exclude deltas cl", ["classifier"]),
        ("params --by ", ["module", "type", "delta"]),
        ("params --", ["--by", "--depth"]),
        ("backbone mi", ["minilm"]),
        ("backbone ne", ["net"]),
        ("backbone minilm --", ["--random", "--skeleton", "--task", "--num-labels"]),
        ("backbone minilm --task ", ["classification", "seq2seq"]),
        ("data ", ["movie_reviews", "product_reviews", "rows"]),
        ("train mov", ["movie_reviews"]),
        ("train movie_reviews --e", ["--epochs", "--eval-every"]),
        ("detach ", ["adapter", "parked"]),
        ("use ", ["none", "adapter", "parked", "my-delta"]),
        ("use adapter p", ["parked"]),
        ("evaluate --w", ["--without"]),
        ("load ", ["my-delta"]),
        ("save my", ["my-delta"]),
        ("save x ", ["adapter", "parked", "--force"]),
        ("help att", ["attach"]),
        ("predict {", ["{rows}", "{rank}"]),
    ],
)
def test_what_may_stand_there_is_offered(
    line: str, some: list[str], shell: Any, model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shell.user_ns |= {"rows": [("fine", 1)], "rank": 4}
    for made in ("attach adapter output.dense", "attach lora query --name parked", "save my-delta adapter", "detach parked"):
        run(shell, f"%delta {made};")
    found = offered(shell, f"%delta {line}")
    assert set(some) <= set(found)
    fragment = line.rpartition(" ")[2].lstrip("'")
    assert all(text.startswith(fragment) for text in found)
    assert len(found) == len(set(found))
    assert model.training is False


@pytest.mark.parametrize(
    ("line", "title", "word"),
    [
        ("", "%delta VERB …", "attach"),
        ("help", "%delta VERB …", "redo"),
        ("--help", "%delta VERB …", "undo"),
        ("help attach", "%delta attach TYPE", "--exclude WORD …"),
        ("attach --help", "%delta attach TYPE", "lora"),
        ("attach lora --help", "%delta attach lora", "lora_r=8"),
        ("help attach lora", "%delta attach lora", "lora_alpha"),
        ("help adapter", "%delta attach adapter", "bottleneck_dim=24"),
        ("help use", "%delta use DELTA …", "none: all off"),
        ("train -h", "%delta train [DATA]", "--batch-size INT"),
    ],
)
def test_help_is_output(line: str, title: str, word: str, shell: Any) -> None:
    page = run(shell, f"%delta {line}")
    assert page.text().startswith(title)
    assert word in page.text()


def test_help_offers_the_nearest_word(shell: Any) -> None:
    assert fails(shell, "%delta help attahc")[0].nearest[0] == "attach"
    assert fails(shell, "%delta help attach adaptor")[0].nearest == ["adapter"]
