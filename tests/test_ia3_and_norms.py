"""(IA)³ and LayerNorm tuning: equal to PEFT, counts, hosts, exact detach."""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import peft
import pytest
import torch
from torch import nn

from deltanb import AutoDeltaConfig, BitFitModel, IA3Model, LnTuningModel, deltas
from deltanb._errors import DeltaError
from tests.models import assert_same, bart, batch_for, bert, make, output_of, same_state, stir, trainable, trains

IA3 = {
    "bert": (["key", "value", "output.dense"], ["output.dense"]),
    "gpt2": (["c_attn", "mlp.c_proj"], ["mlp.c_proj"]),
    "t5": (["k", "v", "wo"], ["wo"]),
}


def awake(family: str) -> Any:
    """A tiny model whose weights are large enough for a mistake to show."""
    model = make(family)
    stir(model.parameters(), seed=3, scale=0.1)
    return model


def in_peft(model: Any, config: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return peft.get_peft_model(copy.deepcopy(model), config).eval()


@pytest.mark.parametrize("family", IA3)
def test_ia3_is_pefts(family: str) -> None:
    model = awake(family)
    hosts, before = IA3[family]
    theirs = in_peft(model, peft.IA3Config(target_modules=hosts, feedforward_modules=before, fan_in_fan_out=family == "gpt2"))
    bare = output_of(model)
    delta = IA3Model(model, modified_modules=hosts, feedforward_modules=before)
    assert torch.equal(output_of(model), bare)
    stir(delta.parameters())
    for host, child in delta.modules.items():
        vector = theirs.base_model.model.get_submodule(host).ia3_l["default"]
        assert vector.shape == child.ia3_l.shape
        with torch.no_grad():
            vector.copy_(child.ia3_l)
    assert not torch.allclose(output_of(model), bare, atol=1e-3)
    torch.testing.assert_close(output_of(model), output_of(theirs, **batch_for(model)), atol=1e-6, rtol=0)


@pytest.mark.parametrize("family", ["bart", "bert", "distilbert", "gpt2", "llama", "roberta", "t5"])
def test_ia3_by_role(family: str) -> None:
    """Keys, values and the second feed-forward layer of every block, those of cross-attention too; input scaled for the last."""
    model = make(family)
    before = same_state(model)
    delta = IA3Model(model)
    last = {
        "bart": "fc2",
        "bert": "output.dense",
        "distilbert": "lin2",
        "gpt2": "c_proj",
        "llama": "down_proj",
        "roberta": "dense",
        "t5": "wo",
    }
    assert all(host.endswith(last[family]) for host in delta.before)
    blocks = 4 if family in ("bart", "t5") else 2
    assert len(delta.before) == blocks
    attentions = 6 if family in ("bart", "t5") else 2
    assert len(delta.hosts) - blocks == attentions * (1 if family == "gpt2" else 2)
    stir(delta.parameters())
    changed = output_of(model)
    assert torch.equal(output_of(pickle.loads(pickle.dumps(model))), changed)  # noqa: S301
    delta.detach()
    assert_same(same_state(model), before)


def test_the_parameters_of_ia3_learn_and_follow_the_host() -> None:
    model = bert().bfloat16().train()
    delta = IA3Model(model)
    delta.freeze_module()
    assert trainable(model) == 2 * (16 + 16 + 32)
    assert {p.dtype for p in delta.parameters()} == {torch.float32}
    output = model(**batch_for(model))[0]
    assert output.dtype == torch.bfloat16
    output.sum().backward()
    assert all(p.grad is not None for p in delta.parameters())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"modified_modules": ["key"], "feedforward_modules": ["query"]}, "none of the 2 hosts"),
        ({"modified_modules": ["self"], "feedforward_modules": ["self"]}, "no linear layer"),
        ({"modified_modules": ["key"], "feedforward_modules": [3]}, "a word or a list of words"),
    ],
)
def test_ia3_where_it_cannot_be(options: dict[str, Any], said: str) -> None:
    model = bert()
    with pytest.raises(DeltaError, match=said):
        IA3Model(model, **options)
    assert not deltas(model)


def test_ia3_on_a_model_without_roles() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    delta = IA3Model(model, modified_modules=["0"])
    assert (delta.config.feedforward_modules, delta.before) == (None, set())
    assert AutoDeltaConfig.from_dict({"delta_type": "ia3", "ff": "fc2"}).options() == {"feedforward_modules": ["fc2"]}


def test_norms_are_tuned_as_in_peft() -> None:
    model = awake("bert")
    theirs = in_peft(model, peft.LNTuningConfig(target_modules=["LayerNorm"]))
    before = same_state(model)
    delta = LnTuningModel(model)
    delta.freeze_module()
    assert trainable(model) == sum(p.numel() for p in theirs.parameters() if p.requires_grad) - 2 * 16  # the one of the embeddings
    assert trains(model) == {name for name, _ in model.named_parameters() if "encoder" in name and "LayerNorm" in name}
    named = dict(model.named_parameters())
    stir([named[name] for name in delta.tensors()])
    changed = output_of(model)
    assert not torch.equal(changed, output_of(theirs, **batch_for(model)))
    delta.detach()
    assert_same(same_state(model), before)
    delta.attach()
    assert torch.equal(output_of(model), changed)


@pytest.mark.parametrize("family", ["bart", "gpt2", "llama", "t5"])
def test_norms_by_role_in_every_family(family: str) -> None:
    model = make(family)
    delta = LnTuningModel(model)
    norms = {name for name, module in model.named_modules() if "norm" in type(module).__name__.lower()}
    assert set(delta.hosts) <= norms
    assert len(delta.hosts) >= 4
    assert delta.core_names() == [f"{host}.{key}" for host in delta.hosts for key, _ in model.get_submodule(host).named_parameters()]


def test_what_is_no_norm_and_what_is_taken() -> None:
    model = bart()
    with pytest.raises(DeltaError, match="is no norm") as caught:
        LnTuningModel(model, modified_modules=["encoder.layers.0"])
    assert "final_layer_norm" in caught.value.nearest
    BitFitModel(model, modified_modules=["final_layer_norm"])
    with pytest.raises(DeltaError, match="belongs to the delta 'bitfit'"):
        LnTuningModel(model, modified_modules=["final_layer_norm"])
