"""The text of a training script: plain Python with arguments, for one process or many."""

from __future__ import annotations

import io
import json
import re
import tokenize
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Recipe", "double_quoted", "script_of"]

_WIDTH = 88  # ruff's own, and black's
_LONGEST = 140  # of a line of an argument


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a script is to do.

    Attributes:
        what: what trains, in a few words.
        backbone: default of ``--backbone``: a name, a hub id or an absolute folder.
        backbone_options: the other arguments of ``load_backbone``, as Python text.
        build: the lines that attach and freeze; ``model`` is the backbone's module.
        imports: module to the names that these lines use from it.
        data: default of ``--data``; empty: it has to be given.
        data_options: the other arguments of ``as_text_data``, as Python text.
        epochs: default of ``--epochs``, and so are the following of theirs.
        max_steps: None: by epochs.
        batch: rows of a step, over all processes.
        accumulate: in so many parts.
        rate: the learning rate.
        seed: of order and dropout.
        max_length: in tokens.
        rows: of the training rows; None: all.
        weight_decay: of AdamW.
        warmup: share of the steps.
        bf16: compute in bfloat16.
        trainer: further arguments of ``TrainingArguments``.
        deltas: whether deltas are saved at the end; else the whole model is.
        notes: what the reader has to know.
    """

    what: str
    backbone: str
    backbone_options: str = ""
    build: tuple[str, ...] = ()
    imports: dict[str, tuple[str, ...]] = field(default_factory=dict)
    data: str = ""
    data_options: str = ""
    epochs: float = 1
    max_steps: int | None = None
    batch: int = 32
    accumulate: int = 1
    rate: float = 1e-3
    seed: int = 0
    max_length: int = 128
    rows: int | None = None
    weight_decay: float = 0.01
    warmup: float = 0.1
    bf16: bool = False
    trainer: dict[str, Any] = field(default_factory=dict)
    deltas: bool = True
    notes: tuple[str, ...] = ()


_TEMPLATE = '''"""Trains @WHAT@. Written by `%delta code --script`; every line may be changed.

    python @NAME@ --output runs/first
    accelerate launch --num_processes 2 @NAME@ --output runs/first
    torchrun --nproc_per_node 2 @NAME@ --output runs/first

