"""What a delta has learned: sizes, singular values, movement and answers, each against an independent recomputation."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

import deltanb
from deltanb import LoraModel, SoftPromptModel, anatomy, deltas
from deltanb._errors import DeltaError
from deltanb.backbones._byte_tokenizer import byte_tokenizer
from deltanb.engine import DELTA_TYPES, effective_rank, first_energy, places_of, side_by_side, weight_changes
from tests.families import fresh
from tests.models import assert_same, batch_for, bert, learn, make, of_type, same_state, stir

TEXTS = ["A warm, funny film.", "Bad."]
CHANGES_WEIGHTS = ("lora", "bitfit", "ia3", "ln_tuning")
FAMILIES = ("bert", "bart", "gpt2", "llama")


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.detach().double().clone() for name, p in model.named_parameters()}


def by_merging(delta: Any) -> dict[str, torch.Tensor]:
    """ΔW of each host's weight: the whole matrix after merging, less the whole matrix before."""
    model = delta.backbone_model
    before = {host: model.get_submodule(host).weight.detach().double().clone() for host in delta.modules}
    delta.merge(batch_for(model))
    after = {host: model.get_submodule(host).weight.detach().double().clone() for host in delta.modules}
    delta.unmerge(batch_for(model))
    return {host: after[host] - before[host] for host in before}


# The change of weights ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("options", [{}, {"use_rslora": True}, {"rank_pattern": {"0": 1}}], ids=str)
def test_lora_is_measured_as_the_full_matrix_is(family: str, options: dict[str, Any]) -> None:
    model = fresh(family).double()
    if "rank_pattern" in options:
        first = LoraModel(model, lora_r=3)
        hosts = first.hosts
        first.detach()
        options = {"rank_pattern": {hosts[0]: 1}}
    delta = LoraModel(model, lora_r=3, lora_alpha=5, name="again", **options)
    stir(delta.parameters())
    full = by_merging(delta)
    found = weight_changes(delta)
    assert [one.name for one in found] == list(delta.modules)
    for one in found:
        values = torch.linalg.svdvals(full[one.name]).tolist()
        rank = len(one.singular_values)
        assert rank == delta.modules[one.name].lora_A.shape[0]
        assert one.singular_values == pytest.approx(values[:rank], rel=1e-9)
        assert max(values[rank:], default=0.0) < 1e-9
        assert one.change == pytest.approx(float(full[one.name].norm()), rel=1e-9)
        assert one.weight == pytest.approx(float(model.get_submodule(one.name).weight.detach().norm()), rel=1e-6)
        assert one.relative == pytest.approx(one.change / one.weight)


def test_an_embedding_and_dora_too() -> None:
    model = fresh("bert").double()
    delta = LoraModel(model, lora_r=2, modified_modules=["word_embeddings", "query"], use_dora=True)
    stir(delta.parameters())
    full = by_merging(delta)
    for one in weight_changes(delta):
        assert one.change == pytest.approx(float(full[one.name].norm()), rel=1e-9)
        assert len(one.singular_values) == 2
        assert torch.linalg.matrix_rank(full[one.name]) > 2
    child: Any = delta.modules["bert.embeddings.word_embeddings"]
    table = model.get_submodule("bert.embeddings.word_embeddings").weight.detach()
    part = child.ratio(table.T)[:, None] * child.scaling * (child.lora_B @ child.lora_A)
    values = next(one.singular_values for one in weight_changes(delta) if "embeddings" in one.name)
    assert values == pytest.approx(torch.linalg.svdvals(part.detach())[:2].tolist(), rel=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ["bitfit", "ln_tuning"])
def test_trained_tensors_are_measured_from_their_originals(kind: str, family: str) -> None:
    model = fresh(family)
    before = weights(model)
    delta = of_type(kind, model)
    stir([p for p in model.parameters() if p.requires_grad])
    stir([*delta.parameters()], seed=8)
    after = weights(model)
    names = delta.core_names()
    for one in weight_changes(delta):
        own = [name for name in names if name.rpartition(".")[0] == one.name]
        own += [name for name in after if name.startswith(f"{one.name}.{kind}.")]
        total = sum(float((after[name] - before.get(name, 0)).norm()) ** 2 for name in own)
        assert own
        assert one.change == pytest.approx(math.sqrt(total), rel=1e-5)
        assert one.weight == pytest.approx(math.sqrt(sum(float(before[name].norm()) ** 2 for name in own if name in before)), rel=1e-5)
        assert not one.singular_values
    attached = weight_changes(delta)
    delta.detach()
    assert weight_changes(delta) == attached
    covered = {one.name for one in attached}
    assert {name.rpartition(".")[0] for name in names} | set(delta.modules) == covered


