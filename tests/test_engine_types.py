"""What each delta type computes, where it can sit, what it refuses, how it is called."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers.activations import get_activation

from deltanb import AdapterModel, AutoDeltaConfig, AutoDeltaModel, BitFitModel, LoraModel, deltas
from deltanb._errors import DeltaError
from tests.models import bart, batch_for, bert, make, output_of, stir, trainable


def recorded(model: Any, name: str) -> tuple[Any, Any]:
    """Positional input and output of one module in a pass."""
    seen = {}
    handle = model.get_submodule(name).register_forward_hook(lambda _module, args, output: seen.update(args=args, output=output))
    output_of(model)
    handle.remove()
    return seen["args"], seen["output"]


@pytest.mark.parametrize("non_linearity", ["gelu_new", "relu", "swish", "gelu_orig", "leakyrelu", "tanh"])
def test_the_adapters_formula(non_linearity: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5))
    value = torch.randn(2, 3, 6)
    hidden = model(value)
    delta = AdapterModel(model, modified_modules="0", bottleneck_dim=2, non_linearity=non_linearity)
    stir(delta.parameters(), scale=1.0)
    down_w, down_b, up_w, up_b = delta.parameters()
    act = get_activation({"swish": "silu", "gelu_orig": "gelu", "leakyrelu": "leaky_relu"}.get(non_linearity, non_linearity))
    torch.testing.assert_close(model(value), hidden + act(hidden @ down_w.T + down_b) @ up_w.T + up_b)


@pytest.mark.parametrize(
    ("family", "host"), [("bert", "classifier"), ("gpt2", "transformer.h.0.attn.c_attn"), ("gpt2", "transformer.h.1.mlp.c_fc")]
)
def test_lora_is_the_product_added_to_the_weight(family: str, host: str) -> None:
    model = make(family)
    (value,), _ = recorded(model, host)
    delta = LoraModel(model, modified_modules=[host], lora_r=3, lora_alpha=7)
    stir(delta.parameters(), scale=1.0)
    _, output = recorded(model, host)
    down, up = delta.parameters()
    module = model.get_submodule(host)
    weight = module.weight if isinstance(module, nn.Linear) else module.weight.T
    torch.testing.assert_close(output, nn.functional.linear(value, weight + 7 / 3 * up @ down, module.bias))


@pytest.mark.parametrize("scale", [False, True])
def test_lora_on_an_embedding(scale: bool) -> None:  # noqa: FBT001
    model = bart(scale_embedding=scale)
    host = "model.encoder.embed_tokens"
    delta = LoraModel(model, modified_modules=[host], lora_r=3, lora_alpha=6)
    stir(delta.parameters(), scale=1.0)
    (ids,), output = recorded(model, host)
    down, up = delta.parameters()
    torch.testing.assert_close(output, (4.0 if scale else 1.0) * nn.functional.embedding(ids, model.lm_head.weight + 2.0 * (up @ down).T))


def test_dropout_of_lora_is_for_training_only() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 4))
    delta = LoraModel(model, modified_modules="0", lora_dropout=0.5)
    stir(delta.parameters())
    value = torch.randn(3, 64)
    assert not torch.equal(model.train()(value), model(value))
    assert torch.equal(model.eval()(value), model(value))


def test_bitfit_adds_its_bias() -> None:
    model = make("t5")
    before = [recorded(model, f"encoder.block.0.layer.{at}")[1][0] for at in (0, 1)]
    host = "encoder.block.0.layer.1.DenseReluDense.wo"
    delta = BitFitModel(model, modified_modules=[host])
    assert delta.hosts == [host]
    assert torch.equal(recorded(model, "encoder.block.0.layer.0")[1][0], before[0])
    bias = model.get_submodule(host).bias
    torch.testing.assert_close(recorded(model, "encoder.block.0.layer.1")[1][0], before[1] + bias)


SEVERAL = {
    "bart": ["self_attn", "model.encoder", "final_layer_norm"],
    "bert": ["attention", "bert.encoder"],
    "distilbert": ["ffn"],
    "gpt2": ["h.$", "attn"],
    "llama": ["self_attn", "input_layernorm"],
    "mixtral": ["self_attn", "mlp"],
    "t5": ["SelfAttention", "encoder.block.0"],
    "vit": ["mlp", "vit.layers.0"],
}


@pytest.mark.parametrize(("family", "host"), [(family, host) for family, hosts in SEVERAL.items() for host in hosts])
def test_an_adapter_changes_the_first_of_several_outputs(family: str, host: str) -> None:
    model = make(family)
    names = [name for name, _ in model.named_modules()]
    before = output_of(model)
    delta = AdapterModel(model, modified_modules=[host], bottleneck_dim=2)
    kinds = [type(recorded(model, name)[1]) for name in delta.hosts]
    stir(delta.parameters(), scale=0.5)
    assert not torch.equal(output_of(model), before)
    delta.detach()
    assert kinds == [type(recorded(model, name)[1]) for name in delta.hosts]
    assert names == [name for name, _ in model.named_modules()]


@pytest.mark.parametrize("value", [0, -1, "abc", True, 2.5, None, "", "1e400", float("inf"), float("nan"), 10**400, [3]])
def test_a_bottleneck_that_is_none(value: Any) -> None:
    model = bart()
    with pytest.raises(DeltaError, match="bottleneck_dim must be a whole number from 1"):
        AdapterModel(model, bottleneck_dim=value, modified_modules=["fc2"])
    assert not deltas(model)


@pytest.mark.parametrize("value", ["3", 3.0, np.int64(3), " 3 "])
def test_a_bottleneck_in_other_words(value: Any) -> None:
    assert AdapterModel(bart(), bottleneck_dim=value, modified_modules=["fc2"]).config.options()["bottleneck_dim"] == 3


@pytest.mark.parametrize(
    ("options", "nearest"),
    [({"bottleneck": 3}, "bottleneck_dim"), ({"modified_module": ["fc2"]}, "modified_modules"), ({"non_linear": "relu"}, "non_linearity")],
)
def test_an_option_that_there_is_not(options: dict[str, Any], nearest: str) -> None:
    with pytest.raises(DeltaError, match="has no option") as caught:
        AdapterModel(bart(), **{"modified_modules": ["fc2"], **options})
    assert nearest in caught.value.nearest


def test_an_unknown_activation_gets_the_nearest() -> None:
    with pytest.raises(DeltaError, match="non_linearity must be one of") as caught:
        AdapterModel(bart(), modified_modules=["fc2"], non_linearity="gelu_knew")
    assert caught.value.nearest[0] == "gelu_new"


@pytest.mark.parametrize(
    "options", [{"lora_r": 0}, {"lora_alpha": -1}, {"lora_alpha": float("inf")}, {"lora_dropout": 1}, {"lora_dropout": -0.1}]
)
def test_limits_of_lora(options: dict[str, Any]) -> None:
    with pytest.raises(DeltaError, match="must be"):
        LoraModel(bart(), modified_modules=["q_proj"], **options)


@pytest.mark.parametrize(("host", "said"), [("final_layer_norm", "bitfit trains its bias"), ("self_attn", r"self_attn\.q_proj")])
def test_lora_needs_a_weight_matrix_and_says_where_one_is(host: str, said: str) -> None:
    with pytest.raises(DeltaError, match=said):
        LoraModel(bart(), modified_modules=[host])


def test_containers_and_images_carry_no_adapter() -> None:
    with pytest.raises(DeltaError, match="container"):
        AdapterModel(nn.Sequential(nn.Sequential(nn.Linear(2, 2))), modified_modules="0")
    with pytest.raises(DeltaError, match="channels first"):
        AdapterModel(make("vit"), modified_modules=["projection"])
    with pytest.raises(DeltaError, match="experts"):
        LoraModel(make("mixtral"), modified_modules=["mlp.experts.down_proj"])


def test_advice_never_names_a_deltas_own_layers() -> None:
    model = bart()
    AdapterModel(model, modified_modules=["final_layer_norm"])
    with pytest.raises(DeltaError, match="no weight matrix"):
        LoraModel(model, modified_modules=["final_layer_norm"])


@pytest.mark.parametrize("delta_type", [AdapterModel, LoraModel])
def test_an_embedding_that_is_never_called_is_exchanged(delta_type: type) -> None:
    model = bart()
    with pytest.warns(UserWarning, match="never called"):
        delta = delta_type(model, modified_modules=["shared"])
    assert delta.hosts == ["model.encoder.embed_tokens", "model.decoder.embed_tokens"]
    delta.freeze_module()
    model(**batch_for(model))[0].sum().backward()
    assert all(parameter.grad is not None for parameter in delta.parameters())


def test_names() -> None:
    model = bart()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first = AdapterModel(model, modified_modules=["fc2"])
    with pytest.warns(UserWarning, match="adapter_1"):
        second = AdapterModel(model, modified_modules=["fc2"])
    mine = LoraModel(model, modified_modules=["fc2"], name="reviews")
    assert list(deltas(model)) == ["adapter", "adapter_1", "reviews"]
    assert [first.name, second.name, mine.name] == ["adapter", "adapter_1", "reviews"]
    assert "model.encoder.layers.0.fc2.reviews.lora_A" in dict(model.named_parameters())
    with pytest.raises(DeltaError, match="attached already"):
        BitFitModel(model, modified_modules=["fc1"], name="reviews")


@pytest.mark.parametrize(
    "name", ["bias", "forward", "classifier", "deltas", "a b", "class", "", "1st", "weight", "_x", "a.b", 3, "in_features"]
)
def test_names_that_are_taken(name: Any) -> None:
    model = bert()
    with pytest.raises(DeltaError, match="cannot be called"):
        AdapterModel(model, modified_modules=["output.dense"], name=name)
    assert not deltas(model)


def test_configs_from_plain_data() -> None:
    config = AutoDeltaConfig.from_dict({"delta_type": "adapter", "bottleneck_dim": "12", "modified_modules": "fc2", "backbone_hash": "x"})
    assert config.to_dict()["bottleneck_dim"] == 12
    model = bart()
    delta = AutoDeltaModel.from_config(config, backbone_model=model, name="mine", exclude_modules=["decoder"])
    assert (delta.delta_type, delta.name, len(delta.hosts)) == ("adapter", "mine", 2)
    assert config.exclude_modules is None
    assert AutoDeltaConfig.from_dict(delta.config.to_dict()) == delta.config
    assert AutoDeltaConfig.from_dict({"delta_type": "lora", "r": 4, "unfrozen_modules": None}).unfrozen_modules == ["deltas"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"delta_type": "lora", "lora_rr": 3}, "Nearest: lora_r"),
        ({"delta_type": "lara"}, "Nearest: lora"),
        ({"delta_type": ["lora"]}, "There is no delta type"),
        ({"lora_r": 3}, "name no delta_type"),
        ({"delta_type": "adapter", "bottleneck_dim": 0}, "must be a whole number"),
        ({"delta_type": "adapter", "modified_modules": 5}, "must be text"),
    ],
)
def test_settings_that_are_wrong(data: dict[str, Any], said: str) -> None:
    with pytest.raises(DeltaError, match=said):
        AutoDeltaModel.from_config(AutoDeltaConfig.from_dict(data), backbone_model=bart())


def test_scripts_of_old_run() -> None:
    model = bart()
    delta = AdapterModel(
        backbone_model=model, bottleneck_dim=12, modified_modules=["fc2"], exclude_modules=["model.decoder"],
        unfrozen_modules=["deltas", "layernorm_embedding"], common_structure=True, interactive_modify=False, backend="hf",
    )  # fmt: skip
    delta.freeze_module(set_state_dict=True)
    assert trainable(model) == 2 * (2 * 12 * 16 + 12 + 16) + 2 * 32
    assert delta.backbone_model is model
    assert AdapterModel.default_modified_modules
    for options in ({"interactive_modify": True}, {"interactive_modify": 8899}, {"backend": "bmt"}, {"modified_modules": []}):
        with pytest.raises(DeltaError):
            AdapterModel(bart(), **{"modified_modules": ["fc2"], **options})


@pytest.mark.parametrize("backbone", [None, "bert-base", 3, {}])
def test_what_is_no_model(backbone: Any) -> None:
    with pytest.raises(DeltaError, match="must be a torch module"):
        AdapterModel(backbone, modified_modules=["fc2"])
