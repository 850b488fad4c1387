"""Frozen layers are not paid for: no graph below what trains, and with ``cache_frozen`` no second pass either."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import transformers

from deltanb import AdapterModel, LoraModel, predict, train
from deltanb._errors import DeltaError
from deltanb.datasets import as_text_data
from deltanb.engine import freeze
from deltanb.engine.auto import DELTA_TYPES
from deltanb.training import FrozenCache
from deltanb.training._store import Store
from deltanb.workbench import Workbench
from tests.tiny_text import Tiny, films, light_collections, tiny, tiny_tokenizer, values

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

__all__ = ["light_collections"]
DATA = as_text_data(films(35), name="films")  # 28 training rows: 2 steps a pass, the last one of 12 texts
MORE = as_text_data(films(95), name="more films")
TEXTS = len(DATA.train)
ONCE = len(set(DATA.train[:]["text"]))
QUERIES = "layer.2-3.attention.self.query,value"
OPTIONS: dict[str, Any] = {"epochs": 2, "batch_size": 16, "lr": 1e-2, "display": False, "baseline": False}
DROPOUTS = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
CACHED: dict[str, Any] = {"cache_frozen": True, "cache_dtype": "float32"}


def lora(pattern: str = QUERIES, **changes: Any) -> Tiny:
    """A tiny BERT of four layers with LoRA in the upper two."""
    backbone = tiny(num_hidden_layers=4, initializer_range=0.3, **changes)
    LoraModel(backbone.model, modified_modules=[pattern], lora_r=2).freeze_module(exclude=["deltas", "classifier"])
    return backbone


def furthest(one: Tiny, other: Tiny) -> float:
    """The largest difference between two models' values."""
    first, second = values(one.model), values(other.model)
    return max((first[name] - second[name]).abs().max().item() for name in first)


def untouched(model: nn.Module) -> bool:
    """Whether no block has a stand-in and the model no hook."""
    blocks = all("forward" not in vars(module) for module in model.modules())
    return blocks and not model._forward_pre_hooks and not model._forward_hooks


# No gradient below what trains --------------------------------------------------------------------------------------------

# Patterns in the last layer for each type; a soft prompt changes the input, so nothing lies below it.
UPPER = {name: "layer.3.output.dense" for name in DELTA_TYPES if name != "soft_prompt"} | {
    "prefix": "layer.3.attention.self",
    "ln_tuning": "layer.3.output.LayerNorm",
    "ia3": "layer.3.attention.self.value",
}


def with_upper(kind: str) -> Tiny:
    backbone = tiny(num_hidden_layers=4)
    narrow = {"reduction_factor": 4} if kind in ("compacter", "low_rank_adapter") else {}
    DELTA_TYPES[kind](backbone.model, modified_modules=[UPPER[kind]], **narrow).freeze_module(exclude=["deltas", "classifier"])
    return backbone


def graphs(backbone: Tiny, **options: Any) -> tuple[list[bool], list[bool], Any]:
    """Whether what enters each layer, and what the embeddings give, has a gradient in a step; and the result."""
    bert, entered, embedded = backbone.model.bert, [False] * 4, []
    handles = [bert.embeddings.register_forward_hook(lambda _m, _a, output: embedded.append(output.requires_grad))]
    for at, layer in enumerate(bert.encoder.layer):

        def note(_m: Any, args: Any, at: int = at) -> None:
            entered[at] |= args[0].requires_grad

        handles.append(layer.register_forward_pre_hook(note))
    result = train(backbone, DATA, max_steps=1, **{**OPTIONS, **options})
    for handle in handles:
        handle.remove()
    return entered, embedded, result


@pytest.mark.parametrize("kind", sorted(UPPER))
def test_a_delta_in_the_last_layer_costs_no_gradient_below_it(kind: str) -> None:
    backbone = with_upper(kind)
    before = values(backbone.model)
    entered, embedded, result = graphs(backbone, warmup=0.0)
    assert entered == [False] * 4
    assert not any(embedded)
    assert "Gradients" not in result.preface
    after = values(backbone.model)
    assert any(not torch.equal(before[name], after[name]) for name in before if "layer.3" in name)


def test_activation_checkpointing_gets_no_gradients_of_the_input() -> None:
    backbone = with_upper("adapter")
    entered, _, result = graphs(backbone, activation_checkpointing=True)
    assert entered == [False] * 4
    assert "Activation checkpointing without gradients of the input, as nothing below bert.encoder.layer.3" in result.preface


