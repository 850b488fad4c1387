"""Plans: what fits a budget, and whether it then is what was promised."""

from __future__ import annotations

import shlex
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.interactiveshell import InteractiveShell

import deltanb
from benchmarks._harness import interleave_cases
from deltanb._errors import DeltaError
from deltanb.engine import DELTA_TYPES, PROCESS_BYTES, Outlook, Planned, training_memory
from deltanb.planning import limits_of, read_bytes, read_count
from deltanb.workbench import Workbench
from tests.models import FAMILIES, assert_same, make, same_state, trainable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import nn

    from deltanb.reports import PlannedRow

BUDGETS: list[dict[str, Any]] = [{"budget": "5%"}, {"budget": "1k"}, {"file": "20kB"}, {"file": "8kB", "budget": "2k"}]
LARGE = {"hidden_size": 64, "num_hidden_layers": 6, "num_attention_heads": 4, "intermediate_size": 128}


def carried_out(model: nn.Module, row: PlannedRow, folder: Path) -> tuple[int, int, int]:
    """Hosts, what trains, and the size of the file, after the row's own line was run."""
    bench = Workbench()
    bench.adopt(model)
    words, _, left_out = row.line.removeprefix("%delta attach ").partition(" --exclude ")
    kind, *options = shlex.split(words)
    delta = bench.attach(kind, exclude=shlex.split(left_out) or None, **dict(option.split("=") for option in options)).value
    bench.freeze(["deltas"])
    delta.save_finetuned(folder)
    return len(delta.hosts), trainable(model), (folder / "model.safetensors").stat().st_size


@pytest.mark.parametrize("budget", BUDGETS, ids=str)
def test_counts_and_files_are_exactly_what_attaching_and_saving_give(budget: dict[str, Any], tmp_path: Path) -> None:
    model = make("bert", **LARGE)
    found = deltanb.plans(model, **budget)
    assert sorted(row.delta_type for row in found.rows) == sorted(DELTA_TYPES)
    for row in found.rows:
        if row.fits:
            fresh = make("bert", **LARGE)
            assert carried_out(fresh, row, tmp_path / row.delta_type) == (row.hosts, row.parameters, row.file_bytes), row.line


@pytest.mark.parametrize("family", [pytest.param(name, marks=() if name in ("gpt2", "bart") else pytest.mark.slow) for name in FAMILIES])
def test_it_holds_in_every_family(family: str, tmp_path: Path) -> None:
    try:
        rows = deltanb.plans(make(family), budget="3%").rows
    except DeltaError as error:
        pytest.skip(str(error))
    for row in rows:
        if row.fits:
            found = carried_out(make(family), row, tmp_path / row.delta_type)
            assert found == (row.hosts, row.parameters, row.file_bytes), row.line


def test_the_largest_that_fits_is_taken_and_one_more_would_not() -> None:
    model = make("bert", **LARGE)
    for kind, option in (("lora", "lora_r"), ("adapter", "bottleneck_dim"), ("soft_prompt", "soft_token_num")):
        row = deltanb.plans(model, kind, budget=5_000).rows[0]
        assert row.parameters <= 5_000 < deltanb.plan(model, kind, **{option: row.options[option] + 1}).parameters
        row = deltanb.plans(model, kind, file="50kB").rows[0]
        assert row.file_bytes <= 50_000
        more = deltanb.plans(model, kind, file=row.file_bytes).rows[0]
        assert more.options == row.options
        assert deltanb.plans(model, kind, file=row.file_bytes - 1).rows[0].options[option] == row.options[option] - 1


def test_where_the_smallest_does_not_fit_the_last_layers_carry_it() -> None:
    model = make("bert", **LARGE)
    row = deltanb.plans(model, "lora", budget=1_000).rows[0]  # rank 1 costs 256 a layer
    assert (row.layers, row.parameters, row.options) == ("last 3 of 6", 768, {"lora_r": 1})
    assert row.exclude == ["bert.encoder.layer.0-2"]
    names = deltanb.LoraModel(model, exclude_modules=row.exclude, **row.options).hosts
    assert {int(name.split(".")[3]) for name in names} == {3, 4, 5}


def test_a_rank_is_never_wider_than_its_hosts() -> None:
    rows = {row.delta_type: row.options for row in deltanb.plans(make("bert", **LARGE), budget="1000%").rows}
    assert (rows["lora"], rows["adapter"], rows["soft_prompt"]) == ({"lora_r": 64}, {"bottleneck_dim": 64}, {"soft_token_num": 128})


