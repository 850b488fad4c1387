"""The Explorer's code runs as it is shown, and does the same as its buttons; PEFT's puts its layers on exactly the same modules."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from deltanb.engine import deltas, describe_types, match
from deltanb.structure import snapshot
from deltanb.widgets._code import attach_line, done, freeze_line
from deltanb.widgets._payload import payload
from deltanb.workbench import Workbench
from tests.models import bert, make

ROOT = Path(__file__).resolve().parent.parent
NODE = Path(sys.executable).parent / "node"
RUNNER = ROOT / "js" / "test" / "support" / "code_of.js"

# family, pattern, type, options, further words of the state
CASES: list[tuple[str, str, str, dict[str, Any], dict[str, str]]] = [
    ("bert", "query value", "lora", {"lora_r": 2}, {}),
    ("bert", "query", "lora", {"lora_r": 2, "lora_alpha": 3, "use_rslora": True}, {"freeze_exclude": "deltas classifier"}),
    ("bert", "layer.1.attention.self.query layer.0.output.dense", "lora", {"use_dora": True}, {"delta_name": "reviews"}),
    ("bert", "output.dense", "lora", {}, {"exclude": "attention"}),
    ("bert", "dense", "lora", {}, {"exclude": "layer.0"}),
    ("bert", "word_embeddings", "lora", {"lora_dropout": 0.1}, {}),
    ("bert", "'[r]layer\\.\\d\\.attention\\.self\\.(query|key)'", "lora", {}, {}),
    ("bert", "attn@.q@ 'attn@.k@, v@'", "lora", {}, {}),
    ("bert", "", "lora", {}, {}),
    ("bert", "key value output.dense", "ia3", {}, {"exclude": "attention.output"}),
    ("bert", "key output.dense", "ia3", {"feedforward_modules": ["key"]}, {}),
    ("bert", "intermediate.dense", "ia3", {"feedforward_modules": ["intermediate.dense"]}, {}),
    ("bert", "LayerNorm", "ln_tuning", {}, {}),
    ("bert", "layer.1.output.LayerNorm", "ln_tuning", {}, {"freeze_exclude": "deltas classifier"}),
    ("bert", "", "soft_prompt", {"soft_token_num": 5}, {}),
    ("bert", "", "prefix", {"prefix_token_num": 3, "reparameterize": False}, {}),
    ("bart", "fc2", "adapter", {"bottleneck_dim": 12}, {}),
    ("bart", "decoder.layers.$.fc1 q_proj,v_proj", "lora", {"lora_r": 1}, {}),
    ("bart", "encoder.layers.0-1.fc2", "ia3", {}, {}),
    ("bart", "self_attn_layer_norm", "ln_tuning", {}, {"exclude": "decoder"}),
    ("bart", "fc1 fc2", "parallel_adapter", {"bottleneck_dim": 3, "scaled": 4}, {}),
    ("bart", "fc2", "compacter", {"reduction_factor": 4, "learn_phm": False}, {"delta_name": "reviews"}),
    ("bart", "fc2", "low_rank_adapter", {"reduction_factor": 4}, {}),
    ("bart", "fc2 self_attn_layer_norm", "bitfit", {}, {}),
    ("bart", "q_proj", "lora", {"rank_pattern": {"decoder.layers.1.self_attn.q_proj": 3}}, {}),
    ("gpt2", "c_attn", "lora", {"lora_r": 2}, {}),
    ("gpt2", "c_attn mlp.c_proj", "ia3", {}, {}),
    ("llama", "q_proj gate_proj", "lora", {"lora_r": 2}, {}),
    ("t5", "q wo", "lora", {"lora_r": 2}, {}),
]
PEFT = {"lora": "LORA", "ia3": "IA3", "ln_tuning": "LN_TUNING", "soft_prompt": "PROMPT_TUNING", "prefix": "PREFIX_TUNING"}


def state_of(case: tuple[str, str, str, dict[str, Any], dict[str, str]]) -> dict[str, Any]:
    family, pattern, kind, options, more = case
    found = {
        "structure": payload(make(family)),
        "types": describe_types(),
        "pattern": pattern,
        "delta_type": kind,
        "delta_options": options,
    }
    return {**found, "delta_name": "", "freeze_exclude": "deltas", **more}


@cache
def codes() -> list[list[str]]:
    """For each case the ``%delta`` lines, the Python and the PEFT that the browser shows."""
    if not NODE.exists():
        pytest.skip("Node.js is not installed")
    said = subprocess.run(
        [str(NODE), str(RUNNER)], input=json.dumps([state_of(case) for case in CASES]), capture_output=True, text=True, check=True
    )
    return json.loads(said.stdout)  # type: ignore[no-any-return]


def attached(case: tuple[str, str, str, dict[str, Any], dict[str, str]]) -> Any:
    """A workbench on which the panel's *Attach* and *Freeze* were pressed, as the Explorer does it."""
    from deltanb.addressing._split import split_patterns

    family, pattern, kind, options, more = case
    bench = Workbench()
    bench.backbone(make(family))
    exclude = split_patterns(more.get("exclude", "")) or None
    bench.attach(kind, split_patterns(pattern) or None, name=more.get("delta_name") or None, exclude=exclude, **options)
    bench.freeze(split_patterns(more.get("freeze_exclude", "deltas")))
    return bench


