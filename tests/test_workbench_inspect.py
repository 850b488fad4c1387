"""``%delta inspect``: the report, its code, and that a look stays a look."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from deltanb._errors import DeltaError
from deltanb.backbones._byte_tokenizer import byte_tokenizer
from deltanb.magics._complete import candidates
from deltanb.reports import AnatomyReport
from deltanb.reports.anatomy import figure
from deltanb.workbench import Workbench
from tests.models import bert, stir
from tests.sanitiser import read_safe
from tests.test_magics import bench_of, fails, model, one_shell, run, shell
from tests.test_workbench import ROWS

__all__ = ["model", "one_shell", "shell"]  # fixtures


@pytest.fixture
def bench() -> Workbench:
    found = Workbench()
    found.backbone("bert-tiny", random=True, seed=1)
    found.attach("lora", ["query", "value"], name="reviews", lora_r=2)
    return found


def test_a_new_delta_is_called_untrained(bench: Workbench) -> None:
    report = bench.inspect()
    assert "not trained yet: it changes nothing in 4 modules" in report.text()
    bench.attach("adapter", ["output.dense"])
    assert "not trained yet: what it does in 4 modules comes from its first values" in bench.inspect("adapter").text()
    stir(bench.delta("adapter").parameters())
    assert "what it has learned" in bench.inspect().text()
    assert "also attached, and on in both passes: reviews" in bench.inspect().text()


def test_a_look_is_no_step_back_and_keeps_what_was_undone(bench: Workbench) -> None:
    bench.attach("adapter", ["output.dense"])
    bench.undo()
    bench.inspect("reviews", "fine")
    assert bench.redo().title.startswith("Done again: attach")
    bench.undo()
    assert bench.undo().title == "Undone: attach."
    assert not bench.attached


def test_its_code_runs_and_prints_the_same(bench: Workbench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.data(ROWS, variable="rows")
    stir(bench.delta("reviews").parameters())
    own = bench.inspect(texts=["a fine film", "it's dull"])
    held = bench.inspect()
    bench.inspect()
    scope: dict[str, Any] = {"rows": ROWS}
    lines = bench.code().splitlines()
    assert lines[-2:] == [
        "print(deltanb.anatomy(backbone, 'reviews', ['a fine film', \"it's dull\"], data=data))",
        "print(deltanb.anatomy(backbone, 'reviews', data=data))",
    ]
    at = next(i for i, line in enumerate(lines) if line.startswith("print("))
    exec("\n".join(lines[:at]), scope)  # noqa: S102
    torch.testing.assert_close(scope["model"].get_parameter("classifier.weight"), bench.model.get_parameter("classifier.weight"))
    stir(scope["reviews"].parameters())
    capsys.readouterr()
    exec("\n".join(["import deltanb", *lines[at:]]), scope)  # noqa: S102
    assert capsys.readouterr().out == f"{own}\n{held}\n"


def test_the_report_is_safe_html_and_says_its_numbers(bench: Workbench) -> None:
    stir(bench.delta("reviews").parameters())
    report = bench.inspect(texts=["<script>alert(1)</script>", "x" * 500])
    reader = read_safe(report.html())
    said = " ".join(reader.texts)
    assert "<script>alert(1)</script>" in said
    assert "bert.encoder.layer." in said.replace(" ", "")
    assert ("img", "alt") in {(tag, name) for tag, name, _ in reader.found}
    text = report.text()
    for row in report.rows:
        assert figure(row.change) in said
        assert figure(row.moved, share=True) in said
        assert figure(row.change) in text
        assert f"{row.effective_rank:.1f} of 2" in text


def test_the_magic(shell: Any, model: Any) -> None:
    del model
    net = bert(vocab_size=300)
    shell.user_ns |= {"net": net, "words": byte_tokenizer(net.config)}
    run(shell, "%delta backbone net --tokenizer {words};")
    assert "No delta is attached" in fails(shell, "%delta inspect")[1]
    run(shell, "%delta attach lora query --name reviews;")
    report = run(shell, '%delta inspect reviews --texts "fine film" "dull" --as seen')
    assert report is not None
    seen = shell.user_ns["seen"]
    assert isinstance(seen, AnatomyReport)
    assert seen.rows
    shell.user_ns["lines"] = ["one", "two"]
    assert fails(shell, "%delta inspect nonsense")[0].nearest == []
    assert "No attached delta" in fails(shell, "%delta inspect nonsense")[1]
    magics = shell.magics_manager.registry["DeltaMagics"]
    assert ("reviews", "delta") in candidates("inspect ", magics)
    assert ("{lines}", "variable") in candidates("inspect reviews --texts ", magics)
    assert ("--live", "option") in candidates("inspect reviews --", magics)
    assert "each in quotes" in run(shell, "%delta help inspect").text()
    run(shell, "%delta detach reviews;")
    assert fails(shell, "%delta inspect reviews")[0].try_ == "%delta reattach reviews"
    assert bench_of(shell).parked


def test_it_waits_for_another_step(bench: Workbench) -> None:
    with bench.locked("train"), pytest.raises(DeltaError, match="inspect has to wait"):
        bench.inspect()
    with bench.locked("train"), pytest.raises(DeltaError, match="compare has to wait"):
        bench.compare("fine")


def test_compare_gives_the_answers_to_one_sentence(bench: Workbench) -> None:
    stir(bench.delta().parameters())
    answers, moved = bench.compare("a fine film")
    report = bench.inspect(texts="a fine film")
    assert answers == report.comparisons[0]
    assert moved == {row.name: row.moved for row in report.rows}
