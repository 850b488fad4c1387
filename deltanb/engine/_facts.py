"""What a cost formula must know of a module, as compact data: its kind and its sizes, told without a pass through the model.

A page that has these counts what a delta would cost while a pattern is typed, with no kernel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb._walk import module_at
from deltanb.engine._attention import attention_at, key_value_sizes, looks_up
from deltanb.engine._checks import is_container
from deltanb.engine._hosts import Hosts, is_channels_first, is_conv1d, size_by_type
from deltanb.engine.soft_prompt import SoftPromptConfig, SoftPromptModel
from deltanb.folding import fold
from deltanb.structure import snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from deltanb.engine._hosts import Host

__all__ = ["host_dims", "host_facts", "prompt_place"]

Facts = list[Any]


def host_facts(backbone: nn.Module, name: str) -> Facts | None:
    """Kind and sizes of one module.

    Args:
        backbone: the model.
        name: of one of its modules.

    Returns:
        ``["l", in, out]`` for a linear layer, ``["c", in, out]`` for a Conv1D, ``["e", tokens, size]`` for an embedding,
        ``["n", size, size]`` for a norm, ``["a", key, value]`` for an attention that a prefix can reach (its sizes 0 where
        only attaching tells), ``["x"]`` for what gives channels first, ``["b"]`` for a container, which carries nothing; None
        for all else.

    Example:
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 8), nn.LayerNorm(8), nn.ReLU())
        >>> [host_facts(model, name) for name in ("", "0", "1", "2", "3")]
        [['b'], ['e', 9, 4], ['l', 4, 8], ['n', 8, 8], None]
    """
    from torch import nn

    module: Any = module_at(backbone, name)
    if is_container(module) or is_channels_first(module):
        return ["b" if is_container(module) else "x"]
    if isinstance(module, nn.Linear):
        return ["l", module.in_features, module.out_features]
    if is_conv1d(module):
        return ["c", int(module.weight.shape[0]), int(module.nf)]
    if isinstance(module, nn.Embedding):
        return ["e", module.num_embeddings, module.embedding_dim]
    if size := size_by_type(module):
        return ["n", size, size]
    return ["a", *_key_and_value(Hosts.named(backbone, [name]).hosts[0])] if looks_up(module) else None


def _key_and_value(host: Host) -> tuple[int, int]:
    """Sizes of keys and values; 0 where a prefix is refused, or needs to be looked at more closely."""
    try:
        name, module = attention_at(host)
        return key_value_sizes(host, module) if name == host.name else (0, 0)
    except DeltaError:
        return 0, 0


def prompt_place(backbone: nn.Module) -> tuple[str, int] | None:
    """The module before which a soft prompt stands, and the size of its rows; None where none can.

    Example:
        >>> from transformers import BertConfig, BertModel
        >>> config = BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, vocab_size=30)
        >>> prompt_place(BertModel(config))
        ('', 8)
    """
    try:
        delta = SoftPromptModel.planned(backbone, SoftPromptConfig(soft_token_num=1))
    except DeltaError:
        return None
    return delta.hosts[0], sum(tensor.numel() for tensor in delta.parameters())


def host_dims(backbone: nn.Module, names: Sequence[str] | None = None) -> dict[str, list[int | None]]:
    """Sizes of what modules take and give, for those whose type does not tell: blocks. One trial pass, seconds on a large model.

    Args:
        backbone: the model.
        names: of modules. Default: the first of every row of the folded tree whose sizes `host_facts` lacks.

    Returns:
        For each name the size of the last dimension of its input and of its output; None where there is none.

    Example:
        >>> from transformers import BertConfig, BertModel
        >>> config = BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, vocab_size=30)
        >>> host_dims(BertModel(config), ["encoder.layer.0.attention", "embeddings"])
        {'encoder.layer.0.attention': [8, 8], 'embeddings': [None, 8]}
    """
    wanted = _unknown(backbone) if names is None else list(names)
    return {host.name: [_size(host, "input_size"), _size(host, "output_size")] for host in Hosts.named(backbone, wanted).hosts}


def _unknown(backbone: nn.Module) -> list[str]:
    rows = [row.first for row in fold(snapshot(backbone), empty=True).walk()]
    names = [node.name for node in rows if node.name and node.delta is None and node.same_as is None]
    return [name for name in names if (host_facts(backbone, name) or "a")[0] == "a"]


def _size(host: Host, which: str) -> int | None:
    try:
        return int(getattr(host, which))
    except DeltaError:
        return None
