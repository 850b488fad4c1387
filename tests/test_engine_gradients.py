"""Dead parameters: true ones are found, living ones are not, and nothing of the model is disturbed."""

from __future__ import annotations

import random
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import nn

from deltanb import AdapterModel, LoraModel, dead_parameters, freeze
from deltanb._errors import DeltaError
from deltanb.engine import DELTA_TYPES
from tests.models import MAKERS, bart, batch_for, bert, make, of_type, same_state, stir


@pytest.fixture(autouse=True)
def fresh_compiler() -> Any:
    yield
    torch.compiler.reset()


def recount(model: Any, batch: dict[str, torch.Tensor], loss: Any = None) -> set[str]:
    """The plain way: move every parameter, run backward, look at ``grad``."""
    training = [p for p in model.parameters() if p.requires_grad]
    stir(training, scale=0.05)
    output = model(**batch)
    (loss(output) if loss else output[0].pow(3).sum()).backward()
    return {name for name, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())}


@pytest.mark.parametrize("family", ["bert", "bart", "gpt2", "llama", "mixtral", "t5", "vit"])
def test_a_whole_model_has_none(family: str) -> None:
    for model in (make(family), make(family, device="meta")):
        assert dead_parameters(model) == {}
    assert dead_parameters(make(family), values=False) == {}


@pytest.mark.parametrize("kind", DELTA_TYPES)
def test_a_new_delta_is_not_dead(kind: str) -> None:
    model = bert()
    delta = of_type(kind, model)
    delta.freeze_module(exclude=["deltas", "classifier"])
    assert dead_parameters(model) == {}
    assert dead_parameters(model, values=False) == {}


@pytest.mark.parametrize("values", [True, False])
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_what_no_output_comes_by_is_found(device: str, values: bool) -> None:  # noqa: FBT001
    """A pooler that the loss does not use; and cross-attention in a decoder that gets no encoder's output."""
    if values and device == "meta":
        return
    from transformers import BertConfig, BertLMHeadModel, BertModel

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 64}
    with torch.device(device):
        base, decoder = BertModel(BertConfig(**sizes)), BertLMHeadModel(BertConfig(**sizes, is_decoder=True, add_cross_attention=True))
    last = {"loss": lambda output: output.last_hidden_state[:, 0, 0].sum()}
    assert dead_parameters(base, values=values) == {}
    assert dead_parameters(base, values=values, **last) == dict.fromkeys(["pooler.dense.weight", "pooler.dense.bias"], "not reached")  # type: ignore[arg-type]
    lora = LoraModel(decoder, modified_modules=["key", "value"])
    lora.freeze_module()
    found = dead_parameters(decoder, values=values)
    assert set(found) == {name for name, p in lora.named_parameters() if "crossattention" in name}
    assert set(found.values()) == {"not reached"}
    if device == "cpu":
        assert recount(base, batch_for(base), last["loss"]) == {"pooler.dense.weight", "pooler.dense.bias"}
        assert recount(decoder, batch_for(decoder)) == set(found)


class TwoHeads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.used, self.unused = nn.Linear(4, 4), nn.Linear(4, 2), nn.Linear(4, 3)
        self.lost = nn.Linear(4, 4)

    def forward(self, value: torch.Tensor) -> dict[str, Any]:
        hidden = self.body(value)
        return {"logits": (self.used(hidden),), "nothing": None, "count": torch.tensor(3), "zero": self.lost(hidden) * 0}


def test_an_unused_head_and_a_gradient_of_zero() -> None:
    model, batch = TwoHeads(), {"value": torch.ones(2, 4)}
    expected = {"unused.weight": "not reached", "unused.bias": "not reached"}
    zeros = {"lost.weight": "0 in this batch", "lost.bias": "0 in this batch"}
    assert dead_parameters(model, batch) == {**expected, **zeros}
    assert dead_parameters(model, batch, values=False) == expected
    delta = AdapterModel(model, modified_modules=["unused", "used"], bottleneck_dim=2)
    delta.freeze_module()
    assert set(dead_parameters(model, batch)) == {name for name, _ in delta.named_parameters() if name.startswith("unused")}
    freeze(model, "unused")
    delta.detach()
    assert dead_parameters(model, batch) == expected
    freeze(model)
    assert dead_parameters(model, batch) == {}


class Experts(nn.Module):
    """A mixture whose router sends every row to the first expert."""

    def __init__(self) -> None:
        super().__init__()
        self.experts = nn.ModuleList(nn.Linear(4, 4) for _ in range(2))
        self.route = nn.Linear(4, 2)

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        weights = self.route(value).softmax(-1)
        return torch.stack([self.experts[0](row) * weight[0] for row, weight in zip(value, weights, strict=True)])


