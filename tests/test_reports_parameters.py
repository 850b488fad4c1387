from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from torch import nn

from deltanb import DeltaError
from deltanb.addressing import match_names
from deltanb.reports import ParameterTable
from deltanb.reports._count import GONE, ROOT
from deltanb.structure import DELTA_MARK, REGISTRY, module_names, snapshot
from tests.test_folding import SOME, models
from tests.test_structure import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Callable

GROUPS = ("module", "type", "delta")


def table(model: nn.Module, before: nn.Module | None = None, **options: Any) -> ParameterTable:
    return ParameterTable(snapshot(model), snapshot(before) if before is not None else None, **options)


def sums(made: ParameterTable) -> dict[str, int]:
    return {title: int(made.df[title].sum()) for title in ("total", "trainable", "frozen", "delta")}


def recount(model: nn.Module) -> dict[str, int]:
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    brought = {id(p): p.numel() for m in model.modules() if DELTA_MARK in m.__dict__ for p in m.parameters()}
    return {
        "total": sum(size for size, _ in sizes),
        "trainable": sum(size for size, trains in sizes if trains),
        "frozen": sum(size for size, trains in sizes if not trains),
        "delta": sum(brought.values()),
    }


@pytest.mark.parametrize("by", GROUPS)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_rows_add_up_to_the_model(family: str, by: str) -> None:
    model = FAMILIES[family]()
    next(iter(model.children())).requires_grad_(requires_grad=False)
    made = table(model, by=by)
    assert sums(made) == recount(model)
    assert (made.totals.total, made.totals.trainable) == (recount(model)["total"], recount(model)["trainable"])


@SOME
@given(models)
def test_the_rows_of_any_model_add_up(model: nn.Module) -> None:
    for depth in (None, 0, 1, 2):
        for by in GROUPS:
            made = table(model, model, by=by, depth=depth)
            assert sums(made) == recount(model)
            assert made.df["trainable_before"].sum() == recount(model)["trainable"]


def printed(text: str) -> tuple[list[list[int]], list[int]]:
    """The numbers of the rows and those of the totals row, read back from the printed table."""
    body = text.partition("\n\n")[0].splitlines()
    rules = [at for at, line in enumerate(body) if set(line) == {"─"}]

    def numbers(line: str) -> list[int]:
        return [int(cell.replace(",", "")) for cell in re.split(r" {2,}", line) if re.fullmatch(r"[\d,]*\d", cell)]

    return [numbers(line) for line in body[rules[0] + 1 : rules[1]]], numbers(body[rules[1] + 1])


@pytest.mark.parametrize("depth", [None, 1, 2])
def test_the_printed_columns_add_up_to_the_printed_totals(tuned: nn.Module, seq2seq: nn.Module, depth: int | None) -> None:
    rows, totals = printed(table(tuned, seq2seq, depth=depth).text())
    assert [sum(column) for column in zip(*rows, strict=True)] == totals
    expected = recount(tuned)
    assert totals[1:] == [expected["total"], recount(seq2seq)["trainable"], expected["trainable"], expected["frozen"], expected["delta"]]


@pytest.mark.parametrize("by", GROUPS)
def test_the_text(tuned: nn.Module, seq2seq: nn.Module, golden: Callable[[str, str], None], by: str) -> None:
    golden(f"parameters-{by}.txt", table(tuned, seq2seq, by=by).text() + "\n")


def test_the_html(tuned: nn.Module, seq2seq: nn.Module, golden: Callable[[str, str], None]) -> None:
    golden("parameters-type.html", table(tuned, seq2seq, by="type").html() + "\n")


def test_each_row_is_a_pattern_for_its_modules(seq2seq: nn.Module) -> None:
    for module, count in table(seq2seq).df[["module", "modules"]].itertuples(index=False):
        if module != ROOT:
            assert len(match_names(module_names(seq2seq), module)) == count


def test_containers_and_tied_modules_have_no_row(seq2seq: nn.Module) -> None:
    made = table(seq2seq)
    assert list(made.df["module"][:3]) == [ROOT, "shared", "encoder.layers.0-3.self_attn.q_proj,k_proj,v_proj,out_proj"]
    assert not {"encoder", "encoder.embed_tokens"} & set(made.df["module"])
    assert "Counted once: encoder.embed_tokens.weight is shared.weight;" in made.text()


def test_a_module_object_used_twice_counts_once() -> None:
    layer = nn.Linear(2, 2)
    made = table(nn.Sequential(layer, nn.ReLU(), layer))
    assert made.df[["module", "total"]].to_numpy().tolist() == [["0", 6]]


def test_before_and_after_stand_side_by_side(tuned: nn.Module, seq2seq: nn.Module) -> None:
    made = table(tuned, seq2seq).df.set_index("module")
    assert made.loc["shared", ["trainable_before", "trainable"]].tolist() == [256, 0]
    assert made.loc["encoder.layers.0-3.fc2.adapter.down", ["trainable_before", "trainable", "delta"]].tolist() == [0, 72, 72]
    assert "trainable_before" not in table(tuned).df


def test_what_trained_before_and_is_gone_still_counts(tuned: nn.Module, seq2seq: nn.Module) -> None:
    made = table(seq2seq.requires_grad_(requires_grad=False), tuned)
    assert made.df["trainable_before"].sum() == recount(tuned)["trainable"]
    assert made.df.set_index("module").loc[GONE, ["trainable_before", "total"]].tolist() == [252, 0]


