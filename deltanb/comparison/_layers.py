"""Holding a delta to some layers: which modules have to be left out for that."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from deltanb._errors import DeltaError
from deltanb._walk import layer_stacks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

__all__ = ["ALL", "left_out", "numbers"]

ALL = "all"
_PART = re.compile(r"([0-9]{1,6})(?:-([0-9]{1,6}))?")


def numbers(text: str) -> set[int]:
    """The numbers that ``0-2,5`` stands for.

    Raises:
        DeltaError: it is nothing of that kind.

    Example:
        >>> sorted(numbers("0-2,5"))
        [0, 1, 2, 5]
    """
    found: set[int] = set()
    for part in text.split(","):
        hit = _PART.fullmatch(part)
        first, last = (int(hit[1]), int(hit[2] or hit[1])) if hit else (1, 0)
        if first > last:
            msg = f"{text!r} says no layers."
            raise DeltaError(msg, expected=f"Numbers and ranges such as 0-2 or 0-1,5 are needed, or {ALL}.", try_="--layers 0-2 3-5")
        found.update(range(first, last + 1))
    return found


def left_out(backbone: nn.Module, hosts: Sequence[str], layers: str, name: str) -> list[str]:
    """What to exclude so that a delta sits in these layers alone: the other layers, and hosts that are in none.

    Args:
        backbone: the model.
        hosts: where the delta would sit without a limit.
        layers: as `numbers` reads them; "" for no limit.
        name: of the candidate, for messages.

    Raises:
        DeltaError: there is no such layer, or the delta sits in none.

    Example:
        >>> from torch import nn
        >>> model = nn.Module()
        >>> model.layers = nn.ModuleList(nn.Sequential(nn.Linear(2, 2)) for _ in range(3))
        >>> model.out = nn.Linear(2, 2)
        >>> left_out(model, ["layers.0.0", "layers.1.0", "out"], "1-2", "lora")
        ['layers.0', 'out']
    """
    if not layers:
        return []
    wanted, stacks = numbers(layers), layer_stacks(backbone)
    most = max(stacks.values(), default=0)
    missing = sorted(number for number in wanted if number >= most)
    if missing:
        have = f"They are numbered 0-{most - 1}." if most else "It has no numbered layers."
        raise DeltaError(f"{type(backbone).__name__} has no layer {missing[0]}.", expected=have, try_=f"--layers 0-{max(0, most - 1)}")
    inside = [host for host in hosts if any(host.startswith(f"{stack}.") for stack in stacks)]
    if not inside:
        where = f" but in {', '.join(hosts[:3])}" if hosts else ""
        msg = f"{name} sits in none of the numbered layers{where}."
        raise DeltaError(msg, expected="A limit to layers is for deltas that sit in them.", try_=f"--layers {ALL}, or leave that type out")
    others = [f"{stack}.{at}" for stack, count in stacks.items() for at in range(count) if at not in wanted]
    above = [host for host in hosts if host not in inside and not any(f"{stack}.".startswith(f"{host}.") for stack in stacks)]
    return [*others, *above]
