"""What a click would have been as a ``%delta`` line, and what was done, so that each view can show its code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deltanb.addressing._split import join_patterns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deltanb.workbench import Workbench

__all__ = ["attach_line", "done", "freeze_line"]


def attach_line(
    delta_type: str, patterns: Sequence[str] = (), *, exclude: Sequence[str] = (), name: str = "", options: Mapping[str, Any] | None = None
) -> str:
    """The line that attaches a delta; what no line can say, tables and lists, stands as a variable in braces.

    Example:
        >>> attach_line("lora", ["attn@.q@"], name="reviews", options={"lora_r": 4, "rank_pattern": {"attn@.v@": 2}})
        '%delta attach lora attn@.q@ lora_r=4 rank_pattern={rank_pattern} --name reviews'
    """
    said = [f"{key}={_value(key, value)}" for key, value in (options or {}).items()]
    own = ["--name", name] if name and name != delta_type else []
    without = ["--exclude", join_patterns(exclude)] if exclude else []
    return " ".join(part for part in ["%delta attach", delta_type, join_patterns(patterns), *said, *own, *without] if part)


def _value(key: str, value: Any) -> str:
    if isinstance(value, dict | list):
        return f"{{{key}}}"
    return {None: "none", True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else join_patterns([str(value)])


def freeze_line(exclude: Sequence[str]) -> str:
    """The line that freezes all but some.

    Example:
        >>> freeze_line(["deltas", "classifier"])
        '%delta freeze --exclude deltas classifier'
    """
    return f"%delta freeze --exclude {join_patterns(exclude) or chr(39) * 2}"


def done(bench: Workbench) -> dict[str, Any]:
    """What was done on a workbench: the lines, the script, and the attached deltas with where they sit.

    Example:
        >>> from deltanb.workbench import Workbench
        >>> bench = Workbench()
        >>> outcome = bench.backbone("bart-tiny", random=True), bench.attach("adapter", ["fc2"])
        >>> done(bench)["deltas"][0]["type"], done(bench)["lines"]
        ('adapter', ['%delta backbone bart-tiny', '%delta attach adapter'])
    """
    return {
        "lines": [step.line for step in bench.steps if step.line],
        "python": bench.code(),
        "deltas": [_delta(delta) for delta in bench.attached.values()],
        "undo": any(step.undoable for step in bench.steps),
        "redo": bool(bench.undone),
    }


def _delta(delta: Any) -> dict[str, Any]:
    last = delta.declarations[-1] if delta.declarations else None
    added = sum(parameter.numel() for parameter in delta.parameters())
    took = sum(entry.aside.numel() for entry in delta.owned.values() if entry.core)
    inward = [host for host in delta.hosts if host in getattr(delta, "before", ())]
    return {
        "name": delta.name,
        "type": delta.delta_type,
        "parameters": added + took,
        "options": delta.config.options(),
        "hosts": list(delta.hosts),
        "inward": inward,
        "freeze": list(last.exclude) if last else [],
    }
