from __future__ import annotations

import io
import re
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from deltanb import DeltaError, Visualization
from deltanb.reports import StructureReport, show
from deltanb.structure import snapshot

if TYPE_CHECKING:
    from torch import nn


def test_structure_graph_prints_in_a_script(seq2seq: nn.Module, capsys: pytest.CaptureFixture[str]) -> None:
    assert Visualization(seq2seq).structure_graph() is None
    assert capsys.readouterr().out.splitlines()[1].startswith("root (Seq2Seq) scale:[3]")


def test_structure_graph_displays_in_a_notebook(seq2seq: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    import IPython
    import IPython.display

    shown: list[object] = []
    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setattr(IPython.display, "display", shown.append)
    assert Visualization(seq2seq).structure_graph() is None
    assert [type(made) for made in shown] == [StructureReport]


def test_structure_graph_takes_the_arguments_of_bigmodelvis(seq2seq: nn.Module) -> None:
    def made(**options: Any) -> str:
        got = Visualization(seq2seq, plot=False).structure_graph(printTree=False, **options)
        assert got is not None
        return got.text()

    assert made(rootname="BART").splitlines()[1].startswith("BART (Seq2Seq)")
    assert "weight:[16, 8] float32" in made(expand_params=True)
    assert "Dropout" in made(keep_non_params=True)
    assert "self_attn" not in made(depth=2)


def test_structure_graph_can_follow_the_order_of_calls(monkeypatch: pytest.MonkeyPatch, seq2seq: nn.Module) -> None:
    probe = SimpleNamespace(call_order=lambda _: {"decoder": 0})
    monkeypatch.setitem(sys.modules, "deltanb.probe", probe)
    got = Visualization(seq2seq).structure_graph(order="flow", printTree=False)
    assert got is not None
    assert got.rows.children[0].label == "decoder"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"common_structure": True}, "attn@.q@"),
        ({"mapping": {}, "only_common": True}, "attn@.q@"),
        ({"order": "alphabet"}, "registration, flow"),
        ({"depth": -1}, "0 for the model alone"),
    ],
)
def test_structure_graph_explains_what_it_cannot_do(seq2seq: nn.Module, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DeltaError, match=re.escape(message)):
        Visualization(seq2seq).structure_graph(**options)


def test_only_a_module_can_be_drawn() -> None:
    with pytest.raises(DeltaError, match="not of str"):
        Visualization("bart")  # type: ignore[arg-type]


def test_a_console_without_box_characters_still_gets_the_tree(monkeypatch: pytest.MonkeyPatch, seq2seq: nn.Module) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    show(StructureReport(snapshot(seq2seq)))
    sys.stdout.flush()
    assert b"|-- encoder (Stack)" in raw.getvalue()
