"""What torch can do with a model, it can do with one that carries a delta, of whatever type: with equal results."""

from __future__ import annotations

import copy
import pickle
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
import torch

from deltanb import deltas
from deltanb.engine import DELTA_TYPES
from tests.models import batch_for, learn, make, of_type, output_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deltanb.engine import DeltaModel

SIZES = {
    "bert": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0},
    "llama": {},
    "gpt2": {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0},
}
HEADS = {"bert": "classifier", "llama": "lm_head", "gpt2": "ln_f"}
every_type = pytest.mark.parametrize("kind", DELTA_TYPES)
both = pytest.mark.parametrize("family", ["bert", "llama"])


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    yield
    torch.compiler.reset()


@cache
def _original(family: str) -> Any:
    return make(family, **{"num_hidden_layers": 1, **SIZES[family]})


def tuned(family: str, kind: str) -> tuple[Any, DeltaModel]:
    """A tiny model without dropout, with a delta as after training, and a head that trains."""
    model = copy.deepcopy(_original(family))
    delta = of_type(kind, model)
    delta.freeze_module(exclude=["deltas", HEADS[family]])
    learn(delta)
    return model, delta


def gradients(model: Any, **batch: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    model(**(batch or batch_for(model)))[0].float().pow(2).mean().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def assert_close(now: dict[str, torch.Tensor], then: dict[str, torch.Tensor]) -> None:
    assert now.keys() == then.keys()
    for name, gradient in then.items():
        torch.testing.assert_close(now[name], gradient, atol=1e-6, rtol=1e-4)


@every_type
@both
def test_copies_and_pickles_are_equal_and_go_their_own_way(family: str, kind: str) -> None:
    model, delta = tuned(family, kind)
    output, grads = output_of(model), gradients(model)
    model.zero_grad()
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301 - our own bytes
        assert torch.equal(output_of(again), output)
        assert_close(gradients(again), grads)
        twin = deltas(again)[kind]
        learn(twin, 9)
        assert not torch.equal(output_of(again), output)
        twin.detach()
        assert torch.equal(output_of(again), output_of(_original(family)))
    assert torch.equal(output_of(model), output)
    assert delta.attached


@every_type
@both
@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointing_gives_equal_gradients(family: str, kind: str, reentrant: bool) -> None:  # noqa: FBT001
    model, _ = tuned(family, kind)
    model.train()
    plain = gradients(model)
    assert plain
    model.activation_checkpointing_enable({"use_reentrant": reentrant})
    model.enable_input_require_grads()
    assert_close(gradients(model), plain)


@every_type
@both
def test_half_precision_keeps_its_dtype_and_trains(family: str, kind: str) -> None:
    model = copy.deepcopy(_original(family)).to(torch.bfloat16)
    delta = of_type(kind, model)
    delta.freeze_module()
    learn(delta)
    assert output_of(model).dtype == torch.bfloat16
    found = gradients(model)
    assert found
    assert all(gradient.isfinite().all() for gradient in found.values())
    assert any(gradient.any() for gradient in found.values())


@every_type
@both
def test_autocast_agrees_with_full_precision(family: str, kind: str) -> None:
    model, _ = tuned(family, kind)
    full, grads = output_of(model), gradients(model)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(output_of(model).float(), full, atol=0.1, rtol=0.1)
        half = gradients(model)
    assert half.keys() == grads.keys()
    assert all(gradient.isfinite().all() for gradient in half.values())


@pytest.mark.slow
@every_type
@both
def test_compiled_whole_gives_equal_results_and_gradients(family: str, kind: str) -> None:
    model, _ = tuned(family, kind)
    output, plain = output_of(model), gradients(model)
    model.compile(backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(output_of(model), output)
    assert_close(gradients(model), plain)


@pytest.mark.slow
@every_type
@pytest.mark.parametrize("family", ["bert"])
def test_a_compiled_model_sees_a_delta_come_and_go(family: str, kind: str) -> None:
    model = copy.deepcopy(_original(family))
    batch = batch_for(model)
    plain = output_of(model)
    compiled = torch.compile(model, backend="eager")
    torch.testing.assert_close(output_of(compiled, **batch), plain)
    delta = of_type(kind, compiled)
    learn(delta)
    changed = output_of(model)
    assert changed.shape != plain.shape or not torch.allclose(changed, plain)
    for _ in range(2):
        torch.testing.assert_close(output_of(compiled, **batch), changed)
        delta.detach()
        torch.testing.assert_close(output_of(compiled, **batch), plain)
        delta.attach()


@both
@pytest.mark.parametrize("shift", [True, False])
def test_a_soft_prompt_is_seen_without_a_cache_and_without_a_mask(family: str, shift: bool) -> None:  # noqa: FBT001
    """Without either, transformers takes positions that do not go up by one for several texts packed into one row."""
    model = copy.deepcopy(_original(family))
    learn(of_type("soft_prompt", model, shift_positions=shift))
    ids = batch_for(model)["input_ids"]
    masked = output_of(model, input_ids=ids, attention_mask=torch.ones_like(ids))
    with torch.no_grad():
        torch.testing.assert_close(model(input_ids=ids)[0], masked)
        options = {} if family == "bert" else {"use_cache": False}
        torch.testing.assert_close(model(input_ids=ids, **options)[0], masked)
        torch.testing.assert_close(model(inputs_embeds=model.get_input_embeddings()(ids), **options)[0], masked)
