"""Training that pays for the frozen lower part of a model once a text, not once a pass.

The outputs of the blocks below the first module that trains are kept from the first pass on: with k of L blocks above the
cut, later passes cost about k/L of one. Whether a model allows this is tried out on a few texts before anything is kept.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from deltanb._errors import DeltaError
from deltanb.probe import evaluating
from deltanb.reports._text import megabytes, number, plural
from deltanb.training._cut import find_cut
from deltanb.training._encoding import collator
from deltanb.training._forward import device_of, scores
from deltanb.training._skipping import LowerPart, key_of
from deltanb.training._store import MB, Store, size_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import torch

    from deltanb.training._encoding import Encoded
    from deltanb.training._settings import Settings
    from deltanb.training._subject import Subject

__all__ = ["FrozenCache", "FrozenPart", "Kept", "check_cacheable"]

_NOISE = {4: 1e-4, 2: 5e-2, 8: 1e-8}  # of scores, relative to the largest, by the bytes of a model's numbers
_TRIED = 4  # texts


@dataclass(frozen=True)
class Kept:
    """What ``cache_frozen`` did in a run.

    Attributes:
        part: the blocks whose outputs were kept.
        size: bytes.
        dtype: in which they were kept.
        on: ``memory`` or ``disk``.
        taken: texts that took the short way, counted once for each time they came up.
        computed: texts that went through the frozen part.
    """

    part: str
    size: int
    dtype: str
    on: str
    taken: int
    computed: int

    def __str__(self) -> str:
        texts = f"{number(self.taken)} of {plural(self.taken + self.computed, 'text')} skipped {self.part}"
        return f"{texts}; {megabytes(self.size)} in {self.dtype}, {'on disk' if self.on == 'disk' else 'in memory'}"


class FrozenCache:
    """Keeps the outputs of a frozen lower part from one run to the next; without it they go when a run ends.

    They are used again as long as nothing has changed below what trains. Texts are told apart by their tokens, so other
    data, another tokenizer or another length simply do not match. ``close()``, or the end of a ``with``, frees the memory.

    Example:
        >>> from deltanb import LoraModel, load_backbone, train
        >>> backbone = load_backbone("bert-tiny", random=True)
        >>> LoraModel(backbone.model, modified_modules=["layer.1.attention.self.query"]).freeze_module(exclude=["deltas", "classifier"])
        >>> films = [(f"{word} film {i}", word) for i in range(20) for word in ("good", "bad")]
        >>> with FrozenCache() as cache:
        ...     first = train(backbone, films, cache_frozen=cache, display=False)
        ...     again = train(backbone, films, cache_frozen=cache, resume=first, display=False)
        >>> first.kept.taken, again.kept.computed, cache.size
        (0, 0, 0)
    """

    def __init__(self) -> None:
        self._store: Store | None = None
        self._fingerprint: tuple[object, ...] = ()

    @property
    def size(self) -> int:
        """Bytes that are kept."""
        return self._store.size if self._store else 0

    def close(self) -> None:
        """Let go of everything; a temporary file goes with it."""
        self._store, self._fingerprint = None, ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _find(self, fingerprint: tuple[object, ...], keys: Sequence[bytes]) -> Store | None:
        """What was kept, if it fits and has room for these texts; otherwise it is let go."""
        if self._fingerprint != fingerprint or self._store is None or not self._store.knows(keys):
            self.close()
        return self._store

    def _hold(self, store: Store, fingerprint: tuple[object, ...]) -> None:
        self._store, self._fingerprint = store, fingerprint


class FrozenPart:
    """The frozen lower part of a model in one run: found, tried out, given room.

    Args:
        subject: the model, on the device where it trains.
        rows: the texts whose outputs are worth keeping.
        settings: of the run.
        cache: of the caller, to keep them in for later runs.

    Attributes:
        notes: what is to be said before the run.

    Raises:
        DeltaError: there is no such part, the model does not allow it, or the outputs would not fit; says what to do.
    """

    def __init__(self, subject: Subject, rows: Encoded, settings: Settings, cache: FrozenCache | None) -> None:
        self._subject, self._settings = subject, settings
        few = _few(rows)
        batch = self._batch(few)
        self._part = LowerPart(subject.bare, find_cut(subject.bare, batch), list(few[0]))
        widths = self._try_out(few)
        lengths = {key_of(row): len(row["input_ids"]) for row in rows.rows}
        self.notes: list[str] = []
        self._store = self._room(lengths, widths, cache)

    @contextmanager
    def skipped(self) -> Iterator[None]:
        """Inside, a text goes through the frozen part at most once."""
        with self._part.skipped(self._store):
            yield

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """As `skipped`, for timing: what is kept or counted inside is forgotten."""
        before = self._part.taken, self._part.computed
        with self._store.rehearsal(), self._part.skipped(self._store):
            yield
        self._part.taken, self._part.computed = before

    @property
    def kept(self) -> Kept:
        """What it has done so far."""
        part, dtype = self._part, str(self._store.dtype).removeprefix("torch.")
        return Kept(str(part.cut), self._store.size, dtype, self._settings.cache_on, part.taken, part.computed)

    def _batch(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        device = device_of(self._subject.model)
        return {name: tensor.to(device) for name, tensor in collator(self._subject)(rows).items()}

    def _try_out(self, few: list[dict[str, Any]]) -> list[int]:
        """Hold the short way against the long one; gives the size of a token's states for each group of blocks.

        Raises:
            DeltaError: the two do not give the same.
        """
        import torch

        alone, together = self._batch(few[:1]), self._batch(few)
        expected = self._outputs(alone), self._outputs(together)
        with self._part.skipped(None):
            widths = [state.shape[-1] for state in self._part.states(alone)]
        store = Store({key_of(row): len(row["input_ids"]) for row in few}, widths, torch.float64)
        with self._part.skipped(store):
            found = self._outputs(alone), self._outputs(together)
        self._part.taken = self._part.computed = 0
        blocks = str(self._part.cut)
        noise = _NOISE[self._part.dtype.itemsize]
        if not _close(found[0], expected[0], noise):
            msg = f"cache_frozen cannot leave out {blocks}: this model uses more of them than what the last one gives."
            raise DeltaError(msg, expected="Blocks that are called one after the other are needed.", try_="train without cache_frozen")
        if not _close(found[1], expected[1], noise):
            msg = f"cache_frozen cannot keep what {blocks} give: in this model it depends on the padding of the batch."
            raise DeltaError(msg, expected="Padding on the right usually mends that.", try_='tokenizer.padding_side = "right"')
        return widths

    def _outputs(self, batch: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        """The loss of a batch, and its scores with labels and without."""
        model = self._subject.bare
        with evaluating(model):
            output = model(**batch)
            unlabelled = model(**{name: tensor for name, tensor in batch.items() if name != "labels"})
        both = (output["loss"], output["logits"]) if isinstance(output, dict) else output[:2]
        return [*both, scores(unlabelled)]

    def _room(self, lengths: dict[bytes, int], widths: list[int], cache: FrozenCache | None) -> Store:
        dtype = self._dtype()
        fingerprint = (self._part.cut.fingerprint(self._subject.bare), dtype, self._settings.cache_on) if cache else ()
        had = cache.size if cache else 0
        known = cache._find(fingerprint, list(lengths)) if cache else None  # noqa: SLF001
        if known is None:
            self._check_size(lengths, widths, dtype)
            known = Store(lengths, widths, dtype, on_disk=self._settings.cache_on == "disk")
            if cache:
                cache._hold(known, fingerprint)  # noqa: SLF001
        self._say(known, had, len(lengths) - len(known.missing(list(lengths))))
        return known

    def _dtype(self) -> torch.dtype:
        import torch

        if self._settings.cache_dtype != "half":
            return getattr(torch, self._settings.cache_dtype)  # type: ignore[no-any-return]
        own = self._part.dtype
        return own if own.itemsize == torch.float16.itemsize else torch.float16

    def _check_size(self, lengths: dict[bytes, int], widths: list[int], dtype: torch.dtype) -> None:
        tokens, limit = sum(lengths.values()), self._settings.cache_limit
        size = size_of(tokens, widths, dtype)
        if self._settings.cache_on == "disk" or size <= limit * MB:
            return
        name = str(dtype).removeprefix("torch.")
        rows = max(1, int(len(lengths) * limit * MB / size * 0.9))
        raise DeltaError(
            f"The outputs of {self._part.cut} need {megabytes(size)}, and cache_limit is {limit:,} MB.",
            expected=f"That is {plural(tokens, 'token')} of {plural(len(lengths), 'text')}, {number(sum(widths))} numbers each in {name}.",
            try_=f'cache_limit={-(-size // MB)}, cache_on="disk", a shorter max_length, or about rows={rows}',
        )

    def _say(self, store: Store, had: int, known: int) -> None:
        where = "on disk" if self._settings.cache_on == "disk" else f"in memory, limit {self._settings.cache_limit:,} MB"
        dtype = str(store.dtype).removeprefix("torch.")
        rounded = ", rounded to it" if store.dtype.itemsize < self._part.dtype.itemsize else ""
        kept = f"the outputs are kept in {dtype}{rounded} ({megabytes(store.size)} {where})"
        self.notes.append(f"{self._part.cut} run once a text, without dropout; {kept}.")
        if known:
            self.notes.append(f"{plural(known, 'text')} of an earlier run are kept already.")
        elif had:
            self.notes.append("What an earlier run kept does not fit any more (values, data or settings have changed) and is gone.")


def _few(rows: Encoded) -> list[dict[str, Any]]:
    """A few texts of different lengths, the shortest first."""
    order = rows.by_length()
    last = len(order) - 1
    return [rows.rows[order[at]] for at in sorted({last * step // (_TRIED - 1) for step in range(_TRIED)})]


def _close(found: list[torch.Tensor], expected: list[torch.Tensor], noise: float) -> bool:
    return all((one - other).abs().max() <= noise * other.abs().max() for one, other in zip(found, expected, strict=True))


def check_cacheable(subject: Subject) -> None:
    """Refuse what has no chance, before anything runs.

    Raises:
        DeltaError: the model is compiled, on several devices, or takes no attention mask.
    """
    import torch

    instead = "train without cache_frozen"
    if subject.model is not subject.bare:
        raise DeltaError("cache_frozen does not work in a compiled model: its blocks are no longer called one by one.", try_=instead)
    if torch.cuda.device_count() > 1:
        raise DeltaError("cache_frozen works on one device, and several GPUs are in use.", try_="CUDA_VISIBLE_DEVICES=0")
    if "attention_mask" not in subject.accepted:
        msg = f"cache_frozen needs to know which tokens are padding, and {type(subject.bare).__name__} takes no attention_mask."
        raise DeltaError(msg, try_=instead)