def shape_of(model: Any) -> dict[str, tuple[tuple[int, ...], bool]]:
    return {name: (tuple(p.shape), p.requires_grad) for name, p in model.named_parameters()}


@pytest.mark.parametrize("at", range(len(CASES)), ids=[f"{c[0]}-{c[2]}-{c[1]}" for c in CASES])
def test_the_python_that_is_shown_runs_and_does_what_the_buttons_do(at: int, capsys: pytest.CaptureFixture[str]) -> None:
    model = make(CASES[at][0])
    exec(codes()[at][1], {"model": model})  # noqa: S102 - it is the text under test
    assert shape_of(model) == shape_of(attached(CASES[at]).model)
    assert "trainable" in capsys.readouterr().out


@pytest.mark.parametrize("at", range(len(CASES)), ids=[f"{c[0]}-{c[2]}-{c[1]}" for c in CASES])
def test_the_delta_lines_that_are_shown_run_in_a_notebook(at: int) -> None:
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "deltanb")
    shell.user_ns["mine"] = make(CASES[at][0])
    assert shell.run_cell("%delta backbone {mine}").success
    for line in codes()[at][0].splitlines():
        ran = shell.run_cell(line)
        assert ran.error_in_exec is None, line
    assert shape_of(shell.user_ns["mine"]) == shape_of(attached(CASES[at]).model)


@pytest.mark.parametrize(
    "at", [i for i, case in enumerate(CASES) if case[2] in PEFT], ids=lambda i: f"{CASES[i][0]}-{CASES[i][2]}-{CASES[i][1]}"
)
def test_the_peft_that_is_shown_changes_the_same_modules(at: int) -> None:
    family, _, kind, options, _ = CASES[at]
    model = make(family)
    ours = attached(CASES[at])
    text = codes()[at][2].replace('r"', '"')
    space: dict[str, Any] = {"model": model}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(text, space)  # noqa: S102 - it is the text under test
    theirs = space["model"]
    assert theirs.active_peft_config.peft_type == PEFT[kind]
    delta = next(iter(deltas(ours.model).values()))
    if kind in ("lora", "ia3", "ln_tuning"):
        assert [name.removeprefix("base_model.model.") for name, module in theirs.named_modules() if layer(module)] == delta.hosts
    if not options.get("rank_pattern"):
        counted = sum(p.numel() for p in theirs.parameters() if p.requires_grad)
        assert counted == snapshot(ours.model).counts.trainable + head_of(theirs, ours.model)


def layer(module: Any) -> bool:
    return type(module).__module__.startswith("peft.tuners") and hasattr(module, "base_layer")


def head_of(theirs: Any, ours: Any) -> int:
    """The head that PEFT trains by itself where it is told the task, and ours where nothing says so does not."""
    kept = [name for name, module in theirs.named_modules() if type(module).__name__ == "ModulesToSaveWrapper"]
    names = {name.rpartition("base_model.")[2].removeprefix("model.") for name in kept}
    return sum(p.numel() for name in names for p in ours.get_submodule(name).parameters() if not p.requires_grad)


@pytest.mark.parametrize("kind", ["adapter", "parallel_adapter", "low_rank_adapter", "compacter", "bitfit"])
def test_what_peft_lacks_is_said(kind: str) -> None:
    texts = [codes()[at][2] for at, case in enumerate(CASES) if case[2] == kind]
    assert texts
    assert all(text.startswith("# PEFT has no ") and "\n" not in text for text in texts)


def test_the_line_of_a_click_is_the_line_that_is_shown() -> None:
    from deltanb.addressing._split import split_patterns

    for case, texts in zip(CASES, codes(), strict=True):
        _, pattern, kind, options, more = case
        exclude = split_patterns(more.get("exclude", ""))
        line = attach_line(kind, split_patterns(pattern), exclude=exclude, name=more.get("delta_name", ""), options=options)
        freeze = freeze_line(split_patterns(more.get("freeze_exclude", "deltas")))
        assert texts[0].splitlines()[-2:] == [line, freeze]


def test_what_was_done_tells_where_each_delta_sits() -> None:
    bench = Workbench()
    bench.backbone(bert())
    bench.attach("ia3", ["key", "layer.0.output.dense"])
    bench.freeze(["deltas", "classifier"])
    (told,) = done(bench)["deltas"]
    assert told["hosts"] == match(bench.model, ["key", "layer.0.output.dense"]).names
    assert told["inward"] == ["bert.encoder.layer.0.output.dense"]
    assert told["freeze"] == ["deltas", "classifier"]
    assert told["parameters"] == snapshot(bench.model).counts.delta
    assert json.loads(json.dumps(done(bench))) == done(bench)