def test_checkpointing_learns_the_same_and_is_off_afterwards() -> None:
    plain, checkpointed = lora(**DROPOUTS), lora(**DROPOUTS)
    train(plain, DATA, **OPTIONS)
    train(checkpointed, DATA, activation_checkpointing=True, **OPTIONS)
    assert furthest(plain, checkpointed) < 1e-6
    assert not checkpointed.model.is_activation_checkpointing
    assert not any(vars(module).get("gradient_checkpointing") for module in checkpointed.model.modules())
    assert not checkpointed.model.get_input_embeddings()._forward_hooks


def test_where_the_input_has_a_gradient_the_run_says_so_and_leaves_it_so() -> None:
    backbone = with_upper("adapter")
    backbone.model.enable_input_require_grads()
    entered, _, result = graphs(backbone)
    assert entered == [True] * 4
    assert "Gradients go below bert.encoder.layer.3.output.dense, where nothing trains" in result.preface
    assert "model.disable_input_require_grads() ends that" in result.preface
    assert len(backbone.model.get_input_embeddings()._forward_hooks) == 1
    backbone.model.disable_input_require_grads()
    assert not backbone.model.get_input_embeddings()._forward_hooks


def test_the_reentrant_form_of_checkpointing_needs_them_and_the_run_says_so() -> None:
    backbone = with_upper("adapter")
    options = {"activation_checkpointing": True, "activation_checkpointing_kwargs": {"use_reentrant": True}}
    entered, _, result = graphs(backbone, **options)
    assert any(entered)
    assert "with use_reentrant=True needs that, and without it does not" in result.preface


# The same is learned ------------------------------------------------------------------------------------------------------


def test_the_cache_changes_nothing_of_what_is_learned() -> None:
    plain, cached = lora(**DROPOUTS), lora(**DROPOUTS)
    expected = train(plain, MORE, eval_every=9, **{**OPTIONS, "epochs": 3, "batch_size": 8})
    found = train(cached, MORE, eval_every=9, **{**OPTIONS, "epochs": 3, "batch_size": 8}, **CACHED)
    assert len(MORE.train) % 8
    assert furthest(plain, cached) < 1e-6
    assert furthest(plain, lora(**DROPOUTS)) > 1e-2
    assert found.metrics == pytest.approx(expected.metrics, abs=1e-5)
    np.testing.assert_allclose(found.history["loss"], expected.history["loss"], atol=1e-5)
    np.testing.assert_allclose(found.history["accuracy"], expected.history["accuracy"])


def test_with_dropout_too_it_is_the_run_whose_frozen_blocks_are_computed_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    cached, each_time = lora(), lora()
    train(cached, DATA, **OPTIONS, **CACHED)
    monkeypatch.setattr(Store, "missing", lambda _store, keys: list(range(len(keys))))
    result = train(each_time, DATA, **OPTIONS, **CACHED)
    assert (result.kept.taken, result.kept.computed) == (0, 2 * TEXTS)
    assert furthest(cached, each_time) < 1e-6


@pytest.mark.parametrize(("dtype", "most"), [("half", 0.01), pytest.param("bfloat16", 0.1, marks=pytest.mark.slow)])
def test_half_precision_is_close_and_takes_half_the_room(dtype: str, most: float) -> None:
    plain, cached = lora(**DROPOUTS), lora(**DROPOUTS)
    train(plain, DATA, **OPTIONS)
    result = train(cached, DATA, cache_frozen=True, cache_dtype=dtype, **OPTIONS)
    assert 0 < furthest(plain, cached) < most
    tokens = sum(len(text.split()) + 2 for text in set(DATA.train[:]["text"]))
    assert result.kept.size == tokens * 16 * 2
    assert f"kept in {dtype.replace('half', 'float16')}, rounded to it" in result.preface


def test_a_model_in_half_precision_is_kept_as_it_is() -> None:
    backbone = lora()
    backbone.model.to(torch.bfloat16)
    result = train(backbone, DATA, cache_frozen=True, **OPTIONS)
    assert result.kept.dtype == "bfloat16"
    assert "rounded" not in result.preface


