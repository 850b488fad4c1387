"""The workbench: what lines do that are run again, row by row; nothing trained is ever lost."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest
import torch

from deltanb import AdapterModel, deltas
from deltanb._errors import DeltaError
from deltanb.backbones._byte_tokenizer import byte_tokenizer
from deltanb.workbench import Workbench
from tests.models import bart, bert, output_of, stir, trainable

if TYPE_CHECKING:
    from deltanb.reports import Outcome

ROWS = [(f"a {word} film, number {i}", label) for label, word in enumerate(("bad", "good")) for i in range(20)]


def fresh(bench: Workbench) -> Outcome:
    """A tiny encoder as its backbone, always with the same weights."""
    model = bert(vocab_size=300, max_position_embeddings=64)
    return bench.backbone(model, variable="tiny", tokenizer=byte_tokenizer(model.config))


@pytest.fixture
def bench() -> Workbench:
    """A tiny encoder with an adapter on it, frozen, as after training."""
    made = Workbench()
    fresh(made)
    made.attach("adapter", ["output.dense"], bottleneck_dim=2)
    made.freeze(["deltas", "classifier"])
    learn(made)
    return made


def learn(bench: Workbench) -> None:
    """What training does to the values."""
    stir(parameter for parameter in bench.model.parameters() if parameter.requires_grad)


def logits(bench: Workbench) -> torch.Tensor:
    return output_of(bench.model, input_ids=torch.arange(5, 15)[None])


def notes(outcome: Outcome) -> str:
    return " ".join(outcome.notes)


# Run again, row by row ---------------------------------------------------------------------------------------------------


def test_attach_again_is_kept(bench: Workbench) -> None:
    delta, before, steps = bench.attached["adapter"], logits(bench), len(bench.steps)
    assert "kept as it is" in bench.attach("adapter", ["output.dense"], bottleneck_dim=2).title
    assert bench.attached == {"adapter": delta}
    assert len(bench.steps) == steps
    assert torch.equal(logits(bench), before)


@pytest.mark.parametrize(
    ("words", "options"),
    [(("adapter", ["output.dense"]), {"bottleneck_dim": 3}), (("adapter", ["query"]), {}), (("lora", ["query"]), {"name": "adapter"})],
    ids=["option", "pattern", "type"],
)
def test_attach_with_a_change_replaces_and_undo_brings_the_weights_back(words: Any, options: Any, bench: Workbench) -> None:
    old, before = bench.attached["adapter"], logits(bench)
    outcome = bench.attach(*words, **options)
    assert "parked with its weights" in notes(outcome)
    assert list(bench.attached) == ["adapter"]
    assert bench.attached["adapter"] is not old
    assert bench.parked == {"adapter": old}
    assert bench.model.classifier.weight.requires_grad
    assert not bench.model.bert.pooler.dense.weight.requires_grad
    bench.undo()
    assert (bench.attached, bench.parked) == ({"adapter": old}, {})
    assert torch.equal(logits(bench), before)


def test_no_weights_are_lost_however_often_lines_are_run_again(bench: Workbench) -> None:
    """Each trained delta stays within reach under a name of its own; those that learned nothing make no clutter."""
    outputs = {"adapter": logits(bench)}
    for size, key in ((3, "adapter_1"), (4, "adapter_2")):
        bench.attach("adapter", ["output.dense"], bottleneck_dim=size)
        learn(bench)
        outputs[key] = logits(bench)
    bench.attach("adapter", ["output.dense"], bottleneck_dim=5)
    bench.attach("adapter", ["output.dense"], bottleneck_dim=6)
    assert list(bench.parked) == ["adapter", "adapter_1", "adapter_2", "adapter_3"]
    assert bench.parked["adapter_3"].config.options()["bottleneck_dim"] == 5
    bench.remove("adapter")
    for key, wanted in outputs.items():
        bench.reattach(key)
        assert torch.equal(logits(bench), wanted)
        bench.remove()


def test_freeze_again_has_no_effect_and_a_change_replaces(bench: Workbench) -> None:
    steps, count = len(bench.steps), trainable(bench.model)
    bench.model.requires_grad_(requires_grad=True)
    assert bench.freeze(["deltas", "classifier"]).title == "Frozen already, just so."
    assert (len(bench.steps), trainable(bench.model)) == (steps, count)
    outcome = bench.freeze(["classifier"])
    assert trainable(bench.model) == sum(p.numel() for p in bench.model.classifier.parameters())
    assert outcome.facts["of that, deltas"] == "0"


def test_detach_and_reattach_again_have_no_effect(bench: Workbench) -> None:
    before, plain = logits(bench), Workbench()
    fresh(plain)
    for _ in range(2):
        bench.detach()
        assert torch.equal(logits(bench), logits(plain))
        assert list(bench.parked) == ["adapter"]
    steps = len(bench.steps)
    for _ in range(2):
        bench.reattach()
        assert torch.equal(logits(bench), before)
    assert len(bench.steps) == steps + 1


@pytest.mark.parametrize("verb", ["detach", "remove", "save"])
def test_with_several_deltas_the_one_meant_must_be_named(verb: str, bench: Workbench) -> None:
    bench.attach("lora", ["query"])
    with pytest.raises(DeltaError, match="adapter, lora"):
        getattr(bench, verb)(*(["somewhere"] if verb == "save" else []))
    assert list(bench.attached) == ["adapter", "lora"]


def test_looking_changes_nothing(bench: Workbench, capsys: pytest.CaptureFixture[str]) -> None:
    before, steps, flags = logits(bench), len(bench.steps), trainable(bench.model)
    for _ in range(2):
        assert "adapter" in bench.graph(picture=False).text()
        assert bench.match(["output.dense"]).text()
        assert bench.params().text()
        bench.log()
        assert bench.code()
    assert "adapter" in capsys.readouterr().out
    assert (len(bench.steps), trainable(bench.model)) == (steps, flags)
    assert torch.equal(logits(bench), before)


def test_a_fresh_backbone_parks_what_was_trained_and_takes_it_on_request(bench: Workbench) -> None:
    before, old = logits(bench), bench.attached["adapter"]
    assert "parked with their weights: adapter" in notes(fresh(bench))
    assert (bench.attached, bench.parked) == ({}, {"adapter": old})
    assert trainable(bench.model) == sum(p.numel() for p in bench.model.parameters())
    bench.reattach("adapter")
    assert torch.equal(logits(bench), before)
    assert trainable(bench.model) == trainable(old.backbone_model)
    bench.backbone(bart())
    with pytest.raises(DeltaError, match=r"BertForSequenceClassification.*this backbone is a Bart"):
        bench.reattach("adapter")
    assert list(bench.parked) == ["adapter"]


def test_the_users_own_model_gives_its_deltas_to_the_parking_place() -> None:
    model, bench = bert(), Workbench()
    plain = output_of(model)
    delta = AdapterModel(model, modified_modules=["output.dense"], name="mine")
    stir(delta.parameters())
    assert "mine" in notes(bench.backbone(model, variable="model"))
    assert torch.equal(output_of(model), plain)
    bench.reattach("mine")
    assert deltas(model) == {"mine": delta}


# Train again -------------------------------------------------------------------------------------------------------------


def test_training_goes_on_and_restarts_and_is_undone_step_by_step() -> None:
    bench = Workbench()
    fresh(bench)
    bench.attach("adapter", ["output.dense"], bottleneck_dim=2)
    bench.freeze(["deltas", "classifier"])
    states = [logits(bench)]
    for restart in (False, False, True):
        bench.train(ROWS, max_steps=2, batch_size=8, restart=restart, display=False)
        states.append(logits(bench))
    start, first, second, anew = states
    assert not torch.equal(first, second)
    assert torch.equal(first, anew)
    assert bench.code().count("deltanb.train(") == 1
    for wanted in (second, first, start):
        bench.undo()
        assert torch.equal(logits(bench), wanted)
    bench.redo()
    assert torch.equal(logits(bench), first)
    bench.attach("adapter", ["output.dense"], bottleneck_dim=3)
    assert bench.train(max_steps=1, display=False).metrics["accuracy"] >= 0


def test_the_stop_button_ends_training_keeps_what_was_learned_and_can_be_undone(bench: Workbench) -> None:
    before = logits(bench)

    def press(point: dict[str, float]) -> None:
        if point["step"] == 20:
            signal.raise_signal(signal.SIGINT)

    result = bench.train(ROWS, max_steps=50, batch_size=8, display=False, on_step=press)
    assert len(result.history) < 30
    learned = logits(bench)
    assert not torch.equal(learned, before)
    bench.undo()
    assert torch.equal(logits(bench), before)
    bench.redo()
    assert torch.equal(logits(bench), learned)
