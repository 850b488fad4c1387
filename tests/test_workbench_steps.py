"""Steps are whole or not at all: undo and redo, interrupts, failures in the middle, one step at a time."""

from __future__ import annotations

import gc
import signal
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest
import torch

from deltanb import AdapterModel, checkpoints
from deltanb._errors import DeltaError
from deltanb.workbench import Workbench, _change, _inspect, _learn, _look
from tests.models import assert_same as same_engine_state
from tests.models import bert, same_state, stir
from tests.models import learn as engine_learn
from tests.test_workbench import ROWS, fresh, learn, logits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def saved(tmp_path: Path) -> str:
    other = Workbench()
    fresh(other)
    stir(other.attach("adapter", ["key"], bottleneck_dim=2, name="old").value.parameters())
    return str(other.save(str(tmp_path / "saved")).value)


@pytest.fixture
def bench() -> Workbench:
    """Three trained deltas: one with a head, one of biases, one parked."""
    made = Workbench()
    fresh(made)
    made.attach("adapter", ["output.dense"], bottleneck_dim=2)
    made.attach("lora", ["query"], lora_r=2)
    made.attach("bitfit", ["intermediate"])
    made.freeze(["deltas", "classifier"])
    learn(made)
    made.detach("lora")
    made.data(ROWS)
    return made


def state(bench: Workbench) -> tuple[Any, ...]:
    """All that a step may change, but for its own place in the history."""
    model = bench.model
    flags = [(name, parameter.requires_grad) for name, parameter in model.named_parameters()]
    values = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    held = list(bench.attached.values()), dict(bench.parked), bench.data_set, bench.before, bench.result
    return (str(model), flags, list(model.state_dict()), held, model), values, logits(bench)


def assert_same(now: tuple[Any, ...], then: tuple[Any, ...]) -> None:
    assert now[0] == then[0]
    assert all(torch.equal(now[1][name], tensor) for name, tensor in then[1].items())
    assert torch.equal(now[2], then[2])


# Name: the verb, and the inner function that does its work.
VERBS: dict[str, tuple[Callable[[Workbench, str], object], Any, str]] = {
    "attach": (lambda bench, _: bench.attach("lora", ["key"], name="more"), _change.AutoDeltaModel, "from_config"),
    "replace": (lambda bench, _: bench.attach("adapter", ["query"]), _change, "declare_again"),
    "detach": (lambda bench, _: bench.detach("adapter"), Workbench, "park"),
    "detach biases": (lambda bench, _: bench.detach("bitfit"), Workbench, "park"),
    "reattach": (lambda bench, _: bench.reattach("lora"), _change.Change, "_about"),
    "remove": (lambda bench, _: bench.remove("adapter"), Workbench, "only"),
    "freeze": (lambda bench, _: bench.freeze(["deltas", "pooler"]), _change, "snapshot"),
    "freeze less": (lambda bench, _: bench.freeze(["deltas"]), _change, "snapshot"),
    "unfreeze": (lambda bench, _: bench.unfreeze(), _change, "unfreeze"),
    "load": (lambda bench, folder: bench.load(folder), checkpoints, "load"),
    "load over": (lambda bench, folder: bench.load(folder, name="adapter"), checkpoints, "declare_again"),
    "backbone": (lambda bench, _: fresh(bench), _look, "load_backbone"),
    "backbone late": (lambda bench, _: bench.backbone(bench.model), _look, "snapshot"),
    "data": (lambda bench, _: bench.data(ROWS[5:35]), _learn, "as_text_data"),
    "train": (lambda bench, _: bench.train(max_steps=1, batch_size=8, display=False), _learn, "trainable_values"),
}
ONLY_LOOKING: dict[str, tuple[Callable[[Workbench, str], object], Any, str]] = {
    "save": (lambda bench, folder: bench.save(f"{folder}-new", "adapter"), checkpoints, "save"),
    "evaluate": (lambda bench, _: bench.evaluate(batch_size=8), _learn, "call"),
    "inspect": (lambda bench, _: bench.inspect("adapter", ["fine"]), _inspect, "call"),
}


@pytest.mark.parametrize("verb", VERBS)
def test_undo_and_redo_are_exact(verb: str, bench: Workbench, saved: str) -> None:
    before, steps = state(bench), len(bench.steps)
    VERBS[verb][0](bench, saved)
    after, code = state(bench), bench.code()
    assert len(bench.steps) == steps + 1
    for _ in range(2):
        bench.undo()
        assert_same(state(bench), before)
        bench.redo()
        assert_same(state(bench), after)
    assert bench.code() == code
    bench.undo()
    bench.undo()
    bench.redo()
    assert_same(state(bench), before)


def test_undo_goes_back_to_the_very_beginning_and_redo_to_the_end(bench: Workbench) -> None:
    after, count = state(bench), len(bench.steps)
    for _ in range(count):
        assert bench.undo().title.startswith("Undone")
    assert bench.undo().title == "There is nothing to undo."
    with pytest.raises(DeltaError, match="no backbone yet"):
        bench.model  # noqa: B018
    for _ in range(count):
        bench.redo()
    assert bench.redo().title == "There is nothing to redo."
    assert_same(state(bench), after)


