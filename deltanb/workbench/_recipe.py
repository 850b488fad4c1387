"""From the steps of a workbench to what a script for many processes is to do."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb.cluster import Recipe, double_quoted
from deltanb.training import trainable_of
from deltanb.workbench._python import imports_of
from deltanb.workbench._runs import what_trains

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from deltanb.backbones import Backbone
    from deltanb.training import TrainingResult
    from deltanb.workbench._step import Step

__all__ = ["recipe_of"]

# Verbs that bring the model into its present form; the others look, train or write.
_BUILDING = frozenset(
    {"attach", "detach", "reattach", "use", "remove", "freeze", "unfreeze", "load", "merge", "unmerge", "add", "interpolate"}
)
# What these do depends on values that are learned, so they cannot come before the training.
_LEARNED = frozenset({"merge", "add", "interpolate"})
_OWN = frozenset({"backbone", "model", "torch", "deltanb", "True", "False", "None"})


def recipe_of(backbone: Backbone, steps: Sequence[Step], result: TrainingResult | None) -> Recipe:
    """What a script has to do to train in one run what is on the workbench.

    Args:
        backbone: in use.
        steps: of the workbench.
        result: of its last training, for the settings; None: the defaults.

    Raises:
        DeltaError: something lives in this session's memory alone, or nothing trains.
    """
    _check_source(backbone)
    _check_trains(backbone)
    mine = _since_backbone(steps)
    lines = _building(mine)
    name, options = _backbone_call(mine)
    data, data_options = _data(steps)
    notes = _notes(backbone, mine, result, data)
    return Recipe(
        what=f"{what_trains(backbone.model)} on {backbone.name}" + (f" with {Path(data).name}" if data else ""),
        backbone=name,
        backbone_options=options,
        build=tuple(lines),
        imports=imports_of("\n".join(lines)),
        data=data,
        data_options=data_options,
        deltas=bool(trainable_of(backbone.model).deltas),
        notes=tuple(notes),
        rows=_rows(mine),
        **_settings(backbone, result),
    )


def _check_source(backbone: Backbone) -> None:
    if backbone.kind == "yours":
        msg = f"{backbone.name} exists in this session's memory alone, where no script finds it."
        save = 'model.save_pretrained("my-backbone"); tokenizer.save_pretrained("my-backbone")'
        raise DeltaError(msg, expected=f"Save it first: {save}; then take it from there.", try_="%delta backbone my-backbone")
    if backbone.kind == "skeleton":
        msg = f"{backbone.name} is a skeleton: it has no weights to train with."
        raise DeltaError(msg, expected="A backbone with weights is needed.", try_=f"%delta backbone {backbone.name}")


def _check_trains(backbone: Backbone) -> None:
    found = trainable_of(backbone.model)
    if not found.count:
        raise DeltaError("Nothing trains: all is frozen.", expected="What is to train.", try_="%delta freeze --exclude deltas classifier")
    if found.deltas and found.loose:
        msg = f"{found.loose_count:,} parameters of the backbone train too, and no delta that is saved would hold them."
        raise DeltaError(
            msg, expected="Freeze all but the deltas, and the head if it is new.", try_="%delta freeze --exclude deltas classifier"
        )


def _since_backbone(steps: Sequence[Step]) -> list[Step]:
    start = max((at for at, step in enumerate(steps) if step.verb == "backbone"), default=0)
    return list(steps[start:])


def _building(steps: list[Step]) -> list[str]:
    """The lines that attach and freeze, without those that train.

    Raises:
        DeltaError: they need what was learned, or something of this session.
    """
    trained = False
    lines: list[str] = []
    for step in steps:
        trained = trained or step.verb == "train"
        if step.verb in _LEARNED and trained:
            msg = f"After the training came %delta {step.verb}, which needs what was learned."
            raise DeltaError(msg, expected="A script trains from the first values.", try_=f"%delta undo until before {step.verb}")
        if step.verb in _BUILDING:
            lines += [_with_whole_paths(line) for line in step.python]
    unknown = _unknown(lines)
    if unknown:
        msg = f"The script would need {unknown[0]!r}, which exists in this session alone."
        raise DeltaError(
            msg, expected="What was attached to an earlier backbone has to be saved and loaded.", try_=f"%delta save {unknown[0]}"
        )
    return _named_where_used(lines)


def _unknown(lines: list[str]) -> list[str]:
    """Names that the lines use and nothing has given a value."""
    known = set(_OWN) | {name for names in imports_of("\n".join(lines)).values() for name in names}
    unknown = []
    for line in lines:
        unknown += [name for name in _used(line) if name not in known]
        known |= {node.id for node in _nodes(line, ast.Name) if isinstance(node.ctx, ast.Store)}
    return unknown


def _used(line: str) -> list[str]:
    return [node.id for node in _nodes(line, ast.Name) if isinstance(node.ctx, ast.Load)]


def _named_where_used(lines: list[str]) -> list[str]:
    """The lines, without variables that no later line uses."""
    found = []
    for at, line in enumerate(lines):
        variable, sign, value = line.partition(" = ")
        idle = sign and variable.isidentifier() and not any(variable in _used(later) for later in lines[at + 1 :])
        found.append(value if idle else line)
    return found


def _nodes(line: str, kind: type[Any]) -> Iterator[Any]:
    return (node for node in ast.walk(ast.parse(line)) if isinstance(node, kind))


def _with_whole_paths(line: str) -> str:
    """A saved delta is found from any folder."""
    found = re.match(r"(\w+ = deltanb\.load\()('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")", line)
    return f"{found[1]}{_whole(ast.literal_eval(found[2]))!r}{line[found.end() :]}" if found else line


def _whole(name: str) -> str:
    """A path from the root where ``name`` is a path that is there; else as it is."""
    path = Path(name).expanduser()
    return str(path.resolve()) if path.exists() else name


def _backbone_call(steps: list[Step]) -> tuple[str, str]:
    """Name and further arguments of ``load_backbone``."""
    line = next(line for line in steps[0].python if line.startswith("backbone = "))
    inner: Any = ast.parse(line.removeprefix("backbone = ")).body[0]
    call = inner.value
    unknown = [node.id for keyword in call.keywords for node in ast.walk(keyword.value) if isinstance(node, ast.Name)]
    if unknown:
        msg = f"The backbone was given a {call.keywords[-1].arg} of this session's memory ({unknown[0]})."
        raise DeltaError(
            msg, expected="Save backbone and tokenizer to one folder, and take them from there.", try_="%delta backbone my-backbone"
        )
    name = call.args[0].value
    path = Path(name).expanduser()
    is_folder = path.name == "config.json" or (path / "config.json").is_file()
    return str(path.resolve()) if is_folder else name, _spelled(call.keywords, without="device_map")


def _spelled(keywords: list[ast.keyword], without: str = "") -> str:
    """Arguments as Python text; where a model goes in a script is Trainer's to decide."""
    return double_quoted(", ".join(f"{keyword.arg}={ast.unparse(keyword.value)}" for keyword in keywords if keyword.arg != without))


