from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from deltanb import AdapterModel, DeltaError, LoraModel, evaluate, predict, train
from deltanb.datasets import as_text_data
from deltanb.datasets._text_data import to_dataset
from deltanb.engine import declare
from tests.models import make
from tests.tiny_text import Tiny, films, light_collections, tiny, tiny_tokenizer, values

DATA = as_text_data(films(), name="films")
__all__ = ["light_collections"]
FAST: dict[str, Any] = {"display": False, "batch_size": 8, "max_steps": 4, "baseline": False}


def refused(work: Any, *said: str) -> DeltaError:
    """Run something that has to fail, and look for words in the one paragraph that it says."""
    with pytest.raises(DeltaError) as caught:
        work()
    text = str(caught.value)
    assert [word for word in said if word not in text] == [], text
    assert "\n" not in text
    return caught.value


def unchanged(before: dict[str, torch.Tensor], model: Any) -> bool:
    after = values(model)
    return before.keys() == after.keys() and all(torch.equal(value, after[name]) for name, value in before.items())


# Before any time is lost ----------------------------------------------------------------------------------------------------


def test_nothing_trainable() -> None:
    backbone = tiny()
    declare(backbone.model, None, [])
    error = refused(lambda: train(backbone, DATA, **FAST), "Nothing in tiny trains")
    assert error.try_.startswith("%delta freeze --exclude deltas classifier")


@pytest.mark.parametrize(
    "options",
    [
        {"lr": 0},
        {"lr": -1e-3},
        {"lr": float("nan")},
        {"lr": "high"},
        {"epochs": 0},
        {"epochs": -1},
        {"epochs": float("inf")},
        {"batch_size": 0},
        {"batch_size": 2.5},
        {"batch_size": True},
        {"max_steps": 0},
        {"eval_every": 0},
        {"rows": 1},
        {"rows": 0},
        {"rows": "all"},
        {"seed": -1},
        {"seed": 2**32},
        {"max_length": 1},
        {"weight_decay": -0.1},
        {"warmup": 1},
        {"resume": "last"},
        {"display": "loud"},
        {"display": ["auto"]},
        {"baseline": 66},
        {"baseline": "head"},
    ],
    ids=str,
)
def test_a_setting_out_of_range(options: dict[str, Any]) -> None:
    backbone = tiny()
    before = values(backbone.model)
    error = refused(lambda: train(backbone, DATA, **{**FAST, **options}), repr(next(iter(options.values()))))
    assert error.expected
    assert unchanged(before, backbone.model)


def test_an_unknown_option_names_its_neighbour() -> None:
    assert "epochs" in refused(lambda: train(tiny(), DATA, epoch=2, **FAST), "no option 'epoch'").nearest
    assert "weight_decay" in refused(lambda: train(tiny(), DATA, weightdecay=2, **FAST)).nearest


def test_what_train_decides_itself() -> None:
    refused(lambda: train(tiny(), DATA, learning_rate=1e-3, **FAST), "learning_rate itself", "Use lr")
    refused(lambda: train(tiny(), DATA, save_strategy="epoch", **FAST), "leaves no files behind")


def test_settings_that_trainer_refuses() -> None:
    refused(lambda: train(tiny(), DATA, optim="sgd_of_dreams", **FAST), "refuses these settings", "sgd_of_dreams")


def test_too_few_outputs() -> None:
    three = [(f"{word} film {at}", word) for at in range(10) for word in ("good", "bad", "so-so")]
    for verb in (lambda: train(tiny(), three, **FAST), lambda: evaluate(tiny(), three)):
        error = refused(verb, "needs 3 classes (bad, good, so-so)", "BertForSequenceClassification has 2 outputs")
        assert error.try_ == 'deltanb.load_backbone("tiny", num_labels=3)'
    refused(lambda: train(tiny(num_labels=1), DATA, **FAST), "has 1 output.")


def test_labels_that_are_no_classes() -> None:
    odd = replace(DATA, train=DATA.train.select(range(4)).cast_column("label", _int()).map(lambda _: {"label": -1}))
    refused(lambda: train(tiny(), odd, **FAST), "the label -1")


