"""A tokenizer that needs no files: one token a byte, special tokens where the model's configuration wants them."""

from __future__ import annotations

from typing import Any

from deltanb.backbones._tasks import is_decoder_only

__all__ = ["byte_tokenizer"]

_BYTES = 256
# For models without a limit of their own, such as T5.
_LONGEST = 512


def byte_tokenizer(config: Any) -> Any:
    """A fast byte-level tokenizer whose ids fit a configuration, or None if its vocabulary is too small for one.

    Special tokens stand at the ids that the configuration names, the others and then the bytes at the lowest ids that are free.
    Encoders get a start and an end token (BART's classifier reads the text's vector at the end token), decoders a start token.

    Args:
        config: a configuration of transformers.

    Example:
        >>> from transformers import BartConfig
        >>> tokenizer = byte_tokenizer(BartConfig())
        >>> tokenizer("Hi")["input_ids"]
        [0, 76, 109, 2]
        >>> tokenizer.decode(tokenizer("né")["input_ids"], skip_special_tokens=True)
        'né'
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    wrap: Any = PreTrainedTokenizerFast

    size = getattr(config, "vocab_size", None) or 0
    specials = _special_ids(config, size)
    if len(set(specials.values())) + _BYTES > size:
        return None
    names = {role: _name(role, specials) for role in specials}
    taken = set(specials.values())
    free = (at for at in range(size) if at not in taken)
    vocabulary = {names[role]: at for role, at in specials.items()} | {letter: next(free) for letter in _letters()}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token=names["unk"]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = _frame(config, specials, names)
    words = {f"{role}_token": name for role, name in names.items()}
    return wrap(tokenizer_object=tokenizer, model_max_length=_longest(config), model_input_names=["input_ids", "attention_mask"], **words)


def _special_ids(config: Any, size: int) -> dict[str, int]:
    """Role to id: as the configuration says, else the lowest id that no role has."""
    wanted: dict[str, int] = {}
    for role in ("bos", "pad", "eos", "unk"):
        given = getattr(config, f"{role}_token_id", None)
        # Some decoders have several end tokens.
        at = given[0] if isinstance(given, list) and given else given
        if isinstance(at, int) and 0 <= at < size:
            wanted[role] = at
    free = iter(sorted(set(range(8)) - set(wanted.values())))
    return {role: wanted[role] if role in wanted else next(free) for role in ("bos", "pad", "eos", "unk")}


def _name(role: str, specials: dict[str, int]) -> str:
    """The token of a role; roles with one id (GPT-2's start and end) share the first one's."""
    first = next(other for other, at in specials.items() if at == specials[role])
    return {"bos": "<s>", "pad": "<pad>", "eos": "</s>", "unk": "<unk>"}[first]


def _letters() -> list[str]:
    """The printable character that stands for each byte, 0 first, as GPT-2's byte-level tokens have it."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in printable else next(others)) for byte in range(_BYTES)]


def _frame(config: Any, specials: dict[str, int], names: dict[str, str]) -> Any:
    from tokenizers.processors import TemplateProcessing

    bos, eos = names["bos"], names["eos"]
    if is_decoder_only(config):
        single, pair = f"{bos} $A", f"{bos} $A $B"
    elif getattr(config, "is_encoder_decoder", False) and getattr(config, "bos_token_id", None) is None:
        single, pair = f"$A {eos}", f"$A {eos} $B {eos}"
    else:
        single, pair = f"{bos} $A {eos}", f"{bos} $A {eos} $B {eos}"
    return TemplateProcessing(single=single, pair=pair, special_tokens=[(names[role], at) for role, at in specials.items()])


def _longest(config: Any) -> int:
    longest = getattr(config, "max_position_embeddings", None) or _LONGEST
    # RoBERTa counts positions from behind the pad id.
    return longest - config.pad_token_id - 1 if "roberta" in config.model_type else longest
