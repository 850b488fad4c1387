"""New biases on backbones of half precision: float32 behind the Linear, and one delta with those of a float32 backbone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from deltanb import BitFitModel, load
from tests.models import assert_same, batch_for, make, output_of, same_state, stir, trainable

HERE = Path(__file__).parent / "fixtures" / "opendelta"
HOSTS = ["SelfAttention", "DenseReluDense.wo"]
HALF = [torch.bfloat16, torch.float16]


def t5(dtype: torch.dtype) -> Any:
    return make("t5").to(dtype)


@pytest.mark.parametrize("dtype", HALF)
def test_new_biases_are_float32_and_leave_the_backbone_alone(dtype: torch.dtype) -> None:
    model = t5(dtype)
    before, plain = same_state(model), output_of(model)
    delta = BitFitModel(model, modified_modules=HOSTS)
    assert {parameter.dtype for parameter in delta.parameters()} == {torch.float32}
    full = BitFitModel(t5(torch.float32), modified_modules=HOSTS)
    assert not full.modules
    assert len(delta.parameters()) == len(full.parameters()) == 20
    assert sum(p.numel() for p in delta.parameters()) == sum(p.numel() for p in full.parameters()) == 20 * 16
    delta.freeze_module()
    assert trainable(model) == 20 * 16
    changed = output_of(model)
    assert changed.dtype == dtype
    delta.detach()
    assert torch.equal(output_of(model), plain)
    assert_same(same_state(model), before)
    delta.attach()
    assert torch.equal(output_of(model), changed)


def test_small_steps_are_not_rounded_away() -> None:
    """A step of a thousandth is less than bfloat16 can show."""
    model = t5(torch.bfloat16)
    delta = BitFitModel(model, modified_modules=["DenseReluDense.wo"])
    delta.freeze_module()
    values = [parameter.detach().clone() for parameter in delta.parameters()]
    optimizer = torch.optim.SGD(delta.parameters(), lr=1e-6)
    for _ in range(3):
        optimizer.zero_grad()
        model(**batch_for(model))[0].float().square().sum().backward()
        optimizer.step()
    for value, parameter in zip(values, delta.parameters(), strict=True):
        step = parameter.detach() - value
        assert (step != 0).float().mean() > 0.9
        rounded = value.bfloat16() + (step / 3).bfloat16()
        assert (rounded != value.bfloat16()).float().mean() < 0.5  # what a bias in the backbone's dtype would have taken in


def test_first_values_are_those_of_a_linear() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(400, 3000, bias=False, dtype=torch.bfloat16))
    (bias,) = BitFitModel(model, modified_modules="0").parameters()
    assert bias.abs().max().item() == pytest.approx(1 / 20, rel=0.02)
    assert bias.std().item() == pytest.approx(1 / 20 / 3**0.5, rel=0.05)


@pytest.mark.parametrize(("first", "second"), [(torch.float32, torch.bfloat16), (torch.bfloat16, torch.float32)])
def test_saved_from_one_precision_it_loads_into_the_other(first: torch.dtype, second: torch.dtype, tmp_path: Path) -> None:
    model, other = t5(first), t5(second)
    delta = BitFitModel(model, modified_modules=[*HOSTS, "layer_norm"], name="mine")
    stir(delta.parameters())
    with torch.no_grad():
        values = torch.stack([p.float().sum() for p in delta.parameters()]).sort().values
    delta.save_finetuned(tmp_path / "d")
    with pytest.warns(UserWarning, match="other weights"):  # they are rounded
        loaded = load(tmp_path / "d", other, name="other")
    torch.testing.assert_close(torch.stack([p.float().sum() for p in loaded.parameters()]).sort().values, values)
    torch.testing.assert_close(output_of(other).float(), output_of(model).float(), atol=0.1, rtol=0.1)
    loaded.save_finetuned(tmp_path / "back")
    again = t5(first)
    with pytest.warns(UserWarning, match="other weights"):
        load(tmp_path / "back", again)
    assert torch.equal(output_of(again), output_of(model))


def test_opendeltas_biases_go_behind_a_half_precision_backbone() -> None:
    from tests.test_checkpoints_opendelta import backbone, facts, logits

    model = backbone("t5").to(torch.bfloat16)
    delta = load(HERE / "t5" / "bitfit", model)
    assert {parameter.dtype for parameter in delta.parameters()} == {torch.float32}
    wanted = torch.tensor(facts("t5", "bitfit", "expected.json")["logits"])
    plain = torch.tensor(facts("t5", "base.json")["base_logits"])
    assert (logits(model, "t5").float() - wanted).abs().mean() < 0.05 * (plain - wanted).abs().mean()


def test_biases_that_are_there_keep_the_backbones_dtype() -> None:
    model = make("bert").to(torch.bfloat16)
    delta = BitFitModel(model, modified_modules=["attention"])
    assert not delta.modules
    assert {model.get_parameter(name).dtype for name in delta.core_names()} == {torch.bfloat16}
