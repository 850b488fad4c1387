"""Hosts that differ from a plain Linear in a layer of its own: shared modules, embeddings, experts, convolutions."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

from deltanb import AdapterModel, AutoDeltaConfig, AutoDeltaModel, LoraModel, freeze, match
from deltanb._errors import DeltaError
from deltanb.engine.auto import DELTA_TYPES
from deltanb.structure import snapshot
from tests.families import FAMILIES, fresh, make
from tests.models import bert, output_of, stir

TRANSFORMERS = sorted(set(FAMILIES) - {"plain"})


class Tied(nn.Module):
    """Two towers that are one module."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
        self.right = self.left
        self.head = nn.Linear(4, 2)


@pytest.mark.parametrize(
    ("pattern", "first"), [("right", "left"), ("right.1", "left.1"), ("right.$", "left.0"), (r"[r]right\.\d", "left.0")]
)
def test_a_module_with_two_addresses_goes_by_its_first(pattern: str, first: str) -> None:
    for patterns, exclude in ((pattern, None), ("head", pattern)):
        with pytest.raises(DeltaError, match=f"is the same module as {first},") as caught:
            match(Tied(), patterns, exclude)
        assert caught.value.try_ == f"%delta match {first}"
    with pytest.raises(DeltaError, match=f"is the same module as {first},"):
        freeze(Tied(), pattern)


def test_a_name_that_is_nowhere_is_no_second_address() -> None:
    with pytest.raises(DeltaError, match="matches none of the 4 modules"):
        match(Tied(), "centre")


def test_alberts_shared_layer_gets_one_delta_that_acts_in_every_layer() -> None:
    model = fresh("albert")
    assert model.config.num_hidden_layers == 2
    delta = AdapterModel(model, modified_modules=["ff@.w2@"], bottleneck_dim=3)
    assert len(delta.hosts) == 1
    brought = (16 * 3 + 3) + (3 * 16 + 16)
    assert snapshot(model).counts.delta == sum(p.numel() for p in delta.parameters()) == brought
    calls: list[int] = []
    delta.delta_modules[0].register_forward_hook(lambda *_: calls.append(1))
    output_of(model)
    assert len(calls) == 2


@pytest.mark.parametrize("family", ["bart", "mt5", "pegasus", "t5", "t5-gated"])
def test_the_shared_embedding_stands_for_those_that_are_called(family: str) -> None:
    model = fresh(family)
    before = output_of(model)
    with pytest.warns(UserWarning, match=r"shared is never called in this model; .*encoder\.embed_tokens, .*decoder\.embed_tokens"):
        delta = LoraModel(model, modified_modules=["shared"], lora_r=2)
    assert [name.removeprefix("model.") for name in delta.hosts] == ["encoder.embed_tokens", "decoder.embed_tokens"]
    stir(delta.parameters())
    assert not torch.equal(output_of(model), before)
    assert torch.equal(model.get_output_embeddings().weight, fresh(family).get_output_embeddings().weight)


@pytest.mark.parametrize("family", TRANSFORMERS)
def test_an_adapter_after_the_embeddings(family: str) -> None:
    model = fresh(family)
    before = output_of(model)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* is never called")
        delta = AdapterModel(model, modified_modules=["embeddings@"], bottleneck_dim=2)
    stir(delta.parameters())
    assert not torch.equal(output_of(model), before)
    assert torch.equal(output_of(delta.detach().backbone_model), before)


@pytest.mark.parametrize("family", ["mixtral", "qwen3_moe"])
@pytest.mark.parametrize("delta_type", DELTA_TYPES)
def test_the_experts_are_parameters_and_no_hosts(family: str, delta_type: str) -> None:
    model = make(family)
    if delta_type == "soft_prompt":  # takes no pattern at all
        return
    for name in ("gate_up_proj", "experts.down_proj"):
        with pytest.raises(DeltaError, match=rf"names a parameter \(.*{name}\), not a module"):
            AutoDeltaModel.from_config(AutoDeltaConfig.from_dict({"delta_type": delta_type, "modified_modules": [name, name]}), model)


def test_the_whole_mixture_is_a_host() -> None:
    model = fresh("mixtral")
    before = output_of(model)
    delta = AdapterModel(model, modified_modules=["ff@"], bottleneck_dim=2)
    assert delta.hosts == ["model.layers.0.mlp", "model.layers.1.mlp"]
    stir(delta.parameters())
    assert not torch.equal(output_of(model), before)


@pytest.mark.parametrize(
    ("family", "name"),
    [("vit", "patch_embeddings.projection"), ("wav2vec2", "feature_extractor.conv_layers.0.conv"), ("mamba", "mixer.conv1d")],
)
def test_a_convolution_is_refused(family: str, name: str) -> None:
    with pytest.raises(DeltaError, match="channels first"):
        AdapterModel(make(family), modified_modules=[name])
    with pytest.raises(DeltaError, match="LoRA cannot sit on"):
        LoraModel(make(family), modified_modules=[name])


def test_a_host_below_a_fused_projection_keeps_its_weights_layout() -> None:
    delta = LoraModel(make("gpt2"), lora_r=2)
    assert {name.rpartition(".")[2]: tuple(p.shape) for name, p in delta.named_parameters()} == {"lora_A": (2, 16), "lora_B": (48, 2)}
    assert LoraModel(bert(), lora_r=2).hosts[0].endswith("query")
