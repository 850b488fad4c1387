"""Rows with different deltas in one batch against the same batch with one delta; and the time to switch from one to another.

MiniLM's size and BERT-base's, weights random: 16 rows of 32 tokens, eight deltas of a type. The peer is the batch through
the backbone with one of these deltas attached in the ordinary way; ``loop`` runs each delta's rows by themselves.
"""

from __future__ import annotations

import copy
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks._harness import Row, interleave, is_quick, rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from deltanb.serving import DeltaPool

NAME = "serve many deltas"
MOST_RATIO = 1.3
MOST_SECONDS = 0.001  # to switch
PEER = "one delta, attached"
_PROVED = ("lora", "adapter")
_OTHERS = ("parallel_adapter", "low_rank_adapter", "compacter", "bitfit", "ia3", "ln_tuning", "prefix", "soft_prompt")
_SIZES: dict[str, dict[str, int]] = {
    "MiniLM": {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536},
    "BERT-base": {},
}
_BATCH, _TOKENS, _DELTAS = 16, 32, 8


def run(rounds: int) -> list[Row]:
    """Measure all types on the smaller model, the two that are proved on the larger too."""
    found = []
    for size, types in {"MiniLM": (*_PROVED, *_OTHERS), "BERT-base": _PROVED}.items():
        for kind in types:
            found += _measured(size, kind, rounds)
    return found


def _measured(size: str, kind: str, rounds: int) -> list[Row]:
    model = _model(size)
    with tempfile.TemporaryDirectory() as folder:
        pool, names = _pool(model, kind, Path(folder))
        single = copy.deepcopy(model)
        _attached(kind, single)
        batch = _batch()
        each = [names[at % len(names)] for at in range(_BATCH)]
        jobs: dict[str, Callable[[], object]] = {
            PEER: partial(_ordinary, single, batch),
            "mixed": partial(pool.forward, batch, each),
            "loop": partial(_loop, pool, batch, each, names),
        }
        timed = rows(f"{size}, {kind}", interleave(jobs, rounds), PEER)
        switches = rows(f"{size}, switch to another {kind}", interleave({"DeltaPool": partial(_switch, pool, names)}, rounds))
    most = MOST_RATIO if kind in _PROVED else None
    return [
        *(replace(row, most_ratio=most) if row.who == "mixed" else row for row in timed),
        *(replace(row, most=MOST_SECONDS if kind == "lora" else None) for row in switches),
    ]


def _model(size: str) -> Any:
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    options = {**_SIZES[size], **({"num_hidden_layers": 1} if is_quick() else {})}
    return BertForSequenceClassification(BertConfig(**options)).eval()


def _attached(kind: str, model: Any) -> Any:
    from deltanb.engine import DELTA_TYPES

    return DELTA_TYPES[kind](model, **({"soft_token_num": 10} if kind == "soft_prompt" else {}))


def _pool(model: Any, kind: str, folder: Path) -> tuple[DeltaPool, list[str]]:
    from deltanb.serving import DeltaPool

    for at in range(_DELTAS):
        _attached(kind, model).detach().save_finetuned(folder / f"{kind}_{at}")
    pool = DeltaPool(model, folder)
    return pool, pool.names


def _batch() -> dict[str, Any]:
    import torch

    ids = torch.randint(1000, 20000, (_BATCH, _TOKENS), generator=torch.Generator().manual_seed(0))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def _ordinary(model: Any, batch: dict[str, Any]) -> None:
    import torch

    with torch.no_grad():
        model(**batch)


def _loop(pool: DeltaPool, batch: dict[str, Any], each: list[str], names: list[str]) -> None:
    for name in names:
        at = [place for place, other in enumerate(each) if other == name]
        pool.forward({key: value[at] for key, value in batch.items()}, name)


def _switch(pool: DeltaPool, names: list[str]) -> None:
    """To one delta, and away from it."""
    with pool.using(names[0]):
        pass
