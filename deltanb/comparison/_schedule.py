"""The runs of a comparison in their order: which are kept from before, which are to be done, and what has come of them."""

from __future__ import annotations

import math
import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb._version import __version__
from deltanb.comparison._key import key_of, run_facts
from deltanb.comparison._memory import light_collections
from deltanb.comparison._progress import ComparisonProgress, Relay
from deltanb.reports import ComparisonReport, Contender
from deltanb.reports._text import plural
from deltanb.training._plan import plan_for

if TYPE_CHECKING:
    from deltanb._shield import Shield
    from deltanb.comparison._candidates import Candidate
    from deltanb.comparison._checks import Place
    from deltanb.comparison._folder import RunFolder
    from deltanb.comparison._one import Laboratory
    from deltanb.training import Live
    from deltanb.training._settings import Settings

__all__ = ["Schedule"]


@dataclass(frozen=True)
class _Job:
    """One run."""

    candidate: Candidate
    place: Place
    seed: int
    facts: dict[str, Any]
    key: str


class Schedule:
    """The runs.

    Args:
        backbone: its name.
        data: the data's name.
        folder: where runs are kept.
        facts: of the backbone.
        restart: whether what is kept is done again.

    Attributes:
        report: what has come of it so far.
    """

    def __init__(self, backbone: str, data: str, folder: RunFolder, facts: dict[str, str], *, restart: bool) -> None:
        self.report = ComparisonReport(backbone, data, [], notes=folder.notes, folder=str(folder.path))
        self._folder, self._facts, self._restart = folder, facts, restart
        self._contenders: dict[str, Contender] = {}
        self._open: list[_Job] = []
        self._settings: Settings | None = None

    def add(self, candidate: Candidate, place: Place, settings: Settings, seed: int, data: str) -> None:
        """Plan a run, or take it from the folder.

        Args:
            candidate: what trains.
            place: where it sits.
            settings: how.
            seed: of the run.
            data: digest of the rows.
        """
        self._settings = settings
        known = self._contenders.get(candidate.name)
        if known is None:
            known = self._contenders[candidate.name] = Contender(candidate.name, candidate.kind, 0, _details(candidate))
            self.report.contenders.append(known)
        known.planned += 1
        facts = run_facts(candidate, place.hosts, settings, seed, data)
        job = _Job(candidate, place, seed, facts, key_of(self._facts, facts))
        kept = None if self._restart else self._folder.find(job.key)
        if kept is None:
            self._open.append(job)
        else:
            known.runs.append(_read(kept["measured"]))

    def carry_out(self, laboratory: Laboratory, live: Live, shield: Shield) -> None:
        """Do what is to be done, until all is or an interrupt ends it. The model is bare before and after.

        Args:
            laboratory: what all runs share.
            live: where it is shown.
            shield: holds back interrupts.
        """
        report = self.report
        kept = report.done
        if self._open:
            live.open()
            try:
                with light_collections():
                    self._all(laboratory, live, shield, kept)
            except KeyboardInterrupt:
                report.interrupted = True
            report.notes += laboratory.notes
        report.notes += _on_few(report)

    def _all(self, laboratory: Laboratory, live: Live, shield: Shield, kept: int) -> None:
        with shield.lifted():
            steps = plan_for(*laboratory.encoded, self._settings).steps  # type: ignore[arg-type]
        words = f"{plural(self.report.planned, 'run')}, {steps:,} steps each"
        self.report.preface = words + (f"; {kept} kept from before" if kept else "") + "."
        progress = ComparisonProgress(self.report, self.report.preface, end=steps * len(self._open), runs=self.report.planned)
        known = {one.name: one.mean("seconds") for one in self.report.contenders if not math.isnan(one.mean("seconds"))}
        relay = Relay(live, progress, known)
        live.start(progress)  # type: ignore[arg-type]
        for at, job in enumerate(self._open):
            relay.begin(job.candidate.name, job.seed, kept + at + 1, [other.candidate.name for other in self._open[at + 1 :]])
            if not self._one(job, laboratory, relay):
                self.report.interrupted = True
                return
            progress.steps = steps * (at + 1)
            relay.ended()

    def _one(self, job: _Job, laboratory: Laboratory, relay: Relay) -> bool:
        """Do a run and keep it; False if it was interrupted. One that fails is noted, and the others go on."""
        contender = self._contenders[job.candidate.name]
        try:
            measured = laboratory.measure(job.candidate, job.seed, job.place.leave_out, relay)
        except DeltaError as error:
            contender.failed[job.seed] = str(error)
            return True
        if measured is None:
            return False
        record = {"name": job.candidate.name, "backbone": self._facts, "facts": job.facts, "measured": measured, "with": _versions()}
        self._folder.keep(job.key, record)
        contender.runs.append(_read(measured))
        return True


def _details(candidate: Candidate) -> dict[str, Any]:
    given = " ".join(f"{key}={value}" for key, value in candidate.options.items())
    return {"patterns": " ".join(candidate.patterns or ()), "layers": candidate.layers, "options": given, "lr": candidate.lr}


def _read(measured: dict[str, Any]) -> dict[str, Any]:
    """What is None in a file is no number."""
    return {name: math.nan if value is None else value for name, value in measured.items() if name != "losses"}


def _versions() -> dict[str, str]:
    import torch
    import transformers

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
    return {"deltanb": __version__, "torch": torch.__version__, "transformers": transformers.__version__, "device": device}


def _on_few(report: ComparisonReport) -> list[str]:
    """What a table with a single seed cannot say."""
    if report.done and all(len(one.runs) < 2 for one in report.contenders):  # noqa: PLR2004
        return ["one seed says nothing about chance; --seeds 3 adds two runs of each and keeps these"]
    return []
