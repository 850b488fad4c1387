"""Many deltas on one backbone: each row of a batch gives what it gives alone with its delta."""

from __future__ import annotations

import shutil
import threading
from typing import TYPE_CHECKING, Any

import pytest
import torch

import deltanb
from deltanb import DeltaError, DeltaPool
from deltanb.engine import DELTA_TYPES, LoraModel, deltas
from tests.models import assert_same, bart, bert, of_type, same_state, stir
from tests.tiny_text import Tiny, tiny_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

CLOSE = 1e-5
TOGETHER = ("lora", "adapter", "parallel_adapter", "low_rank_adapter", "compacter", "bitfit", "ia3", "ln_tuning")
ALONE = ("prefix", "soft_prompt")

# Forms of a type that go other ways: kind, options, and what it takes of the backbone.
FORMS: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "dora": ("lora", {"use_dora": True}, []),
    "embedded": ("lora", {"modified_modules": ["word_embeddings"]}, []),
    "wide": ("lora", {"lora_r": 5, "lora_alpha": 3}, ["classifier"]),
    "at_norm": ("adapter", {"placement": "at_norm"}, []),
    "relu": ("adapter", {"bottleneck_dim": 5, "non_linearity": "relu", "scaled": 2.0}, []),
    "beside": ("parallel_adapter", {"modified_modules": ["intermediate.dense", "output.dense"], "exclude_modules": ["attention"]}, []),
    "norms": ("lora", {}, ["LayerNorm", "pooler.dense"]),
    "queries": ("adapter", {"modified_modules": ["query"]}, ["query.weight"]),
}


def saved(model: Any, kind: str, folder: Path, seed: int, owns: list[str] | None = None, **options: Any) -> None:
    delta = of_type(kind, model, **options)
    delta.freeze_module(exclude=["deltas", *(owns or [])])
    names = set(delta.tensors())
    stir([p for name, p in model.named_parameters() if name in names and p.requires_grad], seed, scale=0.5)
    delta.save_finetuned(folder)
    delta.detach()


def batch(rows: int, length: int = 7) -> dict[str, torch.Tensor]:
    ids = torch.randint(5, 18, (rows, length), generator=torch.Generator().manual_seed(rows))
    mask = torch.ones_like(ids)
    mask[::2, -2:] = 0
    return {"input_ids": ids, "attention_mask": mask}


def by_itself(model: Any, inputs: dict[str, torch.Tensor], row: int, folder: Path | None) -> torch.Tensor:
    """An independent answer: the delta attached in the ordinary way, and one row."""
    one = {key: value[row : row + 1] for key, value in inputs.items()}
    delta = deltanb.load(folder, model) if folder else None
    with torch.no_grad():
        found: torch.Tensor = model(**one).logits[0]
    if delta:
        delta.detach()
    return found


