"""One backbone in memory and many deltas: each row of a batch with its own."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb._suggest import close
from deltanb.serving._folder import candidates
from deltanb.serving._plain import check_plain, checked_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import torch
    from torch import nn

    from deltanb.serving._lean import Lean
    from deltanb.serving._parts import Step
    from deltanb.training import PredictionResult

__all__ = ["DeltaPool"]

_SHOWN = 6  # names in an error


class DeltaPool:
    """A backbone and a folder of deltas; a batch may have a different delta in each row.

    Between calls the backbone is as it was given. Rows with LoRA, adapters of every kind, (IA)³, BitFit or LayerNorm tuning,
    and rows of the plain backbone, go through it in one pass, heads of the deltas' own included. Prefixes, soft prompts, and
    deltas whose modules do not see the rows of a batch as such, get a pass a delta; the outcome is the same, and ``alone``
    says which they are.

    May be used from several threads: calls take turns.

    Args:
        model: a backbone, or a ``torch.nn.Module``, with no delta attached.
        folder: holds saved deltas, a folder each; all are loaded. None: an empty pool.
        tokenizer: for ``predict``; default: the backbone's.

    Attributes:
        model: the module.
        problems: folders that could not be loaded, each with the reason.

    Raises:
        DeltaError: there is no such folder, or no delta in it that fits; a delta is attached to the model; it has no weights.

    Example:
        >>> import tempfile
        >>> from deltanb import LoraModel, load_backbone
        >>> backbone = load_backbone("bert-tiny", random=True)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("films", "news"):
        ...         delta = LoraModel(backbone.model)
        ...         _ = delta.save_finetuned(f"{folder}/{name}")
        ...         _ = delta.detach()
        ...     pool = DeltaPool(backbone, folder)
        >>> pool.names
        ['films', 'news']
        >>> pool.predict(["A fine film.", "A fine film.", "Rain."], deltas=["films", None, "news"]).df.delta.tolist()
        ['films', None, 'news']
    """

    def __init__(self, model: Any, folder: str | Path | None = None, *, tokenizer: Any = None) -> None:
        from torch import nn

        inner = model if isinstance(model, nn.Module) else getattr(model, "model", None)
        if not isinstance(inner, nn.Module):
            msg = f"{model!r} is no model."
            raise DeltaError(msg, expected="A backbone or a torch.nn.Module is needed.", try_='deltanb.load_backbone("minilm")')
        self.given, self.tokenizer = model, tokenizer
        self.model = checked_model(inner)
        self.folder = None if folder is None else Path(folder).expanduser()
        self.problems: dict[str, str] = {}
        self._lock = threading.RLock()
        self._loaded: dict[str, Lean] = {}
        self._steps: dict[str, list[Step]] = {}
        self._row_wise: set[nn.Module] | None = None
        if self.folder is not None:
            self._load_all(self.folder)

    # Which deltas there are -----------------------------------------------------------------------------------------

    @property
    def names(self) -> list[str]:
        """The loaded deltas, sorted."""
        return sorted(self._loaded)

    @property
    def alone(self) -> dict[str, str]:
        """The deltas that get a pass of their own, each with the reason."""
        return {name: self._loaded[name].alone for name in self.names if self._loaded[name].alone}

    def describe(self) -> list[dict[str, Any]]:
        """For each loaded delta its ``name``, ``type``, ``parameters``, why it is ``alone`` (or ""), and ``notes``."""
        with self._lock:
            return [
                {
                    "name": name,
                    "type": lean.delta.delta_type,
                    "parameters": sum(tensor.numel() for tensor in lean.delta.tensors().values()),
                    "alone": lean.alone,
                    "notes": list(lean.notes),
                }
                for name, lean in sorted(self._loaded.items())
            ]

    def load(self, name: str, folder: str | Path | None = None) -> None:
        """Read a delta into the pool. One of that name is replaced, if the new one can be read.

        Args:
            name: what it is called here.
            folder: where it lies; default: under its name in the pool's folder.

        Raises:
            DeltaError: there is no such folder, it is damaged, or it is of another backbone; the pool is as before.
        """
        from deltanb.serving._lean import lean_from

        with self._lock:
            check_plain(self.model)
            if folder is None and self.folder is None:
                raise DeltaError(
                    f"The pool has no folder to look for {name!r} in.", expected="A folder.", try_=f'pool.load("{name}", folder)'
                )
            lean = lean_from(Path(folder).expanduser() if folder is not None else self.folder / name, self.model, name)  # type: ignore[operator]
            self._loaded[name] = lean
            self._find_steps(lean)
            self.problems.pop(name, None)

    def unload(self, name: str) -> None:
        """Forget a delta; its folder stays.

        Raises:
            DeltaError: none of that name is loaded.
        """
        with self._lock:
            del self._loaded[self._known(name)]
            self._steps.pop(name, None)

    def _load_all(self, folder: Path) -> None:
        errors: dict[str, DeltaError] = {}
        for name in candidates(folder):
            try:
                self.load(name)
            except DeltaError as error:
                errors[name] = error
        self.problems = {name: str(error) for name, error in errors.items()}
        if not self._loaded:
            first = next(iter(errors.values()))
            msg = f"None of the {len(errors)} folders in {folder} can be served. {first.what}"
            raise DeltaError(msg, expected=first.expected, nearest=first.nearest, try_=first.try_)

    def _find_steps(self, lean: Lean) -> None:
        from deltanb.serving._parts import Alone, row_wise_modules, steps_of

        if self._row_wise is None:
            self._row_wise = row_wise_modules(self.model)
        self._steps.pop(lean.name, None)
        try:
            self._steps[lean.name] = steps_of(lean, self._row_wise)
        except Alone as reason:
            lean.alone = str(reason)

    def _known(self, name: object) -> str:
        if isinstance(name, str) and name in self._loaded:
            return name
        known = self.names
        shown = ", ".join(known[:_SHOWN]) + (f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else "")
        bad = self.problems.get(name) if isinstance(name, str) else None
        if bad:
            raise DeltaError(f"The delta {name!r} could not be loaded: {bad}", expected=f"One of: {shown}; or None for the plain backbone.")
        raise DeltaError(
            f"No delta {name!r} is loaded.",
            expected=f"One of: {shown or 'none yet'}; or None for the plain backbone.",
            nearest=close(str(name), known),
        )

    # Computing ------------------------------------------------------------------------------------------------------

    @contextmanager
    def using(self, name: str | None) -> Iterator[nn.Module]:
        """The model with one delta, for the time of a ``with`` block: for ``generate`` and whatever else a model can.

        Other threads wait meanwhile.

        Raises:
            DeltaError: no delta of that name is loaded.
        """
        from deltanb.serving._lean import switched

        with self._lock:
            check_plain(self.model)
            if name is None:
                yield self.model
                return
            with switched(self._loaded[self._known(name)]):
                yield self.model

    def forward(self, inputs: Mapping[str, Any], deltas: str | Sequence[str | None] | None = None) -> Any:
        """The model's output for a batch, in eval mode and without gradients.

        Args:
            inputs: the model's, by name: tensors [rows, …].
            deltas: a name, or None for the plain backbone, for each row; one for all rows.

        Returns:
            What the model returns. Where rows needed passes of their own it holds tensors with a row each, no loss, no cache.

        Raises:
            DeltaError: a name that is not loaded, or not one a row; nothing was computed then.
        """
        from deltanb.probe import evaluating
        from deltanb.serving._outputs import rows_in
        from deltanb.serving._passes import run

        with self._lock:
            check_plain(self.model)
            rows = rows_in(inputs)
            groups = self._groups(deltas, rows)
            with evaluating(self.model):
                return run(self.model, inputs, rows, groups, self._loaded, self._steps)

    def predict(
        self,
        texts: str | Sequence[str],
        deltas: str | Sequence[str | None] | None = None,
        *,
        label_names: Sequence[str] | None = None,
        max_length: int = 128,
        batch_size: int = 64,
    ) -> PredictionResult:
        """Classify texts, each with its delta.

        Args:
            texts: one or several.
            deltas: a name, or None for the plain backbone, for each text; one for all texts.
            label_names: the classes; default: those of the training in this session, else of the model's config.
            max_length: in tokens; the rest of a longer text is cut.
            batch_size: rows at a time.

        Raises:
            DeltaError: a name that is not loaded, or not one a text; no text, no tokenizer, no head that classifies.
        """
        from deltanb.serving._answers import answers

        return answers(self, texts, deltas, label_names=label_names, max_length=max_length, batch_size=batch_size)

    def _groups(self, deltas: str | Sequence[str | None] | None, rows: int) -> dict[str | None, torch.Tensor]:
        """Each delta's rows."""
        import torch

        names = self.by_row(deltas, rows)
        found: dict[str | None, list[int]] = {}
        for at, name in enumerate(names):
            found.setdefault(name, []).append(at)
        device = next((parameter.device for parameter in self.model.parameters()), None)
        return {name: torch.tensor(places, device=device) for name, places in found.items()}

    def by_row(self, deltas: str | Sequence[str | None] | None, rows: int) -> list[str | None]:
        """A delta's name, or None, for each row.

        Raises:
            DeltaError: a name that is not loaded, or not one a row.
        """
        names = [deltas] * rows if deltas is None or isinstance(deltas, str) else list(deltas)
        for name in dict.fromkeys(names):
            if name is not None:
                self._known(name)
        if len(names) != rows:
            raise DeltaError(f"There are {rows} rows and {len(names)} deltas.", expected="One name, or None, a row; or one for all rows.")
        return names

    def __repr__(self) -> str:
        bad = f", {len(self.problems)} not loaded" if self.problems else ""
        return f"<DeltaPool of {len(self._loaded)} deltas on {type(self.model).__name__}{bad}: {', '.join(self.names) or 'none'}>"
