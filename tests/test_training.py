from __future__ import annotations

import base64
import copy
import pickle
import random
import threading
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import torch
import transformers
from torch import nn

import deltanb
from deltanb import AdapterModel, BitFitModel, LoraModel, evaluate, predict, train
from deltanb.datasets import as_text_data
from deltanb.engine import declare
from deltanb.reports.curve import Curve, curve_svg, sparkline
from deltanb.training import RATES, TrainingResult
from deltanb.training import _baseline as baselines
from deltanb.training._metrics import metrics_of
from deltanb.training._what import trainable_of
from tests.sanitiser import read_safe
from tests.tiny_text import Tiny, films, light_collections, tiny, tiny_tokenizer, values

DATA = as_text_data(films(240), name="films")
__all__ = ["light_collections"]
FAST: dict[str, Any] = {"display": False, "batch_size": 8, "max_steps": 4, "baseline": False}


def same(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> bool:
    return before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)


def with_adapter(seed: int = 0) -> Tiny:
    backbone = tiny(seed, initializer_range=0.3)
    delta = AdapterModel(backbone.model, modified_modules=["output.dense", "word_embeddings"], bottleneck_dim=8)
    delta.freeze_module(exclude=["deltas", "classifier"])
    return backbone


# What it learns -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def learned() -> tuple[Tiny, TrainingResult]:
    backbone = with_adapter()
    return backbone, train(backbone, DATA, epochs=4, lr=1e-2, batch_size=8, display=False, eval_every=20)


def test_a_delta_learns_and_the_rest_stays(learned: tuple[Tiny, TrainingResult]) -> None:
    backbone, result = learned
    assert result.accuracy > 0.9
    assert "points better than the head alone" in result.verdict
    fresh = values(with_adapter().model)
    changed = {name for name, value in values(backbone.model).items() if not torch.equal(value, fresh[name])}
    assert changed == {name for name, parameter in backbone.model.named_parameters() if parameter.requires_grad}


def test_the_reported_numbers_agree_with_a_recount(learned: tuple[Tiny, TrainingResult]) -> None:
    backbone, result = learned
    texts, labels = DATA.test[:]["text"], DATA.test[:]["label"]
    alone = [predict(backbone, text) for text in texts]  # one at a time: no padding
    right = [one.label_names.index(one.df["label"][0]) == label for one, label in zip(alone, labels, strict=True)]
    assert result.metrics["accuracy"] == sum(right) / len(right)
    loss = -np.mean([np.log(one.probabilities[0][label]) for one, label in zip(alone, labels, strict=True)])
    assert result.metrics["loss"] == pytest.approx(loss, abs=1e-5)
    assert result.metrics == pytest.approx(evaluate(backbone, DATA, batch_size=3).metrics)


def test_the_history_has_a_row_a_step(learned: tuple[Tiny, TrainingResult]) -> None:
    history = learned[1].history
    assert history.columns.tolist() == ["step", "epoch", "loss", "lr", "accuracy", "seconds"]
    assert history["step"].tolist() == list(range(1, 97))  # 192 of the 240 rows, 24 steps a pass, 4 passes
    assert history["epoch"].iloc[-1] == 4
    assert history["seconds"].is_monotonic_increasing
    assert history.dropna()["step"].tolist() == [20, 40, 60, 80, 96]


def test_the_learning_rate_rises_and_falls(learned: tuple[Tiny, TrainingResult]) -> None:
    rates = learned[1].history["lr"]
    assert rates[0] == 0
    assert rates.max() == pytest.approx(1e-2)
    assert rates.idxmax() == 9  # a tenth of 96 steps
    assert rates.iloc[9:].is_monotonic_decreasing


def test_the_same_seed_gives_the_same_weights() -> None:
    first, second, other = with_adapter(), with_adapter(), with_adapter()
    one, two = train(first, DATA, **FAST), train(second, DATA, **FAST)
    train(other, DATA, **{**FAST, "seed": 1})
    assert same(values(first.model), values(second.model))
    assert one.history["loss"].tolist() == two.history["loss"].tolist()
    assert not same(values(first.model), values(other.model))