def test_memory_counts_the_process_and_every_limit_holds() -> None:
    model = make("bert", **LARGE)
    limits: dict[str, Any] = {"memory": PROCESS_BYTES + 12_000_000, "budget": "10%", "file": "100kB"}
    for row in deltanb.plans(model, batch=4, length=32, **limits).rows:
        good = row.memory["total"] + PROCESS_BYTES <= limits["memory"] and row.file_bytes <= 100_000 and row.share <= 0.1
        assert row.fits == good
    longer = deltanb.plans(model, "bitfit", batch=4, length=64).rows[0]
    assert longer.memory["activations"] > 2 * deltanb.plans(model, "bitfit", batch=4, length=32).rows[0].memory["activations"]


@pytest.mark.parametrize("kind", sorted(DELTA_TYPES))
def test_memory_of_a_plan_is_that_of_the_attached_delta(kind: str) -> None:
    model = make("bert", **LARGE)
    row = deltanb.plans(model, kind).rows[0]
    delta = getattr(deltanb, row.model_class)(model, **row.options)
    delta.freeze_module(exclude=["deltas"])
    found = training_memory(model)
    parts = ("gradients", "optimizer") if kind == "soft_prompt" else ("gradients", "optimizer", "activations")  # its rows are in the text
    if kind == "prefix":
        parts = parts[:2]  # all rows come from one network under the first attention
    assert {part: row.memory[part] for part in parts} == {part: found[part] for part in parts}


def test_what_stays_trainable_beside_a_plan_is_counted() -> None:
    look = Outlook(make("bert"))
    alone, both = (
        look.memory(2, 8, Planned("lora", ["bert.encoder.layer.1.output.dense"], 10, also=also)) for also in ((), ("classifier",))
    )
    assert both["gradients"] - alone["gradients"] == 4 * (16 * 2 + 2)


def test_nothing_is_attached_or_changed() -> None:
    model = make("bert")
    before = same_state(model)
    deltanb.plans(model, budget="5%", file="1MB", memory="2GB")
    assert_same(same_state(model), before)
    assert not deltanb.deltas(model)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_upper_layers_cost_less_and_nothing_costs_as_much_as_everything() -> None:
    model = make("bert", **LARGE)
    whole, part = (deltanb.plans(model, "lora", budget=budget).rows[0] for budget in (1536, 1000))
    assert whole.options == part.options
    assert 1 / 3 < part.step_cost < whole.step_cost < 1


def test_a_report_draws_itself_and_its_code_makes_it_again() -> None:
    model = make("bert", **LARGE)
    found = deltanb.plans(model, ["lora", "bitfit"], budget="3%", length=64)
    again = eval(found.code, {"deltanb": deltanb, "model": model})  # noqa: S307 - the report's own line
    assert again.rows == found.rows
    assert list(found.df.line) == [row.line for row in found.rows]
    assert found.df.memory_bytes[0] == found.rows[0].memory["total"] + PROCESS_BYTES
    for row in found.rows:
        assert row.line in found.text()
        assert row.line in found.html()
        fresh = make("bert", **LARGE)
        assert sum(p.numel() for p in eval(row.code, {"deltanb": deltanb, "model": fresh}).parameters()) in (row.parameters, 0)  # noqa: S307


def test_types_without_a_place_are_left_out_unless_they_are_asked_for() -> None:
    found = deltanb.plans(make("vit"), budget="5%")
    assert "soft_prompt" in found.left_out
    assert "soft_prompt is left out" in found.text()
    with pytest.raises(DeltaError):
        deltanb.plans(make("vit"), "soft_prompt", budget="5%")


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["8x64", "4x128"])
@pytest.mark.parametrize("kind", ["adapter", "lora", "bitfit", "full"])
@pytest.mark.parametrize("model", ["MiniLM-sized", "DistilBERT"])
def test_memory_is_within_fifteen_hundredths_of_what_a_fresh_process_takes(model: str, kind: str, shape: str) -> None:
    found = interleave_cases("bench_memory", [f"{model}/{kind}/{shape}"], 1)[f"{model}/{kind}/{shape}"][0]
    assert found["predicted"] == pytest.approx(found["taken"], rel=0.15)


# Reading amounts ------------------------------------------------------------------------------------------------------

