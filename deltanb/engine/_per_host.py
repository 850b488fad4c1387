"""Options whose value differs from host to host: tables of patterns and values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb._suggest import close
from deltanb.addressing import pattern_hits
from deltanb.roles import family_of, role_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import nn

__all__ = ["value_per_host"]


def value_per_host(backbone: nn.Module, hosts: Sequence[str], table: Mapping[str, Any], option: str) -> dict[str, Any]:
    """Which value each host gets. A host's full name means it alone; of several patterns that hit a host the first counts.

    Args:
        backbone: the model, for roles.
        hosts: names of the delta's hosts.
        table: pattern to value.
        option: what the table is called, for errors.

    Raises:
        DeltaError: a pattern hits none of the hosts.

    Example:
        >>> from torch import nn
        >>> value_per_host(nn.Sequential(), ["layers.0.fc1", "layers.0.fc2", "layers.1.fc2"], {"1.fc2": 2, "fc2": 4}, "rank_pattern")
        {'layers.1.fc2': 2, 'layers.0.fc2': 4}
    """
    if not table:
        return {}
    family = family_of(backbone)
    roles = role_names(hosts, family) if family and any("@" in pattern for pattern in table) else None
    single = set(hosts)
    values: dict[str, Any] = {}
    for pattern, value in table.items():
        hits = [pattern] if pattern in single else pattern_hits(pattern, hosts, roles)
        if not hits:
            last = list(dict.fromkeys(name.rpartition(".")[2] for name in hosts))
            msg = f"{option} has a value for {pattern!r}, which hits none of the {len(hosts)} hosts."
            near = close(pattern, [*last, *hosts]) or last[:3]
            raise DeltaError(msg, expected="Patterns of modules that the delta sits on.", nearest=near)
        for name in hits:
            values.setdefault(name, value)
    return values
