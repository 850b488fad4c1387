"""Hidden states of many texts, each under a key, in memory or in a temporary file: without padding, one after the other."""

from __future__ import annotations

import mmap
import os
import shutil
import tempfile
from contextlib import contextmanager
from math import prod
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import torch

__all__ = ["MB", "Store", "size_of"]

MB = 1_000_000


def size_of(tokens: int, widths: Sequence[int], dtype: torch.dtype) -> int:
    """Bytes that so many tokens take.

    Example:
        >>> import torch
        >>> size_of(1000, [384], torch.float16)
        768000
    """
    return tokens * sum(widths) * dtype.itemsize


class Store:
    """Room for the hidden states of known texts. It is full size from the start, though memory is taken as it fills.

    Args:
        lengths: the number of tokens under each key.
        widths: sizes of a token's hidden states, one for each place in the model that they are taken from.
        dtype: in which they are kept.
        on_disk: in a temporary file, which is gone with the store even after a crash.

    Raises:
        DeltaError: the disk has no room.

    Example:
        >>> import torch
        >>> store = Store({b"a": 2, b"b": 1}, [3], torch.float16)
        >>> store.put([b"b"], [torch.ones(1, 3)])
        >>> store.missing([b"a", b"b"]), store.get([b"b"], 0).tolist()
        ([0], [[1.0, 1.0, 1.0]])
    """

    def __init__(self, lengths: Mapping[bytes, int], widths: Sequence[int], dtype: torch.dtype, *, on_disk: bool = False) -> None:
        import torch

        self.dtype = dtype
        self._spans: dict[bytes, tuple[int, int]] = {}
        start = 0
        for key, length in lengths.items():
            self._spans[key] = (start, start + length)
            start += length
        self.size = size_of(start, widths, dtype)
        self._filled: set[bytes] = set()
        make = _mapped if on_disk else torch.empty
        self._tensors: list[torch.Tensor] = [make((start, width), dtype=dtype) for width in widths]

    def knows(self, keys: Sequence[bytes]) -> bool:
        """Whether there is room for all of these."""
        return all(key in self._spans for key in keys)

    def missing(self, keys: Sequence[bytes]) -> list[int]:
        """Positions of the keys under which nothing is kept yet."""
        return [at for at, key in enumerate(keys) if key not in self._filled]

    def put(self, keys: Sequence[bytes], states: Sequence[torch.Tensor]) -> None:
        """Keep hidden states.

        Args:
            keys: of the texts.
            states: for each place [tokens, width], the texts one after the other.

        Raises:
            DeltaError: a value is out of the dtype's range.
        """
        import torch

        at = self._at(keys)
        kept = [state.detach().to("cpu", self.dtype) for state in states]
        for state, narrow in zip(states, kept, strict=True):
            if not torch.isfinite(narrow).all() and torch.isfinite(state).all():
                name = str(self.dtype).removeprefix("torch.")
                msg = f"A hidden state of {state.abs().max().item():.3g} is too large for a cache in {name}."
                raise DeltaError(msg, expected="bfloat16 and float32 have the range.", try_='cache_dtype="bfloat16"')
        for tensor, narrow in zip(self._tensors, kept, strict=True):
            tensor[at] = narrow
        self._filled.update(keys)

    def get(self, keys: Sequence[bytes], place: int) -> torch.Tensor:
        """Hidden states [tokens, width], the texts one after the other.

        Args:
            keys: of texts that are kept.
            place: which one of the places.
        """
        return self._tensors[place][self._at(keys)]

    def _at(self, keys: Sequence[bytes]) -> torch.Tensor:
        import torch

        return torch.cat([torch.arange(*self._spans[key]) for key in keys])

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """What is put inside is forgotten afterwards."""
        before = set(self._filled)
        try:
            yield
        finally:
            self._filled = before


def _mapped(shape: tuple[int, int], dtype: torch.dtype) -> torch.Tensor:
    """A tensor in a temporary file that has no name any more."""
    import torch

    size = max(1, prod(shape)) * dtype.itemsize
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if free < size:
        msg = f"The cache needs {size / MB:,.0f} MB in {folder}, which has {free / MB:,.0f} MB free."
        raise DeltaError(msg, expected="Fewer rows or shorter texts need less.", try_="rows=1000, or max_length=64")
    with tempfile.TemporaryFile() as file:
        reserve: Any = getattr(os, "posix_fallocate", None)
        if reserve:
            reserve(file.fileno(), 0, size)  # a sparse file would break off in the middle of a run on a full disk
        else:
            file.truncate(size)
        return torch.frombuffer(mmap.mmap(file.fileno(), size), dtype=dtype, count=prod(shape)).view(shape)
