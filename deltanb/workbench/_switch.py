"""The verb that switches among deltas: attached, parked, or saved in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from deltanb import checkpoints
from deltanb._errors import DeltaError
from deltanb._suggest import close
from deltanb.engine import free_name, use
from deltanb.reports import Outcome
from deltanb.structure import snapshot
from deltanb.workbench._files import Files, same_values
from deltanb.workbench._python import call

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltanb.engine import DeltaModel
    from deltanb.workbench._step import Step

__all__ = ["Switch"]

_NOTHING = "none"


class Switch(Files):
    """The verb that has some deltas attached, and no others."""

    def use(self, names: Sequence[str]) -> Outcome:
        """Have exactly these deltas attached; the others are parked with their weights. The same again: nothing happens.

        Args:
            names: of attached or parked deltas, or folders of saved ones; ``none``: all are off.

        Raises:
            DeltaError: a name that nothing has, or two deltas that own one tensor; nothing has changed then.
        """
        model = self.model
        words = list(dict.fromkeys(names))
        if _NOTHING in words and len(words) > 1:
            msg = "none means no delta at all, so it stands alone."
            raise DeltaError(msg, try_=f"%delta use {' '.join(word for word in words if word != _NOTHING)}")
        keys = [self._known(word) for word in words if word != _NOTHING]
        folders = [word for word, key in zip(words, keys, strict=False) if key is None]
        here = list(dict.fromkeys(key for key in keys if key is not None))
        notes = self._changed_since(words, keys)
        if not folders and set(here) == self.attached.keys():
            return self._about_use("In use already, just so.", [], notes)
        declared = [delta.name for delta in self.attached.values() if delta.declarations]
        with self.step("use", f"%delta use {' '.join(words)}") as step:
            waiting = {key: self.parked[key] for key in here if key not in self.attached}
            own = {key for key, delta in waiting.items() if delta.backbone_model is model and key == delta.name}
            staying = [self.attached[key] for key in here if key in self.attached] + [self.parked.pop(key) for key in here if key in own]
            gone = use(model, *staying)
            if gone or own:
                step.python.append(call("deltanb.use", "model", *map(self._names.of, staying)))
            parked = [self.park(delta) for delta in gone]
            for key in waiting.keys() - own:
                self.bring_back(key, step)
            for folder in folders:
                notes += self._load_beside(folder, step)
            if declared and not any(delta.declarations for delta in self.attached.values()):
                notes.append(f"what was frozen went with {', '.join(declared)}; %delta freeze declares it anew")
            title = f"In use: {', '.join(self.attached)}." if self.attached else "No delta is in use: the backbone is as it was."
            return self._about_use(title, parked, notes)

    def _known(self, word: str) -> str | None:
        """The name of the attached or parked delta that a word means; None where it is a folder to load.

        Raises:
            DeltaError: it is neither.
        """
        if word in self.attached or word in self.parked:
            return word
        path = Path(word).expanduser()
        if path.is_dir():
            place = str(path.resolve())
            both = [*self.attached.items(), *self.parked.items()]
            return next((key for key, delta in both if place in self.saved_to.get(delta.serial, ())), None)
        saved = checkpoints.saved_folders()
        known = [*self.attached, *(key for key in self.parked if key not in self.attached)]
        near = close(word, [*known, *saved]) or known[-1:]
        msg = f"There is no delta {word!r}."
        expected = f"Attached: {', '.join(self.attached) or 'none'}; parked: {', '.join(self.parked) or 'none'}; or a folder."
        raise DeltaError(msg, expected=expected, nearest=near, try_=f"%delta use {near[0] if near else _NOTHING}")

    def _changed_since(self, words: Sequence[str], keys: Sequence[str | None]) -> list[str]:
        """Deltas that a folder was named for and that have other values now."""
        both = {**self.parked, **self.attached}
        pairs = [(word, both[key]) for word, key in zip(words, keys, strict=False) if key is not None and word != key]
        return [
            f"{delta.name} has changed since {word} was written: it is used as it is here (%delta load {word} reads the folder)"
            for word, delta in pairs
            if not same_values(checkpoints.read(word, delta.backbone_model), delta)
        ]

    def _load_beside(self, folder: str, step: Step) -> list[str]:
        """Attach a saved delta under a name that nothing here has, frozen as it was saved; what to say about it."""
        saved = checkpoints.read(folder, self.model)
        own = free_name(saved.name or saved.config.delta_type, {*self.attached, *self.parked})
        delta = self.attach_saved(saved, folder, own, step, shown=folder)
        self.remember_folder(delta, folder)
        return [f"{own} was loaded from {folder}", *delta.notes]

    def _about_use(self, title: str, parked: Sequence[str], notes: Sequence[str]) -> Outcome:
        counts = snapshot(self.model).counts
        facts = {name: f"{delta.delta_type} on {len(delta.hosts)} modules" for name, delta in self.attached.items()}
        if parked:
            facts["parked"] = ", ".join(parked)
        facts["trainable now"] = f"{counts.trainable:,} of {counts.total:,}"
        back = f"%delta use {' '.join(parked)}" if parked else "%delta evaluate"
        return Outcome(title, facts, list(notes), next=back, value=_only(list(self.attached.values())))


def _only(found: list[DeltaModel]) -> DeltaModel | list[DeltaModel]:
    return found[0] if len(found) == 1 else found
