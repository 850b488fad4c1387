"""Verbs of the weights: merge and unmerge a delta, add and interpolate deltas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb._suggest import close
from deltanb.engine import add, merged_originals
from deltanb.reports import Outcome
from deltanb.reports._text import megabytes
from deltanb.structure import snapshot
from deltanb.workbench._change import Change

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from deltanb.engine import DeltaModel, Effect
    from deltanb.workbench._step import Step

__all__ = ["Merge"]


class Merge(Change):
    """The verbs that work with a delta's update as with a number."""

    def merge(self, name: str | None = None) -> Outcome:
        """Put a delta into its hosts' weights; undo and unmerge put the originals back. Merged already: nothing happens."""
        delta = self.only(name, "%delta merge")
        if delta.merged:
            return Outcome(f"{delta.name} is merged already.", next=f"%delta unmerge {delta.name}", value=delta)
        return self._turned("merge", delta, delta.merge, f"Merged {delta.name}: its hosts' weights hold it, and no hook runs.")

    def unmerge(self, name: str | None = None) -> Outcome:
        """Take a merged delta out of its hosts' weights, bit for bit. Not merged: nothing happens."""
        merged = [delta.name for delta in self.attached.values() if delta.merged]
        delta = self.only(name or (merged[0] if len(merged) == 1 else None), "%delta unmerge")
        if not delta.merged:
            return Outcome(f"{delta.name} is not merged.", next=f"%delta merge {delta.name}", value=delta)
        return self._turned("unmerge", delta, delta.unmerge, f"Unmerged {delta.name}: the weights are as they were, bit for bit.")

    def _turned(self, verb: str, delta: DeltaModel, turn: Callable[[], Effect], title: str) -> Outcome:
        with self.step(verb, f"%delta {verb} {delta.name}") as step:
            effect = turn()
            step.python.append(f"{self._names.of(delta)}.{verb}()")
        counts = snapshot(self.model).counts
        kept = [value for key, value in merged_originals(self.model).items() if key.rpartition(".")[0] in delta.modules]
        size = sum(value.numel() * value.element_size() for value in kept)
        facts = {
            "largest change of a logit": f"{effect.largest:.2g}, on a trial batch",
            **({"originals kept": f"{len(kept)} tensors, {megabytes(size)}"} if delta.merged else {}),
            "trainable now": f"{counts.trainable:,} of {counts.total:,}",
        }
        notes = ["what is merged does not train"] if delta.merged else []
        return Outcome(title, facts, notes, next=f"%delta {'unmerge' if delta.merged else 'merge'} {delta.name}", value=effect)

    def add(self, weights: Mapping[str, Any], *, name: str | None = None) -> Outcome:
        """Add LoRA deltas, each times its weight, into a new one that takes their place; they are parked.

        Args:
            weights: names of attached or parked deltas, and the weight of each.
            name: of the new delta; default: ``combined``.
        """
        shares = {key: _number(value, f"the weight of {key}") for key, value in weights.items()}
        words = " ".join(f"{key}={share!r}" for key, share in shares.items())
        return self._sum("add", f"%delta add {words}", shares, name or "combined")

    def interpolate(self, first: str, second: str, t: float | str, *, name: str | None = None) -> Outcome:
        """A new LoRA delta on the line between two, which are parked: ``(1 - t) · first + t · second``.

        Args:
            first: name of an attached or parked delta: t = 0.
            second: of another: t = 1.
            t: where on the line.
            name: of the new delta; default: ``combined``.
        """
        share = _number(t, "t")
        if first == second:
            msg = f"interpolate needs two deltas, and got {first} twice."
            raise DeltaError(msg, expected="Two different ones.", try_="%delta interpolate a b 0.5")
        line = f"%delta interpolate {first} {second} {share!r}"
        return self._sum("interpolate", line, {first: 1 - share, second: share}, name or "combined")

    def _sum(self, verb: str, line: str, shares: Mapping[str, float], name: str) -> Outcome:
        model = self.model
        sources = {self._source(key): share for key, share in shares.items()}
        recipe = tuple((delta.serial, share) for delta, share in sources.items())
        old = self.attached.get(name)
        if old is not None and self.recipes.get(old.serial) == recipe:
            title = f"{name} is attached already, and was made of just these: kept as it is."
            return Outcome(title, next=f"%delta remove {name}, to make it anew", value=old)
        with self.step(verb, f"{line} --name {name}") as step:
            here = [delta for delta in sources if delta.attached]
            notes = [self._make_way(old, step)] if old is not None and old not in here else []
            variables = ", ".join(f"{self._names.of(delta)}: {share!r}" for delta, share in sources.items())
            effect = add(model, sources, name=name)
            made = effect.delta
            for delta in here:
                self.park(delta)
            self.recipes[made.serial] = recipe
            step.python.append(f"{self._names.choose(made, self.steps)} = deltanb.add(model, {{{variables}}}, name={name!r}).delta")
            notes += self._freeze_as(list(sources), made, step)
        facts = {
            "sum of": ", ".join(f"{share:g} · {key}" for key, share in shares.items()),
            "delta": f"rank {_ranks(made)} on {len(made.hosts)} modules",
            "largest change of a logit": ", ".join(f"{change:.2g} against {key}" for key, change in effect.changes.items()),
        }
        parked = [f"{', '.join(delta.name for delta in here)} parked: %delta use brings back"] if here else []
        return Outcome(
            f"Made {name}, which takes their place.", facts, [*made.notes, *notes, *parked], next="%delta evaluate", value=effect
        )

    def _freeze_as(self, sources: list[DeltaModel], made: DeltaModel, step: Step) -> list[str]:
        """What the first of the sources that froze anything declared holds for the sum."""
        froze = next((delta for delta in sources if delta.declarations), None)
        return [] if froze is None else self._carry_over(froze, made, step)

    def _source(self, key: str) -> DeltaModel:
        """An attached or parked delta by name.

        Raises:
            DeltaError: there is none.
        """
        both = {**self.parked, **self.attached}
        if key in both:
            return both[key]
        near = close(key, both)
        msg = f"There is no delta {key!r}."
        expected = f"Attached: {', '.join(self.attached) or 'none'}; parked: {', '.join(self.parked) or 'none'}."
        raise DeltaError(msg, expected=expected, nearest=near, try_="%delta params --by delta")


def _number(value: Any, what: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        msg = f"{what} must be a number, not {value!r}."
        raise DeltaError(msg, try_="%delta add a=1 b=0.5 --name both") from None


def _ranks(delta: Any) -> str:
    ranks = sorted({child.lora_A.shape[0] for child in delta.modules.values()})
    return str(ranks[0]) if len(ranks) == 1 else f"{ranks[0]} to {ranks[-1]}"
