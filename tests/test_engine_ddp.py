"""Two processes, each with half of the batch: the gradients are those of one process with the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from deltanb import deltas, use
from deltanb.engine import DELTA_TYPES
from tests.models import bert, learn, of_type, output_of

if TYPE_CHECKING:
    from pathlib import Path

_ROWS = 4


def _batch() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return {"input_ids": torch.randint(3, 60, (_ROWS, 7), generator=generator), "labels": torch.tensor([0, 1, 1, 0])}


def _tuned(kind: str) -> Any:
    model = bert(num_hidden_layers=1, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    torch.manual_seed(1)
    delta = of_type(kind, model)
    delta.freeze_module(exclude=["deltas", "classifier"])
    learn(delta)
    return model.train()


def _gradients(model: nn.Module, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    model(**batch).loss.backward()
    return {name.removeprefix("module."): p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def _worker(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    half = {key: value[rank::2] for key, value in _batch().items()}
    found: dict[str, Any] = {}
    for kind in DELTA_TYPES:
        wrapped = DistributedDataParallel(_tuned(kind))  # find_unused_parameters is off: all that trains must take part
        grads = _gradients(wrapped, half)
        state = wrapped.state_dict()
        missing = wrapped.load_state_dict({key: value + 1 for key, value in state.items()}, strict=False)
        found[kind] = grads, list(state), missing.unexpected_keys, list(deltas(wrapped)), len(use(wrapped))
    torch.save(found, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_give_the_gradients_of_one(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(_worker, (str(tmp_path),), nprocs=2)  # type: ignore[attr-defined, no-untyped-call]
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    for kind in DELTA_TYPES:
        model = _tuned(kind)
        expected = _gradients(model, _batch())
        trains = [f"module.{name}" for name, p in model.named_parameters() if p.requires_grad]
        for grads, keys, unexpected, attached, detached in (first[kind], second[kind]):
            assert grads.keys() == expected.keys(), kind
            assert all(torch.allclose(grads[name], gradient, atol=1e-6) for name, gradient in expected.items()), kind
            assert sorted(keys) == sorted(trains)
            assert not unexpected
            assert (attached, detached) == ([kind], 1)


def test_the_halves_differ_so_the_gradients_have_to_be_joined() -> None:
    whole = output_of(_tuned("adapter"), input_ids=_batch()["input_ids"])
    assert not torch.allclose(whole[0::2], whole[1::2])
