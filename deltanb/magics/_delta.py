"""The ``%delta`` magic itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand

from deltanb._errors import DeltaError
from deltanb.magics._help import help_for
from deltanb.magics._parse import parse
from deltanb.magics._tokens import strip_comment, strip_end

if TYPE_CHECKING:
    from deltanb.workbench import Workbench

__all__ = ["DeltaMagics"]


@magics_class
class DeltaMagics(Magics):
    """``%delta VERB …`` on the notebook's workbench, which is made when it is first needed."""

    started: Workbench | None = None

    @property
    def bench(self) -> Workbench:
        """The notebook's workbench."""
        if self.started is None:
            from deltanb.workbench import Workbench

            self.started = Workbench()
        return self.started

    @property
    def variables(self) -> dict[str, Any]:
        """The user's variables."""
        shell: Any = self.shell
        values: dict[str, Any] = shell.user_ns
        return values

    @no_var_expand
    @line_cell_magic
    def delta(self, line: str, cell: str | None = None) -> Any:
        """See structure, attach deltas, freeze, train, save: ``%delta help`` lists the verbs.

        As a cell magic each line of the cell is one ``%delta`` line, and every result is displayed.
        """
        if cell is None:
            return self._one(line)
        from IPython.display import display

        for text in [line, *cell.splitlines()]:
            if strip_comment(text):
                result = self._one(text.strip().removeprefix("%delta").strip())
                if result is not None:
                    display(result)  # type: ignore[no-untyped-call]
        return None

    def _one(self, line: str) -> Any:
        call = parse(line, self.variables)
        if call.help:
            return help_for(call.verb.name, *[str(getattr(word, "value", word)) for word in call.words[:1] if call.verb.name == "attach"])
        if call.verb.name == "help":
            return help_for(*[str(getattr(word, "value", word)) for word in call.words])
        result = self._carried_out(call, line)
        if not call.bind:
            return None if strip_comment(line).endswith(";") else result
        self.variables[call.bind] = _bound(result)
        return _Said(f"{call.bind} = {type(self.variables[call.bind]).__name__}, from %delta {call.verb.name}")

    def _carried_out(self, call: Any, line: str) -> Any:
        from deltanb.magics._run import run

        bench = self.bench
        bench.line = f"%delta {strip_end(line).strip()}"
        try:
            return run(call, bench, self.variables)
        except KeyboardInterrupt:
            msg = f"%delta {call.verb.name} was interrupted."
            raise DeltaError(msg, expected="Nothing was changed.", try_=bench.line) from None
        finally:
            bench.line = ""


class _Said:
    """One line of text as a result."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def _bound(result: Any) -> Any:
    """What ``--as`` binds: the object behind an outcome (a delta, a backbone, data), else the result."""
    value = getattr(result, "value", None)
    return result if value is None else value
