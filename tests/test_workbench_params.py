"""``%delta params``: a look at the gradients where it is cheap, on request where it is not, never while a step is at work."""

from __future__ import annotations

from typing import Any

import pytest

from deltanb._errors import DeltaError
from deltanb.workbench import Workbench, _trial
from tests.models import bert
from tests.test_magics import fails, model, one_shell, run, shell
from tests.test_workbench import fresh

__all__ = ["model", "one_shell", "shell"]


@pytest.fixture
def bench() -> Workbench:
    """A head that is not used: the pooler of a model that gives its last hidden states alone."""
    from transformers import BertConfig, BertForTokenClassification

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 64}
    net: Any = BertForTokenClassification(BertConfig(**sizes))
    net.spare = bert().classifier
    made = Workbench()
    made.backbone(net)
    made.attach("lora", ["query", "spare"], lora_r=2)
    made.freeze(["deltas", "classifier"])
    return made


def test_a_small_model_is_looked_at_without_asking(bench: Workbench) -> None:
    made = bench.params()
    assert made.df.set_index("module")["no_gradient"].pipe(lambda column: column[column > 0]).to_dict() == {"spare.lora": 36}
    assert "No gradient in a trial pass (not reached): spare.lora.lora_A, spare.lora.lora_B." in made.text()
    assert "no_gradient" not in bench.params(gradients=False).df


def test_a_large_model_is_looked_at_on_request(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_trial, "_TOTAL", 10)
    assert bench.params().df["no_gradient"].sum() == 36  # the shapes alone
    monkeypatch.setattr(_trial, "_MODULES", 10)
    assert "the model is large (%delta params --gradients looks)" in bench.params().text()
    assert bench.params(gradients=True).df["no_gradient"].sum() == 36


def test_a_skeleton_is_looked_at_too() -> None:
    bench = Workbench()
    bench.backbone("minilm", skeleton=True)
    bench.attach("lora")
    bench.freeze(["deltas", "classifier"])
    assert bench.params().df["no_gradient"].sum() == 0


def test_a_model_that_cannot_be_run_says_so_and_is_counted_all_the_same() -> None:
    bench = Workbench()
    net = bert()
    bench.backbone(net)
    net.classifier.forward = lambda _: 1 / 0
    made = bench.params()
    assert "division by zero" in made.text()
    assert made.totals.total == sum(p.numel() for p in net.parameters())
    with pytest.raises(DeltaError, match="division by zero"):
        bench.params(gradients=True)


def test_while_a_step_is_at_work_the_model_is_left_alone() -> None:
    bench = Workbench()
    fresh(bench)
    with bench.locked("train"):
        made = bench.params()
    assert "another step is still at work" in made.text()
    assert "no_gradient" not in made.df
    assert "no_gradient" in bench.params().df


def test_the_magic(shell: Any, model: Any) -> None:
    del model
    assert "no_gradient" in run(shell, "%delta params --gradients").df
    assert "no_gradient" in run(shell, "%delta params --by type").df
    assert "no_gradient" not in run(shell, "%delta params --no-gradients").df
    assert fails(shell, "%delta params --gradients --no-gradients")[0].try_ == "%delta params --gradients"
