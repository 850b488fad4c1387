"""The page that a repository shows: what the delta is, how to load it, where its parameters are, how it was trained."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deltanb._hub import is_hub_id
from deltanb.engine import deltas
from deltanb.reports import ParameterTable
from deltanb.reports._text import markdown, megabytes, number, plain_markdown, plural
from deltanb.structure import snapshot
from deltanb.training._words import duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deltanb.engine import DeltaModel
    from deltanb.training import TrainingResult

__all__ = ["CURVE", "STRUCTURE", "Subject", "base_model", "body"]

STRUCTURE, CURVE = "structure.svg", "training.svg"
_PUBLISHED = {"minilm": "sentence-transformers/all-MiniLM-L6-v2"}  # names of ours for what the hub has
_MOST_HOSTS = 12


@dataclass(frozen=True)
class Subject:
    """What a card is about.

    Attributes:
        repo: ``user/name``.
        delta: attached.
        facts: what its ``config.json`` says.
        size: bytes of its weights.
        training: the run that gave it its values, if that is known.
        backbone: the line of Python that makes the backbone, if that is known.
        license: an id such as ``mit``; "" if none was chosen.
        pictures: names of the pictures beside the card.
    """

    repo: str
    delta: DeltaModel
    facts: Mapping[str, Any]
    size: int
    training: TrainingResult | None = None
    backbone: str = ""
    license: str = ""
    pictures: Sequence[str] = field(default_factory=list)


def base_model(facts: Mapping[str, Any]) -> str:
    """The hub's name of the backbone that a delta was made on; "" if that is not known.

    Example:
        >>> base_model({"backbone": {"name": "minilm"}}), base_model({"backbone": {"name": "/home/ann/mine"}})
        ('sentence-transformers/all-MiniLM-L6-v2', '')
    """
    name = str(facts["backbone"].get("name") or "")
    return _PUBLISHED.get(name, name if is_hub_id(name) and not Path(name).exists() else "")


def body(subject: Subject) -> str:
    """The card below its metadata, in Markdown."""
    parts = [_head, _loading, _settings, _parameters, _training, _licence]
    return "\n\n".join(text for part in parts if (text := part(subject)))


def _head(subject: Subject) -> str:
    facts = subject.facts
    known = base_model(facts)
    backbone = f"[{known}](https://huggingface.co/{known})" if known else "a backbone that has no name on the hub"
    counts = f"{number(facts['tensors']['parameters'])} parameters ({megabytes(subject.size)})"
    return (
        f"# {plain_markdown(subject.repo.rpartition('/')[2])}\n\n"
        f"A *delta* of type **{facts['delta_type']}** for {backbone}: {counts} on {plural(len(facts['hosts']), 'module')} of a "
        f"{plain_markdown(facts['backbone']['class'])} with {number(facts['backbone']['parameters'])}. "
        f"This repository holds the delta alone{_taken(subject.delta)}; "
        "the backbone is taken from where it is, and nothing else in it changes."
    )


def _taken(delta: DeltaModel) -> str:
    """The parts of the backbone that trained with the delta and so belong to it; a head, say."""
    parts = dict.fromkeys(name.rpartition(".")[0] for name, entry in delta.owned.items() if not entry.core)
    return f", with the backbone's {', '.join(f'`{part}`' for part in parts)} as trained with it" if 0 < len(parts) <= _MOST_HOSTS else ""


def _loading(subject: Subject) -> str:
    known = base_model(subject.facts)
    kind = subject.facts["backbone"]["class"]
    if subject.backbone:
        lines = ["import deltanb", "", f"model = {subject.backbone}.model"]
    elif known:
        labels = getattr(getattr(subject.delta.backbone_model, "config", None), "num_labels", 2)
        more = f", num_labels={labels}" if "Classification" in kind and labels != 2 else ""  # noqa: PLR2004 (the default)
        lines = ["import deltanb", f"from transformers import {kind}", "", f'model = {kind}.from_pretrained("{known}"{more})']
    else:
        lines = ["import deltanb", "", f"model = ...  # the {kind} that it was made on"]
    lines.append(f'delta = deltanb.AutoDeltaModel.from_finetuned("{subject.repo}", backbone_model=model)')
    notebook = f"In a notebook, once a backbone is chosen: `%delta load {subject.repo}`."
    return "\n".join(["## Load it", "", "```python", *lines, "```", "", notebook])


def _settings(subject: Subject) -> str:
    facts, delta = subject.facts, subject.delta
    hosts = [f"`{host}`" for host in facts["hosts"][:_MOST_HOSTS]]
    more = f" and {len(facts['hosts']) - _MOST_HOSTS} more" if len(facts["hosts"]) > _MOST_HOSTS else ""
    frozen = "; ".join(f"all but {', '.join(entry['exclude']) or 'nothing'}" for entry in facts["freeze"])
    rows = [
        ["type", facts["delta_type"]],
        *[[key, str(value)] for key, value in delta.config.options().items()],
        ["patterns", ", ".join(delta.modified_modules)],
        ["left out", ", ".join(delta.config.exclude_modules or [])],
        ["frozen", frozen or "nothing was declared"],
        ["versions", ", ".join(f"{name} {version}" for name, version in facts["versions"].items())],
    ]
    table = markdown(["setting", "value"], [row for row in rows if row[1]], [False, False])
    return f"## Settings\n\n{table}\n\nIt sits on {', '.join(hosts)}{more}."


def _parameters(subject: Subject) -> str:
    tree = snapshot(subject.delta.backbone_model)
    short, whole = ParameterTable(tree, by="delta"), ParameterTable(tree)
    others = [name for name in deltas(subject.delta.backbone_model) if name != subject.delta.name]
    said = [f"Also attached when this was drawn, and not in this repository: {', '.join(map(plain_markdown, others))}."] if others else []
    drawn = [f"![The structure of the model with the delta in it, folded, with its numbers of parameters]({STRUCTURE})"]
    return "\n\n".join(
        [
            "## Parameters",
            *said,
            short.markdown(),
            *(drawn if STRUCTURE in subject.pictures else []),
            f"<details><summary>Every group of modules</summary>\n\n{whole.markdown()}\n\n</details>",
        ]
    )


def _training(subject: Subject) -> str:
    run = subject.training
    if run is None:
        return ""
    settings = run.settings
    rows = [[name, f"{value:.3f}"] for name, value in run.metrics.items() if name in ("accuracy", "loss", "f1") and not math.isnan(value)]
    rows += [[name, f"{value:.3f}"] for name, value in run.levels.items()]
    rows += [["steps", number(run.steps_total)], ["learning rate", f"{settings['lr']:g}"], ["batch size", str(settings["batch_size"])]]
    rows += [["seed", str(settings["seed"])], ["time", duration(run.seconds)]]
    data = f"Trained on {plain_markdown(Path(str(settings['data'])).name)}, {plural(settings['rows'], 'row')}. "
    labels = f"Labels, in order: {', '.join(map(plain_markdown, run.label_names))}."
    drawn = [f"![Loss and accuracy by step]({CURVE})"] if CURVE in subject.pictures else []
    table = markdown(["on held-out rows, and how", "value"], rows, [False, True])
    return "\n\n".join(["## Training", data + plain_markdown(run.verdict), labels, *drawn, table])


def _licence(subject: Subject) -> str:
    known = base_model(subject.facts)
    backbone = f" The backbone has a licence of its own: see [its page](https://huggingface.co/{known})." if known else ""
    if subject.license:
        return f"## Licence\n\nThis delta: {plain_markdown(subject.license)}.{backbone}"
    none = "No licence has been chosen for this delta yet. Until its owner chooses one, others may look at it, and no more."
    return f"## Licence\n\n{none}{backbone}"