def test_owners_are_the_deltas_and_the_backbone(tuned: nn.Module) -> None:
    made = table(tuned, by="delta").df.set_index("owner")
    assert made.loc["adapter", ["total", "trainable", "delta"]].tolist() == [252 + 16, 252 + 16, 252]
    assert made.loc["backbone", "trainable"] == 0


def test_the_summary_of_a_bart_base_with_an_adapter() -> None:
    import torch
    from transformers import BartConfig, BartForConditionalGeneration

    sizes = {"encoder_layers": 6, "decoder_layers": 6, "encoder_ffn_dim": 3072, "decoder_ffn_dim": 3072}
    with torch.device("meta"):
        model = BartForConditionalGeneration(BartConfig(d_model=768, vocab_size=50265, **sizes))
        before = snapshot(model)
        model.requires_grad_(requires_grad=False)
        for name, module in list(model.named_modules()):
            if name.endswith("fc2"):
                adapter = nn.Sequential(nn.Linear(768, 12), nn.Linear(12, 768))
                adapter.__dict__[DELTA_MARK] = "adapter"
                module.add_module("adapter", adapter)
    owned = [name for name, _ in model.named_parameters() if "layernorm_embedding" in name]
    for name in owned:
        model.get_parameter(name).requires_grad_(requires_grad=True)
    model.__dict__[REGISTRY] = type("Registry", (), {"owners": lambda _: dict.fromkeys(owned, ("adapter", False))})()
    made = ParameterTable(snapshot(model), before)
    assert made.summary == ("trainable 233,616 of 139,650,960 (0.1673 %) · before: 139,420,416 · delta 230,544 · as a file 0.93 MB")


def test_the_summary_says_only_what_there_is(seq2seq: nn.Module) -> None:
    total = f"{recount(seq2seq)['total']:,}"
    assert table(seq2seq).summary == f"trainable {total} of {total} (100 %)"
    assert table(nn.ReLU()).summary == "trainable 0 of 0 (0 %)"


def test_an_empty_model_has_a_table_without_rows() -> None:
    made = table(nn.ReLU())
    assert (len(made.df), made.html().count("<tr>")) == (0, 2)
    assert printed(made.text()) == ([], [0, 0, 0, 0, 0])


def test_the_html_of_a_huge_model_stays_small_and_adds_up() -> None:
    made = table(nn.ModuleList(nn.Linear(1, 1 + n % 7) for n in range(2000)))
    html = made.html()
    assert len(html) < 600_000
    assert f"({2000 - 299:,} more rows)" in html
    assert sums(made)["total"] == recount(nn.ModuleList(nn.Linear(1, 1 + n % 7) for n in range(2000)))["total"]


def test_an_unknown_group_is_refused(seq2seq: nn.Module) -> None:
    with pytest.raises(DeltaError, match=r"'colour'.*One of: module, type, delta"):
        table(seq2seq, by="colour")


DEAD = {"decoder.layers.1.norm.weight": "not reached", "encoder.layers.2.fc2.adapter.down.bias": "0 in this batch"}


@pytest.mark.parametrize("by", GROUPS)
def test_what_gets_no_gradient_has_a_column_that_adds_up(tuned: nn.Module, seq2seq: nn.Module, by: str) -> None:
    made = table(tuned, seq2seq, by=by, gradients=DEAD)
    sizes = [tuned.get_parameter(name).numel() for name in DEAD]
    assert made.df["no_gradient"].sum() == sum(sizes) == 10
    assert (made.df["no_gradient"] <= made.df["trainable"]).all()
    rows, totals = printed(made.text())
    assert [sum(column) for column in zip(*rows, strict=True)][-5:] == totals[-5:]
    expected = recount(tuned)
    assert totals[-4:] == [expected["trainable"], 10, expected["frozen"], expected["delta"]]


@pytest.mark.parametrize("form", ["txt", "html"])
def test_the_table_with_gradients(tuned: nn.Module, seq2seq: nn.Module, golden: Callable[[str, str], None], form: str) -> None:
    made = table(tuned, seq2seq, by="type", gradients=DEAD)
    golden(f"parameters-gradients.{form}", (made.text() if form == "txt" else made.html()) + "\n")


def test_in_html_a_sign_marks_what_gets_no_gradient_not_a_colour_alone(tuned: nn.Module) -> None:
    html = table(tuned, gradients=DEAD).html()
    assert html.count("⚠") == 2
    assert "decoder.layers.1.norm.weight" in html
    assert "⚠" not in table(tuned, gradients={}).html()


def test_what_was_not_looked_at_is_said(tuned: nn.Module) -> None:
    assert "gradient" not in table(tuned).text()
    made = table(tuned, gradients="the model is large")
    assert "no_gradient" not in made.df
    assert "Gradients were not looked at: the model is large." in made.text()
    assert "Every parameter that trains gets a gradient" in table(tuned, gradients={}).html()
    frozen = tuned.requires_grad_(requires_grad=False)
    assert "Every parameter" not in table(frozen, gradients={}).text()


def test_many_names_are_cut_short(tuned: nn.Module) -> None:
    names = [name for name, p in tuned.named_parameters() if p.requires_grad]
    assert f"and {len(names) - 4} more." in table(tuned, gradients=dict.fromkeys(names, "not reached")).text()
