"""LoRA, rsLoRA and DoRA: equal to PEFT with the same weights, other ranks for some hosts, any kind of host."""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import peft
import pytest
import torch
from torch import nn

from deltanb import AutoDeltaConfig, AutoDeltaModel, LoraModel
from deltanb._errors import DeltaError
from tests.models import bart, batch_for, bert, make, output_of, same_state, stir, trainable

VARIANTS: dict[str, dict[str, Any]] = {"plain": {}, "rslora": {"use_rslora": True}, "dora": {"use_dora": True}}
HOSTS = {
    "bert": (["query", "output.dense"], ["query", "output.dense"]),
    "gpt2": (["c_attn", "c_fc"], ["c_attn", "c_fc"]),
    "bart": (["encoder.embed_tokens", "fc1"], ["encoder.embed_tokens", "fc1"]),
}


def awake(family: str) -> Any:
    """A tiny model whose weights are large enough for a mistake to show."""
    model = make(family)
    stir(model.parameters(), seed=3, scale=0.1)
    return model


def as_peft(model: Any, delta: Any, targets: list[str], **options: Any) -> Any:
    """PEFT's model with the weights of a delta, on a copy of its backbone."""
    config = peft.LoraConfig(r=3, lora_alpha=7, target_modules=targets, fan_in_fan_out=model.config.model_type == "gpt2", **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrapped = peft.get_peft_model(copy.deepcopy(model), config).eval()
    for host, child in delta.modules.items():
        layer = wrapped.base_model.model.get_submodule(host)
        with torch.no_grad():
            for key, value in child.named_parameters():
                theirs = getattr(
                    layer, key.replace("lora_", "lora_embedding_") if hasattr(child, "host_scale") and key[-1] in "AB" else key
                )
                theirs = theirs["default"]
                (theirs.weight if isinstance(theirs, nn.Module) else theirs).copy_(value)
    return wrapped


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("family", HOSTS)
def test_the_same_as_peft(family: str, variant: str) -> None:
    model = awake(family)
    bare = copy.deepcopy(model)
    patterns, targets = HOSTS[family]
    delta = LoraModel(model, modified_modules=patterns, lora_r=3, lora_alpha=7, **VARIANTS[variant])
    stir(delta.parameters())
    theirs = as_peft(bare, delta, targets, **VARIANTS[variant])
    assert not torch.allclose(output_of(model), output_of(bare), atol=1e-3)
    assert {host for host, module in theirs.base_model.model.named_modules() if isinstance(module, peft.tuners.lora.LoraLayer)} == set(
        delta.hosts
    )
    torch.testing.assert_close(output_of(model), output_of(theirs, **batch_for(bare)), atol=1e-6, rtol=0)


def test_the_gradients_of_dora_are_pefts() -> None:
    """The norms get none: with them the gradients of A and B would be others."""
    model = awake("bert")
    bare = copy.deepcopy(model)
    delta = LoraModel(model, modified_modules=["query"], lora_r=3, lora_alpha=7, use_dora=True)
    stir(delta.parameters())
    theirs = as_peft(bare, delta, ["query"], use_dora=True)
    for each in (model, theirs):
        each(**batch_for(bare))[0].square().sum().backward()
    for host, child in delta.modules.items():
        layer = theirs.base_model.model.get_submodule(host)
        pairs = [(child.lora_A, layer.lora_A), (child.lora_B, layer.lora_B), (child.lora_magnitude_vector, layer.lora_magnitude_vector)]
        for own, other in pairs:
            assert own.grad.abs().max() > 0
            torch.testing.assert_close(own.grad, other["default"].weight.grad, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("family", HOSTS)
def test_a_new_dora_changes_nothing_and_detaches_without_a_trace(family: str) -> None:
    model = make(family)
    before, state = output_of(model), same_state(model)
    delta = LoraModel(model, modified_modules=HOSTS[family][0], use_dora=True)
    assert torch.equal(output_of(model), before)
    stir(delta.parameters())
    changed = output_of(model)
    assert not torch.equal(changed, before)
    assert torch.equal(output_of(copy.deepcopy(model)), changed)
    assert torch.equal(output_of(pickle.loads(pickle.dumps(model))), changed)  # noqa: S301
    delta.detach()
    assert torch.equal(output_of(model), before)
    assert str(model) == state[0]
    delta.attach()
    assert torch.equal(output_of(model), changed)


def test_dora_on_half_precision_trains_in_float32() -> None:
    model = bert().bfloat16().train()
    delta = LoraModel(model, modified_modules=["query"], use_dora=True)
    delta.freeze_module()
    assert {p.dtype for p in delta.parameters()} == {torch.float32}
    output = model(**batch_for(model))[0]
    assert output.dtype == torch.bfloat16
    output.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in delta.parameters())


def test_dora_on_a_skeleton_and_on_rows_of_zeros() -> None:
    with torch.device("meta"):
        skeleton = make("bert", device="meta")
    delta = LoraModel(skeleton, modified_modules=["query"], lora_r=2, use_dora=True)
    delta.freeze_module()
    assert trainable(skeleton) == 2 * (2 * 2 * 16 + 16)
    assert all(p.is_meta for p in delta.parameters())
    model = nn.Sequential(nn.Linear(3, 2))
    nn.init.zeros_(model[0].weight)
    LoraModel(model, modified_modules="0", use_dora=True)
    assert torch.equal(model(torch.ones(1, 3)), model[0].bias[None])


def test_dora_refuses_quantised_weights() -> None:
    model = nn.Sequential(nn.Linear(4, 4))
    model[0].weight = nn.Parameter(torch.zeros(4, 4, dtype=torch.int8), requires_grad=False)
    with pytest.raises(DeltaError, match="quantised"):
        LoraModel(model, modified_modules="0", use_dora=True)


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_other_ranks_and_scales_for_some_hosts_as_in_peft(family: str) -> None:
    model = awake(family)
    bare = copy.deepcopy(model)
    patterns = HOSTS[family][0]
    prefix = "bert.encoder.layer.1" if family == "bert" else "transformer.h.1"
    some = "attention.self.query" if family == "bert" else "attn.c_attn"
    ranks, alphas = {f"{prefix}.{some}": 5, patterns[1]: 2}, {patterns[0]: 11}
    options = {"rank_pattern": ranks, "alpha_pattern": alphas, "use_rslora": True}
    delta = LoraModel(model, modified_modules=patterns, lora_r=3, lora_alpha=7, **options)
    assert {child.lora_A.shape[0] for child in delta.modules.values()} == {2, 3, 5}
    stir(delta.parameters())
    theirs = as_peft(bare, delta, patterns, **options)
    torch.testing.assert_close(output_of(model), output_of(theirs, **batch_for(bare)), atol=1e-6, rtol=0)


def test_tables_take_the_whole_grammar_and_travel() -> None:
    model = bart()
    table = {"[r]v_proj": 3, "encoder.layers.0.self_attn.q_proj": 6, "attn@.q@": "4"}
    delta = LoraModel(model, modified_modules=["attn@.q@", "attn@.v@"], rank_pattern=table)  # type: ignore[arg-type]
    ranks = {host: child.lora_A.shape[0] for host, child in delta.modules.items()}
    assert ranks["model.encoder.layers.0.self_attn.q_proj"] == 6
    assert {rank for host, rank in ranks.items() if host.endswith("v_proj")} == {3}
    assert sum(rank == 4 for rank in ranks.values()) == 3
    again = AutoDeltaModel.from_config(AutoDeltaConfig.from_dict(delta.config.to_dict()), bart())
    assert {host: child.lora_A.shape[0] for host, child in again.modules.items()} == ranks  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rank_pattern": {"fc2": 3}}, "none of the 2 hosts"),
        ({"rank_pattern": {"qeury": 3}}, "Nearest: query"),
        ({"alpha_pattern": {"query": -1}}, "alpha_pattern must be"),
        ({"rank_pattern": {"query": 0}}, "rank_pattern must be"),
        ({"rank_pattern": ["query"]}, "a dictionary"),
        ({"rank_pattern": {3: 3}}, "a dictionary"),
    ],
)
def test_tables_that_are_wrong(options: dict[str, Any], said: str) -> None:
    model = bert()
    before = same_state(model)[0]
    with pytest.raises(DeltaError, match=said):
        LoraModel(model, modified_modules=["query"], **options)
    assert str(model) == before
