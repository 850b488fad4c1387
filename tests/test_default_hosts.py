"""Where a delta sits when no module is named."""

from __future__ import annotations

import warnings

import pytest
import transformers
from torch import nn

from deltanb import AdapterModel, AutoDeltaConfig, AutoDeltaModel, IA3Model, LoraModel, ParallelAdapterModel, PrefixModel
from deltanb._errors import DeltaError
from deltanb.engine import plan
from deltanb.workbench import Workbench
from tests.families import fresh, make
from tests.models import bert


def hosts(model: nn.Module, delta_type: str, **options: object) -> list[str]:
    """Short names of the hosts that a delta takes by itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = AutoDeltaConfig.from_dict({"delta_type": delta_type, **options})
        return [name.rpartition("layers.0.")[2] for name in AutoDeltaModel.from_config(config, model).hosts if "layers.0." in name]


@pytest.mark.parametrize(
    ("family", "delta_type", "expected"),
    [
        ("mixtral", "adapter", ["self_attn.o_proj", "mlp"]),
        ("mixtral", "parallel_adapter", ["self_attn", "mlp"]),
        ("mixtral", "lora", ["self_attn.q_proj", "self_attn.v_proj"]),
        ("mixtral", "ia3", ["self_attn.k_proj", "self_attn.v_proj"]),
        ("mamba", "adapter", ["mixer"]),
        ("mamba", "lora", ["mixer.in_proj"]),
        ("mamba", "bitfit", ["norm", "mixer"]),
        ("mamba", "ln_tuning", ["norm"]),
        ("modernbert", "lora", ["attn.Wqkv"]),
        ("modernbert", "ln_tuning", ["mlp_norm"]),  # the first layer's attn_norm is an Identity
    ],
)
def test_a_family_that_lacks_a_role(family: str, delta_type: str, expected: list[str]) -> None:
    assert sorted(hosts(make(family), delta_type)) == sorted(expected)


def test_what_is_taken_instead_is_said() -> None:
    with pytest.warns(UserWarning, match=r"there is no ff@\.w2@ in this model, so ff@ is taken"):
        delta = AdapterModel(make("mixtral"), bottleneck_dim=2)
    assert delta.modified_modules == ["attn@.proj@", "ff@"]
    assert delta.config.modified_modules is None
    with pytest.warns(UserWarning, match=r"there is no ff@\.w2@ in this model$"):
        IA3Model(make("mixtral"))


def test_a_pattern_that_is_typed_is_taken_as_it_stands() -> None:
    with pytest.raises(DeltaError, match=r"'ff@\.w2@' matches none"):
        AdapterModel(make("mixtral"), modified_modules=["ff@.w2@"])
    delta = AdapterModel(make("mixtral"), modified_modules=["o_proj"])
    assert delta.notes == []


def test_an_adapter_at_the_norms_has_defaults_of_its_own() -> None:
    assert hosts(make("llama"), "adapter", placement="at_norm") == ["input_layernorm", "post_attention_layernorm"]


def test_a_default_holds_for_a_transformer_inside_another_model() -> None:
    model = nn.ModuleDict({"reader": bert().bert, "score": nn.Linear(16, 1)})
    assert LoraModel(model).hosts == [f"reader.{name}" for name in LoraModel(bert().bert).hosts]
    inner = ParallelAdapterModel(model, bottleneck_dim=2)  # its sizes take a trial pass
    assert inner.hosts[0] == "reader.encoder.layer.0.attention"
    pair = transformers.VisionEncoderDecoderModel(encoder=make("vit").vit, decoder=make("gpt2", add_cross_attention=True))
    assert LoraModel(pair).modified_modules == ["attn@.q@", "attn@.v@"]


@pytest.mark.parametrize(("delta_type", "near"), [("lora", "blocks.$.1"), ("ln_tuning", "blocks.$.0"), ("parallel_adapter", "blocks.$.1")])
def test_a_model_of_no_family_is_told_what_to_type(delta_type: str, near: str) -> None:
    with pytest.raises(DeltaError, match="PlainModel, which has no family") as caught:
        hosts(fresh("plain"), delta_type)
    assert caught.value.nearest[0] == near
    assert caught.value.try_ == f"%delta attach {delta_type} {near}"


def test_a_family_that_is_not_known_is_named() -> None:
    config = transformers.SegformerConfig(hidden_sizes=[8] * 4, depths=[1] * 4, num_attention_heads=[1] * 4, decoder_hidden_size=8)
    with pytest.raises(DeltaError, match="SegformerModel \\(family 'segformer'\\)") as caught:
        LoraModel(transformers.SegformerModel(config))
    assert caught.value.nearest[:2] == ["q_proj", "k_proj"]


@pytest.mark.parametrize("kind", [PrefixModel, IA3Model])
def test_a_family_with_nothing_to_sit_on(kind: type[PrefixModel]) -> None:
    with pytest.raises(DeltaError, match="MambaForCausalLM has nothing that"):
        kind(make("mamba"))


def test_a_plan_takes_the_same_hosts() -> None:
    model = make("mixtral")
    with pytest.warns(UserWarning, match="ff@ is taken"):
        delta = ParallelAdapterModel(make("mixtral"))
    assert plan(model, "parallel_adapter").hosts == len(delta.hosts) == 4


@pytest.mark.parametrize(
    ("family", "delta_type", "where"),
    [
        ("bert", "lora", "attn@.q@ ×2 (attention.self.query), attn@.v@ ×2 (attention.self.value)"),
        ("gpt2", "lora", "attn@.q@ ×2 (attn.c_attn), attn@.v@ ×2 (attn.c_attn)"),
        ("t5", "parallel_adapter", "attn@ ×4 (layer.0), ff@.w1@ ×4 (DenseReluDense.wi), ff@.w2@ ×4 (DenseReluDense.wo)"),
        ("mamba", "adapter", "mixer@ ×2 (mixer)"),
        ("bert", "soft_prompt", "root ×1"),
        ("whisper", "ln_tuning", "layer_norm@ ×12 (self_attn_layer_norm, final_layer_norm, model.encoder.layer_norm, …)"),
    ],
)
def test_the_notebook_shows_what_was_chosen(family: str, delta_type: str, where: str) -> None:
    bench = Workbench()
    bench.backbone(make(family))
    outcome = bench.attach(delta_type)
    assert outcome.facts["where"] == where
    assert any("mixer@ is taken" in note for note in outcome.notes) == (family == "mamba")
