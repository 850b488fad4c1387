"""One run of a comparison, from the bare backbone to what was measured."""

from __future__ import annotations

import statistics
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb.checkpoints import save
from deltanb.comparison._memory import PeakMemory
from deltanb.comparison._state import dressed
from deltanb.training import FrozenCache, Live, trainable_of
from deltanb.training._cut import find_cut
from deltanb.training._encoding import collator
from deltanb.training._forward import device_of
from deltanb.training._run import Run, both_encoded

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from deltanb._shield import Shield
    from deltanb.comparison._candidates import Candidate
    from deltanb.comparison._progress import Relay
    from deltanb.datasets import TextData
    from deltanb.engine import DeltaModel
    from deltanb.training import Progress, TrainingResult
    from deltanb.training._encoding import Encoded
    from deltanb.training._settings import Settings
    from deltanb.training._subject import Subject

__all__ = ["Laboratory"]


class Laboratory:
    """What all runs share: the model, tokenised rows, the outputs of frozen parts. A ``with`` frees what it keeps.

    Args:
        subject: the model, bare.
        task: the rows.
        settings: for every run, but for seed and learning rate.
        stop: set by the caller to stop.
        shield: holds back interrupts while the model is half changed.

    Attributes:
        notes: what is to be said about the runs.
    """

    def __init__(self, subject: Subject, task: TextData, settings: Settings, stop: threading.Event | None, shield: Shield) -> None:
        self._subject, self._task, self._settings = subject, task, settings
        self._stop, self._shield = stop, shield
        self._encoded: tuple[Encoded, Encoded] | None = None
        self._caches: dict[str, FrozenCache] = {}
        self.notes: list[str] = []

    @property
    def encoded(self) -> tuple[Encoded, Encoded]:
        """Training and held-out rows, tokenised once."""
        if self._encoded is None:
            self._encoded = both_encoded(self._subject, self._task, self._settings)
        return self._encoded

    def close(self) -> None:
        """Let go of what was kept."""
        for cache in self._caches.values():
            cache.close()
        self._caches.clear()

    def measure(self, candidate: Candidate, seed: int, leave_out: Sequence[str], relay: Relay) -> dict[str, Any] | None:
        """Train one candidate with one seed; None if that was interrupted.

        Args:
            candidate: what trains.
            seed: of first values, order and dropout.
            leave_out: patterns to exclude.
            relay: told how it goes.

        Raises:
            DeltaError: the run failed; the model is as before.
        """
        began = time.monotonic()
        with dressed(self._subject.bare, candidate, seed, leave_out) as delta:
            counts = trainable_of(self._subject.bare)
            base = replace(self._settings, seed=seed, lr=candidate.lr or self._settings.lr)
            peak = PeakMemory()
            with self._shield.lifted():
                settings, cache = self._cached(base, candidate)
                watch = _Watch(relay, peak)
                run = Run(*(self._subject, self._task, settings, watch), baseline=False, stop=self._stop, cache=cache, encoded=self.encoded)
                result = run.go()
            if result.interrupted:
                return None
            self._note(delta)
            return {
                "seed": seed,
                "trainable": counts.count,
                "total": counts.total,
                "delta_parameters": sum(counts.deltas.values()),
                "file_bytes": _file_bytes(delta) if delta else _own_bytes(self._subject.bare),
                "step_seconds": _step_seconds(result),
                "peak_mb": peak.megabytes,
                "memory_of": peak.where,
                **result.metrics,
                "lr": result.settings["lr"],
                "steps": result.steps,
                "seconds": time.monotonic() - began,
                "losses": [round(loss, 6) for loss in result.history["loss"].tolist()],
            }

    def _note(self, delta: DeltaModel | None) -> None:
        for one in delta.notes if delta else ():
            said = f"{delta.name}: {one}" if delta else one
            if said not in self.notes:
                self.notes.append(said)

    def _cached(self, settings: Settings, candidate: Candidate) -> tuple[Settings, FrozenCache | None]:
        """The settings, without ``cache_frozen`` where nothing below what trains is frozen; and what earlier runs kept."""
        if not settings.cache_frozen:
            return settings, None
        rows = [self.encoded[0].rows[0]]
        batch = {name: tensor.to(device_of(self._subject.model)) for name, tensor in collator(self._subject)(rows).items()}
        try:
            part = str(find_cut(self._subject.bare, batch))
        except DeltaError:
            said = f"{candidate.name}: no block below what trains is frozen, so it is trained without cache_frozen, with dropout everywhere"
            self.notes += [said] if said not in self.notes else []
            return replace(settings, cache_frozen=False), None
        return settings, self._caches.setdefault(part, FrozenCache())


class _Watch(Live):
    """Passes a run's progress on, and looks at the memory meanwhile."""

    def __init__(self, relay: Relay, peak: PeakMemory) -> None:
        self._relay, self._peak = relay, peak

    def start(self, progress: Progress) -> None:
        self._relay.start(progress)

    def update(self, progress: Progress) -> None:
        self._peak.saw()
        self._relay.update(progress)


def _step_seconds(result: TrainingResult) -> float | None:
    """The middle of the times from one step's end to the next; None for a single step, whose time holds the preparations."""
    found = result.history["seconds"].diff().dropna().tolist()
    return statistics.median(found) if found else None


def _file_bytes(delta: DeltaModel) -> int:
    """What saving the delta writes: settings and weights."""
    with TemporaryDirectory() as place:
        return sum(path.stat().st_size for path in save(delta, Path(place, "delta")).iterdir())


def _own_bytes(model: Any) -> int:
    """The tensors that train without a delta: what would have to be kept of them."""
    return sum(parameter.numel() * parameter.element_size() for parameter in model.parameters() if parameter.requires_grad)
