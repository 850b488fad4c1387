"""From a pattern to names, over 10,000 module names; the peer is PEFT's own check of one name, called for each."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from benchmarks._harness import Row, interleave, rows

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "addressing, 10,000 names"
COUNT = 10_000
PEER = "PEFT"

_LAYER = (
    "",
    ".self_attn",
    *(f".self_attn.{part}" for part in ("q_proj", "k_proj", "v_proj", "o_proj")),
    ".mlp",
    *(f".mlp.{part}" for part in ("gate_proj", "up_proj", "down_proj", "act_fn")),
    ".input_layernorm",
    ".post_attention_layernorm",
)
# Job, our pattern, what selects the same modules in PEFT.
_JOBS: tuple[tuple[str, list[str], list[str] | str], ...] = (
    ("suffix, one", ["down_proj"], ["down_proj"]),
    ("suffix, two", ["q_proj", "v_proj"], ["q_proj", "v_proj"]),
    ("segments", ["layers.0-99.mlp.up_proj,down_proj"], r".*\.layers\.\d\d?\.mlp\.(up_proj|down_proj)"),
    ("regex", [r"[r]layers\.\d+\.self_attn\.[qv]_proj"], r".*\.layers\.\d+\.self_attn\.[qv]_proj"),
)


def run(rounds: int) -> list[Row]:
    """Measure every kind of pattern; both sides must select the same modules first."""
    from deltanb.addressing import match_names

    names = module_names(COUNT)
    result: list[Row] = []
    for job, patterns, target in _JOBS:

        def ours(patterns: list[str] = patterns) -> list[str]:
            return match_names(names, patterns).names

        peer = peer_matcher(names, target)
        assert ours() == peer(), f"{job}: the two sides select different modules"
        result += rows(job, interleave({"deltanb": ours, PEER: peer}, rounds), PEER)
    return result


def module_names(count: int) -> list[str]:
    """The module names of a decoder with as many layers as it takes.

    Example:
        >>> module_names(3)
        ['model.layers.0', 'model.layers.0.self_attn', 'model.layers.0.self_attn.q_proj']
    """
    endless = (f"model.layers.{layer}{part}" for layer in itertools.count() for part in _LAYER)
    return list(itertools.islice(endless, count))


def peer_matcher(names: list[str], target: list[str] | str) -> Callable[[], list[str]]:
    """PEFT's way: ask its check about each name in turn."""
    from peft import LoraConfig
    from peft.tuners.tuners_utils import check_target_module_exists

    config = LoraConfig(target_modules=target)
    return lambda: [name for name in names if check_target_module_exists(config, name)]
