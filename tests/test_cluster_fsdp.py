"""Deltas on a model that torch's FSDP divides among two processes: losses and values as on one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from deltanb.engine import DELTA_TYPES
from tests.test_engine_ddp import _batch, _tuned

if TYPE_CHECKING:
    from pathlib import Path

STEPS = 3
# It reads its parameters in its attention, before FSDP has put them together.
LEFT_OUT = {"prefix"}


def _learned(model: Any, batch: dict[str, torch.Tensor]) -> list[float]:
    """The loss of a few steps."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    losses = []
    for _ in range(STEPS):
        loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def _worker(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    mesh = init_device_mesh("cpu", (2,))
    half = {key: value[rank::2] for key, value in _batch().items()}
    found: dict[str, Any] = {}
    for kind in [kind for kind in DELTA_TYPES if kind not in LEFT_OUT]:
        model = _tuned(kind)
        for block in model.bert.encoder.layer:
            fully_shard(block, mesh=mesh)
        fully_shard(model, mesh=mesh)
        losses = _learned(model, half)
        found[kind] = losses, {name: p.full_tensor().detach() for name, p in model.named_parameters() if p.requires_grad}
    torch.save(found, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_a_divided_model_learns_what_a_whole_one_learns(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(_worker, (str(tmp_path),), nprocs=2)  # type: ignore[attr-defined, no-untyped-call]
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    assert first.keys() == DELTA_TYPES.keys() - LEFT_OUT
    for kind in first:
        model = _tuned(kind)
        expected = _learned(model, _batch())
        both = [(a + b) / 2 for a, b in zip(first[kind][0], second[kind][0], strict=True)]
        assert both == pytest.approx(expected, abs=1e-5), kind
        whole = {name: p for name, p in model.named_parameters() if p.requires_grad}
        assert first[kind][1].keys() == whole.keys()
        assert all(torch.allclose(first[kind][1][name], p, atol=1e-4) for name, p in whole.items()), kind