_SIZES = {"vocab_size": 64, "pad_token_id": 0}
_ENCODER = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32, **_SIZES}
_BART = {"d_model": 16, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
# Model, its config's settings, where LoRA sits, what is kept then.
FAMILIES: dict[str, tuple[dict[str, Any], str, str]] = {
    "DistilBert": (
        {"dim": 16, "n_layers": 3, "n_heads": 2, "hidden_dim": 32, "dropout": 0.0, "attention_dropout": 0.0, **_SIZES},
        "layer.2.attention.q_lin",
        "distilbert.transformer.layer.0 to 1",
    ),
    "GPT2": (
        {"n_embd": 16, "n_layer": 3, "n_head": 2, "n_positions": 64, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "resid_pdrop": 0.0, **_SIZES},
        "h.2.mlp.c_fc",
        "transformer.h.0 to 1",
    ),
    "Llama": ({"num_key_value_heads": 2, **_ENCODER}, "layers.2.mlp.up_proj", "model.layers.0 to 1"),
    "Albert": ({"embedding_size": 8, **_ENCODER, "num_hidden_groups": 1, "classifier_dropout_prob": 0.0}, "", "albert.encoder"),
    "Bart": (
        {**_BART, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "dropout": 0.0, "eos_token_id": 3, "decoder_start_token_id": 3, **_SIZES},
        "decoder.layers.1.fc1",
        "model.encoder, model.decoder.layers.0",
    ),
    "T5": (
        {
            "d_model": 16,
            "d_kv": 8,
            "d_ff": 32,
            "num_layers": 2,
            "num_heads": 2,
            "dropout_rate": 0.0,
            "eos_token_id": 3,
            "decoder_start_token_id": 0,
            **_SIZES,
        },
        "decoder.block.1.layer.0.SelfAttention.q",
        "transformer.encoder",
    ),
}


def of_family(family: str, padding: str = "right") -> Tiny:
    settings, pattern, _ = FAMILIES[family]
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**settings)
    model = getattr(transformers, f"{family}ForSequenceClassification")(config).eval()
    tokenizer = tiny_tokenizer()
    tokenizer.padding_side = padding
    head = next(name for name in ("classifier", "classification_head", "score") if hasattr(model, name))
    if pattern:
        LoraModel(model, modified_modules=[pattern], lora_r=2).freeze_module(exclude=["deltas", head])
    else:
        freeze(model, head)
    return Tiny(model, tokenizer)


_RARER = ("Albert", "DistilBert")


@pytest.mark.parametrize("family", [pytest.param(name, marks=[pytest.mark.slow] * (name in _RARER)) for name in sorted(FAMILIES)])
def test_any_family_whose_blocks_follow_one_another(family: str) -> None:
    plain, cached = of_family(family), of_family(family)
    train(plain, DATA, **OPTIONS)
    result = train(cached, DATA, **OPTIONS, **CACHED)
    assert result.kept.part == FAMILIES[family][2]
    assert result.kept.taken >= TEXTS
    assert furthest(plain, cached) < 1e-5
    assert untouched(cached.model)


def test_the_head_alone_needs_none_of_the_blocks() -> None:
    backbone = tiny()
    freeze(backbone.model, "classifier")
    assert train(backbone, DATA, **OPTIONS, **CACHED).kept.part == "bert.encoder"


def test_a_frozen_delta_below_the_cut_works_once() -> None:
    def both() -> Tiny:
        backbone = tiny(num_hidden_layers=4, initializer_range=0.3, **DROPOUTS)
        AdapterModel(backbone.model, modified_modules=["layer.1", "layer.0.output"], bottleneck_dim=2)
        delta = LoraModel(backbone.model, modified_modules=[QUERIES], lora_r=2)
        delta.freeze_module(exclude=["lora", "classifier"])
        return backbone

    plain, cached = both(), both()
    train(plain, DATA, **OPTIONS)
    assert train(cached, DATA, **OPTIONS, **CACHED).kept.part == "bert.encoder.layer.0 to 1"
    assert furthest(plain, cached) < 1e-6


# Each text passes once ----------------------------------------------------------------------------------------------------


def test_the_frozen_blocks_run_in_the_first_pass_alone() -> None:
    backbone, texts = lora(), []
    backbone.model.bert.encoder.layer[0].attention.self.query.register_forward_hook(lambda _m, args, _o: texts.append(len(args[0])))
    seen: list[int] = []
    train(backbone, DATA, **OPTIONS, **CACHED, on_step=lambda _: seen.append(sum(texts)))
    assert seen[1] > seen[0]
    assert seen[1] == seen[3]


