"""``generate``: how a language model goes on, with its delta and without it, side by side."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb._quiet import quiet
from deltanb._suggest import close
from deltanb.engine import deltas, without_deltas
from deltanb.probe import evaluating
from deltanb.reports import Report
from deltanb.reports._html import table, tag
from deltanb.training._guards import random_kept
from deltanb.training._predict import checked_texts
from deltanb.training._subject import Subject, subject_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

__all__ = ["GeneratedText", "generate"]


@dataclass(eq=False, repr=False)
class GeneratedText(Report):
    """How a model goes on from some prompts.

    Attributes:
        prompts: as they were given.
        with_delta: what follows each; where no delta is attached, what the backbone says.
        without: the same without the deltas that were turned off; empty where there was none.
        deltas: names of the deltas that make the difference.
    """

    prompts: list[str]
    with_delta: list[str]
    without: list[str]
    deltas: list[str]

    @property
    def df(self) -> pd.DataFrame:
        """A row a prompt."""
        import pandas as pd

        return pd.DataFrame(dict(zip(self._titles(), self._columns(), strict=True)))

    def text(self) -> str:
        """Each prompt, and below it what follows."""
        lines: list[str] = []
        _, *ways = self._titles()
        for prompt, *found in zip(*self._columns(), strict=True):
            lines += [prompt, *(f"  {way}: {said}" for way, said in zip(ways, found, strict=True)), ""]
        return "\n".join(lines).rstrip()

    def html(self) -> str:
        """A table with a row for each prompt."""
        rows = [[tag("span", said, style="white-space:pre-wrap") for said in row] for row in zip(*self._columns(), strict=True)]
        return table(self._titles(), rows, [False] * len(self._titles()))

    def _titles(self) -> list[str]:
        return ["prompt", f"with {', '.join(self.deltas)}", "without"] if self.deltas else ["prompt", "the backbone"]

    def _columns(self) -> list[list[str]]:
        return [self.prompts, self.with_delta, *([self.without] if self.deltas else [])]


def generate(  # noqa: PLR0913
    model: Any,
    prompts: str | Sequence[str],
    tokenizer: Any = None,
    *,
    delta: str | None = None,
    max_new_tokens: int = 40,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
    chat: bool | None = None,
) -> GeneratedText:
    """Let a language model go on, with what is attached and without it. Nothing of the model changes.

    Args:
        model: a backbone, or a ``torch.nn.Module`` that generates.
        prompts: one or several.
        tokenizer: of transformers; a backbone brings its own.
        delta: leave out this one alone; default: all that are attached.
        max_new_tokens: at most, for each.
        temperature: 0 always takes the likeliest token; above, tokens are drawn, more evenly the higher it is.
        top_p: draw from the likeliest tokens that have this much probability together
            (nucleus sampling, https://arxiv.org/abs/1904.09751).
        seed: of what is drawn, the same with the delta and without. Global random numbers are not touched.
        chat: put prompts into the tokenizer's chat template as a user's turn; default: if it has one.

    Raises:
        DeltaError: the model does not generate, a prompt is too long for it, no delta has that name, a number is out of range.

    Example:
        >>> from deltanb import LoraModel, generate, load_backbone
        >>> backbone = load_backbone("gpt2-tiny", random=True, task="causal-lm")
        >>> _ = LoraModel(backbone.model, lora_r=2)
        >>> found = generate(backbone, "Once upon a time", max_new_tokens=3)
        >>> found.df.columns.tolist(), found.with_delta == found.without  # not trained yet: it changes nothing
        (['prompt', 'with lora', 'without'], True)
    """
    texts = checked_texts(prompts)
    subject = subject_of(model, tokenizer)
    _check(subject, max_new_tokens, temperature, top_p)
    attached = list(deltas(subject.bare))
    if delta is not None and delta not in attached:
        raise DeltaError(f"No attached delta is called {delta!r}.", nearest=close(delta, attached), try_="%delta params")
    asked = [_asked(subject, text, max_new_tokens, chat=chat) for text in texts]
    drawing = {"temperature": temperature, "top_p": top_p, "do_sample": True} if temperature else {"do_sample": False}
    off = [delta] if delta is not None else attached
    said: list[list[str]] = []
    for plain in (False, True) if off else (False,):
        with without_deltas(subject.bare, *off) if plain else nullcontext(), quiet(), evaluating(subject.bare):
            said.append([_answer(subject, ids, seed, max_new_tokens=max_new_tokens, **drawing) for ids in asked])
    return GeneratedText(texts, said[0], said[1] if off else [], off)


def _check(subject: Subject, count: Any, temperature: Any, top_p: Any) -> None:
    model: Any = subject.bare
    if not (hasattr(model, "can_generate") and model.can_generate()):
        raise DeltaError(
            f"{type(model).__name__} does not generate text.",
            expected="A causal or a sequence-to-sequence language model is needed.",
            try_=f"%delta backbone {subject.name} --task causal-lm",
        )
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise DeltaError(f"max_new_tokens={count!r} is not usable.", expected="A whole number from 1 is needed.")
    if not isinstance(temperature, int | float) or not 0 <= temperature <= 100:  # noqa: PLR2004 - anything so hot draws evenly
        raise DeltaError(f"temperature={temperature!r} is not usable.", expected="A number from 0 to 100 is needed.")
    if not isinstance(top_p, int | float) or not 0 < top_p <= 1:
        raise DeltaError(f"top_p={top_p!r} is not usable.", expected="A share above 0, at most 1, is needed.")


def _asked(subject: Subject, text: str, count: int, *, chat: bool | None) -> Any:
    tokenizer, config = subject.tokenizer, subject.bare.config
    if chat and not getattr(tokenizer, "chat_template", None):
        raise DeltaError(f"The tokenizer of {subject.name} has no chat template.", try_="chat=False")
    if chat or (chat is None and getattr(tokenizer, "chat_template", None)):
        turn = [{"role": "user", "content": text}]
        ids = tokenizer.apply_chat_template(turn, add_generation_prompt=True, return_tensors="pt", return_dict=True)["input_ids"]
    else:
        ids = tokenizer(text, return_tensors="pt")["input_ids"]
    both: Any = 0 if getattr(config, "is_encoder_decoder", False) else count
    room = subject.longest(10**9) - _virtual(subject)
    if not text.strip():
        raise DeltaError("An empty prompt gives the model nothing to go on from.", try_='%delta generate "Once upon a time"')
    if ids.shape[1] + both > room:
        raise DeltaError(
            f"The prompt has {ids.shape[1]:,} tokens; with {count:,} more it does not fit.",
            expected=f"{subject.name} reads {room:,} tokens in all.",
            try_="a shorter prompt, or --max-new-tokens " + str(max(1, room - ids.shape[1])),
        )
    return ids


def _virtual(subject: Subject) -> int:
    """Positions that soft prompts and prefixes take."""
    configs = [delta.config for delta in deltas(subject.bare).values()]
    return sum(getattr(config, name, 0) for config in configs for name in ("soft_token_num", "prefix_token_num"))


def _answer(subject: Subject, ids: Any, seed: int, **how: Any) -> str:
    import torch

    model: Any = subject.bare
    ids = ids.to(next(model.parameters()).device)
    with torch.no_grad(), random_kept():
        torch.manual_seed(seed)
        found = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), pad_token_id=subject.tokenizer.pad_token_id, **how)[0]
    start = 0 if model.config.is_encoder_decoder else len(ids[0])
    text: str = subject.tokenizer.decode(found[start:], skip_special_tokens=True)
    return text
