"""Verbs that change the model: attach, detach, reattach, remove, freeze, unfreeze."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb._suggest import close
from deltanb.checkpoints import declare_again, transplant
from deltanb.engine import AutoDeltaConfig, AutoDeltaModel, apply_declarations, delta_class, freeze, snapshot_declarations, unfreeze
from deltanb.reports import Outcome
from deltanb.structure import snapshot
from deltanb.workbench._core import Core
from deltanb.workbench._python import call, construct, freeze_call

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from deltanb.engine import BaseDeltaConfig, DeltaModel
    from deltanb.workbench._step import Step

__all__ = ["Change"]

_SHOWN = 3


class Change(Core):
    """The verbs of `Core` that change the model."""

    def attach(
        self,
        delta_type: str,
        patterns: Sequence[str] | None = None,
        *,
        name: str | None = None,
        exclude: Sequence[str] | None = None,
        **options: Any,
    ) -> Outcome:
        """Attach a delta. The same again is kept; another one under the same name replaces it, and the old one is parked.

        Args:
            delta_type: ``adapter``, ``lora`` or ``bitfit``.
            patterns: where; default: the type's own, by role.
            name: of the delta; default: its type.
            exclude: patterns to leave out.
            **options: the type's options, or their short names.
        """
        model, kind = self.model, delta_class(delta_type)
        given = {kind.config_class.field(key).name: value for key, value in options.items()}
        config = AutoDeltaConfig.from_dict(
            {"delta_type": delta_type, "modified_modules": list(patterns) if patterns else None, "exclude_modules": exclude, **given}
        )
        own = name or delta_type
        old = self.attached.get(own)
        if old is not None and old.delta_type == delta_type and old.config == config:
            return self._about(old, f"{own} is attached already, just so: kept as it is.", [])
        with self.step("attach", f"%delta attach {delta_type}") as step:
            seed = _drawn_seed()
            delta, notes = _built(model, config, own, old, seed), []
            self._names.born(delta)
            if old is not None:
                notes.append(self._make_way(old, step))
            step.python += [f"torch.manual_seed({seed})", construct(delta, self._names.choose(delta, self.steps))]
            if old is not None:
                notes += self._carry_over(old, delta, step)
            named = "" if own == delta_type else f" {own!r}"
            return self._about(delta, f"Attached {delta_type}{named} to {len(delta.hosts)} modules.", notes)

    def _make_way(self, old: DeltaModel, step: Step) -> str:
        """Detach a delta for another of its name, and park it; what to say about it."""
        step.python.append(f"{self._names.of(old.detach())}.detach()")
        key = self.park(old)
        shown = "" if key == old.name else f" as {key}"
        return f"the {old.name} that was here is parked with its weights{shown}; %delta undo brings it back"

    def _carry_over(self, old: DeltaModel, delta: DeltaModel, step: Step) -> list[str]:
        """What was declared trainable through the old delta holds for the one in its place."""
        entries = declare_again(delta, snapshot_declarations(old.declarations), old.name)
        step.python += [freeze_call(self._names.of(delta), entry) for entry in entries]
        return [f"still frozen, all but {', '.join(entry['exclude']) or 'nothing'}" for entry in entries]

    def _about(self, delta: DeltaModel, title: str, notes: list[str]) -> Outcome:
        added = sum(p.numel() for p in delta.parameters())
        took = sum(entry.aside.numel() for entry in delta.owned.values() if entry.core)
        counts = snapshot(self.model).counts
        options = delta.config.spoken()
        facts = {"where": _hits(delta), **({"options": options} if options else {})}
        facts["parameters"] = f"+{added:,}" + (f", and {took:,} of the backbone's own" if took else "")
        facts["trainable now"] = f"{counts.trainable:,} of {counts.total:,} ({counts.trainable / max(1, counts.total):.2%})"
        after = "%delta params" if delta.declarations else f"%delta freeze --exclude {_usual(self.model)}"
        return Outcome(title, facts, [*delta.notes, *notes], next=after, value=delta)

    def detach(self, name: str | None = None) -> Outcome:
        """Take a delta out and park it; the name may be left out where there is only one. Done already: nothing happens."""
        done = name or (next(reversed(self.parked), None) if not self.attached else None)
        if done in self.parked and done not in self.attached:
            return Outcome(f"{done} is detached already.", next=f"%delta reattach {done}")
        delta = self.only(name, "%delta detach")
        with self.step("detach", f"%delta detach {delta.name}") as step:
            delta.detach()
            key = self.park(delta)
            step.python.append(f"{self._names.of(delta)}.detach()")
        notes = (
            [] if key == delta.name else [f"another {delta.name} with weights of its own is parked already, so this one is called {key}"]
        )
        title = f"Detached {delta.name}: the backbone is as it was without it."
        return Outcome(title, {}, notes, next=f"%delta reattach {key}", value=delta)

    def reattach(self, name: str | None = None) -> Outcome:
        """Put a parked delta back, with its weights; the one last parked unless named. Done already: nothing happens."""
        own = name or next(reversed(self.parked), next(reversed(self.attached), None))
        if own in self.attached:
            return self._about(self.attached[own], f"{own} is attached already.", [])
        if own is None or own not in self.parked:
            model = self.model
            del model
            msg = f"No parked delta is called {own!r}." if own else "No delta is parked."
            parked = (
                f"Parked: {', '.join(self.parked)}."
                if self.parked
                else "A delta is parked when it is detached, or when its backbone is exchanged."
            )
            near = close(own or "", self.parked) or list(self.parked)[-1:]
            raise DeltaError(
                msg, expected=parked, nearest=near, try_=f"%delta reattach {near[0]}" if near else "%delta load my-first-delta"
            )
        with self.step("reattach", f"%delta reattach {own}") as step:
            return self._about(self.bring_back(own, step), f"{own} is attached again.", [])

    def bring_back(self, key: str, step: Step) -> DeltaModel:
        """Attach a parked delta, or a copy where it was parked with another backbone or is called something else now.

        Args:
            key: the name that it is parked under.
            step: gets the Python.
        """
        delta = self.parked[key]
        variable = self._names.of(delta)
        if delta.backbone_model is self.model and key == delta.name:
            delta.attach()
            step.python.append(f"{variable}.attach()")
        else:
            folders = self.saved_to.get(delta.serial, set())
            delta, notes = transplant(delta, self.model, name=key)
            delta.notes += notes
            self.saved_to[delta.serial] = set(folders)
            new = self._names.choose(delta, self.steps)
            step.python.append(f"{new} = transplant({variable}, model, name={key!r})[0]")
        del self.parked[key]
        return delta

    def remove(self, name: str | None = None) -> Outcome:
        """Detach a delta and forget it; undo brings it back. The name may be left out where there is only one."""
        with self.step("remove", f"%delta remove {name or ''}".rstrip()) as step:
            if name in self.parked and name not in self.attached:
                del self.parked[name]
                return Outcome(f"{name} was parked and is forgotten now.", next="%delta undo")
            delta = self.only(name, "%delta remove")
            delta.detach()
            step.python.append(f"{self._names.of(delta)}.detach()")
        return Outcome(f"Removed {delta.name}: the backbone is as it was without it.", next="%delta undo")

    def freeze(self, exclude: Sequence[str] | None = None) -> Outcome:
        """Declare what trains: everything is frozen but what ``exclude`` names (default: ``deltas``)."""
        model = self.model
        current = list(self.attached.values())[-1] if self.attached else None
        words = list(exclude) if exclude is not None else ["deltas"] if current else []
        same = bool(current and [list(entry.exclude) for entry in current.declarations if not entry.scope] == [words])
        if same:
            apply_declarations(model)
            return self._about_freeze("Frozen already, just so.")
        with self.step("freeze", "%delta freeze") as step, warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            if current is not None:
                current.freeze_module(exclude=words)
                step.python.append(call(f"{self._names.of(current)}.freeze_module", exclude=words))
            else:
                freeze(model, words)
                step.python.append(call("deltanb.freeze", "model", exclude=words))
            title = f"Frozen: everything but {', '.join(words) or 'nothing'}."
            return self._about_freeze(title, [str(warning.message) for warning in said])

    def _about_freeze(self, title: str, notes: Sequence[str] = ()) -> Outcome:
        counts = snapshot(self.model).counts
        brought = [parameter for delta in self.attached.values() for parameter in delta.parameters()]
        facts = {
            "trainable": f"{counts.trainable:,} of {counts.total:,} ({counts.trainable / max(1, counts.total):.4%})",
            "of that, deltas": f"{sum(p.numel() for p in brought if p.requires_grad):,}",
        }
        idle = [] if counts.trainable else [f"nothing trains now; --exclude {_usual(self.model)} would leave that trainable"]
        return Outcome(title, facts, [*notes, *idle], next="%delta params")

    def unfreeze(self) -> Outcome:
        """Take back every declaration: what trains is as before the first freeze."""
        with self.step("unfreeze", "%delta unfreeze") as step:
            unfreeze(self.model)
            step.python.append("deltanb.unfreeze(model)")
            counts = snapshot(self.model).counts
            return Outcome("Unfrozen.", {"trainable": f"{counts.trainable:,} of {counts.total:,}"}, next="%delta params")


def _usual(model: nn.Module) -> str:
    """What is left trainable most often: the deltas, and a head that has to be learned."""
    heads = [name for name, _ in model.named_children() if name in ("classifier", "classification_head", "score")]
    return " ".join(["deltas", *heads])


def _drawn_seed() -> int:
    """A seed from torch's own random numbers, so that the user's ``torch.manual_seed`` decides, and the script can say it."""
    import torch

    return int(torch.randint(2**31, ()))


def _built(model: nn.Module, config: BaseDeltaConfig, name: str, old: DeltaModel | None, seed: int) -> DeltaModel:
    """The new delta in the place of the old one, with first values from ``seed``."""
    import torch

    if old is not None:
        old.detach()
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        torch.default_generator.manual_seed(seed)
        return AutoDeltaModel.from_config(config, model, name=name)


def _hits(delta: DeltaModel) -> str:
    """The patterns and how many modules each hit; for a role also what those are called."""
    found = delta.match_result
    return ", ".join(
        f"{pattern} ×{count}{_called(found.by_pattern[pattern]) if '@' in pattern else ''}" for pattern, count in found.per_pattern.items()
    )


def _called(names: Sequence[str]) -> str:
    """Names inside a layer, each once: `` (q_proj, v_proj)``."""
    ends = list(dict.fromkeys(re.split(r"\.\d+\.", name)[-1] for name in names))
    return f" ({', '.join(ends[:_SHOWN])}{', …' if len(ends) > _SHOWN else ''})"