def test_the_result_tells_size_and_hits() -> None:
    result = train(lora(), DATA, **OPTIONS, **CACHED)
    kept = result.kept
    assert kept.taken + kept.computed == 2 * TEXTS
    assert ONCE <= kept.computed <= TEXTS  # two of the same text in one batch are both computed
    assert (kept.part, kept.dtype, kept.on) == ("bert.encoder.layer.0 to 1", "float32", "memory")
    assert f"{kept.taken} of {2 * TEXTS} texts skipped bert.encoder.layer.0 to 1" in repr(result)
    assert train(lora(), DATA, **OPTIONS).kept is None


def test_one_pass_alone_is_said_to_gain_nothing() -> None:
    once = {**OPTIONS, "epochs": 1}
    assert "That helps from the second pass on, and this run makes one." in train(lora(), DATA, **once, **CACHED).preface
    assert "second pass" not in train(lora(), DATA, **OPTIONS, **CACHED).preface


def test_held_out_rows_that_are_measured_again_pass_once_too() -> None:
    result = train(lora(), DATA, eval_every=2, **OPTIONS, **CACHED)
    measured = result.history["accuracy"].count()
    assert measured == 2
    assert result.kept.taken + result.kept.computed == 2 * TEXTS + measured * len(DATA.test)
    assert result.kept.computed <= TEXTS + len(DATA.test)


# Where it is kept ---------------------------------------------------------------------------------------------------------


def test_a_file_on_disk_gives_the_same_and_is_gone_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    in_memory, on_disk = lora(), lora()
    train(in_memory, DATA, **OPTIONS, **CACHED)
    left: list[list[Path]] = []
    result = train(on_disk, DATA, **OPTIONS, **CACHED, cache_on="disk", on_step=lambda _: left.append(list(tmp_path.glob("*.*"))))
    assert furthest(in_memory, on_disk) == 0
    assert result.kept.on == "disk"
    assert "on disk" in repr(result)
    assert list(tmp_path.iterdir()) == []


def long_films() -> Any:
    return as_text_data([(f"{text} " * 20, label) for text, label in films(800)], name="long films")


def test_too_small_a_limit_is_refused_before_anything_happens() -> None:
    backbone = lora(max_position_embeddings=128)
    backbone.tokenizer.model_max_length = 128
    before = values(backbone.model)
    with pytest.raises(DeltaError, match=r"need \d+\.\d MB, and cache_limit is 1 MB") as found:
        train(backbone, long_films(), cache_limit=1, **OPTIONS, **CACHED)
    assert "16 numbers each in float32" in found.value.expected
    assert "cache_limit=" in found.value.try_
    assert 'cache_on="disk"' in found.value.try_
    assert untouched(backbone.model)
    assert all(torch.equal(value, before[name]) for name, value in values(backbone.model).items())
    rows = int(found.value.try_.rpartition("rows=")[2])
    result = train(backbone, long_films(), cache_limit=1, rows=rows, max_steps=1, **OPTIONS, **CACHED)
    assert 500_000 < result.kept.size <= 1_000_000


def test_a_full_disk_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10}))
    with pytest.raises(DeltaError, match="MB free"):
        train(lora(), DATA, cache_on="disk", **OPTIONS, **CACHED)


def test_a_value_beyond_the_range_of_float16_is_no_infinity() -> None:
    backbone = lora()
    with torch.no_grad():
        backbone.model.bert.encoder.layer[1].output.LayerNorm.weight.mul_(1e5)
    before = values(backbone.model)
    with pytest.raises(DeltaError, match="too large for a cache in float16") as found:
        train(backbone, DATA, cache_frozen=True, **OPTIONS)
    assert found.value.try_ == 'cache_dtype="bfloat16"'
    assert untouched(backbone.model)
    assert all(torch.equal(value, before[name]) for name, value in values(backbone.model).items())


# From run to run ----------------------------------------------------------------------------------------------------------