def test_labels_without_a_name_and_heads_for_something_else() -> None:
    refused(lambda: train(tiny(), replace(DATA, label_names=["bad"]), **FAST), "the label 1 and 1 name")
    refused(lambda: train(tiny(problem_type="regression"), DATA, **FAST), "problem_type='regression'")


def _int() -> Any:
    from datasets import Value

    return Value("int64")


@pytest.mark.parametrize("split", ["train", "test"])
def test_no_rows(split: str) -> None:
    empty = replace(DATA, **{split: to_dataset([], [], DATA.label_names)})
    word = "training" if split == "train" else "test"
    refused(lambda: train(tiny(), empty, **FAST), f"no {word} rows")
    refused(lambda: train(tiny(), [], **FAST))


def test_no_tokenizer() -> None:
    model = tiny().model
    error = refused(lambda: train(model, DATA, **FAST), "no tokenizer for BertForSequenceClassification")
    assert "AutoTokenizer" in error.try_
    for verb in (lambda: evaluate(model, DATA), lambda: predict(model, "a film")):
        refused(verb, "no tokenizer")
    refused(lambda: train(model, DATA, tokenizer="bert", **FAST), "str is no tokenizer")


def test_a_tokenizer_that_cannot_pad_or_belongs_elsewhere() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.pad_token = None
    assert "eos_token" in refused(lambda: train(tiny().model, DATA, tokenizer=tokenizer, **FAST), "no padding token").try_
    refused(lambda: train(tiny(vocab_size=8), DATA, **FAST), "knows 8 tokens")


def test_a_skeleton() -> None:
    skeleton = Tiny(make("bert", device="meta"), tiny_tokenizer(), "bert-base")
    for verb in (lambda: train(skeleton, DATA, **FAST), lambda: evaluate(skeleton, DATA), lambda: predict(skeleton, "a film")):
        assert "random=True" in refused(verb, "bert-base is a skeleton").try_


@pytest.mark.parametrize("family", ["bart", "gpt2", "vit", "t5"])
def test_a_model_without_a_head_that_classifies_texts(family: str) -> None:
    other = Tiny(make(family), tiny_tokenizer(), family)
    for verb in (lambda: train(other, DATA, **FAST), lambda: evaluate(other, DATA), lambda: predict(other, "a film")):
        refused(verb, "has no head that classifies texts", 'task="classification"')


def test_what_is_no_model() -> None:
    assert "load_backbone" in refused(lambda: train("minilm", DATA, **FAST), "'minilm' is no model").try_
    delta = LoraModel(tiny().model, modified_modules=["query"])
    assert refused(lambda: train(delta, DATA, **FAST), "is a delta").try_ == "delta.backbone_model"


def test_unknown_data() -> None:
    assert "movie_reviews" in str(refused(lambda: train(tiny(), "movie_review", **FAST), "movie_review"))


def test_a_split_that_does_not_exist() -> None:
    assert refused(lambda: evaluate(tiny(), DATA, split="tests"), "no split 'tests'").nearest == ["test"]


@pytest.mark.parametrize("texts", [[], 7, ["fine", None]])
def test_no_text_to_predict(texts: Any) -> None:
    refused(lambda: predict(tiny(), texts), "text")


def test_label_names_that_do_not_fit() -> None:
    refused(lambda: predict(tiny(), "a film", label_names=["a", "b", "c"]), "2 outputs")
    refused(lambda: predict(tiny(), "a film", label_names="ab"), "2 outputs")


# While it trains ------------------------------------------------------------------------------------------------------------


def adapted() -> Tiny:
    backbone = tiny()
    AdapterModel(backbone.model, modified_modules=["output.dense"], bottleneck_dim=4).freeze_module(exclude=["deltas", "classifier"])
    return backbone


