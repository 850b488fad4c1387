"""Everything that can be wrong, found before anything runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb._suggest import close, nearest_modules
from deltanb.addressing import pattern_hits
from deltanb.comparison._candidates import BASELINES
from deltanb.comparison._layers import left_out
from deltanb.engine import DELTA_TYPES, delta_class
from deltanb.roles import roles_of
from deltanb.structure import module_names
from deltanb.training._settings import Settings
from deltanb.training._what import head_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from deltanb.comparison._candidates import Candidate
    from deltanb.training._subject import Subject

__all__ = ["Place", "check_places", "checked_seeds", "checked_settings"]

_MOST_SEEDS = 1000


@dataclass(frozen=True)
class Place:
    """Where a candidate sits.

    Attributes:
        hosts: full names of its modules; none for a baseline.
        leave_out: what has to be excluded, so that it is held to its layers.
    """

    hosts: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()


def checked_seeds(seeds: object) -> list[int]:
    """The seeds: so many from 0 on, or those given.

    Raises:
        DeltaError: there are none, or one is no seed.

    Example:
        >>> checked_seeds(3), checked_seeds([5, 7])
        ([0, 1, 2], [5, 7])
    """
    several = isinstance(seeds, int) and not isinstance(seeds, bool) and 0 < seeds <= _MOST_SEEDS
    given = range(seeds) if several else seeds  # type: ignore[call-overload]
    found = list(dict.fromkeys(given)) if isinstance(given, list | tuple | range) else []
    if not found:
        msg = f"seeds={seeds!r} is not usable."
        raise DeltaError(msg, expected="How many, from 1, or a list of them; with 3 or more the spread says something.", try_="--seeds 3")
    for seed in found:
        Settings(seed=seed)
    return found


def checked_settings(training: dict[str, Any]) -> Settings:
    """The settings that all runs share.

    Raises:
        DeltaError: an unknown one, or one out of range.

    Example:
        >>> checked_settings({"max_steps": 10}).max_steps
        10
    """
    own = {name: value for name, value in training.items() if name in Settings.__dataclass_fields__ and name != "trainer"}
    if "seed" in own:
        raise DeltaError("A comparison has several seeds, not one.", expected="How many, or which.", try_="seeds=[7]")
    try:
        return Settings(**own, trainer={name: value for name, value in training.items() if name not in own})
    except DeltaError as error:
        raise DeltaError(
            error.what.replace("train has", "compare has", 1), expected=error.expected, nearest=error.nearest, try_=error.try_
        ) from None


def check_places(subject: Subject, candidates: Sequence[Candidate]) -> dict[str, Place]:
    """Where each candidate would sit, by its name: found on the meta device, nothing is changed.

    Args:
        subject: the model, bare.
        candidates: what is to be compared.

    Raises:
        DeltaError: as attaching would; a word that is neither a type nor a place; layers that there are not.
    """
    model = subject.bare
    names, roles = module_names(model), roles_of(model)
    found: dict[str, Place] = {}
    for one in candidates:
        for word in one.patterns or ():
            _check_word(word, one, model, names, roles)
        found[one.name] = _baseline(one, model) if one.kind in BASELINES else _place(one, model)
    return found


def _check_word(word: str, one: Candidate, model: nn.Module, names: Sequence[str], roles: Any) -> None:
    """A word behind a type is a place; where it is none, it may have been meant as another type."""
    if pattern_hits(word, names, roles):
        return
    types, near = close(word, [*DELTA_TYPES, *BASELINES]), nearest_modules(word, names)
    msg = f"{word!r}, behind {one.kind}, is neither a delta type nor the name of a module of {type(model).__name__}."
    expected = f"Delta types: {', '.join(DELTA_TYPES)}; or {' and '.join(BASELINES)}."
    raise DeltaError(
        msg, expected=expected, nearest=[*types, *near][:4], try_=f"%delta match {near[0]}" if near and not types else "%delta help compare"
    )


def _baseline(one: Candidate, model: nn.Module) -> Place:
    if one.kind == "head" and not head_names(model):
        msg = f"{type(model).__name__} has no head that could be told from the rest."
        raise DeltaError(msg, expected="The baseline 'head' trains that alone.", try_="leave head out, or a model of transformers")
    return Place()


def _place(one: Candidate, model: nn.Module) -> Place:
    kind = delta_class(one.kind)
    hosts = tuple(kind.planned(model, one.config()).hosts)
    leave_out = tuple(left_out(model, hosts, one.layers, one.name))
    if leave_out:
        hosts = tuple(kind.planned(model, one.config(leave_out)).hosts)
    return Place(hosts, leave_out)
