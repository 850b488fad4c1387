"""Read a model's structure, with exact counts: on Llama 3.1 405B without its weights, and on a model of many small modules.

On the second one beside bigmodelvis, which draws a folded tree, and torchinfo, which lists the modules. What they print
goes nowhere, so that no terminal is measured.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from benchmarks._harness import Row, interleave, is_quick, notes, rows
from benchmarks.bench_attach import llama_405b

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

NAME = "structure"
MOST = 0.025  # seconds for the skeleton
MOST_RATIO = 1 / 3
OURS, FOLDED = "deltanb", "deltanb, folded too"
_BLOCKS = 820


def run(rounds: int) -> list[Row]:
    """Measure; both sides must count the same parameters first."""
    skeleton, many = llama_405b(), many_modules()
    job = f"{_size(skeleton)} (Llama 405B skeleton)"
    alone = [replace(row, most=MOST) if row.who == OURS else row for row in rows(job, interleave(_ours(skeleton), rounds))]
    peers = _peers(many)
    timings = interleave({**_ours(many), **peers}, rounds)
    beside: list[Row] = []
    for peer in peers:
        found = rows(f"{_size(many)}, beside {peer}", {who: timings[who] for who in (OURS, FOLDED, peer)}, peer)
        beside += [replace(row, most_ratio=MOST_RATIO) if row.who == OURS else row for row in found]
    return [*alone, *beside] if peers else [*alone, *rows(_size(many), timings)]


def many_modules() -> nn.Module:
    """Nearly ten thousand modules in blocks of twelve, without weights."""
    import torch
    from torch import nn

    def block() -> nn.Module:
        attention = nn.ModuleDict({name: nn.Linear(8, 8) for name in ("q", "k", "v", "o")})
        parts = {"norm": nn.LayerNorm(8), "attention": attention, "dropout": nn.Dropout()}
        return nn.ModuleDict({**parts, "mlp": nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Linear(32, 8))})

    with torch.device("meta"):
        return nn.ModuleList([block() for _ in range(10 if is_quick() else _BLOCKS)])


def _size(model: nn.Module) -> str:
    return f"{sum(1 for _ in model.modules()):,} modules"


def _ours(model: nn.Module) -> dict[str, Callable[[], Any]]:
    from deltanb.folding import fold
    from deltanb.structure import snapshot

    return {OURS: lambda: snapshot(model), FOLDED: lambda: fold(snapshot(model))}


def _peers(model: nn.Module) -> dict[str, Callable[[], object]]:
    """Those that are installed."""
    from deltanb.structure import snapshot

    found: dict[str, Callable[[], object]] = {}
    for name, prepared in (("bigmodelvis", _bigmodelvis), ("torchinfo", _torchinfo)):
        try:
            library = importlib.import_module(name)
        except ImportError:
            notes.append(f"structure: {name} is left out; pip install {name}")
            continue
        found[name] = prepared(library, model)
    if "torchinfo" in found:
        counted, told = snapshot(model).counts.total, found["torchinfo"]()
        assert told.total_params == counted, f"the sides count different numbers of parameters: {told.total_params}, {counted}"  # type: ignore[attr-defined]
    return found


def _bigmodelvis(library: Any, model: nn.Module) -> Callable[[], object]:
    logging.getLogger("bigmodelvis").setLevel(logging.ERROR)

    def draw() -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            library.Visualization(model).structure_graph()

    return draw


def _torchinfo(library: Any, model: nn.Module) -> Callable[[], object]:
    return lambda: library.summary(model, verbose=0)
