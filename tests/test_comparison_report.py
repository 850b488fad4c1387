"""The report of a comparison, and the grammar of what is compared."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltanb import AdapterConfig, LoraConfig
from deltanb._errors import DeltaError
from deltanb.comparison import asked_for
from deltanb.comparison._candidates import expanded
from deltanb.comparison._layers import left_out, numbers
from deltanb.reports import ComparisonReport, Contender
from deltanb.reports._pareto import Point, front, pareto_svg
from tests.models import bart, bert
from tests.sanitiser import read_safe

if TYPE_CHECKING:
    from collections.abc import Callable

SVG = "{http://www.w3.org/2000/svg}"


def contender(name: str, trainable: int, *accuracies: float, planned: int = 3, **measures: Any) -> Contender:
    base = {"trainable": trainable, "total": 100_000, "file_bytes": 4 * trainable, "step_seconds": 0.0214, "peak_mb": 812.4, "rows": 500}
    runs = [{"seed": seed, **base, "accuracy": accuracy, **measures} for seed, accuracy in enumerate(accuracies)]
    return Contender(name, name.split(maxsplit=1)[0], planned, {"patterns": "", "layers": "", "options": "", "lr": None}, runs)


def example() -> ComparisonReport:
    full = contender("full", 100_000, 0.81, planned=2, step_seconds=12.5, peak_mb=2400.0)
    full.failed[1] = "The loss is no number any more."
    contenders = [
        contender("adapter", 22_685, 0.80, 0.79, 0.78),
        contender("lora r=2", 1_920, 0.75, 0.79, 0.77),
        contender("lora r=8", 7_449, 0.81, 0.80, 0.79, step_seconds=math.nan),
        contender("head", 770, 0.66, 0.67, 0.65),
        full,
        contender("bitfit", 2_611),
    ]
    return ComparisonReport("minilm", "films", contenders, "18 runs, 100 steps each.", ["one <note>"], interrupted=True, folder="runs")


def test_the_drawn_table(golden: Callable[[str, str], None]) -> None:
    golden("comparison.txt", example().text() + "\n")


def test_the_table_is_right_by_a_recount() -> None:
    report = example()
    found = report.df.set_index("name")
    for name, runs in report.runs.groupby("name"):
        accuracies = runs["accuracy"].tolist()
        row = found.loc[str(name)]
        assert row["accuracy"] == pytest.approx(sum(accuracies) / len(accuracies))
        wanted = statistics.stdev(accuracies) if len(accuracies) > 1 else math.nan
        assert row["spread"] == pytest.approx(wanted, nan_ok=True)
        assert row["runs"] == len(runs)
        assert row["file_bytes"] == runs["file_bytes"].mean()
    assert found["front"].to_dict() == {
        "adapter": False,
        "lora r=2": True,
        "lora r=8": True,
        "head": True,
        "full": True,
        "bitfit": False,
    }
    assert found.loc["bitfit", "runs"] == 0


def test_the_verdict_says_what_may_be_chance() -> None:
    sure = ComparisonReport("x", "y", [contender("a", 10, 0.9, planned=1, rows=5000), contender("b", 5, 0.7, planned=1, rows=5000)])
    assert sure.verdict == "Best: a, 0.900; 10 trainable parameters."
    unsure = ComparisonReport("x", "y", [contender("a", 10, 0.90, planned=1, rows=100), contender("b", 5, 0.89, planned=1, rows=100)])
    assert unsure.verdict == "Best: a, 0.900; 10 trainable parameters. Not clearly better than b; b trains only 5."


def test_html_survives_a_sanitiser_and_says_the_same() -> None:
    html = example().html()
    reader = read_safe(html)
    said = " ".join(reader.texts)
    for word in ("lora r=8", "7,449", "±0.010", "Stopped after 13 of 17 runs", "one <note>", "The loss is no number any more."):
        assert word in said
    alt = next(value for tag, name, value in reader.found if (tag, name) == ("img", "alt"))
    assert "lora r=8: 0.800 with 7,449 trainable parameters, on the front." in alt
    assert "adapter: 0.790 with 22,685 trainable parameters." in alt
    assert "<img" not in ComparisonReport("x", "y", [contender("a", 1)]).html()


def test_the_picture_tells_the_front_without_colour() -> None:
    root = ET.fromstring(example().svg())  # noqa: S314
    marks = [one for one in root.iter(f"{SVG}polygon") if one.get("class") == "front"]
    circles = list(root.iter(f"{SVG}circle"))
    assert len(marks) - 1 == 4  # one stands in the legend
    assert len(circles) - 1 == 1
    bold = {one.text for one in root.iter(f"{SVG}text") if one.get("font-weight") == "bold"}
    assert {"lora r=2", "lora r=8", "head", "full"} < bold
    assert "adapter" not in bold
    assert root.get("role") == "img"
    ids = {one.get("id") for one in root.iter()}
    assert set((root.get("aria-labelledby") or "").split()) <= ids
    assert "on the front" in (root.findtext(f"{SVG}desc") or "")


points = st.builds(
    Point, st.text(max_size=6), st.integers(1, 10**9), st.floats(0, 1), st.floats(0, 0.2)
)  # names of any letters, huge and equal values


@given(st.lists(points, max_size=12))
def test_the_front_is_what_nothing_beats(found: list[Point]) -> None:
    def dominated(one: Point) -> bool:
        no_worse = [other for other in found if other.accuracy >= one.accuracy and other.trainable <= one.trainable]
        return any(other.accuracy > one.accuracy or other.trainable < one.trainable for other in no_worse)

    assert front(found) == [not dominated(one) for one in found]
    assert not found or any(front(found))


@given(st.lists(points, max_size=8))
def test_whatever_there_is_can_be_drawn(found: list[Point]) -> None:
    drawable = [Point("".join(char for char in one.name if char.isprintable()), one.trainable, one.accuracy, one.spread) for one in found]
    root = ET.fromstring(pareto_svg(drawable))  # noqa: S314
    assert len(list(root.iter(f"{SVG}circle"))) - 1 + len(list(root.iter(f"{SVG}polygon"))) - 1 == len(found)
    for mark in root.iter(f"{SVG}circle"):
        assert 0 <= float(mark.get("cx", "-1")) <= 760
        assert 0 <= float(mark.get("cy", "-1")) <= 360


# The grammar --------------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 64), min_size=1, max_size=4, unique=True), st.lists(st.integers(1, 64), min_size=1, max_size=3, unique=True))
def test_lists_of_values_make_each_combination_once(ranks: list[int], alphas: list[int]) -> None:
    words = f"lora query r={','.join(map(str, ranks))} alpha={','.join(map(str, alphas))}"
    found = expanded(asked_for(words), {}, [])
    assert [(one.options["lora_r"], one.options["lora_alpha"]) for one in found] == [(r, a) for r in ranks for a in alphas]
    assert len({one.name for one in found}) == len(found)
    in_python = expanded(asked_for([{"delta_type": "lora", "modified_modules": "query", "r": ranks, "alpha": alphas}]), {}, [])
    assert in_python == found


def names(candidates: object, shared: dict[str, Any] | None = None, layers: list[str] | None = None, **more: Any) -> list[str]:
    return [one.name for one in expanded(asked_for(candidates), shared or {}, layers or [], **more)]


def test_each_type_begins_an_entry_and_what_follows_belongs_to_it() -> None:
    assert names("adapter output.dense b=4 lora query lora query,value r=2 head") == [
        *("adapter output.dense b=4", "lora query", "lora query,value r=2", "head"),
    ]
    assert names(["lora", "query", "bitfit"]) == ["lora query", "bitfit"]
    assert names("lora '[r]layer.(0|1).*query'") == ["lora [r]layer.(0|1).*query"]


def test_options_for_all_reach_those_that_have_them_and_no_own_value() -> None:
    assert names("lora bitfit lora r=4", {"r": "1,2"}) == ["lora r=1", "lora r=2", "bitfit", "lora r=4"]
    assert names("adapter parallel_adapter", {"bottleneck_dim": [8]}) == ["adapter bottleneck_dim=8", "parallel_adapter bottleneck_dim=8"]


def test_learning_rates_and_layers_are_tried_in_turn() -> None:
    assert names("lora head", layers=["0-1", "all"]) == ["lora layers 0-1", "lora", "head"]
    assert names("lora lr=0.1 head", rates="1e-3,3e-3") == ["lora lr=0.1", "head lr=0.001", "head lr=0.003"]


def test_the_same_in_two_spellings_is_one() -> None:
    assert names("lora r=2 lora lora_r=2 lora") == ["lora r=2", "lora"]


def test_configs_and_dictionaries() -> None:
    assert names([LoraConfig(lora_r=3, modified_modules=["query"]), AdapterConfig()]) == ["lora query lora_r=3", "adapter"]
    entry = {"delta_type": "lora", "exclude_modules": ["layer.0"]}
    assert names([entry, {"delta_type": "lora"}]) == ["lora without layer.0", "lora"]
    assert names([{"delta_type": "ia3", "feedforward_modules": ["output.dense"]}]) == ["ia3 feedforward_modules=['output.dense']"]


@given(st.sets(st.integers(0, 30), min_size=1, max_size=6))
def test_numbers_of_layers(wanted: set[int]) -> None:
    assert numbers(",".join(map(str, wanted))) == wanted
    assert numbers(f"{min(wanted)}-{max(wanted)}") == set(range(min(wanted), max(wanted) + 1))


@pytest.mark.parametrize("text", ["", "a", "1-", "3-1", "-1", "1,,2", "1.5", "\u0661"])  # the last is a digit to Python
def test_what_says_no_layers(text: str) -> None:
    with pytest.raises(DeltaError, match="says no layers"):
        numbers(text)


def test_layers_of_both_stacks_of_an_encoder_decoder() -> None:
    model = bart()
    stacks = [name for name, module in model.named_modules() if name.endswith(".layers")]
    hosts = [name for name, _ in model.named_modules() if name.endswith(("fc2", "layernorm_embedding"))]
    found = left_out(model, hosts, "1", "adapter")
    assert {f"{stack}.0" for stack in stacks} <= set(found)
    assert not any(name.endswith(".1") for name in found)
    assert {name for name in found if name.endswith("layernorm_embedding")} == {n for n in hosts if n.endswith("layernorm_embedding")}
    assert left_out(bert(), ["bert"], "", "adapter") == []
