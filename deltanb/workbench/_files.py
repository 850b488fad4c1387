"""Verbs that write and read folders: save and load."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deltanb import checkpoints
from deltanb._errors import DeltaError
from deltanb.reports import Outcome
from deltanb.structure import snapshot
from deltanb.workbench._core import Core
from deltanb.workbench._python import call

if TYPE_CHECKING:
    from deltanb.engine import DeltaModel

__all__ = ["Files"]


class Files(Core):
    """The verbs of `Core` that write and read folders."""

    def save(self, folder: str, name: str | None = None, *, force: bool = False) -> Outcome:
        """Save a delta, and nothing else. Its own folder is replaced in one step; any other needs ``force``.

        Args:
            folder: new, or of an earlier save of this delta.
            name: which delta; default: the only one.
            force: replace what is there, whatever it is.
        """
        delta = self._which(name)
        path = Path(folder).expanduser()
        with self.step("save", f"%delta save {folder}") as step:
            step.undoable = False
            notes = self._make_room(path, delta, force=force)
            checkpoints.save(delta, path, force=force)
            self.saved_to.setdefault(delta.serial, set()).add(str(path.resolve()))
            step.python.append(call(f"{delta.name}.save_finetuned", repr(str(folder)), force=force or None))
        size = sum(entry.stat().st_size for entry in path.iterdir() if entry.is_file())
        whole = sum(p.numel() * p.element_size() for p in self.model.parameters())
        tensors = delta.tensors()
        facts = {
            "folder": str(path),
            "tensors": f"{len(tensors)} with {sum(t.numel() for t in tensors.values()):,} parameters",
            "size": f"{size / 1e6:.2f} MB; the whole model would be {whole / 1e6:.0f} MB",
        }
        return Outcome(f"Saved {delta.name}.", facts, notes, next=f"%delta load {folder}", value=path)

    def _which(self, name: str | None) -> DeltaModel:
        if name in self.parked and name not in self.attached:
            return self.parked[name]
        if name is None and len(self.attached) > 1:
            msg = f"Several deltas are attached: {', '.join(self.attached)}."
            raise DeltaError(msg, expected="The name of the one to save.", try_=f"%delta save my-delta {next(iter(self.attached))}")
        return self.delta(name)

    def _make_room(self, path: Path, delta: DeltaModel, *, force: bool) -> list[str]:
        """Make sure that no other delta's save is lost."""
        own = str(path.resolve()) in self.saved_to.get(delta.serial, set())
        if force or own or not path.is_dir() or not any(path.iterdir()):
            return []
        try:
            saved = checkpoints.read(path)
        except DeltaError as error:
            msg = f"{path} is not a save of {delta.name!r}: {error.what}"
            raise DeltaError(msg, expected="A new folder, or --force to replace it.", try_=f"%delta save {path}-2") from None
        if saved.config != delta.config or saved.hosts != delta.hosts:
            msg = f"{path} holds another delta: {saved.config.delta_type} {saved.name!r} on {len(saved.hosts)} modules."
            raise DeltaError(msg, expected="A new folder, or --force to replace it.", try_=f"%delta save {path}-2")
        previous = path.with_name(f"{path.name}.previous")
        shutil.rmtree(previous, ignore_errors=True)
        shutil.copytree(path, previous)
        return [f"{path} held a save of an earlier session; it is kept as {previous}"]

    def load(self, folder: str, *, name: str | None = None) -> Outcome:
        """Attach a saved delta and freeze as was declared when it was saved.

        A delta of that name that is attached already is kept if it holds the same values; else it is parked.
        """
        saved = checkpoints.read(folder)
        own = name or saved.name or saved.config.delta_type
        old = self.attached.get(own)
        if old is not None and _same_values(saved, old):
            return Outcome(f"{own} is attached already, with the values of {folder}: kept as it is.", value=old)
        with self.step("load", f"%delta load {folder}") as step:
            notes = []
            if old is not None:
                self.parked[own] = old.detach()
                step.python.append(f"{own}.detach()")
                notes.append(f"the {own} that was here is parked with its weights; %delta undo brings it back")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                delta = checkpoints.load(folder, self.model, name=own)
            step.python.append(f"{own} = {call('deltanb.load', repr(str(folder)), 'model', name=own)}")
            for entry in saved.freeze:
                words = [delta.name if word == saved.name else word for word in entry["exclude"]]
                delta.freeze_module(self.model.get_submodule(entry["scope"]), exclude=words, set_state_dict=entry["set_state_dict"])
                step.python.append(call(f"{own}.freeze_module", exclude=words))
            self.saved_to.setdefault(delta.serial, set()).add(str(Path(folder).expanduser().resolve()))
        return self._loaded(saved, delta, notes)

    def _loaded(self, saved: Any, delta: DeltaModel, notes: list[str]) -> Outcome:
        counts = snapshot(self.model).counts
        frozen = "; ".join(f"all but {', '.join(entry['exclude']) or 'nothing'}" for entry in saved.freeze)
        facts = {
            "format": saved.format,
            "delta": f"{delta.delta_type} on {len(delta.hosts)} modules",
            "frozen": f"as it was saved: {frozen}" if frozen else "nothing: no declaration was saved",
            "trainable now": f"{counts.trainable:,} of {counts.total:,}",
        }
        return Outcome(f"Loaded {delta.name} from {saved.folder}.", facts, [*delta.notes, *notes], next="%delta evaluate", value=delta)


def _same_values(saved: Any, delta: DeltaModel) -> bool:
    import torch

    now = delta.tensors(delta.delta_type)
    return now.keys() == saved.tensors.keys() and all(torch.equal(now[key].cpu(), value) for key, value in saved.tensors.items())