def assert_no_trace(backbone: Tiny, before: dict[str, torch.Tensor], numbers: torch.Tensor) -> None:
    assert unchanged(before, backbone.model)
    assert not any(module.training for module in backbone.model.modules())
    assert all(parameter.grad is None for parameter in backbone.model.parameters())
    assert torch.equal(numbers, torch.get_rng_state())
    assert "forward" not in vars(backbone.model)


@pytest.mark.parametrize("make_backbone", [adapted, tiny], ids=["adapter", "everything"])
def test_a_learning_rate_that_is_far_too_high(make_backbone: Any) -> None:
    backbone = make_backbone()
    before, numbers = values(backbone.model), torch.get_rng_state()
    error = refused(lambda: train(backbone, DATA, lr=1e30, **{**FAST, "max_steps": 30}), "not a number", "learning rate is too high")
    assert "Nothing was changed" in error.expected
    assert_no_trace(backbone, before, numbers)


def test_a_last_step_that_breaks_the_weights() -> None:
    backbone = adapted()
    before = values(backbone.model)
    # One step has no loss after it.
    refused(lambda: train(backbone, DATA, lr=1e38, warmup=0, **{**FAST, "max_steps": 2}), "learning rate is too high")
    assert unchanged(before, backbone.model)


def test_weights_that_were_broken_before() -> None:
    backbone = adapted()
    with torch.no_grad():
        backbone.model.bert.pooler.dense.weight.fill_(torch.nan)
    error = refused(lambda: train(backbone, DATA, **FAST), "before anything was learned")
    assert "weights" in error.expected


@pytest.mark.parametrize("kind", [ValueError, SystemExit])
def test_any_other_error_puts_everything_back(kind: type[BaseException]) -> None:
    backbone = adapted()
    before, numbers = values(backbone.model), torch.get_rng_state()

    def on_step(row: dict[str, float]) -> None:
        if row["step"] == 3:
            raise kind

    with pytest.raises(kind):
        train(backbone, DATA, on_step=on_step, **FAST)
    assert_no_trace(backbone, before, numbers)


def test_an_error_while_measuring_puts_everything_back(monkeypatch: pytest.MonkeyPatch) -> None:
    from deltanb.training import _run

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("disk on fire")

    backbone = adapted()
    before, numbers = values(backbone.model), torch.get_rng_state()
    monkeypatch.setattr(_run, "logits_of", broken)
    with pytest.raises(RuntimeError, match="disk on fire"):
        train(backbone, DATA, **FAST)
    assert_no_trace(backbone, before, numbers)


def test_too_little_memory_says_what_to_try() -> None:
    def on_step(_: dict[str, float]) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")

    assert refused(lambda: train(adapted(), DATA, on_step=on_step, **FAST), "not enough memory").try_ == "batch_size=4"


def test_an_interrupt_before_the_first_step_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from deltanb.training import _run

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    backbone = adapted()
    before = values(backbone.model)
    monkeypatch.setattr(_run, "measure_speed", interrupted)
    result = train(backbone, DATA, **{**FAST, "max_steps": 9})
    assert (result.interrupted, result.steps, len(result.history)) == (True, 0, 0)
    assert "nothing was changed" in result.verdict
    assert "not measured" in repr(result)
    assert result._repr_mimebundle_()["text/html"]
    assert unchanged(before, backbone.model)


def test_an_interrupt_restores_modes_and_random_numbers() -> None:
    backbone = adapted()
    numbers = torch.get_rng_state()

    def on_step(_: dict[str, float]) -> None:
        raise KeyboardInterrupt

    assert train(backbone, DATA, on_step=on_step, **FAST).interrupted
    assert not any(module.training for module in backbone.model.modules())
    assert torch.equal(numbers, torch.get_rng_state())


def test_the_area_in_a_notebook_says_that_a_run_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    from deltanb.training import _display

    seen: list[str] = []
    monkeypatch.setattr(_display.OutputArea, "_show", lambda self, bundle: (seen.append(bundle["text/plain"]), setattr(self, "_handle", 1)))
    refused(lambda: train(adapted(), DATA, lr=1e30, **{**FAST, "max_steps": 30, "display": "notebook"}))
    assert seen[-1] == "Training did not finish."
