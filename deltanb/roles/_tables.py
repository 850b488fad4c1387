"""How a family's table is put together from its layers' parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Table", "attention", "below", "layers"]

Table = dict[str, str]


def layers(real: str, stack: str, *parts: Mapping[str, str]) -> Table:
    """The table of a numbered list of layers.

    Args:
        real: the list's name.
        stack: the role of what it belongs to, ``encoder@`` or ``decoder@``.
        *parts: what a layer holds, from names in the layer to roles.

    Example:
        >>> layers("h", "decoder@", {"mlp": "ff@"})
        {'h': 'decoder@.block@', 'h.$': 'decoder@.block@.$', 'h.$.mlp': 'decoder@.block@.$.ff@'}
    """
    role = f"{stack}.block@"
    inside = {f"{real}.$.{name}": f"{role}.$.{part}" for table in parts for name, part in table.items()}
    return {real: role, f"{real}.$": f"{role}.$", **inside}


def attention(name: str, projections: str, norm: str = "", word: str = "attn@") -> Table:
    """The table of one attention.

    Args:
        name: of the module.
        projections: names below it of query, key, value and output; or of all three in one, and output.
        norm: name of its layer norm in the layer.
        word: its role.

    Example:
        >>> attention("attn", "c_attn c_proj")
        {'attn': 'attn@', 'attn.c_attn': 'attn@.q,k,v@', 'attn.c_proj': 'attn@.proj@'}
    """
    names = projections.split()
    roles = ["q,k,v@", "proj@"] if len(names) == 2 else ["q@", "k@", "v@", "proj@"]  # noqa: PLR2004
    table = {name: word, **{f"{name}.{own}": f"{word}.{role}" for own, role in zip(names, roles, strict=True)}}
    return {**table, **({norm: f"{word}.layer_norm@"} if norm else {})}


def below(prefix: str, role: str, table: Mapping[str, str]) -> Table:
    """A whole model's table as one tower of a larger model.

    Example:
        >>> below("text_model", "text@", {"norm": "layer_norm@"})
        {'text_model': 'text@', 'text_model.norm': 'text@.layer_norm@'}
    """
    return {prefix: role, **{f"{prefix}.{name}": f"{role}.{part}" for name, part in table.items()}}
