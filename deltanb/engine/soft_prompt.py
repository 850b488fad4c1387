"""Soft prompts: trainable embeddings before those of the text.

    E ← [S ; E(text)],   S in R^(n×d)

Lester et al., *The Power of Scale for Parameter-Efficient Prompt Tuning*, EMNLP 2021, https://arxiv.org/abs/2104.08691.
They stand before the encoder of an encoder-decoder, else before the whole model, and start from embeddings of tokens, or
uniformly from ±``init_range``.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

import torch
from torch import nn

from deltanb._errors import DeltaError
from deltanb.addressing import MatchResult
from deltanb.engine._base import CommonOptions, DeltaModel
from deltanb.engine._config import BaseDeltaConfig, option
from deltanb.engine._defaults import Defaults
from deltanb.engine._hosts import Host, Hosts
from deltanb.engine._positions import counters
from deltanb.engine._soft_rows import CutRows, FixedPositions, LongerLabels, LongerMask, PrependRows
from deltanb.structure import backbone_modules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deltanb.engine._insertion import Hook

__all__ = ["SoftPromptConfig", "SoftPromptLayer", "SoftPromptModel"]


_ROOT = "root"  # OpenDelta's word for the place, kept for its scripts


def _expanded() -> dict[str, int]:
    return {"attention_mask": 1, "token_type_ids": 0}


@dataclass(kw_only=True)
class SoftPromptConfig(BaseDeltaConfig):
    """Settings of a soft prompt.

    Example:
        >>> SoftPromptConfig(soft_token_num=20).changed_options()
        {'soft_token_num': 20}
    """

    delta_type: ClassVar[str] = "soft_prompt"
    soft_token_num: int = option(100, "length of the prompt; longer: more parameters", minimum=1, alias="n")
    init_range: float = option(0.5, "without token_init: bounds of the first values", minimum=0, rare=True)
    token_init: bool = option(default=True, text="begin with the embeddings of the first tokens of the vocabulary")
    other_expand_ids: dict[str, int] = option(_expanded, "inputs with one entry a token, and what fills them", rare=True)  # noqa: RUF009
    shift_positions: bool = option(default=False, text="count the text's positions from the prompt on, as OpenDelta and PEFT do", rare=True)
    keep_rows: bool = option(default=False, text="leave the prompt's rows in logits and pooling, as OpenDelta does", rare=True)


class SoftPromptLayer(nn.Module):
    """The embeddings of a soft prompt.

    Args:
        soft_token_num: n, how many.
        embedding: the backbone's token embedding, of size d.
        init_range: bounds of the first values.
        token_init: begin with token embeddings instead.

    Example:
        >>> layer = SoftPromptLayer(3, nn.Embedding(10, 4))
        >>> layer().shape
        torch.Size([3, 4])
    """

    def __init__(self, soft_token_num: int, embedding: nn.Embedding, init_range: float = 0.5, *, token_init: bool = True) -> None:
        super().__init__()
        values = torch.empty(soft_token_num, embedding.embedding_dim).uniform_(-init_range, init_range)
        if token_init and not values.is_meta and not embedding.weight.is_meta:
            ids = torch.arange(soft_token_num, device=embedding.weight.device) % embedding.num_embeddings
            values = type(embedding).forward(embedding, ids).detach().to(values)  # with the scale of its kind, past other deltas
        self.soft_embeds = nn.Parameter(values)

    def forward(self) -> torch.Tensor:
        """The embeddings, [n, d]."""
        return self.soft_embeds


class SoftPromptModel(DeltaModel):
    """A soft prompt before the text.

    The text's positions, pooling and labels are as without it: hidden states and logits have a row for each token of the
    text, and none for the prompt. An encoder's output keeps the prompt's rows, for its decoder to see.

    Args:
        backbone_model: the model to modify, in place.
        soft_token_num: length of the prompt.
        init_range: bounds of the first values, without ``token_init``.
        token_init: begin with embeddings of tokens.
        other_expand_ids: inputs of the model with one entry a token, and the value that they get for the prompt.
        shift_positions: the text's positions begin after the prompt. By default the whole prompt stands at the first
            position, and a text may be as long as without it.
        keep_rows: logits and hidden states keep the prompt's rows, and pooling takes the first of these.
        **common: see `deltanb.engine.CommonOptions`. The place is given by the model, so no pattern is taken.

    Raises:
        DeltaError: the model reads no tokens; a pattern is given.

    Example:
        >>> from transformers import BertConfig, BertModel
        >>> config = BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, vocab_size=30)
        >>> model = BertModel(config)
        >>> delta = SoftPromptModel(model, soft_token_num=3)
        >>> model(torch.ones(1, 5, dtype=torch.long)).last_hidden_state.shape
        torch.Size([1, 5, 8])
    """

    config: SoftPromptConfig
    config_class = SoftPromptConfig
    delta_type = "soft_prompt"
    default_child = "soft_prompt_layer"
    default_modified_modules = (_ROOT,)

    def __init__(
        self,
        backbone_model: nn.Module,
        soft_token_num: int = 100,
        init_range: float = 0.5,
        token_init: bool = True,  # noqa: FBT001, FBT002
        other_expand_ids: Mapping[str, int] | None = None,
        shift_positions: bool = False,  # noqa: FBT001, FBT002
        keep_rows: bool = False,  # noqa: FBT001, FBT002
        **common: Unpack[CommonOptions],
    ) -> None:
        own = {
            "soft_token_num": soft_token_num,
            "init_range": init_range,
            "token_init": token_init,
            "other_expand_ids": _expanded() if other_expand_ids is None else other_expand_ids,
            "shift_positions": shift_positions,
            "keep_rows": keep_rows,
        }
        super().__init__(backbone_model, own, **common)

    @cached_property
    def defaults(self) -> Defaults:
        """The place has one name, and is not looked for by it."""
        return Defaults([_ROOT], [])

    def find_hosts(self) -> Hosts:
        """The encoder of an encoder-decoder, else the model itself."""
        if self.config.modified_modules not in (None, [_ROOT]) or self.config.exclude_modules:
            msg = "A soft prompt stands before the whole text: there is no module to choose."
            raise DeltaError(msg, expected="No pattern.", try_="%delta attach soft_prompt")
        self.place = self._place()
        name = self.place if _is_pair(self.backbone_model) else ""
        found = Hosts.named(self.backbone_model, [name])
        found.result = MatchResult([name], {name or _ROOT: 1})
        return found

    def make_child(self, host: Host) -> nn.Module:
        """The prompt, of the embedding's size."""
        config = self.config
        embedding = _embedding(host.module)
        return SoftPromptLayer(config.soft_token_num, embedding, config.init_range, token_init=config.token_init)  # type: ignore[arg-type]

    def make_hooks(self) -> list[tuple[str, Hook]]:
        """Where the text comes in, where its rows come out, and what lies between."""
        backbone, config, place = self.backbone_model, self.config, self.place
        count = config.soft_token_num
        first = PrependRows(self.delta_modules[0], count, config.other_expand_ids, shift=config.shift_positions)
        hooks: list[tuple[str, Hook]] = [(place, first)]
        if not config.shift_positions:
            hooks += [(name, FixedPositions(count)) for name in self._counters()]
        if _is_pair(backbone):
            return [*hooks, (_name_of(backbone, backbone.get_decoder()), LongerMask(count))]  # type: ignore[operator]
        if config.keep_rows:
            return [*hooks, ("", LongerLabels(count))] if _labels_tokens(backbone) else hooks
        inner = self._before_pooling()
        cuts: list[tuple[str, Hook]] = [(name, CutRows(count)) for name in (inner, place) if name or name == place]
        return [*hooks, *cuts]

    def _place(self) -> str:
        """The module that is called on the text: the encoder, the model below a head, or the whole model with its head."""
        backbone: Any = self.backbone_model
        if not callable(getattr(backbone, "get_input_embeddings", None)):
            raise _no_text(backbone)
        if _is_pair(backbone):
            inner = backbone.get_encoder()
        elif self.config.keep_rows:
            inner = backbone
        else:
            below = getattr(backbone.base_model, "decoder", None)  # OPT's head goes past the model around it
            inner = below if below is not None and _takes_embeddings(below) else backbone.base_model
        if not _takes_embeddings(inner) or _embedding(inner) is None:
            raise _no_text(backbone)
        return _name_of(backbone, inner)

    def _counters(self) -> list[str]:
        """The tables in which a stack that takes no positions looks them up by counting."""
        module = self.backbone_model.get_submodule(self.place)
        prefix = f"{self.place}." if self.place else ""
        takes = "position_ids" in inspect.signature(module.forward).parameters
        return [] if takes else [name for name in counters(self.backbone_model) if name.startswith(prefix)]

    def _before_pooling(self) -> str:
        """Where the model pools inside (BERT): the module that gives what is pooled, else ""."""
        module = self.backbone_model.get_submodule(self.place)
        pools = getattr(module, "pooler", None) is not None and "encoder" in module._modules
        return f"{self.place}.encoder".lstrip(".") if pools else ""


