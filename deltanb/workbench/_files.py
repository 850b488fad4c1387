"""Verbs that write and read folders: save and load."""

from __future__ import annotations

import shutil
import warnings
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deltanb import checkpoints
from deltanb._errors import DeltaError
from deltanb.reports import Outcome
from deltanb.sharing import located
from deltanb.structure import snapshot
from deltanb.workbench._change import Change
from deltanb.workbench._python import call, freeze_call

if TYPE_CHECKING:
    from deltanb.engine import DeltaModel
    from deltanb.workbench._step import Step

__all__ = ["Files", "same_values"]

_MEGA = 1e6


class Files(Change):
    """The verbs that write and read folders."""

    def save(self, folder: str, name: str | None = None, *, force: bool = False, format: str = "deltanb") -> Outcome:  # noqa: A002
        """Save a delta, and nothing else. Its own folder is replaced in one step; any other needs ``force``.

        Args:
            folder: new, or of an earlier save of this delta.
            name: which delta; default: the only one.
            force: replace what is there, whatever it is.
            format: ``deltanb``, or ``peft`` for the types that PEFT has.
        """
        delta = self._to_save(folder, name)
        path = Path(folder).expanduser()
        with self.step("save", f"%delta save {folder}") as step:
            step.undoable = False
            with step.shield.lifted():
                notes = self._make_room(path, delta, force=force)
                checkpoints.save(delta, path, force=force, format=format)
            self.remember_folder(delta, path)
            other = None if format == "deltanb" else format
            step.python.append(call(f"{self._names.of(delta)}.save_finetuned", repr(str(folder)), format=other, force=force or None))
        size = sum(entry.stat().st_size for entry in path.iterdir() if entry.is_file())
        whole = sum(p.numel() * p.element_size() for p in self.model.parameters())
        tensors = delta.tensors()
        facts = {
            "folder": str(path),
            "tensors": f"{len(tensors)} with {sum(t.numel() for t in tensors.values()):,} parameters",
            "size": f"{_size(size)}; the whole model would be {_size(whole)}",
        }
        return Outcome(f"Saved {delta.name}.", facts, notes, next=f"%delta load {folder}", value=path)

    def remember_folder(self, delta: DeltaModel, folder: str | Path) -> None:
        """Note that a folder is a delta's own: it was saved there, or came from there."""
        self.saved_to.setdefault(delta.serial, set()).add(str(Path(folder).expanduser().resolve()))

    def _to_save(self, folder: str, name: str | None) -> DeltaModel:
        known = {**self.parked, **self.attached}
        if name and name not in known and folder in known:
            msg = f"There is no delta {name!r}, and {folder!r} is one."
            raise DeltaError(msg, expected="The folder comes first, then the delta.", try_=f"%delta save {name} {folder}")
        if name in self.parked and name not in self.attached:
            return self.parked[name]
        return self.only(name, "%delta save my-delta")

    def _make_room(self, path: Path, delta: DeltaModel, *, force: bool) -> list[str]:
        """Make sure that no other delta's save is lost."""
        own = str(path.resolve()) in self.saved_to.get(delta.serial, set())
        if force or own or not path.is_dir() or all(checkpoints.is_temporary(entry) for entry in path.iterdir()):
            return []
        try:
            saved = checkpoints.read(path, delta.backbone_model)
        except DeltaError as error:
            msg = f"{path} is not a save of {delta.name!r}: {error.what}"
            raise DeltaError(msg, expected="Take a new folder, or replace this one with --force.", try_=f"%delta save {path}-2") from None
        if saved.config != delta.config or saved.hosts != delta.hosts:
            msg = f"{path} holds another delta: {saved.config.delta_type} {saved.name!r} on {len(saved.hosts)} modules."
            raise DeltaError(msg, expected="Take a new folder, or replace this one with --force.", try_=f"%delta save {path}-2")
        return [f"{path} held a save of an earlier session; it is kept as {_kept(path)}"]

    def load(self, folder: str, *, name: str | None = None) -> Outcome:
        """Attach a saved delta and freeze as was declared when it was saved.

        A delta of that name that is attached already is kept if it holds the same values; else it is parked.

        Args:
            folder: where it is; where there is none of that name, ``user/name`` on the hub.
            name: of the delta; default: its own.
        """
        place, notes = located(folder)
        saved = checkpoints.read(place, self.model)
        own = name or saved.name or saved.config.delta_type
        old = self.attached.get(own)
        if old is not None and saved.config.options() == old.config.options() and same_values(saved, old):
            return Outcome(f"{own} is attached already, with the values of {folder}: kept as it is.", value=old)
        with self.step("load", f"%delta load {folder}") as step:
            if old is not None:
                notes.append(self._make_way(old, step))
            delta = self.attach_saved(saved, place, own, step, shown=folder)
            about = self._loaded(saved, delta, folder, notes)
        if place == Path(folder).expanduser():
            self.remember_folder(delta, place)
        return about

    def attach_saved(self, saved: Any, place: str | Path, own: str, step: Step, *, shown: str) -> DeltaModel:
        """Attach a saved delta, frozen as it was saved; its notes are for the caller to show.

        Args:
            saved: what was read.
            place: the folder it was read from.
            own: the delta's name here.
            step: gets the lines of Python.
            shown: what the person called the folder.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            delta = checkpoints.load(place, self.model, name=own)
        variable = self._names.choose(delta, self.steps)
        step.python.append(f"{variable} = {call('deltanb.load', repr(str(shown)), 'model', name=own)}")
        entries = checkpoints.declare_again(delta, saved.freeze, saved.name)
        step.python += [freeze_call(variable, entry) for entry in entries]
        return delta

    def _loaded(self, saved: Any, delta: DeltaModel, folder: str, notes: list[str]) -> Outcome:
        counts = snapshot(self.model).counts
        frozen = "; ".join(f"all but {', '.join(entry['exclude']) or 'nothing'}" for entry in saved.freeze)
        why = f"as {saved.format} trains it" if saved.implied else "as it was saved"
        facts = {
            "format": saved.format,
            "delta": f"{delta.delta_type} on {len(delta.hosts)} modules",
            "frozen": f"{why}: {frozen}" if frozen else "nothing: no declaration was saved",
            "trainable now": f"{counts.trainable:,} of {counts.total:,}",
        }
        return Outcome(f"Loaded {delta.name} from {folder}.", facts, [*delta.notes, *notes], next="%delta evaluate", value=delta)


def _kept(path: Path) -> Path:
    """Copy a save beside itself, in the place of an older copy; what is no such copy is left alone."""
    places = (path.with_name(f"{path.name}.previous{f'-{i}' if i > 1 else ''}") for i in count(1))
    previous = next(place for place in places if not place.exists() or _is_save(place))
    fresh = path.with_name(f".{path.name}.copy")
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(path, fresh)
        shutil.rmtree(previous, ignore_errors=True)
        fresh.rename(previous)
    except OSError as error:  # shutil's own error is one
        shutil.rmtree(fresh, ignore_errors=True)
        msg = f"{path} holds a save of an earlier session, and no copy of it can be made: {error.strerror or error}."
        raise DeltaError(msg, expected="Make room for a copy, or replace it with --force.", try_=f"%delta save {path}-2") from None
    return previous


def _is_save(path: Path) -> bool:
    return path.name in checkpoints.saved_folders(path.parent)


def _size(amount: float) -> str:
    """Bytes in words.

    Example:
        >>> _size(81_000), _size(2_500_000), _size(91e6)
        ('81 kB', '2.5 MB', '91 MB')
    """
    return f"{amount / 1e3:,.0f} kB" if amount < _MEGA else f"{amount / _MEGA:,.{int(amount < 10 * _MEGA)}f} MB"


def same_values(saved: Any, delta: DeltaModel) -> bool:
    """Whether a delta holds the very values of a saved one."""
    import torch

    now = delta.tensors(delta.delta_type)
    return now.keys() == saved.tensors.keys() and all(torch.equal(now[key].cpu(), value) for key, value in saved.tensors.items())