@pytest.mark.parametrize("family", FAMILIES)
def test_ia3_is_measured_as_its_merged_weights_are(family: str) -> None:
    model = fresh(family).double()
    delta = of_type("ia3", model)
    stir(delta.parameters())
    before = weights(model)
    found = {one.name: one for one in weight_changes(delta)}
    delta.merge(batch_for(model))
    after = weights(model)
    for host in delta.modules:
        keys = [key for key in ("weight", "bias") if f"{host}.{key}" in before and not (key == "bias" and host in delta.before)]
        total = sum(float((after[f"{host}.{key}"] - before[f"{host}.{key}"]).norm()) ** 2 for key in keys)
        assert found[host].change == pytest.approx(math.sqrt(total), rel=1e-6)
    assert [one.change for one in weight_changes(delta)] == pytest.approx([one.change for one in found.values()])  # merged or not
    delta.detach()
    assert [one.change for one in weight_changes(delta)] == pytest.approx([one.change for one in found.values()])  # attached or not


@pytest.mark.parametrize("kind", [kind for kind in DELTA_TYPES if kind not in CHANGES_WEIGHTS])
def test_a_function_of_the_text_is_no_change_of_weights(kind: str) -> None:
    assert weight_changes(of_type(kind, bert())) == []


@pytest.mark.parametrize("kind", CHANGES_WEIGHTS)
def test_a_new_delta_has_changed_nothing(kind: str) -> None:
    found = weight_changes(of_type(kind, bert()))
    assert found
    assert {one.change for one in found} == {0.0}


def test_a_trained_head_is_told_apart() -> None:
    model = bert()
    before = weights(model)
    delta = of_type("lora", model)
    delta.freeze_module(exclude=["deltas", "classifier"])
    learn(delta)
    core, head = weight_changes(delta)[0], weight_changes(delta)[-1]
    assert (core.core, head.core, head.name) == (True, False, "classifier")
    after = weights(model)
    total = sum(float((after[key] - before[key]).norm()) ** 2 for key in ("classifier.weight", "classifier.bias"))
    assert head.change == pytest.approx(math.sqrt(total), rel=1e-5)


@pytest.mark.parametrize(
    ("values", "rank", "energy"),
    [([1.0], 1, 1), ([1.0] * 5, 5, 0.2), ([3.0, 0.0], 1, 1), ([], 0, 0), ([2.0, 1.0], 3 / 2 ** (2 / 3), 0.8)],
)
def test_effective_rank_and_energy(values: list[float], rank: float, energy: float) -> None:
    assert effective_rank(values) == pytest.approx(rank)
    assert first_energy(values) == pytest.approx(energy)


def test_a_skeleton_has_learned_nothing() -> None:
    with pytest.raises(DeltaError, match="skeleton"):
        weight_changes(of_type("lora", make("bert", device="meta")))


# The movement of activations ------------------------------------------------------------------------------------------


def outputs(model: nn.Module, places: dict[str, str], inputs: Any) -> dict[str, torch.Tensor]:
    """What comes out of modules, by hooks of this test's own."""
    seen: dict[str, torch.Tensor] = {}
    handles = [
        model.get_submodule(place).register_forward_hook(
            lambda _m, _a, output, name=name: seen.update({name: output[0] if isinstance(output, tuple) else output})
        )
        for name, place in places.items()
    ]
    with torch.no_grad():
        model(**inputs)
    for handle in handles:
        handle.remove()
    return seen


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", DELTA_TYPES)
def test_movement_is_what_own_hooks_see(kind: str, family: str) -> None:
    model = fresh(family)
    inputs = batch_for(model)
    delta = of_type(kind, model)
    stir([p for name, p in model.named_parameters() if name in delta.tensors()], scale=0.1)
    places = places_of(delta)
    assert places
    after = outputs(model, places, inputs)
    passes = side_by_side(delta, inputs)
    delta.detach()
    before = outputs(model, places, inputs)
    for name in places:
        old = before[name]
        new = after[name][:, -old.shape[1] :] if old.ndim == 3 else after[name]
        ratio = (new - old).norm(dim=-1) / old.norm(dim=-1)
        assert passes.moved[name].mean == pytest.approx(float(ratio.mean()), rel=1e-4)
    assert max(moved.mean or 0 for moved in passes.moved.values()) > 0