def test_a_save_goes_from_the_script_with_the_step_it_was_made_of(bench: Workbench, tmp_path: Path) -> None:
    bench.attach("lora", ["value"], name="short")
    bench.save(str(tmp_path / "short"), "short")
    code = bench.code()
    bench.undo()
    assert "short" not in bench.code()
    bench.redo()
    assert bench.code() == code


def test_a_new_step_ends_what_could_be_redone(bench: Workbench) -> None:
    bench.undo()
    bench.detach("bitfit")
    assert bench.redo().title == "There is nothing to redo."


@pytest.mark.parametrize("verb", [*VERBS, *ONLY_LOOKING])
def test_an_interrupt_leaves_everything_as_it_was(verb: str, bench: Workbench, saved: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real signal, while the verb is at work: it waits until the model is whole, and then nothing has happened."""
    act, owner, name = {**VERBS, **ONLY_LOOKING}[verb]
    before, code = state(bench), bench.code()
    real = getattr(owner, name)

    def interrupted(*args: Any, **more: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return real(*args, **more)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, interrupted)
        with pytest.raises(DeltaError, match="was interrupted") as caught:
            act(bench, saved)
    assert caught.value.try_.startswith("%delta ")
    assert_same(state(bench), before)
    assert bench.code() == code
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    act(bench, saved)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("out of memory"), DeltaError("no")], ids=repr)
@pytest.mark.parametrize("verb", [*VERBS, *ONLY_LOOKING])
def test_a_failure_in_the_middle_leaves_everything_as_it_was(
    verb: str, error: BaseException, bench: Workbench, saved: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    act, owner, name = {**VERBS, **ONLY_LOOKING}[verb]
    before, code = state(bench), bench.code()
    real = getattr(owner, name)

    def failing(*args: Any, **more: Any) -> Any:
        real(*args, **more)
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, failing)
        with pytest.raises((DeltaError, RuntimeError)):
            act(bench, saved)
    assert_same(state(bench), before)
    assert bench.code() == code


def test_values_that_failed_training_changed_are_put_back(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    before = state(bench)

    def spoils(*_: Any, **__: Any) -> None:
        learn(bench)
        raise DeltaError("The loss is not a number.")

    monkeypatch.setattr("deltanb.training.prepared", lambda *_, **__: spoils)
    with pytest.raises(DeltaError, match="not a number"):
        bench.train()
    assert_same(state(bench), before)


def test_only_two_backbones_are_kept_for_undo(bench: Workbench) -> None:
    for _ in range(3):
        fresh(bench)
    assert len({id(entry.now.backbone) for entry in bench.steps if entry.now}) <= 2
    while "Undone" in bench.undo().title:
        pass
    assert set(bench.parked) == {"adapter", "lora", "bitfit"}


def test_one_step_at_a_time(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    at_work, done = threading.Event(), threading.Event()

    def slow(*_: Any, **__: Any) -> None:
        at_work.set()
        done.wait(20)
        raise DeltaError("enough")

    def trains() -> None:
        with pytest.raises(DeltaError, match="enough"):
            bench.train()

    monkeypatch.setattr("deltanb.training.prepared", lambda *_, **__: slow)
    thread = threading.Thread(target=trains)
    thread.start()
    assert at_work.wait(20)
    before = state(bench)
    for verb in (bench.detach, bench.unfreeze, bench.undo, bench.redo, lambda: bench.attach("lora", ["key"]), bench.evaluate):
        with pytest.raises(DeltaError, match=r"has to wait|No attached|Several"):
            verb()
    assert_same(state(bench), before)
    assert bench.params().text()
    done.set()
    thread.join()
    bench.detach("adapter")


def test_a_delta_parked_from_long_ago_keeps_its_weights_and_lets_go_of_its_backbone() -> None:
    bench = Workbench()
    bench.backbone("bart-tiny", random=True)
    bench.attach("adapter", ["fc2"], name="early")
    bench.freeze(["deltas", "layernorm_embedding"])
    first = weakref.ref(bench.model)
    with torch.no_grad():
        for parameter in bench.delta("early").parameters():
            parameter.add_(1)
        bench.model.get_parameter("model.encoder.layernorm_embedding.weight").add_(1)
    was = {name: tensor.clone() for name, tensor in bench.delta("early").tensors().items()}
    for _ in range(3):
        bench.backbone("bart-tiny", random=True)
    gc.collect()
    assert first() is None
    bench.reattach("early")
    now = bench.delta("early").tensors()
    assert now.keys() == was.keys()
    assert all(torch.equal(now[name], was[name]) for name in was)


def test_undo_of_a_backbone_brings_back_the_deltas_that_it_carried(bench: Workbench) -> None:
    model = bert(seed=3)
    delta = AdapterModel(model, modified_modules=["output.dense"], bottleneck_dim=2)
    delta.freeze_module(exclude=["deltas", "classifier"])
    engine_learn(delta)
    carried, here = same_state(model), state(bench)
    bench.backbone(model)
    assert not delta.attached
    taken = state(bench)
    for _ in range(2):
        bench.undo()
        same_engine_state(same_state(model), carried)
        assert_same(state(bench), here)
        bench.redo()
        assert_same(state(bench), taken)
        assert not delta.attached
