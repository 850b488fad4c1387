"""``%delta compare``: from the words of a line to what is compared, on what, and how."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb.addressing._split import join_patterns
from deltanb.magics._tokens import Variable, looked_up, texts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deltanb.magics._verbs import Verb
    from deltanb.workbench import Workbench

__all__ = ["compare"]

_SET = re.compile(r"([A-Za-z][\w-]*)=(\{[A-Za-z_]\w*\})")


def compare(bench: Workbench, verb: Verb, words: list[Any], given: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
    """Compare what the line names.

    Args:
        bench: the notebook's.
        verb: of the line, for its options.
        words: types, places, ``name=value``; values of ``{name}`` as `Variable`.
        given: options of the verb, and of the types.
        variables: the user's, for ``name={values}`` and data.
    """
    from deltanb.magics._run import source_of

    settings = {name: value for name, value in given.items() if verb.option(name) is not None}
    shared = {name: _plain(value) for name, value in given.items() if name not in settings}
    on = settings.pop("on", None)
    source = {} if on is None else source_of(on, variables) if isinstance(on, str) else {"source": on}
    if on is None and bench.data_set is None:
        msg = "%delta compare needs data."
        raise DeltaError(msg, expected="--on names them; without it the data set in use is taken.", try_=f"%delta {verb.example}")
    return bench.compare_deltas(_line(words, variables), **source, options=shared or None, **settings)


def _line(words: list[Any], variables: Mapping[str, Any]) -> str:
    """The words as one text, with the values of variables in their places."""
    found: list[str] = []
    for word in words:
        hit = _SET.fullmatch(word) if isinstance(word, str) else None
        if isinstance(word, Variable):
            found += texts(word)
        elif hit:
            found.append(f"{hit[1]}={_plain(looked_up(hit[2], variables).value)}")
        else:
            found.append(word)
    return join_patterns(found)


def _plain(value: Any) -> str:
    """Values as they are written on a line: several joined by commas."""
    several = isinstance(value, Iterable) and not isinstance(value, str)
    return ",".join(map(str, value)) if several else str(value)