def check(pool: DeltaPool, folder: Path, names: list[str | None]) -> None:
    inputs = batch(len(names))
    before = same_state(pool.model)
    given = pool.forward(inputs, names).logits
    assert_same(same_state(pool.model), before)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in pool.model.modules())
    for row, name in enumerate(names):
        alone = by_itself(pool.model, inputs, row, folder / name if name else None)
        assert torch.allclose(given[row], alone, atol=CLOSE), name
        if name:
            assert not torch.allclose(given[row], by_itself(pool.model, inputs, row, None), atol=CLOSE), f"{name} does nothing"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two deltas of each type, one of them with a classifier of its own, and the other forms."""
    place, model = tmp_path_factory.mktemp("deltas"), sharp()
    for seed, kind in enumerate(DELTA_TYPES):
        saved(model, kind, place / f"{kind}_a", 2 * seed)
        saved(model, kind, place / f"{kind}_b", 2 * seed + 1, ["classifier"])
    for seed, (name, (kind, options, owns)) in enumerate(FORMS.items()):
        saved(model, kind, place / name, 50 + seed, owns, **options)
    return place


def sharp() -> Any:
    """A tiny BERT whose answers differ from text to text."""
    model = bert()
    stir(model.parameters(), 3, scale=0.2)
    return model.eval()


@pytest.fixture(scope="module")
def pool(folder: Path) -> DeltaPool:
    return DeltaPool(sharp(), folder)


@pytest.mark.parametrize("kind", DELTA_TYPES)
def test_rows_with_two_deltas_and_with_none_give_what_each_gives_alone(pool: DeltaPool, folder: Path, kind: str) -> None:
    check(pool, folder, [f"{kind}_a", None, f"{kind}_b", f"{kind}_a", None])
    check(pool, folder, [f"{kind}_b", f"{kind}_a", f"{kind}_b"])


@pytest.mark.parametrize("name", FORMS)
def test_every_form_shares_a_batch_with_others(pool: DeltaPool, folder: Path, name: str) -> None:
    check(pool, folder, [name, "lora_b", None, name, "adapter_a"])


def test_all_types_in_one_batch(pool: DeltaPool, folder: Path) -> None:
    names = [*pool.names, None]
    generator = torch.Generator().manual_seed(0)
    check(pool, folder, [names[at] for at in torch.randperm(len(names), generator=generator)])


def test_it_says_which_deltas_get_a_pass_of_their_own(pool: DeltaPool) -> None:
    assert {name.rpartition("_")[0] for name in pool.alone} == set(ALONE)
    assert set(TOGETHER) | set(ALONE) == set(DELTA_TYPES)


def test_deltas_that_share_a_pass_take_one_and_others_one_each(pool: DeltaPool) -> None:
    calls: list[int] = []
    handle = pool.model.register_forward_pre_hook(lambda _, __, kwargs: calls.append(len(kwargs["input_ids"])), with_kwargs=True)
    pool.forward(batch(5), ["lora_a", "adapter_a", None, "bitfit_b", "lora_b"])
    assert calls == [5]
    calls.clear()
    pool.forward(batch(5), ["lora_a", "prefix_a", None, "prefix_b", "prefix_a"])
    assert sorted(calls) == [1, 2, 2]
    handle.remove()


def test_one_delta_for_all_rows_is_bit_for_bit_the_attached_one(pool: DeltaPool, folder: Path) -> None:
    inputs = batch(3)
    for name in pool.names:
        given = pool.forward(inputs, name).logits
        delta = deltanb.load(folder / name, pool.model)
        with torch.no_grad():
            assert torch.equal(given, pool.model(**inputs).logits), name
        delta.detach()


def test_a_module_that_does_not_see_rows_is_run_apart(tmp_path: Path) -> None:
    model = sharp()
    saved(model, "lora", tmp_path / "positions", 1, modified_modules=["position_embeddings"])
    saved(model, "lora", tmp_path / "usual", 2)
    pool = DeltaPool(model, tmp_path)
    assert "position_embeddings" in pool.alone["positions"]
    check(pool, tmp_path, ["positions", "usual", None, "usual"])


def test_a_module_whose_call_goes_past_its_hooks_is_found_out(pool: DeltaPool, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dense = pool.model.bert.pooler.dense
    saved(pool.model, "lora", folder.parent / "sneaky" / "pooler", 1, modified_modules=["pooler.dense"])
    fresh = DeltaPool(pool.model, folder.parent / "sneaky")
    assert not fresh.alone
    monkeypatch.setattr(pool.model.bert.pooler, "forward", lambda hidden: torch.tanh(dense.forward(hidden[:, 0])))
    fresh.forward(batch(2), ["pooler", None])
    assert "pooler.dense" in fresh.alone["pooler"]


def test_tied_tensors_of_an_encoder_decoder(tmp_path: Path) -> None:
    model = bart()
    saved(model, "lora", tmp_path / "low", 1)
    saved(model, "adapter", tmp_path / "small", 2)
    saved(model, "bitfit", tmp_path / "biases", 3)
    check(DeltaPool(model, tmp_path), tmp_path, ["low", None, "small", "biases", "low"])


def test_generation_with_one_delta(tmp_path: Path) -> None:
    from tests.families import make

    model = make("gpt2")
    saved(model, "lora", tmp_path / "low", 1)
    pool, ids = DeltaPool(model, tmp_path), torch.tensor([[5, 6, 7]])
    with pool.using("low") as one:
        given = one.generate(ids, max_new_tokens=6, do_sample=False, pad_token_id=0)
    delta = deltanb.load(tmp_path / "low", model)
    assert given.tolist() == model.generate(ids, max_new_tokens=6, do_sample=False, pad_token_id=0).tolist()
    delta.detach()
    assert not deltas(model)


def test_threads_get_their_own_answers(pool: DeltaPool) -> None:
    names = ["lora_a", "adapter_b", "prefix_a", None]
    inputs = batch(1)
    wanted = {name: pool.forward(inputs, name).logits for name in names}
    wrong: list[object] = []

    def ask(name: str | None) -> None:
        for _ in range(6):
            given = pool.forward(inputs, [name]).logits
            if not torch.equal(given, wanted[name]):
                wrong.append(name)

    threads = [threading.Thread(target=ask, args=[name]) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def few(folder: Path, *names: str, model: Any = None) -> DeltaPool:
    found = DeltaPool(model or sharp())
    for name in names:
        found.load(name, folder / name)
    return found


def test_modes_stay_and_dropout_is_off(folder: Path) -> None:
    pool = few(folder, "lora_a", "adapter_a")
    model = pool.model
    model.train()
    model.bert.pooler.eval()
    before = [module.training for module in model.modules()]
    first, second = (pool.forward(batch(2), ["lora_a", "adapter_a"]).logits for _ in range(2))
    assert torch.equal(first, second)
    assert [module.training for module in model.modules()] == before


def test_predict_gives_texts_labels_and_probabilities(folder: Path) -> None:
    pool = few(folder, "lora_b", "adapter_b", model=Tiny(sharp(), tiny_tokenizer()))
    texts = ["a good film", "the plot was very bad and the music was quite good", "the cast"]
    names = ["lora_b", None, "adapter_b"]
    found = pool.predict(texts, names, label_names=["bad", "good"], batch_size=2)
    assert found.df["delta"].tolist() == names
    for text, name, row in zip(texts, names, found.probabilities, strict=True):
        assert pool.predict(text, name).probabilities[0] == pytest.approx(row, abs=1e-5)
        assert sum(row) == pytest.approx(1, abs=1e-5)
    assert "(none)" in found.text()
    assert "<table" in found.html()


def test_load_unload_and_load_again(folder: Path) -> None:
    pool = DeltaPool(sharp())
    assert pool.names == []
    pool.load("mine", folder / "lora_a")
    assert pool.names == ["mine"]
    assert pool.describe()[0]["type"] == "lora"
    pool.unload("mine")
    assert pool.names == []
    with pytest.raises(DeltaError, match="no folder to look"):
        pool.load("lora_a")


# Bad input -----------------------------------------------------------------------------------------------------------


def test_a_name_that_is_not_there_names_the_nearest(pool: DeltaPool) -> None:
    with pytest.raises(DeltaError, match="No delta 'lora_c' is loaded") as found:
        pool.forward(batch(2), ["lora_c", None])
    assert found.value.nearest[0] in ("lora_a", "lora_b")
    with pytest.raises(DeltaError, match="There are 2 rows and 3 deltas"):
        pool.forward(batch(2), [None] * 3)
    with pytest.raises(DeltaError, match="No delta"), pool.using("nobody"):
        pass


def test_a_damaged_delta_among_good_ones_is_named_and_the_others_served(folder: Path, tmp_path: Path) -> None:
    for name in ("lora_a", "adapter_a", "bitfit_a"):
        shutil.copytree(folder / name, tmp_path / name)
    weights = tmp_path / "adapter_a" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-50])
    (tmp_path / "bitfit_a" / "config.json").write_text("{")
    saved(bart(), "lora", tmp_path / "foreign", 1)
    model = sharp()
    before = same_state(model)
    pool = DeltaPool(model, tmp_path)
    assert_same(same_state(model), before)
    assert pool.names == ["lora_a"]
    assert "truncated or altered" in pool.problems["adapter_a"]
    assert "cannot be read" in pool.problems["bitfit_a"]
    assert "saved from BartForConditionalGeneration" in pool.problems["foreign"]
    with pytest.raises(DeltaError, match="'foreign' could not be loaded"):
        pool.forward(batch(1), "foreign")


def test_a_replacement_that_cannot_be_read_leaves_the_old_one(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "lora_a", tmp_path / "lora_a")
    pool = DeltaPool(sharp(), tmp_path)
    before = pool.forward(batch(1), "lora_a").logits
    (tmp_path / "lora_a" / "model.safetensors").write_bytes(b"")
    with pytest.raises(DeltaError, match="truncated"):
        pool.load("lora_a")
    assert torch.equal(pool.forward(batch(1), "lora_a").logits, before)


def test_folders_without_deltas(folder: Path, tmp_path: Path) -> None:
    model = sharp()
    for place, words in ((tmp_path, "holds no deltas"), (tmp_path / "gone", "is not there"), (folder / "lora_a", "is itself a delta")):
        with pytest.raises(DeltaError, match=words):
            DeltaPool(model, place)
    saved(bart(), "lora", tmp_path / "foreign", 1)
    with pytest.raises(DeltaError, match="None of the 1 folders"):
        DeltaPool(model, tmp_path)


def test_models_that_cannot_serve(folder: Path) -> None:
    model = sharp()
    delta = LoraModel(model, name="here")
    with pytest.raises(DeltaError, match="carries the delta 'here'"):
        DeltaPool(model, folder)
    delta.detach()
    pool = few(folder, "lora_a", model=model)
    delta.attach()
    with pytest.raises(DeltaError, match="carries the delta"):
        pool.forward(batch(1), "lora_a")
    with pytest.raises(DeltaError, match="skeleton"):
        DeltaPool(bert().to("meta"), folder)
    with pytest.raises(DeltaError, match="no model"):
        DeltaPool("minilm", folder)


def test_a_forward_that_fails_leaves_no_trace(pool: DeltaPool) -> None:
    before = same_state(pool.model)
    inputs = {"input_ids": torch.full((2, 4), 10_000)}
    for names in (["lora_b", "adapter_b"], ["bitfit_b", "bitfit_b"], ["prefix_a", "soft_prompt_a"]):
        with pytest.raises(IndexError):
            pool.forward(inputs, names)
    assert_same(same_state(pool.model), before)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in pool.model.modules())
    with pytest.raises(DeltaError, match="different numbers of rows"):
        pool.forward({"input_ids": torch.ones(2, 3), "attention_mask": torch.ones(3, 3)})
    with pytest.raises(DeltaError, match="There is no batch"):
        pool.forward({})