def _data(steps: Sequence[Step]) -> tuple[str, str]:
    """Name or path of the data in use, and further arguments of ``as_text_data``; empty where there are none yet.

    Raises:
        DeltaError: they are an object of this session.
    """
    line = next((line for step in reversed(steps) for line in reversed(step.python) if line.startswith("data = ")), "")
    if not line:
        return "", ""
    inner: Any = ast.parse(line.removeprefix("data = ")).body[0]
    call = inner.value
    if not isinstance(call.args[0], ast.Constant):
        msg = f"The data ({ast.unparse(call.args[0])}) exist in this session's memory alone, where no script finds them."
        save = "pandas.DataFrame(…).to_csv('my_data.csv', index=False), with the columns text and label"
        raise DeltaError(msg, expected=f"Save them first: {save}; then take them from there.", try_="%delta data my_data.csv")
    return _whole(str(call.args[0].value)), _spelled(call.keywords)


def _settings(backbone: Backbone, result: TrainingResult | None) -> dict[str, Any]:
    """The settings of the last training; several runs that went on from each other are one."""
    from deltanb.training._rates import default_rate
    from deltanb.training._settings import Settings

    known = Settings()
    found = dict(result.settings) if result else known.shown(lr=default_rate(trainable_of(backbone.model)))
    several = result is not None and result.steps_total > result.steps
    accumulate = int(found.get("gradient_accumulation_steps", 1))
    kept = {*Settings.__dataclass_fields__, "backbone", "data", "gradient_accumulation_steps", "bf16"}
    return {
        "epochs": found["epochs"],
        "max_steps": result.steps_total if several and result is not None else found["max_steps"],
        "batch": found["batch_size"] * accumulate,
        "accumulate": accumulate,
        "rate": found["lr"],
        "bf16": bool(found.get("bf16", False)),
        "trainer": _plain({key: value for key, value in found.items() if key not in kept}),
        **{name: found[name] for name in ("seed", "max_length", "weight_decay", "warmup")},
    }


def _rows(steps: Sequence[Step]) -> int | None:
    """The limit that the last training was given."""
    line = next((line for step in reversed(steps) for line in step.python if line.startswith("result = deltanb.train(")), "")
    given = {keyword.arg: keyword.value for call in _nodes(line, ast.Call) for keyword in call.keywords}
    return int(ast.literal_eval(given["rows"])) if "rows" in given else None


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    """Further arguments of TrainingArguments.

    Raises:
        DeltaError: one cannot be written down.
    """
    for key, value in options.items():
        try:
            ast.literal_eval(repr(value))
        except (ValueError, SyntaxError):
            msg = f"{key}={value!r} cannot be written into a script."
            raise DeltaError(msg, expected="Numbers, texts, lists and dicts can.", try_="%delta train --restart") from None
    return options


def _notes(backbone: Backbone, steps: list[Step], result: TrainingResult | None, data: str) -> list[str]:
    notes = []
    if not data:
        notes.append("No data were chosen in the notebook: --data has to be given.")
    if result is None:
        notes.append("Nothing was trained in the notebook: the settings are the defaults.")
    elif result.steps_total > result.steps:
        notes.append(f"The notebook trained {result.steps_total} steps in several runs; this is one run of as many, from the first values.")
    if backbone.kind == "random":
        notes.append("The backbone has random weights, the same in every run.")
    trained = {name for step in steps if step.verb == "train" for name in step.values_then}
    frozen = {name for name, parameter in backbone.model.named_parameters() if not parameter.requires_grad}
    if trained & frozen:
        first, *more = sorted(trained & frozen)
        others = f" and {len(more)} more tensors" if more else ""
        notes.append(f"Trained in the notebook and frozen since, so not trained here: {first}{others}.")
    return notes