--batch counts the rows of a step over all processes together: two processes learn what one learns.
A run that was broken off goes on from its last checkpoint with --resume.
@NOTES@"""

import argparse
@PATHLIB@
import deltanb
import torch
import transformers
@IMPORTS@from deltanb.cluster import (
@CLUSTER@
)
from deltanb.datasets import as_text_data


def arguments() -> argparse.Namespace:
    """Read the command line; every default is what the notebook had."""
    parser = argparse.ArgumentParser(description="Trains @WHAT_PLAIN@.")
@ARGUMENTS@
    return parser.parse_args()


def build(args: argparse.Namespace) -> deltanb.Backbone:
    """Build the backbone with its deltas as in the notebook, the same in every process."""
    backbone = deltanb.load_backbone(@LOAD@)
@BUILD@
    return backbone


def train(args: argparse.Namespace) -> None:
    """Train, measure, save."""
    checkpoint = run_folder(args.output, resume=args.resume)
    backbone = build(args)
    data = as_text_data(@DATA@)
    rows, held_out = rows_of(backbone, data, max_length=args.max_length, rows=args.rows)
    trainer = DeltaTrainer(
        backbone,
        train_dataset=rows,
        eval_dataset=held_out,
        compute_metrics=accuracy,
        args=transformers.TrainingArguments(
            output_dir=args.output,
            num_train_epochs=args.epochs,
            max_steps=args.max_steps or -1,
            per_device_train_batch_size=rows_a_process(args.batch, args.accumulate),
            gradient_accumulation_steps=args.accumulate,
            dataloader_drop_last=True,  # every step has as many rows as any other, however many processes share them
            learning_rate=args.learning_rate,
            lr_scheduler_type="linear",
            warmup_steps=@WARMUP@,
            weight_decay=@DECAY@,
            seed=args.seed,
            bf16=args.bf16,
            save_strategy="steps",
            save_steps=args.save_every,
            save_total_limit=2,
            logging_steps=args.log_every,
            report_to="none",
            disable_tqdm=True,
            remove_unused_columns=False,
            use_cpu=not torch.accelerator.is_available(),
@TRAINER@        ),
    )
    trainer.train(resume_from_checkpoint=checkpoint)
    found = trainer.evaluate()
    trainer.save_state()
    trainer.save_model()  # all processes take part: what they share is put together
    if trainer.is_world_process_zero():
@SAVE@


def main() -> None:
    """Train as the command line says."""
    args = arguments()
    with plain_errors(args.output):
        train(args)


if __name__ == "__main__":
    main()
'''


def script_of(recipe: Recipe, name: str = "train.py") -> str:
    """The script.

    Args:
        recipe: what it is to do.
        name: of its file, for the lines that say how to run it.

    Example:
        >>> "torchrun --nproc_per_node 2 mine.py" in script_of(Recipe(what="lora", backbone="minilm"), "mine.py")
        True
    """
    helpers = ["DeltaTrainer", "accuracy", "plain_errors", "rows_a_process", "rows_of", "run_folder", *(["save_deltas"] * recipe.deltas)]
    load = ["args.backbone", *([recipe.backbone_options] if recipe.backbone_options else [])]
    data = ["args.data", *([recipe.data_options] if recipe.data_options else [])]
    filled = {
        "WHAT": _in_docstring(recipe.what),
        "WHAT_PLAIN": recipe.what.replace("\\", "/").replace('"', "'").replace("%", "%%"),
        "NAME": name if re.fullmatch(r"[\w.\-]+", name) else f"'{_in_docstring(name)}'",
        "NOTES": "".join(f"\n{_in_docstring(note)}\n" for note in recipe.notes),
        "PATHLIB": "" if recipe.deltas else "from pathlib import Path\n",
        "IMPORTS": "".join(_imported(home, names) for home, names in recipe.imports.items()),
        "CLUSTER": "\n".join(f"    {name}," for name in helpers),
        "ARGUMENTS": "\n".join(_arguments(recipe)),
        "LOAD": ", ".join(load),
        "BUILD": "\n".join(["    model = backbone.model", *(f"    {line}" for line in map(double_quoted, recipe.build))]),
        "DATA": ", ".join(data),
        "WARMUP": repr(recipe.warmup),
        "DECAY": repr(recipe.weight_decay),
        "TRAINER": "".join(f"            {key}={double_quoted(repr(value))},\n" for key, value in recipe.trainer.items()),
        "SAVE": "\n".join(f"        {line}" for line in _save(recipe)),
    }
    if not recipe.build:
        filled["BUILD"] = "    backbone.model.train()"
    # What the notebook gave Trainer stands in the place of what is usual.
    usual = [line for line in _TEMPLATE.splitlines(keepends=True) if line.strip().partition("=")[0] not in recipe.trainer]
    return re.sub("@([A-Z_]+)@", lambda found: filled[found.group(1)], "".join(usual))


def _save(recipe: Recipe) -> list[str]:
    said = "print(f\"accuracy {found['eval_accuracy']:.3f}, saved: {saved}\")"
    if recipe.deltas:
        return ['saved = ", ".join(map(str, save_deltas(build(args), args.output)))', said]
    return ['saved = Path(args.output) / "model"', "trainer.accelerator.unwrap_model(trainer.model).save_pretrained(saved)", said]


def _arguments(recipe: Recipe) -> list[str]:
    rows = [
        ("--output", 'default="run"', "folder for checkpoints and deltas"),
        ("--backbone", f"default={_text(recipe.backbone)}", "a name, a hub id or a folder"),
        ("--data", f"default={_text(recipe.data)}" if recipe.data else "required=True", "a shipped data set or a file"),
        ("--rows", f"type=int, default={recipe.rows}", "train on so many rows; default: all"),
        ("--epochs", f"type=float, default={recipe.epochs!r}", "passes over the training rows"),
        ("--max-steps", f"type=int, default={recipe.max_steps}", "stop after so many steps, whatever --epochs says"),
        ("--batch", f"type=int, default={recipe.batch}", "rows of a step, over all processes together"),
        ("--accumulate", f"type=int, default={recipe.accumulate}", "take a step's rows in so many parts"),
        ("--learning-rate", f"type=float, default={recipe.rate!r}", "the highest; it rises and falls"),
        ("--seed", f"type=int, default={recipe.seed}", "of the order of rows and of dropout"),
        ("--max-length", f"type=int, default={recipe.max_length}", "in tokens; the rest of a longer text is cut"),
        ("--save-every", "type=int, default=100", "steps from one checkpoint to the next"),
        ("--log-every", "type=int, default=10", "steps from one line of the log to the next"),
        ("--bf16", f"action=argparse.BooleanOptionalAction, default={recipe.bf16}", "compute in bfloat16 where that is safe"),
        ("--resume", 'action="store_true"', "go on from the last whole checkpoint"),
    ]
    return [_argument(*row) for row in rows]


def _argument(name: str, kind: str, said: str) -> str:
    """One argument: in a line, or, where a long path stands in it, each part in its own."""
    parts = [f'"{name}"', kind, f'help="{said}"']
    line = f"    parser.add_argument({', '.join(parts)})"
    if len(line) <= _LONGEST:
        return line
    return "\n".join(["    parser.add_argument(", *(f"        {part}," for part in parts), "    )"])


def _imported(home: str, names: tuple[str, ...]) -> str:
    """An import as formatters write it: in one line where that fits."""
    line = f"from {home} import {', '.join(names)}\n"
    return line if len(line) <= _WIDTH else "".join([f"from {home} import (\n", *(f"    {name},\n" for name in names), ")\n"])


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _in_docstring(text: str) -> str:
    return " ".join(text.split()).replace("\\", "/").replace('"', "'")


def double_quoted(line: str) -> str:
    r"""A line of Python whose strings are in double quotes where they can be.

    Example:
        >>> double_quoted("lora = LoraModel(model, modified_modules=['query'])")
        'lora = LoraModel(model, modified_modules=["query"])'
    """
    found = []
    for token in tokenize.generate_tokens(io.StringIO(line).readline):
        text = token.string
        if token.type == tokenize.STRING and text.startswith("'") and not set('"\\') & set(text):
            text = f'"{text[1:-1]}"'
        found.append((token.start, token.end, text))
    out, at = "", 0
    for start, end, text in found:
        if start[0] == 1 and text.strip():
            out += " " * (start[1] - at) + text
            at = end[1]
    return out