def test_rows_limits_the_training_rows_and_leaves_the_test_rows() -> None:
    result = train(tiny(), DATA, rows=16, batch_size=8, display=False, baseline=False)
    assert (result.steps, result.settings["rows"], result.metrics["rows"]) == (2, 16, len(DATA.test))


def test_any_table_and_column_names_work() -> None:
    import pandas as pd

    frame = pd.DataFrame(films(), columns=["review", "stars"])
    result = train(tiny(), frame, text="review", label="stars", **FAST)
    assert result.label_names == ["bad", "good"]


def test_a_model_of_ones_own_works() -> None:
    class Bag(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(64, 8)
            self.out = nn.Linear(8, 2)

        def forward(self, input_ids: torch.Tensor, labels: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
            logits = self.out(self.embed(input_ids).mean(1))
            return {"logits": logits} if labels is None else {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}

    result = train(Bag(), DATA, tokenizer=tiny_tokenizer(), epochs=10, lr=1e-1, batch_size=8, display=False)
    assert result.accuracy > 0.9


def test_gradients_can_be_accumulated() -> None:
    result = train(tiny(), DATA, batch_size=8, display=False, baseline=False, gradient_accumulation_steps=3)
    assert result.steps == 8
    assert result.history["loss"].between(0.3, 1.2).all()  # a mean, not a sum


# Going on, stopping -------------------------------------------------------------------------------------------------------


def test_a_second_run_goes_on_and_adds_up() -> None:
    backbone = with_adapter()
    first = train(backbone, DATA, **FAST)
    between = values(backbone.model)
    second = train(backbone, DATA, resume=first, **FAST)
    assert (second.steps, second.steps_total) == (4, 8)
    assert second.history["step"].tolist() == list(range(1, 9))
    assert second.history["epoch"].is_monotonic_increasing
    assert second.seconds > first.seconds
    assert second.history.iloc[:4].equals(first.history)
    assert "Goes on after step 4" in second.preface
    assert not same(between, values(backbone.model))


def test_a_run_that_goes_on_sees_the_rows_in_another_order() -> None:
    losses = []
    for resume in (None, train(tiny(), DATA, **FAST)):
        backbone = tiny()
        result = train(backbone, DATA, resume=resume, **FAST)
        losses.append(result.history["loss"].iloc[-4])  # the first step, at learning rate 0
    assert losses[0] != losses[1]


@pytest.mark.parametrize("how", ["exception", "signal", "event"])
def test_a_stopped_run_keeps_what_was_learned(how: str) -> None:
    import signal

    backbone, stop, kept = with_adapter(), threading.Event(), {}
    before = values(backbone.model)

    def on_step(row: dict[str, float]) -> None:
        if row["step"] == 3:
            kept.update(values(backbone.model))
            stop.set()
            if how == "exception":
                raise KeyboardInterrupt
            if how == "signal":
                signal.raise_signal(signal.SIGINT)

    result = train(backbone, DATA, on_step=on_step, stop=stop if how == "event" else None, **{**FAST, "max_steps": 8})
    assert result.interrupted
    assert (result.steps, result.planned, len(result.history)) == (3, 8, 3)
    assert "Stopped after 3 of 8 steps; what was learned is kept" in result.verdict
    assert same(kept, values(backbone.model))
    assert not same(before, kept)
    assert not backbone.model.training
    assert np.isnan(result.accuracy)
    assert "not measured" in repr(result)
    again = train(backbone, DATA, resume=result, **FAST)
    assert (again.steps_total, again.interrupted) == (7, False)


def test_an_interrupt_while_measuring_keeps_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    from deltanb.training import _run

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(_run, "logits_of", interrupted)
    result = train(tiny(), DATA, **FAST)
    assert result.interrupted
    assert result.verdict.startswith("All 4 steps are done and kept")


def test_it_works_in_a_thread() -> None:
    found: list[TrainingResult] = []
    worker = threading.Thread(target=lambda: found.append(train(tiny(), DATA, **FAST)))
    worker.start()
    worker.join()
    assert found[0].steps == 4


# No trace -----------------------------------------------------------------------------------------------------------------


def test_modes_are_as_before_even_where_they_differ() -> None:
    backbone = tiny()
    backbone.model.train()
    backbone.model.bert.pooler.eval()
    before = [module.training for module in backbone.model.modules()]
    train(backbone, DATA, **FAST)
    evaluate(backbone, DATA)
    predict(backbone, "a good film")
    assert [module.training for module in backbone.model.modules()] == before


def test_random_numbers_go_on_as_if_nothing_had_happened() -> None:
    def draws() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002, S311

    def seeded(work: Any) -> tuple[float, float, float]:
        random.seed(3)
        np.random.seed(3)  # noqa: NPY002
        torch.manual_seed(3)
        work()
        return draws()

    expected = seeded(lambda: None)
    backbone = tiny()
    assert seeded(lambda: train(backbone, DATA, **{**FAST, "baseline": True, "max_steps": 30})) == expected
    assert seeded(lambda: evaluate(backbone, DATA)) == expected
    assert seeded(lambda: predict(backbone, "a good film")) == expected


def test_no_files_no_output_no_changed_settings(tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    backbone = tiny()
    config, level = copy.deepcopy(vars(backbone.model.config)), transformers.logging.get_verbosity()
    attributes = set(vars(backbone.model))
    train(backbone, DATA, **FAST)
    evaluate(backbone, DATA)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
    assert vars(backbone.model.config) == config
    assert transformers.logging.get_verbosity() == level
    assert set(vars(backbone.model)) == attributes
    assert all(parameter.grad is None for parameter in backbone.model.parameters())


def test_mixed_precision_leaves_the_forward_as_it_was() -> None:
    backbone = with_adapter()
    train(backbone, DATA, bf16=True, **FAST)
    assert "forward" not in vars(backbone.model)
    assert backbone.model(input_ids=torch.tensor([[2, 4, 3]])).logits.dtype == torch.float32
    pickle.dumps(backbone.model)


def test_a_delta_comes_off_and_on_again_after_training() -> None:
    backbone = tiny()
    original = values(backbone.model)
    delta = AdapterModel(backbone.model, modified_modules=["output.dense"], bottleneck_dim=4)
    delta.freeze_module(exclude=["deltas", "classifier"])
    train(backbone, DATA, **FAST)
    trained = values(backbone.model)
    delta.detach()
    assert same(original, values(backbone.model))
    delta.attach()
    assert same(trained, values(backbone.model))


# What it says -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("make", "kind"), [(LoraModel, "lora"), (BitFitModel, "bitfit"), (AdapterModel, "adapter")])
def test_what_is_attached_decides_the_learning_rate(make: Any, kind: str) -> None:
    backbone = tiny()
    delta = make(backbone.model, modified_modules=["query", "value"] if kind == "lora" else ["output.dense"])
    delta.freeze_module(exclude=["deltas", "classifier"])
    assert train(backbone, DATA, **FAST).settings["lr"] == RATES[kind]
    assert train(backbone, DATA, lr=7e-4, **FAST).settings["lr"] == 7e-4


def test_without_a_delta_the_head_or_the_whole_decides() -> None:
    backbone = tiny()
    assert trainable_of(backbone.model).kind == "full"
    AdapterModel(backbone.model, modified_modules=["output.dense"], bottleneck_dim=4)
    assert trainable_of(backbone.model).kind == "full"  # attached, and nothing frozen
    backbone = tiny()
    declare(backbone.model, None, ["classifier"])
    assert trainable_of(backbone.model).kind == "head"


def test_the_preface_says_what_trains_and_what_a_save_would_miss() -> None:
    backbone = with_adapter()
    trainable = sum(p.numel() for p in backbone.model.parameters() if p.requires_grad)
    total = sum(p.numel() for p in backbone.model.parameters())
    said = train(backbone, DATA, **FAST).preface
    assert f"Trains {trainable:,} of {total:,} parameters" in said
    assert "'adapter' (adapter, " in said
    assert "the head (classifier)" in said
    assert "learning rate 0.003" in said
    assert "memory" in said
    assert "saving a delta" not in said
    backbone.model.bert.embeddings.LayerNorm.weight.requires_grad_()
    assert "No delta owns 16 of them (bert.embeddings.LayerNorm.weight)" in train(backbone, DATA, **FAST).preface
    backbone = tiny()
    LoraModel(backbone.model, modified_modules=["query"]).freeze_module()
    assert "The head (classifier) is frozen." in train(backbone, DATA, **FAST).preface


def test_long_texts_are_counted() -> None:
    assert "texts are cut at 3 tokens" in train(tiny(), DATA, max_length=3, **FAST).preface


def test_a_head_only_run_is_remembered_for_the_same_backbone_and_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "_seen", {})
    head = tiny(3, initializer_range=0.3)
    declare(head.model, None, ["classifier"])
    options = {**FAST, "baseline": True}
    alone = train(head, DATA, **options)
    assert alone.verdict.startswith(f"Accuracy {alone.accuracy:.3f} on 48 held-out rows: ")
    compared = train(with_adapter(3), DATA, **options)
    assert compared.levels["head alone"] == alone.accuracy
    assert compared.baseline.exact
    assert "head alone" not in train(with_adapter(4), DATA, **options).levels
    assert "head alone" not in train(with_adapter(3), DATA, **{**options, "max_steps": 5}).levels


def test_a_given_baseline_is_used() -> None:
    assert train(with_adapter(), DATA, **{**FAST, "baseline": 0.25}).levels["head alone"] == 0.25
    first = train(tiny(), DATA, **FAST)
    assert train(with_adapter(), DATA, **{**FAST, "baseline": first}).levels["head alone"] == first.accuracy


def test_the_estimate_leaves_the_model_alone_and_agrees_with_the_features() -> None:
    from deltanb.training._encoding import encode
    from deltanb.training._subject import subject_of

    backbone = with_adapter()
    train(backbone, DATA, **FAST)
    before = values(backbone.model)
    subject = subject_of(backbone)
    rows = [encode(subject, split[:]["text"], split[:]["label"]) for split in (DATA.train, DATA.test)]
    found = baselines.estimate(subject, *rows, seed=0, on_rows=lambda _: None)
    assert found is not None
    assert found == baselines.estimate(
        subject_of(tiny(initializer_range=0.3)), *rows, seed=0, on_rows=lambda _: None
    )  # as if nothing had been attached
    assert (found.rows, found.exact) == (48, False)
    assert same(before, values(backbone.model))


# Measuring and predicting -------------------------------------------------------------------------------------------------


def test_an_evaluation_counts_every_row_once(learned: tuple[Tiny, TrainingResult]) -> None:
    result = evaluate(learned[0], DATA)
    assert sum(map(sum, result.counts)) == result.metrics["rows"] == len(result.predictions) == 48
    assert sum(result.counts[at][at] for at in range(2)) == result.predictions["right"].sum() == round(48 * result.accuracy)
    assert result.metrics["majority"] == 0.5
    text = repr(result)
    assert "taken for good" in read_safe(result.html()).texts
    assert "taken for good" in text
    assert "48 rows" in text


def test_wrong_gives_the_surest_mistakes_first() -> None:
    found = evaluate(tiny(), DATA).wrong(4)
    assert len(found) == 4
    assert (found["label"] != found["predicted"]).all()
    assert found["probability"].is_monotonic_decreasing


def test_rows_and_split_choose_what_is_measured() -> None:
    backbone = tiny()
    assert evaluate(backbone, DATA, rows=6).metrics["rows"] == 6
    assert evaluate(backbone, DATA, split="train").metrics["rows"] == 192


def test_metrics_agree_with_sklearn_style_counts() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(200, 3), torch.randint(0, 3, (200,)).tolist()
    found = metrics_of(logits, labels, ["a", "b", "c"])
    guesses = logits.argmax(-1).tolist()
    for at, name in enumerate("abc"):
        hits = sum(g == t == at for g, t in zip(guesses, labels, strict=True))
        precision, recall = hits / guesses.count(at), hits / labels.count(at)
        assert found[f"f1_{name}"] == pytest.approx(2 * precision * recall / (precision + recall))


def test_predict_takes_one_text_or_several_and_knows_the_labels(learned: tuple[Tiny, TrainingResult]) -> None:
    backbone = learned[0]
    one = predict(backbone, "the film was good")
    assert one.df.columns.tolist() == ["text", "label", "probability"]
    several = predict(backbone, ["the film was good", "a bad story"])
    assert several.df["label"].tolist() == ["good", "bad"]
    assert several.df["probability"][0] == pytest.approx(one.df["probability"][0], abs=1e-6)
    assert predict(backbone, "good", label_names=["thumbs down", "thumbs up"]).df["label"][0] == "thumbs up"
    assert predict(tiny(), "good").df["label"][0] in ("LABEL_0", "LABEL_1")
    assert "the film was good" in repr(one)
    assert "the film was good" in read_safe(one.html()).texts


# How it looks -------------------------------------------------------------------------------------------------------------


def test_the_result_draws_itself_as_text_and_as_safe_html(learned: tuple[Tiny, TrainingResult]) -> None:
    bundle = learned[1]._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    assert learned[1].verdict in bundle["text/plain"]
    html = bundle["text/html"]
    read_safe(html)
    encoded = html.partition("data:image/svg+xml;base64,")[2].partition('"')[0]
    root = ET.fromstring(base64.b64decode(encoded))  # noqa: S314
    assert root.tag.endswith("svg")
    assert f"{learned[1].accuracy:.3f}" in "".join(root.itertext())


def test_a_result_can_be_pickled(learned: tuple[Tiny, TrainingResult]) -> None:
    copied = pickle.loads(pickle.dumps(learned[1]))  # noqa: S301
    assert copied.text() == learned[1].text()


def test_the_curve_is_well_formed_whatever_it_holds() -> None:
    curves = [
        Curve([]),
        Curve([0.7]),
        Curve([float("nan"), 0.5, 0.4], [(2, 0.5), (3, 0.9)], {"a < b": 0.5, "c": 0.5}, 10),
        Curve([1.0] * 2000, [(2000, 1.0)]),
    ]
    for curve in curves:
        root = ET.fromstring(curve_svg(curve))  # noqa: S314
        points = [line.get("points", "").split() for line in root.iter("{http://www.w3.org/2000/svg}polyline")]
        assert all(len(line) <= 301 for line in points)
        assert all(0 <= float(x) <= 760 and 0 <= float(y) <= 250 for line in points for x, y in (p.split(",") for p in line))


def test_the_curve_is_the_same_each_time() -> None:
    curve = Curve([0.7, 0.6], [(2, 0.8)], {"head alone": 0.6})
    assert curve_svg(curve) == curve_svg(copy.deepcopy(curve))


def test_a_sparkline_is_as_wide_as_asked() -> None:
    assert len(sparkline([float(at) for at in range(1000)], 24)) == 24
    assert sparkline([]) == ""
    assert sparkline([1.0, 1.0]) == "▁▁"


def test_a_script_gets_the_preface_a_bar_and_the_verdict(capfd: pytest.CaptureFixture[str]) -> None:
    result = train(tiny(), DATA, **{**FAST, "display": "terminal"})
    out, err = capfd.readouterr()
    assert out.splitlines() == [result.preface, result.verdict]
    assert "4/4" in err


def test_a_notebook_gets_one_area_that_ends_as_the_result(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output
    from traitlets.config import Config

    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell.instance(config=config)
    with capture_output() as seen:
        result = train(tiny(), DATA, **{**FAST, "display": "notebook"})
        count = len(seen.outputs)
        result._ipython_display_()  # what the cell's last line does
        assert len(seen.outputs) == count
        shell.execution_count += 1
        result._ipython_display_()
        assert len(seen.outputs) == count + 1
    areas = {output.transient["display_id"] for output in seen.outputs[:count]}
    assert len(areas) == 1
    assert count <= 3  # four steps take less than a second
    assert "192 texts in 4 steps of 8" in " ".join(read_safe(seen.outputs[0].data["text/html"]).texts)
    assert seen.outputs[count - 1].data == result._repr_mimebundle_() == seen.outputs[count].data


def test_the_face_of_the_package_has_the_three_verbs() -> None:
    assert (deltanb.train, deltanb.evaluate, deltanb.predict) == (train, evaluate, predict)
