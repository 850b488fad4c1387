"""Soft prompts: what a model computes with rows before its text, against the plain model called on those rows by hand."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING, Any

import pytest
import torch
import transformers
from torch import nn
from torch.nn import functional
from transformers.modeling_outputs import BaseModelOutput

from deltanb import AdapterModel, SoftPromptModel, deltas
from deltanb._errors import DeltaError
from tests.families import FAMILIES, batch_for, fresh, make
from tests.models import assert_same, output_of, same_state, stir, trainable

if TYPE_CHECKING:
    from collections.abc import Iterator

N = 3
DECODERS = ["gemma3", "gpt2", "gpt_neox", "llama", "opt", "mistral", "mixtral", "qwen3", "qwen3_moe"]
ENCODERS = ["albert", "bert", "deberta-v2", "distilbert", "electra", "modernbert", "roberta"]
PAIRS = ["bart", "mt5", "pegasus", "t5", "t5-gated"]


@pytest.fixture
def fresh_compiler() -> Iterator[None]:
    yield
    torch.compiler.reset()


def prompted(model: Any, **options: Any) -> SoftPromptModel:
    delta = SoftPromptModel(model, **{"soft_token_num": N, **options})
    stir(delta.parameters(), scale=1.0)
    return delta


def padded(model: Any, *, left: bool = False) -> dict[str, torch.Tensor]:
    """Seven tokens, and four with three of padding."""
    inputs = batch_for(model)
    mask = torch.ones_like(inputs["input_ids"])
    mask[0, slice(0, 3) if left else slice(4, None)] = 0
    pad = getattr(model.config, "pad_token_id", None) or 0
    return {**inputs, "input_ids": inputs["input_ids"].masked_fill(mask == 0, pad), "attention_mask": mask}


def longer(model: Any, delta: SoftPromptModel, inputs: dict[str, torch.Tensor]) -> dict[str, Any]:
    """The same text as embeddings, with the prompt's before them, all mask entries, and the text's own positions."""
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    rows = next(iter(delta.parameters())).detach().expand(len(ids), -1, -1)
    first = 2 if model.config.model_type == "roberta" else 0
    positions = torch.arange(ids.shape[1])[None] + first
    if first:  # RoBERTa's padding stands at the padding's own position
        positions = torch.where(mask == 1, mask.cumsum(1) + 1, 1)
    if model.config.model_type == "opt":
        positions = mask.cumsum(1) * mask - 1
    both = torch.cat([torch.full((len(positions), N), first), positions], 1)
    embeds = torch.cat([rows, model.get_input_embeddings()(ids).detach()], 1)
    return {"inputs_embeds": embeds, "attention_mask": functional.pad(mask, (N, 0), value=1), "position_ids": both}


@pytest.mark.parametrize("shift", [False, True])
@pytest.mark.parametrize("family", DECODERS)
def test_a_decoder_sees_the_rows_and_gives_the_texts(family: str, shift: bool) -> None:  # noqa: FBT001
    model = fresh(family)
    inputs = padded(model)
    before, state = output_of(model, **inputs), same_state(model)
    delta = prompted(model, shift_positions=shift)
    found = output_of(model, **inputs)
    delta.detach()
    assert torch.equal(output_of(model, **inputs), before)
    assert_same(same_state(model), state)
    wanted = longer(model, delta, inputs)
    if shift:
        del wanted["position_ids"]
    assert found.shape == before.shape
    keep = inputs["attention_mask"].bool()
    torch.testing.assert_close(found[keep], output_of(model, **wanted)[:, N:][keep], atol=1e-5, rtol=1e-4)
    assert not torch.allclose(found, before, atol=1e-3)


@pytest.mark.parametrize("family", ENCODERS)
def test_an_encoder_pools_the_text(family: str) -> None:
    model = fresh(family)
    inputs = padded(model)
    before = output_of(model, **inputs)
    delta = prompted(model)
    found = output_of(model, **inputs)
    delta.detach()
    assert not torch.allclose(found, before, atol=1e-4)
    base = model.base_model
    keys = longer(model, delta, inputs)
    with torch.no_grad():
        hidden = base(**keys)[0][:, N:]
        pooler = getattr(base, "pooler", None)
        if family == "albert":
            logits = model.classifier(base.pooler_activation(pooler(hidden[:, 0])))
        elif family == "bert":
            logits = model.classifier(pooler(hidden))
        elif family == "deberta-v2":
            logits = model.classifier(model.pooler(hidden))
        elif family == "distilbert":
            logits = model.classifier(model.pre_classifier(hidden[:, 0]).relu())
        elif family == "modernbert":
            logits = model.classifier(model.head(hidden[:, 0]))
        else:
            logits = model.classifier(hidden)
    torch.testing.assert_close(found, logits, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("shift", [False, True])
@pytest.mark.parametrize("family", PAIRS)
def test_a_decoder_looks_at_what_its_encoder_read_before_the_text(
    family: str,
    shift: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = fresh(family)
    inputs = padded(model)
    delta = prompted(model, shift_positions=shift)
    common: dict[str, Any] = {"max_new_tokens": 6, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    text = {key: inputs[key] for key in ("input_ids", "attention_mask")}
    found = output_of(model, **inputs)
    kinds: list[dict[str, Any]] = [{}, {"use_cache": False}, {"num_beams": 3}, {"num_beams": 3, "use_cache": False}]
    generated = [model.generate(**text, **common, **kind) for kind in kinds]
    delta.detach()
    keys = longer(model, delta, inputs)
    encoder = model.get_encoder()
    if not shift and hasattr(encoder, "embed_positions"):
        places = keys["position_ids"] + getattr(encoder.embed_positions, "offset", 0)
        table = encoder.embed_positions.weight[places]
        monkeypatch.setattr(encoder.embed_positions, "forward", lambda *_, **__: table)
    with torch.no_grad():
        states = BaseModelOutput(encoder(inputs_embeds=keys["inputs_embeds"], attention_mask=keys["attention_mask"])[0])
    seen = {"attention_mask": keys["attention_mask"]}
    wanted = output_of(model, encoder_outputs=states, decoder_input_ids=inputs["decoder_input_ids"], **seen)  # type: ignore[arg-type]
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)
    for kind, tokens in zip(kinds, generated, strict=True):
        again = BaseModelOutput(states.last_hidden_state.clone())
        assert torch.equal(tokens, model.generate(encoder_outputs=again, **seen, **common, **kind))


@pytest.mark.parametrize("shift", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("family", [*DECODERS[:5], *(pytest.param(name, marks=pytest.mark.slow) for name in DECODERS[5:])])
def test_generation(family: str, shift: bool) -> None:  # noqa: FBT001
    model = make(family, **({"sliding_window": 5} if family in ("gemma3", "mistral") else {}))
    stir(model.parameters(), scale=1.0 if family == "opt" else 0.3)  # so that it does not say the same word always
    delta = prompted(model, shift_positions=shift)
    text = {key: value for key, value in padded(model, left=True).items() if key in ("input_ids", "attention_mask")}
    common: dict[str, Any] = {"max_new_tokens": 6, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    for kind in ({}, {"num_beams": 3}):
        cached, uncached = (model.generate(**text, **common, **kind, use_cache=use) for use in (True, False))
        assert torch.equal(cached, uncached)
    alone = model.generate(text["input_ids"][1:], **common)
    if family not in ("qwen3_moe", "mixtral"):  # whose experts are shared out over the batch
        assert torch.equal(alone[0], model.generate(**text, **common)[1])
    embeds = model.get_input_embeddings()(text["input_ids"])
    continued = model.generate(inputs_embeds=embeds, attention_mask=text["attention_mask"], **common)
    assert torch.equal(continued, model.generate(**text, **common)[:, 7:])
    delta.detach()
    assert not torch.equal(model.generate(**text, **common)[:, 7:], continued)
    greedy = text["input_ids"][1:]
    for _ in range(6):
        keys = longer(model, delta, {"input_ids": greedy, "attention_mask": torch.ones_like(greedy)})
        if shift:
            del keys["position_ids"]
        greedy = torch.cat([greedy, output_of(model, **keys)[:, -1:].argmax(-1)], 1)
    assert torch.equal(greedy, alone)


def test_a_cache_of_ones_own_and_no_positions() -> None:
    """A loop that passes neither mask nor positions, in two pieces."""
    model = fresh("gpt2")
    SoftPromptModel(model, name="first", soft_token_num=2)
    SoftPromptModel(model, name="second", soft_token_num=3)
    ids = batch_for(model)["input_ids"]
    with torch.no_grad():
        whole = model(ids).logits
        start = model(ids[:, :4], use_cache=True)
        assert start.past_key_values.get_seq_length() == 2 + 3 + 4
        rest = model(ids[:, 4:], past_key_values=start.past_key_values).logits
    torch.testing.assert_close(torch.cat([start.logits, rest], 1), whole, atol=1e-5, rtol=1e-4)


HEADS = {
    "BartForCausalLM": "bart",
    "BertForMaskedLM": "bert",
    "BertLMHeadModel": "bert",
    "RobertaForTokenClassification": "roberta",
    "T5EncoderModel": "t5",
    "T5ForSequenceClassification": "t5",
}


@pytest.mark.parametrize("kind", HEADS)
def test_every_head_reads_it(kind: str) -> None:
    """Some heads call a part of the model below them, past the rest: a prompt before the wrong one would never be read."""
    _, config, settings = FAMILIES[HEADS[kind]]
    torch.manual_seed(0)
    model = getattr(transformers, kind)(getattr(transformers, config)(**settings)).eval()
    ids = batch_for(model)["input_ids"]
    ids[:, -1] = 2
    shape = output_of(model, input_ids=ids).shape
    (rows,) = prompted(model).parameters()
    found = model(input_ids=ids)[0]
    found.square().sum().backward()
    assert found.shape == shape
    assert rows.grad is not None
    assert rows.grad.abs().sum(-1).min() > 0


@pytest.mark.parametrize("kind", ["GPT2ForSequenceClassification", "LlamaForSequenceClassification"])
def test_the_last_token_is_the_texts(kind: str) -> None:
    family = "gpt2" if kind.startswith("GPT2") else "llama"
    torch.manual_seed(0)
    config = getattr(transformers, FAMILIES[family][1])(**{**FAMILIES[family][2], "pad_token_id": 0, "num_labels": 2})
    model = getattr(transformers, kind)(config).eval()
    inputs = padded(model)
    delta = prompted(model)
    found = output_of(model, **inputs)
    delta.detach()
    with torch.no_grad():
        hidden = model.base_model(**longer(model, delta, inputs))[0][:, N:]
        torch.testing.assert_close(found, model.score(hidden)[torch.arange(2), torch.tensor([3, 6])], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("family", ["bart", "bert", "gpt2", "llama", "t5"])
def test_nothing_of_the_callers_is_touched(family: str) -> None:
    model = fresh(family)
    prompted(model)
    inputs = padded(model)
    if family == "bert":
        inputs["token_type_ids"] = torch.zeros_like(inputs["input_ids"])
    kept = {key: value.clone() for key, value in inputs.items()}
    versions = {key: value._version for key, value in inputs.items()}
    output_of(model, **inputs)
    assert inputs.keys() == kept.keys()
    assert all(torch.equal(value, kept[key]) and value._version == versions[key] for key, value in inputs.items())


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama", "roberta"])
@pytest.mark.parametrize("as_tuple", [False, True])
def test_all_hidden_states_are_the_texts(family: str, as_tuple: bool) -> None:  # noqa: FBT001
    model = fresh(family).base_model
    prompted(model)
    inputs = padded(model)
    with torch.no_grad():
        output = model(**inputs, output_hidden_states=True, return_dict=not as_tuple)
    states = output.hidden_states if not as_tuple else next(part for part in output if isinstance(part, tuple))
    assert len(states) == 3
    assert {state.shape[1] for state in [output[0], *states]} == {7}
    with torch.no_grad():
        assert torch.equal(output[0], model(**inputs)[0])


def test_losses_are_the_texts() -> None:
    model = fresh("gpt2")
    prompted(model)
    ids = batch_for(model)["input_ids"]
    output = model(ids, labels=ids)
    torch.testing.assert_close(output.loss, functional.cross_entropy(output.logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten()))


def test_rows_are_kept_when_asked_for() -> None:
    model = fresh("gpt2")
    delta = prompted(model, keep_rows=True, shift_positions=True)
    ids = batch_for(model)["input_ids"]
    with torch.no_grad():
        output = model(input_ids=ids, labels=ids)
    assert output.logits.shape == (2, N + 7, 64)
    torch.testing.assert_close(output.loss, functional.cross_entropy(output.logits[:, N - 1 : -1].flatten(0, 1), ids.flatten()))
    generated = [
        model.generate(ids, max_new_tokens=5, do_sample=False, eos_token_id=None, pad_token_id=0, use_cache=use) for use in (True, False)
    ]
    assert torch.equal(*generated)
    delta.detach()
    cut = SoftPromptModel(model, name="cut", soft_token_num=N, shift_positions=True)
    next(iter(cut.parameters())).data.copy_(next(iter(delta.parameters())))
    assert torch.equal(output_of(model), output.logits[:, N:])
    model = fresh("bert")
    delta = prompted(model, keep_rows=True, shift_positions=True)
    found = output_of(model, **(inputs := padded(model)))
    delta.detach()
    keys = longer(model, delta, inputs)
    del keys["position_ids"]
    torch.testing.assert_close(found, output_of(model, **keys))


def test_first_values() -> None:
    model = fresh("bart")
    delta = SoftPromptModel(model, soft_token_num=70)
    (rows,) = delta.parameters()
    weight = model.model.encoder.embed_tokens.weight
    assert torch.equal(rows, torch.cat([weight, weight[:6]]))
    assert rows.data_ptr() != weight.data_ptr()
    assert torch.equal(
        SoftPromptModel(fresh("gemma3"), soft_token_num=2).parameters()[0], fresh("gemma3").model.embed_tokens(torch.arange(2))
    )
    torch.manual_seed(0)
    (rows,) = SoftPromptModel(fresh("gpt2"), soft_token_num=200, token_init=False, init_range=0.2).parameters()
    assert 0.19 < rows.abs().max() <= 0.2
    assert rows.std().item() == pytest.approx(0.2 / 3**0.5, rel=0.05)


def test_names() -> None:
    hosts = {"bart": "model.encoder.", "t5": "encoder.", "bert": "", "gpt2": ""}
    for family, host in hosts.items():
        delta = SoftPromptModel(fresh(family), soft_token_num=2)
        assert [(name, tuple(p.shape)) for name, p in delta.named_parameters()] == [(f"{host}soft_prompt_layer.soft_embeds", (2, 16))]
    assert SoftPromptModel(fresh("electra"), soft_token_num=2).parameters()[0].shape == (2, 8)  # its embeddings are smaller
    assert "mine.soft_embeds" in dict(SoftPromptModel(fresh("bert"), name="mine").backbone_model.named_parameters())


def test_several_come_and_go_in_any_order() -> None:
    for family in ("bert", "bart", "llama"):
        model = fresh(family)
        before, state = output_of(model), same_state(model)
        outputs = []
        for name in "abc":
            stir(SoftPromptModel(model, name=f"p{name}", soft_token_num=2).parameters(), scale=1.0, seed=ord(name))
            outputs.append(output_of(model))
        assert outputs[2].shape == before.shape
        found = deltas(model)
        for name in ("pb", "pc", "pa"):
            found[name].detach()
        assert torch.equal(output_of(model), before)
        assert_same(same_state(model), state)
        for name in ("pc", "pa", "pb"):
            found[name].attach()
        assert torch.equal(output_of(model), outputs[2])


@pytest.mark.parametrize("family", ["clip", "vit", "wav2vec2", "whisper", "mamba-none", "plain"])
def test_models_that_read_no_text(family: str) -> None:
    if family == "mamba-none":
        model: Any = nn.Sequential(nn.Linear(2, 2))
    else:
        model = fresh(family)
    before = same_state(model)
    with pytest.raises(DeltaError, match=r"does not take embeddings of tokens.*prefix, adapter, lora"):
        SoftPromptModel(model)
    assert_same(same_state(model), before)


def test_what_else_is_refused() -> None:
    model = fresh("gpt2")
    with pytest.raises(DeltaError, match="no module to choose"):
        SoftPromptModel(model, modified_modules=["attn"])
    with pytest.raises(DeltaError, match="soft_token_num must be a whole number from 1"):
        SoftPromptModel(model, soft_token_num=0)
    assert not deltas(model)
    SoftPromptModel(model, modified_modules=["root"], soft_token_num=2)
    ids = batch_for(model)["input_ids"]
    with pytest.raises(DeltaError, match="static cache"):
        model.generate(ids, max_new_tokens=2, cache_implementation="static", pad_token_id=0)
    with pytest.raises(DeltaError, match=r"attention_mask is of shape \[2, 1, 7, 7\]"):
        model(ids, attention_mask=torch.ones(2, 1, 7, 7))
    with pytest.raises(ValueError, match="cannot specify both"):
        model(ids, inputs_embeds=torch.zeros(2, 7, 16))


@pytest.mark.parametrize("again", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])  # noqa: S301 - our own bytes
@pytest.mark.parametrize("family", ["bert", "t5"])
def test_a_copy_is_equal_and_independent(again: Any, family: str) -> None:
    model = fresh(family)
    prompted(model)
    outputs, state = output_of(model), same_state(model)
    twin = again(model)
    assert torch.equal(output_of(twin), outputs)
    stir(deltas(twin)["soft_prompt"].parameters())
    assert not torch.equal(output_of(twin), outputs)
    assert_same(same_state(model), state)


@pytest.mark.usefixtures("fresh_compiler")
@pytest.mark.parametrize("family", ["bert", pytest.param("llama", marks=pytest.mark.slow)])
def test_compiled_gives_equal_results(family: str) -> None:
    model = make(family, num_hidden_layers=1)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    inputs = padded(model)
    plain = output_of(compiled, **inputs)
    delta = prompted(model)
    torch.testing.assert_close(output_of(compiled, **inputs), output_of(model, **inputs))
    delta.detach()
    torch.testing.assert_close(output_of(compiled, **inputs), plain)


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("family", ["gpt2", "t5"])
def test_it_learns_with_checkpointing_and_in_half_precision(family: str, reentrant: bool) -> None:  # noqa: FBT001
    changes = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0} if family == "gpt2" else {"dropout_rate": 0.0}
    model = make(family, **changes).train()
    delta = prompted(model)
    delta.freeze_module()
    assert trainable(model) == N * 16
    (rows,) = delta.parameters()

    def gradient() -> torch.Tensor:
        rows.grad = None
        model(**batch_for(model))[0].float().square().mean().backward()
        assert rows.grad is not None
        return rows.grad.clone()

    plain = gradient()
    assert plain.abs().sum() > 0
    model.activation_checkpointing_enable({"use_reentrant": reentrant})
    torch.testing.assert_close(gradient(), plain, atol=1e-6, rtol=1e-4)
    delta.detach()
    model.to(torch.bfloat16)
    delta.attach()
    assert rows.dtype == torch.float32
    assert gradient().isfinite().all()
    assert output_of(model.eval()).dtype == torch.bfloat16


def test_it_works_beside_other_deltas() -> None:
    model = fresh("bert")
    prompt = prompted(model)
    alone = output_of(model)
    adapter = AdapterModel(model, modified_modules=["output.dense"], bottleneck_dim=2)
    stir(adapter.parameters(), scale=1.0)
    both = output_of(model)
    assert not torch.equal(both, alone)
    prompt.detach()
    prompt.attach()
    assert torch.equal(output_of(model), both)
    adapter.detach()
    assert torch.equal(output_of(model), alone)
