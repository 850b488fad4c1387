"""Leaves out the frozen lower part of a model where its outputs are kept already.

For the time of a run the blocks of that part get a stand-in for their ``forward`` (hooks cannot leave a forward out), and
the model a hook that looks up the texts of a batch. Texts that are not kept go through the lower part first, in eval mode
and without gradients; then the whole batch takes the short way, so every batch is treated alike.
"""

from __future__ import annotations

import hashlib
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from deltanb._errors import DeltaError
from deltanb.probe import evaluating
from deltanb.training._cut import tensors_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import torch
    from torch import nn

    from deltanb.training._cut import Cut
    from deltanb.training._store import Store

__all__ = ["LowerPart", "key_of"]

_ASIDE = ("attention_mask", "labels")


class _EnoughError(Exception):
    """Everything that is to be kept has been seen."""


def key_of(row: Mapping[str, Sequence[int]]) -> bytes:
    """What tells one text from another: all that the model is given of it.

    Example:
        >>> key_of({"input_ids": [1, 2], "labels": 0}) == key_of({"input_ids": [1, 2], "labels": 1})
        True
    """
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(row):
        if name not in _ASIDE:
            digest.update(name.encode())
            digest.update(np.asarray(row[name], dtype=np.int64).tobytes())
    return digest.digest()


class LowerPart:
    """The frozen lower part of one model.

    Args:
        model: the model.
        cut: where it ends.
        columns: names of a text's inputs.

    Attributes:
        taken: texts that did not go through the lower part, counted again each time.
        computed: texts that did.
    """

    def __init__(self, model: nn.Module, cut: Cut, columns: Sequence[str]) -> None:
        self.model, self.cut = model, cut
        self.taken = self.computed = 0
        self._columns = [name for name in columns if name not in _ASIDE]
        self._forms: dict[int, tuple[Callable[[torch.Tensor], Any], torch.dtype]] = {}  # makes what a group gives of its states
        self._store: Store | None = None
        self._collected: dict[int, torch.Tensor] | None = None
        self._given: list[Any] | None = None

    @property
    def dtype(self) -> torch.dtype:
        """Of what the lower part gives, once it has run."""
        return max((dtype for _, dtype in self._forms.values()), key=lambda dtype: dtype.itemsize)

    @contextmanager
    def skipped(self, store: Store | None) -> Iterator[None]:
        """Inside, texts that the store knows pass the lower part once; afterwards the model is as before."""
        with ExitStack() as stack:
            self._store = store
            stack.callback(self._forget)
            for group, names in enumerate(self.cut.groups):
                for name in names:
                    stack.enter_context(self._stand_in(self.model.get_submodule(name), group, last=name == names[-1]))
            stack.callback(self.model.register_forward_pre_hook(self._before, with_kwargs=True, prepend=True).remove)
            stack.callback(self.model.register_forward_hook(self._after, always_call=True).remove)
            yield

    def states(self, inputs: Mapping[str, Any]) -> list[torch.Tensor]:
        """What the lower part gives for a batch: for each group [tokens, width], without padding. Needs `skipped`.

        Raises:
            DeltaError: the model did not come to the end of the lower part.
        """
        self._collected = {}
        try:
            with evaluating(self.model):
                self.model(**inputs)
        except _EnoughError:
            mask = inputs["attention_mask"].bool()
            return [self._collected[group][mask] for group in range(len(self.cut.groups))]
        finally:
            self._collected = None
        raise DeltaError(f"{self.cut} was not called for some texts.", try_="train without cache_frozen")

    def _forget(self) -> None:
        self._store = self._given = None

    def _before(self, _model: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        """Before each call of the model: have all texts of the batch in the store, and their states at hand."""
        self._given = None
        store = self._store
        if self._collected is not None or store is None or args or "attention_mask" not in kwargs:
            return
        mask = kwargs["attention_mask"].bool()
        keys = self._keys(kwargs, mask)
        if not store.knows(keys):
            return
        missing = store.missing(keys)
        if missing:
            part = {name: value[missing] if hasattr(value, "shape") else value for name, value in kwargs.items()}
            store.put([keys[at] for at in missing], self.states(part))
        self.computed += len(missing)
        self.taken += len(keys) - len(missing)
        self._given = [self._output(group, store.get(keys, group), mask) for group in range(len(self.cut.groups))]

    def _after(self, *_: object) -> None:
        if self._collected is None:
            self._given = None

    def _keys(self, kwargs: Mapping[str, Any], mask: torch.Tensor) -> list[bytes]:
        real = mask.cpu().numpy()
        values = {name: kwargs[name].cpu().numpy() for name in self._columns if name in kwargs}
        return [key_of({name: value[at][real[at]] for name, value in values.items()}) for at in range(len(real))]

    def _output(self, group: int, states: torch.Tensor, mask: torch.Tensor) -> Any:
        """Kept states as the group would give them, padded like the batch."""
        rebuild, dtype = self._forms[group]
        padded = states.new_zeros((*mask.shape, states.shape[-1]), dtype=dtype, device=mask.device)
        padded[mask] = states.to(mask.device, dtype)
        return rebuild(padded)

    @contextmanager
    def _stand_in(self, block: nn.Module, group: int, *, last: bool) -> Iterator[None]:
        before = block.__dict__.get("forward")
        block.__dict__["forward"] = self._short_forward(block.forward, group, last=last)
        try:
            yield
        finally:
            del block.__dict__["forward"]
            if before is not None:
                block.__dict__["forward"] = before

    def _short_forward(self, forward: Callable[..., Any], group: int, *, last: bool) -> Callable[..., Any]:
        def short(*args: Any, **kwargs: Any) -> Any:
            if self._given is not None:
                return self._given[group]
            output = forward(*args, **kwargs)
            if last and self._collected is not None:
                self._collected[group] = tensors_in(output)[0]
                self._forms.setdefault(group, (_rebuilder(output), self._collected[group].dtype))
                if len(self._collected) == len(self.cut.groups):
                    raise _EnoughError
            return output

        return short


def _rebuilder(output: Any) -> Callable[[torch.Tensor], Any]:
    """What makes an output of the same form as this one, which holds one tensor, of another tensor."""
    if isinstance(output, dict):
        key, kind = next(iter(output)), type(output)
        return lambda states: kind(**{key: states})
    if isinstance(output, (tuple, list)):
        length, sequence = len(output), type(output)
        return lambda states: sequence([states, *[None] * (length - 1)])
    return lambda states: states