def test_a_cache_of_the_callers_serves_the_next_run() -> None:
    backbone = lora(**DROPOUTS)
    with FrozenCache() as cache:
        first = train(backbone, DATA, **{**OPTIONS, **CACHED, "cache_frozen": cache})
        size = cache.size
        second = train(backbone, DATA, resume=first, **{**OPTIONS, **CACHED, "cache_frozen": cache})
    assert first.kept.computed > 0
    assert (second.kept.computed, second.kept.size) == (0, size)
    assert "of an earlier run are kept already" in second.preface
    assert cache.size == 0
    plain = lora(**DROPOUTS)
    train(plain, DATA, resume=train(plain, DATA, **OPTIONS), **OPTIONS)
    assert furthest(plain, backbone) < 1e-6


def frozen_weight(backbone: Tiny) -> None:
    with torch.no_grad():
        backbone.model.bert.encoder.layer[0].output.dense.weight[0, 0] += 0.5


def embedding(backbone: Tiny) -> None:
    backbone.model.bert.embeddings.word_embeddings.weight.data[5] += 0.5


def frozen_delta(backbone: Tiny) -> None:
    delta = AdapterModel(backbone.model, modified_modules=["layer.0.output.dense"], bottleneck_dim=2)
    delta.freeze_module(exclude=["lora"])


def lower_cut(backbone: Tiny) -> None:
    delta = LoraModel(backbone.model, modified_modules=["layer.1.output.dense"], name="lower")
    delta.freeze_module(exclude=["deltas"])


@pytest.mark.parametrize("change", [frozen_weight, embedding, frozen_delta, lower_cut])
def test_what_was_kept_goes_when_something_below_the_cut_changes(change: Any) -> None:
    backbone, cache = lora(), FrozenCache()
    options = {**OPTIONS, **CACHED, "cache_frozen": cache}
    train(backbone, DATA, **options)
    change(backbone)
    result = train(backbone, DATA, **options)
    assert result.kept.computed >= ONCE
    assert "does not fit any more" in result.preface


@pytest.mark.parametrize("changes", [{"max_length": 3}, {"cache_dtype": "float16"}, {"data": as_text_data(films(35, seed=1))}])
def test_what_was_kept_goes_when_the_texts_or_the_settings_change(changes: dict[str, Any]) -> None:
    backbone, cache = lora(), FrozenCache()
    options = {"data": DATA, **OPTIONS, **CACHED, "cache_frozen": cache}
    train(backbone, **options)
    result = train(backbone, **{**options, **changes})
    assert result.kept.computed > 0
    assert "does not fit any more" in result.preface


def test_what_was_kept_stays_when_only_what_trains_or_the_rows_in_use_change() -> None:
    backbone, cache = lora(), FrozenCache()
    options = {**OPTIONS, **CACHED, "cache_frozen": cache}
    train(backbone, DATA, **options)
    with torch.no_grad():
        backbone.model.bert.encoder.layer[3].output.dense.weight.mul_(1.1)
    assert train(backbone, DATA, rows=10, **options).kept.computed == 0


def test_an_interrupt_keeps_what_was_learned_and_what_was_computed() -> None:
    backbone, cache = lora(), FrozenCache()
    options = {**OPTIONS, **CACHED, "cache_frozen": cache}

    def on_step(row: dict[str, float]) -> None:
        if row["step"] == 1:
            raise KeyboardInterrupt

    first = train(backbone, DATA, on_step=on_step, **options)
    assert first.interrupted
    assert untouched(backbone.model)
    second = train(backbone, DATA, resume=first, **options)
    assert first.kept.computed > 0
    assert second.kept.computed <= TEXTS + len(DATA.test) - first.kept.computed
    assert predict(backbone, "a good film").df.shape[0] == 1


def test_the_workbench_keeps_it_until_a_run_without_it() -> None:
    bench = Workbench()
    backbone = tiny(num_hidden_layers=4)
    bench.backbone(backbone.model, tokenizer=backbone.tokenizer)
    bench.attach("lora", [QUERIES])
    bench.freeze(["deltas", "classifier"])
    options = {"display": False, "baseline": False, "batch_size": 16, "cache_frozen": True}
    assert bench.train(DATA, **options).kept.computed > 0
    again = bench.train(DATA, **options)
    assert (again.kept.computed, again.steps_total) == (0, 4)
    assert "cache_frozen=True" in bench.code()
    assert bench.train(DATA, restart=True, **options).kept.computed == 0
    assert bench.frozen is not None
    bench.train(DATA, **{**options, "cache_frozen": False})
    assert bench.frozen is None


