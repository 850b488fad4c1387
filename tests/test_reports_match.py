from __future__ import annotations

from typing import TYPE_CHECKING

from deltanb.addressing import match_names
from deltanb.engine import plan
from deltanb.reports import MatchReport
from deltanb.reports._text import percent
from deltanb.structure import module_names, snapshot

if TYPE_CHECKING:
    from torch import nn


def test_a_match_report_folds_what_was_hit(seq2seq: nn.Module) -> None:
    found = match_names(module_names(seq2seq), ["fc2", "encoder.layers.0,2.norm"], exclude="decoder.layers.1")
    made = MatchReport(found, snapshot(seq2seq), plans=[plan(seq2seq, "lora", "fc2", lora_r=2)])
    assert made.text().splitlines() == [
        "7 of 68 modules match fc2, encoder.layers.0,2.norm",
        "  encoder.layers.0,2.norm  LayerNorm  [8]      ×2",
        "  encoder.layers.0-3.fc2   Linear     [8, 16]  ×4",
        "  decoder.layers.0.fc2     Linear     [8, 16]  ×1",
        "fc2: 6  encoder.layers.0,2.norm: 2",
        "excluded: decoder.layers.1.fc2 ×1",
        "  lora    +288    7.59 %    3.5 kB",
        *[f"Hint: {hint}" for hint in found.hints],
    ]
    assert (len(made), list(made), made.names) == (7, found.names, found.names)
    assert "decoder.layers.0.fc2" in made
    assert (made.per_pattern, made.excluded, made.hints) == (found.per_pattern, found.excluded, found.hints)


def test_the_addresses_of_a_match_stand_for_exactly_what_was_hit(seq2seq: nn.Module) -> None:
    names = module_names(seq2seq)
    for wanted in (
        ["[r].*proj"],
        ["encoder.layers.0.fc1", "encoder.layers.1.norm", "encoder.layers.3.fc1"],
        ["[r]layers\\.[02]\\.self_attn\\.[qv]_proj"],
    ):
        found = match_names(names, wanted)
        addresses = [hit.address for hit in MatchReport(found, snapshot(seq2seq))._folded(found.names)]
        assert match_names(names, addresses).names == found.names
    uneven = match_names(
        names, ["encoder.layers.0.self_attn.q_proj", "encoder.layers.1.self_attn.q_proj", "encoder.layers.1.self_attn.k_proj"]
    )
    assert [hit.address for hit in MatchReport(uneven, snapshot(seq2seq))._folded(uneven.names)] == [
        "encoder.layers.0.self_attn.q_proj",
        "encoder.layers.1.self_attn.q_proj,k_proj",
    ]


def test_shares_never_look_like_nothing_or_all() -> None:
    assert [percent(share) for share in (0, 1, 0.999999, 0.5)] == ["0 %", "100 %", "99.99 %", "50.00 %"]