def test_an_expert_that_got_no_row_is_said_to_be_so_in_this_batch() -> None:
    found = dead_parameters(Experts(), {"value": torch.randn(3, 4)})
    assert found == dict.fromkeys(["experts.1.weight", "experts.1.bias"], "no row of this batch went there")


def test_labels_make_the_models_own_loss() -> None:
    model = bert()
    batch = batch_for(model)
    model.classifier.requires_grad_(requires_grad=True)
    assert dead_parameters(model, {**batch, "labels": torch.tensor([0, 1])}) == {}
    with pytest.raises(DeltaError, match="ended early"):
        dead_parameters(model, {**batch, "labels": torch.tensor([0, 1, 1])})


class Moody(nn.Module):
    """All that a pass could leave behind: buffers, dropout, random draws."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.drop, self.last = nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2)
        self.register_buffer("count", torch.zeros(()))

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        self.count += 1  # type: ignore[operator, misc]
        return self.last(self.drop(self.norm(value))) + torch.randn(())  # type: ignore[no-any-return]


@pytest.mark.parametrize("values", [True, False])
def test_nothing_is_disturbed(values: bool) -> None:  # noqa: FBT001
    model, batch = Moody().train(), {"value": torch.randn(3, 4)}
    model.drop.eval()
    model(**batch).sum().backward()
    model.last.bias.requires_grad_(requires_grad=False)
    before = same_state(model), {name: tensor.clone() for name, tensor in model.state_dict().items()}
    grads = {name: (p.grad, p.grad.clone()) for name, p in model.named_parameters() if p.grad is not None}
    objects = list(model.parameters()), list(model.buffers()), [module.training for module in model.modules()]
    random_states = torch.get_rng_state(), random.getstate()
    for loss in (None, lambda _: 1 / 0):
        with pytest.raises(DeltaError, match="division") if loss else nullcontext():
            assert dead_parameters(model, batch, loss=loss, values=values) == {}
    assert same_state(model)[:3] == before[0][:3]
    assert all(torch.equal(tensor, before[1][name]) for name, tensor in model.state_dict().items())
    assert all(p.grad is grads[name][0] and torch.equal(p.grad, grads[name][1]) for name, p in model.named_parameters() if name in grads)
    now = list(model.parameters()), list(model.buffers()), [module.training for module in model.modules()]
    assert all(one is other for ones, others in zip(now[:2], objects[:2], strict=True) for one, other in zip(ones, others, strict=True))
    assert now[2] == objects[2]
    assert torch.equal(torch.get_rng_state(), random_states[0])
    assert random.getstate() == random_states[1]


def test_it_works_beside_a_compiler_checkpointing_and_half_precision() -> None:
    model = bert(num_hidden_layers=1).to(torch.bfloat16)
    MAKERS["lora"](model).freeze_module()
    model.activation_checkpointing_enable({"use_reentrant": True})
    model.enable_input_require_grads()
    compiled = torch.compile(model, backend="eager")
    assert dead_parameters(compiled) == {}
    with torch.no_grad():
        assert dead_parameters(model) == {}


def test_tied_tensors_are_named_once() -> None:
    model = bart()
    with pytest.warns(UserWarning, match="one tensor with"):
        freeze(model, "shared")
    assert dead_parameters(model) == {}
    assert dead_parameters(model, loss=lambda output: output.logits.sum() * 0) == {"model.shared.weight": "0 in this batch"}


def test_what_cannot_be_run_says_why() -> None:
    with pytest.raises(DeltaError, match="no config"):
        dead_parameters(TwoHeads())
    with pytest.raises(DeltaError, match="values=False"):
        dead_parameters(make("bert", device="meta"), values=True)
    with pytest.raises(DeltaError, match="ended early"):
        dead_parameters(TwoHeads(), {"value": torch.ones(2, 5)})


def test_what_chance_or_the_last_layer_decides_is_not_dead() -> None:
    model = bart(encoder_layerdrop=0.99, decoder_layerdrop=0.99).train()
    LoraModel(model, modified_modules=["q_proj", "encoder_attn.k_proj"]).freeze_module()
    assert dead_parameters(model) == {}
    model = make("gpt2")
    AdapterModel(model, modified_modules=["lm_head"], bottleneck_dim=2).freeze_module()
    assert dead_parameters(model) == {}
    assert set(dead_parameters(model, loss=lambda output: output.logits[..., 0].sum() * 0).values()) == {"0 in this batch"}