def test_the_magic_has_the_options() -> None:
    from deltanb.magics._parse import parse

    options = parse("train movie_reviews --cache-frozen --cache-limit 800 --cache-dtype float32 --cache-on disk", {}).options
    assert options == {"cache_frozen": True, "cache_limit": 800, "cache_dtype": "float32", "cache_on": "disk"}


# Where it cannot work -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("exclude", "reason"),
    [
        (["deltas", "layer.0.output.dense"], "bert.encoder.layer.0.output.dense trains"),
        (["deltas", "word_embeddings"], "bert.embeddings.word_embeddings trains"),
    ],
)
def test_what_trains_at_the_bottom_leaves_nothing_to_keep(exclude: list[str], reason: str) -> None:
    backbone = tiny(num_hidden_layers=4)
    LoraModel(backbone.model, modified_modules=[QUERIES]).freeze_module(exclude=exclude)
    with pytest.raises(DeltaError, match=reason) as found:
        train(backbone, DATA, **OPTIONS, **CACHED)
    assert "layer.3-3" not in found.value.try_
    assert "layer.3.…" in found.value.try_
    assert untouched(backbone.model)


@pytest.mark.parametrize("kind", ["prefix", "soft_prompt"])
def test_a_prompt_at_the_input_leaves_nothing_to_keep(kind: str) -> None:
    backbone = tiny()
    DELTA_TYPES[kind](backbone.model).freeze_module(exclude=["deltas", "classifier"])
    with pytest.raises(DeltaError, match="cache_frozen has nothing to keep"):
        train(backbone, DATA, **OPTIONS, **CACHED)


def test_padding_that_matters_is_found_out() -> None:
    backbone = of_family("GPT2", padding="left")
    with pytest.raises(DeltaError, match="depends on the padding of the batch") as found:
        train(backbone, DATA, **OPTIONS, **CACHED)
    assert found.value.try_ == 'tokenizer.padding_side = "right"'
    assert untouched(backbone.model)


@pytest.mark.slow
def test_padding_that_does_not_matter_is_no_reason() -> None:
    plain, cached = of_family("Llama", padding="left"), of_family("Llama", padding="left")
    train(plain, DATA, **OPTIONS)
    train(cached, DATA, **OPTIONS, **CACHED)
    assert furthest(plain, cached) < 1e-5


def test_blocks_that_hand_on_more_than_hidden_states_are_refused() -> None:
    backbone = of_family("T5")
    LoraModel(backbone.model, modified_modules=["encoder.block.1.layer.0.SelfAttention.q"], name="low")
    with pytest.raises(DeltaError, match="hand on more than one hidden state a token"):
        train(backbone, DATA, **OPTIONS, **CACHED)


def test_a_model_that_uses_every_layer_is_found_out() -> None:
    class MixedForSequenceClassification(transformers.BertForSequenceClassification):
        def forward(self, input_ids: Any, attention_mask: Any = None, labels: Any = None, **_: Any) -> Any:
            found = self.bert(input_ids, attention_mask=attention_mask, output_hidden_states=True)
            logits = self.classifier(sum(found.hidden_states)[:, 0])
            loss = None if labels is None else torch.nn.functional.cross_entropy(logits, labels)
            return {"loss": loss, "logits": logits}

    backbone = lora()
    backbone.model.__class__ = MixedForSequenceClassification
    with pytest.raises(DeltaError, match="this model uses more of them than what the last one gives"):
        train(backbone, DATA, **OPTIONS, **CACHED)
    assert untouched(backbone.model)


def test_a_compiled_model_is_refused() -> None:
    backbone = lora()
    backbone.model = torch.compile(backbone.model)
    with pytest.raises(DeltaError, match="does not work in a compiled model"):
        train(backbone, DATA, **OPTIONS, **CACHED)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"cache_frozen": "yes"}, "cache_frozen='yes' is not usable. True, False or a FrozenCache"),
        ({"cache_dtype": "float61"}, "One of half, float16, bfloat16, float32 is needed. Nearest: float16"),
        ({"cache_on": "tape"}, "One of memory, disk"),
        ({"cache_limit": 0}, "A whole number from 1"),
    ],
)
def test_options_are_checked(option: dict[str, Any], message: str) -> None:
    with pytest.raises(DeltaError) as found:
        train(lora(), DATA, **{**OPTIONS, **CACHED, **option})
    assert message in str(found.value)
