"""An adapter at a layer norm, and one that is scaled."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import nn

from deltanb import AdapterModel, BitFitModel, LnTuningModel
from deltanb._errors import DeltaError
from tests.models import assert_same, bert, make, output_of, same_state, stir


def normed() -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5))
    stir(model.parameters(), scale=0.5)
    return model


def test_the_formula_at_a_norm() -> None:
    model, value = normed(), torch.randn(2, 3, 6)
    total = model[0](value)
    norm = copy.deepcopy(model[1])
    delta = AdapterModel(model, bottleneck_dim=2, non_linearity="relu", scaled=3.0, placement="at_norm", modified_modules="1")
    stir(delta.parameters(), scale=1.0)
    down_w, down_b, up_w, up_b = delta.parameters()
    inner = norm(total)
    wanted = norm(total + 3 * (torch.relu(inner @ down_w.T + down_b) @ up_w.T + up_b))
    torch.testing.assert_close(model(value), wanted)


def test_the_formula_scaled() -> None:
    model, value = normed(), torch.randn(2, 3, 6)
    before = model(value)
    delta = AdapterModel(model, bottleneck_dim=2, non_linearity="relu", scaled=0.5, modified_modules="1")
    stir(delta.parameters(), scale=1.0)
    down_w, down_b, up_w, up_b = delta.parameters()
    torch.testing.assert_close(model(value), before + 0.5 * (torch.relu(before @ down_w.T + down_b) @ up_w.T + up_b))


@pytest.mark.parametrize("family", ["bert", "bart", "t5", "llama", "gpt2"])
def test_the_hosts_are_every_norm_unless_named(family: str) -> None:
    model = make(family)
    before = same_state(model)
    delta = AdapterModel(model, placement="at_norm", bottleneck_dim=3)
    assert delta.hosts
    assert all("norm" in type(model.get_submodule(host)).__name__.lower() for host in delta.hosts)
    stir(delta.parameters())
    moved = output_of(model)
    delta.detach()
    assert_same(same_state(model), before)
    assert not torch.equal(output_of(model), moved)
    delta.attach()
    assert torch.equal(output_of(model), moved)


def test_no_norm_is_no_place_for_it() -> None:
    model = bert()
    before = same_state(model)
    with pytest.raises(DeltaError, match="is no layer norm"):
        AdapterModel(model, placement="at_norm", modified_modules=["query"])
    with pytest.raises(DeltaError, match="placement must be one of after, at_norm"):
        AdapterModel(model, placement="at_the_norm")
    assert_same(same_state(model), before)


def test_copies_pickles_and_compiled_models_compute_the_same() -> None:
    model = bert()
    delta = AdapterModel(model, placement="at_norm", modified_modules=["output.LayerNorm"])
    stir(delta.parameters())
    wanted = output_of(model)
    assert torch.equal(output_of(copy.deepcopy(model)), wanted)
    assert torch.equal(output_of(pickle.loads(pickle.dumps(model))), wanted)  # noqa: S301 - our own
    compiled: Any = torch.compile(model, backend="eager", fullgraph=True)
    torch.testing.assert_close(output_of(model), wanted)
    with torch.no_grad():
        torch.testing.assert_close(compiled(input_ids=torch.tensor([[3, 4]])).logits, model(input_ids=torch.tensor([[3, 4]])).logits)


def test_every_parameter_gets_a_gradient_and_the_norm_stays() -> None:
    model = bert()
    delta = AdapterModel(model, placement="at_norm", modified_modules=["output.LayerNorm"])
    stir(delta.parameters())
    delta.freeze_module()
    model(input_ids=torch.tensor([[3, 4, 5]])).logits.sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in delta.parameters())


def test_a_half_precision_norm_keeps_its_dtype() -> None:
    model = bert().to(torch.bfloat16)
    delta = AdapterModel(model, placement="at_norm", modified_modules=["output.LayerNorm"])
    assert {parameter.dtype for parameter in delta.parameters()} == {torch.float32}
    assert output_of(model).dtype == torch.bfloat16


def test_a_norm_that_is_called_by_name() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.LayerNorm(4)

        def forward(self, value: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.norm(input=value)
            return out

    model, value = Named(), torch.randn(2, 4)
    plain = model(value)
    delta = AdapterModel(model, placement="at_norm", modified_modules=["norm"], bottleneck_dim=2)
    stir(delta.parameters())
    assert not torch.allclose(model(value), plain)


def test_beside_deltas_that_train_the_norm_itself() -> None:
    model = bert()
    AdapterModel(model, placement="at_norm", modified_modules=["output.LayerNorm"])
    norms = LnTuningModel(model, modified_modules=["output.LayerNorm"])
    stir([model.get_parameter(name) for name in norms.core_names()])
    both = output_of(model)
    norms.detach()
    biases = BitFitModel(model, modified_modules=["output.LayerNorm"])
    assert not torch.equal(output_of(model), both)
    biases.detach()
    norms.attach()
    assert torch.equal(output_of(model), both)