UNITS = {"": 1, "B": 1, "kB": 1000, "MB": 10**6, "GB": 10**9, "KiB": 1024, "MiB": 1024**2, "gib": 1024**3, "mb": 10**6}


@given(st.integers(1, 10**6), st.sampled_from(sorted(UNITS)), st.sampled_from(["", " "]))
def test_a_size_is_its_number_times_its_unit(number: int, unit: str, gap: str) -> None:
    assert read_bytes(f"{number}{gap}{unit}") == number * UNITS[unit]
    assert read_bytes(f"{number}.5{unit}") == (2 * number + 1) * UNITS[unit] // 2


@given(st.integers(1, 10**5), st.integers(1, 10**12))
def test_a_share_is_never_rounded_up(thousandths: int, total: int) -> None:
    exact = total * thousandths // 100_000
    if exact:
        assert read_count(f"{thousandths / 1000:.3f}%", total) == exact
    else:
        with pytest.raises(DeltaError, match="less than one parameter"):
            read_count(f"{thousandths / 1000:.3f}%", total)


@given(st.text(max_size=12))
def test_any_text_is_an_amount_above_zero_or_an_error(text: str) -> None:
    for read in (read_bytes, lambda given: read_count(given, 1000)):
        with suppress(DeltaError):
            assert read(text) > 0


@pytest.mark.parametrize("wrong", [True, None, [], float("nan"), float("inf"), -3, 0, "1MB2", "--", "1e9999", b"1"])
def test_what_is_no_amount(wrong: object) -> None:
    with pytest.raises(DeltaError):
        read_bytes(wrong)


def test_limits_are_said_as_they_were_asked_for() -> None:
    assert limits_of(1000, 300, "1MB", "2 GB").said == "300 parameters, a file of 1MB, 2 GB of memory"


# In a notebook --------------------------------------------------------------------------------------------------------


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    made = InteractiveShell()
    made.run_line_magic("load_ext", "deltanb")
    made.user_ns["m"] = make("bert", **LARGE)
    made.run_line_magic("delta", "backbone m")
    yield made
    made.run_line_magic("unload_ext", "deltanb")


def test_a_line_plans_and_its_answer_can_be_run(shell: InteractiveShell) -> None:
    found = shell.run_line_magic("delta", "plan lora adapter --budget 5% --file 1MB --memory 2GB --batch 4 --length 16")
    assert [row.delta_type for row in found.rows] == ["lora", "adapter"] or found.rows[0].parameters >= found.rows[1].parameters
    assert (found.batch, found.length) == (4, 16)
    shell.run_line_magic("delta", found.rows[0].line.removeprefix("%delta "))
    shell.run_line_magic("delta", "freeze --exclude deltas")
    assert trainable(shell.user_ns["m"]) == found.rows[0].parameters
    assert shell.run_line_magic("delta", "plan lora --budget 5%").rows[0].fits  # another one is attached, which changes nothing


WRONG = {
    "--budget 0": "not above 0",
    "--budget -1%": "not above 0",
    "--budget abc": "no amount",
    "--file 1XB": "no unit",
    "--file 10%": "no unit",
    "--budget 0.1": "Did you mean 0.1%",
    "--budget 3": "The smallest there is: soft_prompt soft_token_num=1; 64 parameters",
    "--memory 1MB": "The smallest there is: ln_tuning, last 1 of 6 layers",
    "lorra --budget 1%": "Nearest: lora",
    "--batch 0": "--batch must be",
    "--length x": "--length must be",
    "--budget": "needs a value",
    "--size 3": "has no option",
}


@pytest.mark.parametrize("line", WRONG)
def test_a_mistake_is_one_paragraph_and_changes_nothing(line: str, shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    shell.run_cell(f"%delta plan {line}")
    said = " ".join(capsys.readouterr().out.split())
    assert "DeltaError" in said
    assert WRONG[line] in said
    assert "Traceback" not in said
    assert "Attached" not in str(shell.run_line_magic("delta", "code"))
    assert trainable(shell.user_ns["m"]) == sum(p.numel() for p in shell.user_ns["m"].parameters())


def test_help_and_completion_know_it(shell: InteractiveShell) -> None:
    from deltanb.magics._complete import candidates

    assert "--budget" in str(shell.run_line_magic("delta", "help plan"))
    offered = [name for name, _ in candidates("plan lora ", shell.magics_manager.registry["DeltaMagics"])]
    assert "adapter" in offered
    assert "--memory" in offered
    assert "lora" not in offered