@pytest.mark.parametrize("kind", DELTA_TYPES)
def test_looking_changes_nothing(kind: str) -> None:
    model = fresh("bert").train()
    model.bert.encoder.layer[1].eval()
    delta = of_type(kind, model)
    other = LoraModel(model, modified_modules=["output.dense"], name="other")
    stir(other.parameters())
    delta.freeze_module(exclude=["deltas", "classifier"])
    learn(delta)
    parameters = dict(model.named_parameters())
    modes = [module.training for module in model.modules()]
    state, random = same_state(model), torch.get_rng_state()
    side_by_side(delta, batch_for(model))
    weight_changes(delta)
    assert_same(same_state(model), state)
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), random)
    assert all(parameters[name] is p for name, p in model.named_parameters())
    assert not any(p.grad is not None for p in model.parameters())
    assert list(deltas(model)) == [delta.name, "other"]


def test_other_deltas_are_on_both_times_merged_or_not() -> None:
    model = fresh("bert")
    inputs = batch_for(model)
    for seed, name in enumerate("abc"):
        stir(LoraModel(model, modified_modules=["query", "value"], name=name).parameters(), seed, 0.1)
    delta, other = deltas(model)["b"], deltas(model)["c"]
    plain = side_by_side(delta, inputs).moved
    delta.detach()
    with torch.no_grad():
        without = model(**inputs).logits
    delta.attach()
    other.merge(inputs)
    delta.merge(inputs)
    state = same_state(model)
    passes = side_by_side(delta, inputs)
    assert_same(same_state(model), state)
    torch.testing.assert_close(passes.without.logits, without, atol=1e-5, rtol=1e-4)
    assert [one.merged for one in deltas(model).values()] == [False, True, True]
    for name, moved in plain.items():
        assert passes.moved[name].mean == pytest.approx(moved.mean, rel=1e-3)


def test_a_merged_delta_comes_back_beside_one_that_would_refuse_it() -> None:
    model = fresh("bert")
    inputs = batch_for(model)
    lora = LoraModel(model, modified_modules=["layer.$.output.dense"])
    ia3 = of_type("ia3", model, modified_modules=["layer.$.output.dense"])
    for delta in (lora, ia3):
        stir(delta.parameters(), scale=0.1)
        delta.merge(inputs)
    state = same_state(model)
    passes = side_by_side(lora, inputs)
    assert_same(same_state(model), state)
    assert lora.merged
    assert ia3.merged
    assert all(moved.mean for moved in passes.moved.values())


def test_padding_does_not_count() -> None:
    model = fresh("bert")
    delta = of_type("adapter", model)
    alone = torch.randint(3, 60, (1, 5), generator=torch.Generator().manual_seed(0))
    padded = torch.cat([alone, torch.zeros(1, 4, dtype=torch.long)], 1)
    mask = (padded != 0).long()
    one = side_by_side(delta, {"input_ids": alone, "attention_mask": torch.ones_like(alone)}).moved
    same = side_by_side(delta, {"input_ids": padded, "attention_mask": mask}).moved
    for name, moved in one.items():
        assert (moved.tokens, same[name].tokens) == (5, 5)
        assert same[name].mean == pytest.approx(moved.mean, rel=1e-4)


@pytest.mark.parametrize("attached", [True, False])
def test_an_interrupted_pass_leaves_the_model_whole(*, attached: bool) -> None:
    model = fresh("bert")
    delta = of_type("lora", model)

    def interrupt(*_: Any) -> None:
        if delta.attached is attached:
            raise KeyboardInterrupt

    handle = model.classifier.register_forward_hook(interrupt)
    state, hooks = same_state(model), sum(len(module._forward_hooks) for module in model.modules())
    with pytest.raises(KeyboardInterrupt):
        side_by_side(delta, batch_for(model))
    assert_same(same_state(model), state)
    assert sum(len(module._forward_hooks) for module in model.modules()) == hooks
    handle.remove()
    delta.detach()
    with pytest.raises(DeltaError, match="detached"):
        side_by_side(delta, batch_for(model))


def test_a_soft_prompt_is_seen_in_the_layers() -> None:
    model = fresh("bert")
    delta = SoftPromptModel(model, soft_token_num=2)
    assert list(places_of(delta)) == ["bert.encoder.layer.0", "bert.encoder.layer.1"]


# The whole ------------------------------------------------------------------------------------------------------------


class Taken:
    """A model with a tokenizer, as a backbone is."""

    def __init__(self, model: nn.Module) -> None:
        self.model, self.tokenizer, self.name = model, byte_tokenizer(model.config), "tiny"


def taken(family: str = "bert") -> Any:
    return Taken(make(family, vocab_size=300))