def _is_pair(backbone: nn.Module) -> bool:
    return bool(getattr(getattr(backbone, "config", None), "is_encoder_decoder", False)) and hasattr(backbone, "get_encoder")


def _takes_embeddings(module: nn.Module) -> bool:
    return "inputs_embeds" in inspect.signature(module.forward).parameters


def _embedding(module: nn.Module) -> nn.Embedding | None:
    """The token embedding of a model or stack, if it has one."""
    find = getattr(module, "get_input_embeddings", None)
    try:
        found = find() if find else None
    except (AttributeError, NotImplementedError):
        return None
    return found if isinstance(found, nn.Embedding) else None


def _name_of(backbone: nn.Module, module: nn.Module) -> str:
    return next(name for name, other in backbone_modules(backbone) if other is module)


def _labels_tokens(backbone: nn.Module) -> bool:
    """Whether labels have an entry for each token."""
    find = getattr(backbone, "get_output_embeddings", None)
    return "TokenClassification" in type(backbone).__name__ or (find is not None and find() is not None)


def _no_text(backbone: nn.Module) -> DeltaError:
    msg = f"A soft prompt cannot stand before {type(backbone).__name__}: it does not take embeddings of tokens as its input."
    return DeltaError(
        msg,
        expected="A model that reads text. For images and sound: prefix, adapter, lora, bitfit and others work inside the model.",
        try_="%delta attach lora attn@.q@, say",
    )