def test_sentences_are_read_one_at_a_time_and_add_up() -> None:
    backbone = taken()
    delta = of_type("lora", backbone.model)
    stir(delta.parameters())
    report = anatomy(backbone, "lora", TEXTS, label_names=["bad", "good"])
    singles = [anatomy(backbone, delta, text) for text in TEXTS]
    assert report.tokens == sum(one.tokens for one in singles)
    for at, row in enumerate(report.rows):
        parts = [(one.rows[at].moved, one.tokens) for one in singles]
        assert row.moved == pytest.approx(sum(mean * count for mean, count in parts if mean) / report.tokens)
    probabilities = deltanb.predict(backbone, TEXTS, label_names=["bad", "good"]).probabilities
    with deltanb.without_deltas(backbone.model):
        before = deltanb.predict(backbone, TEXTS).probabilities
    for one, after, old in zip(report.comparisons, probabilities, before, strict=True):
        assert one.labels == ("bad", "good")
        assert one.with_delta == pytest.approx(after, abs=1e-5)
        assert one.without == pytest.approx(old, abs=1e-5)
    assert report.predictions["with_delta"].sum() == pytest.approx(len(TEXTS))


@pytest.mark.parametrize("family", ["gpt2", "llama", "bart", "t5"])
def test_a_language_model_says_the_next_token(family: str) -> None:
    backbone = taken(family)
    delta = of_type("lora", backbone.model)
    stir(delta.parameters())
    report = anatomy(backbone, texts="What a film")
    assert report.predicts == "next token"
    one = report.comparisons[0]
    assert 5 <= len(one.labels) <= 10
    assert 0 < sum(one.with_delta) <= 1 + 1e-6
    inputs = {"input_ids": torch.tensor([backbone.tokenizer("What a film")["input_ids"]])}
    if family in ("bart", "t5"):
        inputs["decoder_input_ids"] = torch.tensor([[backbone.model.config.decoder_start_token_id]])
    with torch.no_grad():
        expected = backbone.model(**inputs).logits[0, -1].softmax(-1)
    assert max(one.with_delta) == pytest.approx(float(expected.max()), rel=1e-4)


@pytest.mark.parametrize("kind", DELTA_TYPES)
def test_every_type_has_an_honest_report(kind: str) -> None:
    backbone = taken()
    delta = of_type(kind, backbone.model)
    new = anatomy(backbone, texts=TEXTS)
    assert new.untrained is (True if kind in CHANGES_WEIGHTS else None)
    if kind in CHANGES_WEIGHTS:
        assert "not trained yet: it changes nothing" in new.text()
        assert {row.moved for row in new.rows} == {0.0}
    else:
        assert any("adds a function of the text" in note for note in new.notes)
        assert new.df["change"].isna().all()
    learn(delta)
    stir([p for name, p in backbone.model.named_parameters() if name in delta.core_names()])
    report = anatomy(backbone, texts=TEXTS)
    assert "what it has learned" in report.text()
    assert (report.df["moved"] > 0).any()
    assert (report.df["change"] > 0).all() == (kind in CHANGES_WEIGHTS)
    assert bool(report.rows[0].singular_values) is (kind == "lora")
    assert report.html()


def test_what_cannot_be_measured_is_said() -> None:
    model = make("vit")
    of_type("lora", model)
    report = anatomy(model)
    assert report.df["moved"].isna().all()
    assert any("no tokenizer" in note for note in report.notes)
    with pytest.raises(DeltaError, match="tokenizer"):
        anatomy(model, texts=TEXTS)
    with pytest.raises(DeltaError, match="No delta is attached"):
        anatomy(bert())
    with pytest.raises(DeltaError, match="skeleton"):
        anatomy(of_type("lora", make("bert", device="meta")).backbone_model)
    backbone = taken()
    of_type("lora", backbone.model)
    with pytest.raises(DeltaError, match="No attached delta is called"):
        anatomy(backbone, "reviews")
    with pytest.raises(DeltaError, match="There is no text"):
        anatomy(backbone, texts=[])


def test_held_out_rows_are_the_examples_where_there_are_data() -> None:
    backbone = taken()
    of_type("lora", backbone.model)
    data = deltanb.datasets.load("movie_reviews").limit(100)
    report = anatomy(backbone, data=data)
    rows = dict(zip(data.test[:]["text"], data.test[:]["label"], strict=True))
    assert [rows[text] for text in report.texts] == [0, 1, 0, 1]
    assert report.comparisons[0].labels == ("negative", "positive")
