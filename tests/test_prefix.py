"""What a prefix is made of, how several live together, and what torch may do with a prefixed model."""

from __future__ import annotations

import copy
import itertools
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import torch
import transformers
from torch import nn
from transformers import DynamicCache, EncoderDecoderCache

from deltanb import LoraModel, PrefixModel, deltas
from deltanb._errors import DeltaError
from deltanb.engine import PrefixNetwork
from tests.families import batch_for, fresh, make
from tests.models import assert_same, output_of, same_state, stir, trainable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ATTENTION = {"bart": "self_attn", "bert": "attention", "gpt2": "attn", "llama": "self_attn", "opt": "self_attn", "t5": "SelfAttention"}


@pytest.fixture
def fresh_compiler() -> Iterator[None]:
    yield
    torch.compiler.reset()


def prefixed(family: str, **options: Any) -> Any:
    model = fresh(family)
    delta = PrefixModel(model, **{"prefix_token_num": 3, "embed_dim": 8, "mid_dim": 8, "modified_modules": [ATTENTION[family]], **options})
    stir(delta.parameters())
    return model, delta


def test_the_network_decodes_key_and_value_of_each_attention_in_turn() -> None:
    torch.manual_seed(0)
    network = PrefixNetwork(3, [(8, 8)] * 4, embed_dim=5, mid_dim=6)
    decoded = network.control_trans(network.wte(torch.arange(3))).view(3, 8, 8).permute(1, 0, 2)
    for at in range(4):
        keys, values = network(at)
        torch.testing.assert_close(keys, decoded[2 * at])
        torch.testing.assert_close(values, decoded[2 * at + 1])


def test_first_values() -> None:
    torch.manual_seed(0)
    rows = PrefixModel(make("bert", hidden_size=64), prefix_token_num=200, reparameterize=False).parameters()
    assert all(abs(row.mean()) < 0.03 for row in rows)
    assert all(row.std().item() == pytest.approx(1, rel=0.03) for row in rows)
    model = fresh("bert")
    torch.manual_seed(3)
    network = PrefixModel(model, embed_dim=5, mid_dim=6).delta_modules[0]
    torch.manual_seed(3)
    plain = [nn.Embedding(6, 5), nn.Linear(5, 6), nn.Linear(6, 64)]
    assert all(
        torch.equal(mine, other) for mine, other in zip(network.parameters(), (p for m in plain for p in m.parameters()), strict=True)
    )


def test_names_and_shapes() -> None:
    for family, host, first in [
        ("bert", "bert.encoder.layer.0.attention", "bert.encoder.layer.0.attention"),
        ("t5", "encoder.block.0.layer.0.SelfAttention", "encoder.block.0.layer.0"),
        ("gpt2", "transformer.h.0.attn", "transformer.h.0.attn"),
    ]:
        raw = PrefixModel(fresh(family), prefix_token_num=3, reparameterize=False)
        assert [(name, tuple(p.shape)) for name, p in raw.named_parameters()][:2] == [
            (f"{host}.prefix.past_key", (3, 16)),
            (f"{host}.prefix.past_value", (3, 16)),
        ]
        network = PrefixModel(fresh(family), prefix_token_num=3, embed_dim=5, mid_dim=6)
        width = 2 * 16 * len(network.hosts)
        parts = ["wte.weight", "control_trans.0.weight", "control_trans.0.bias", "control_trans.2.weight", "control_trans.2.bias"]
        shapes = [(3, 5), (6, 5), (6,), (width, 6), (width,)]
        assert [(name, tuple(p.shape)) for name, p in network.named_parameters()] == [
            (f"{first}.reparams.{part}", shape) for part, shape in zip(parts, shapes, strict=True)
        ]
    assert "transformer.h.0.attn.mine.wte.weight" in dict(PrefixModel(fresh("gpt2"), name="mine", embed_dim=2).named_parameters())


def test_a_module_that_two_patterns_mean_gets_one_prefix() -> None:
    delta = PrefixModel(fresh("t5"), reparameterize=False, modified_modules=["layer.0", "SelfAttention"])
    assert delta.hosts == [f"{stack}.block.{at}.layer.0.SelfAttention" for stack in ("encoder", "decoder") for at in (0, 1)]
    assert len(PrefixModel(fresh("bert"), modified_modules=["attention", "attention.self"]).hosts) == 2


@pytest.mark.parametrize("order", list(itertools.permutations("abc")))
def test_several_on_one_module_come_and_go_in_any_order(order: tuple[str, ...]) -> None:
    model = fresh("gpt2")
    before, empty = output_of(model), same_state(model)
    outputs = {}
    for name, length in zip("abc", (1, 2, 3), strict=True):
        PrefixModel(model, name=f"p{name}", prefix_token_num=length, reparameterize=name != "b", embed_dim=4, mid_dim=4)
        outputs[name] = output_of(model)
    found = deltas(model)
    full = same_state(model)
    for name in order:
        found[f"p{name}"].detach()
    assert torch.equal(output_of(model), before)
    assert_same(same_state(model), empty)
    for name in order:
        found[f"p{name}"].attach()
    assert torch.equal(output_of(model), outputs["c"])
    assert_same(same_state(model), full)
    found["pc"].detach()
    assert torch.equal(output_of(model), outputs["b"])


def test_one_prefix_is_as_two_halves() -> None:
    model = fresh("llama")
    whole = PrefixModel(model, prefix_token_num=5, reparameterize=False)
    wanted = output_of(model)
    rows = [child(0) for child in whole.delta_modules]
    whole.detach()
    for name, part in (("left", slice(0, 2)), ("right", slice(2, 5))):
        half = PrefixModel(model, name=name, prefix_token_num=part.stop - part.start, reparameterize=False)
        for child, pair in zip(half.delta_modules, rows, strict=True):
            for parameter, row in zip(child.parameters(), pair, strict=True):
                parameter.data.copy_(row.data[part])
    torch.testing.assert_close(output_of(model), wanted)


def through_cache(model: Any, delta: PrefixModel, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """The prefix as a cache that the model is called with, which is how positions move: transformers does the rest."""
    heads, both = model.config.num_attention_heads, getattr(model.config, "is_encoder_decoder", False)
    pairs = [child(at) for at, child in enumerate(delta.delta_modules)]
    batch = len(inputs["input_ids"])
    rows = [tuple(row.unflatten(1, (heads, -1)).movedim(1, 0)[None].expand(batch, -1, -1, -1) for row in pair) for pair in pairs]
    delta.detach()
    cache: Any = DynamicCache(rows)
    with torch.no_grad():
        return model(**inputs, past_key_values=EncoderDecoderCache(cache, DynamicCache()) if both else cache).logits


@pytest.mark.parametrize("family", ["bart", "gpt2", "llama", "opt", "t5"])
def test_shifted_positions_are_those_behind_a_cache_of_that_length(family: str) -> None:
    model = fresh(family)
    hosts = {"bart": "decoder.layers.$.self_attn", "t5": "decoder.block.$.layer.0.SelfAttention"}.get(family, ATTENTION[family])
    delta = PrefixModel(model, prefix_token_num=3, reparameterize=False, shift_positions=True, modified_modules=[hosts])
    stir(delta.parameters(), scale=1.0)
    found = output_of(model)
    common: dict[str, Any] = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
    ids = batch_for(model)["input_ids"]
    assert torch.equal(model.generate(ids, **common), model.generate(ids, **common, use_cache=False))
    delta.config.shift_positions = False
    delta.detach()
    unshifted = output_of(PrefixModel.from_config(delta.config, model, name="other").backbone_model)
    deltas(model)["other"].detach()
    torch.testing.assert_close(found, through_cache(model, delta, batch_for(model)), atol=1e-5, rtol=1e-4)
    assert not torch.allclose(found, unshifted, atol=1e-4)


def test_positions_that_cannot_move() -> None:
    model = fresh("vit")
    before = same_state(model)
    with pytest.raises(DeltaError, match="no positions that could be moved"):
        PrefixModel(model, modified_modules=["attention"], shift_positions=True)
    assert_same(same_state(model), before)
    model, _ = prefixed("t5", shift_positions=True)
    with pytest.raises(DeltaError, match="static cache"):
        model.generate(batch_for(model)["input_ids"], max_new_tokens=3, cache_implementation="static")


@pytest.mark.parametrize("name", ["flash_attention_2", "flex_attention"])
def test_attention_that_takes_no_prefix_is_refused(name: str) -> None:
    model = fresh("gpt2")
    model.config._attn_implementation_internal = name
    with pytest.raises(DeltaError, match=f"computes attention by '{name}'.*sdpa or eager"):
        PrefixModel(model)
    assert not deltas(model)
    model.config._attn_implementation_internal = "sdpa"
    PrefixModel(model)
    model.config._attn_implementation_internal = name
    with pytest.raises(DeltaError, match="switched to"):
        model.transformer.h[0].attn(torch.zeros(1, 2, 16))


def test_a_model_that_is_set_to_another_attention_meanwhile_uses_it() -> None:
    model, delta = prefixed("llama")
    model.set_attn_implementation("eager")
    with torch.no_grad():
        weights = model(**batch_for(model), output_attentions=True).attentions[0]
    assert weights.shape == (2, 2, 7, 3 + 7)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2, 7))
    delta.detach()
    assert model.model.layers[0].self_attn.config is model.config
    assert model.config._attn_implementation == "eager"


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("again", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])  # noqa: S301 - our own bytes
def test_a_copy_is_equal_and_independent(again: Any, raw: bool) -> None:  # noqa: FBT001
    model, delta = prefixed("bert", reparameterize=not raw)
    outputs, state = output_of(model), same_state(model)
    twin = again(model)
    assert torch.equal(output_of(twin), outputs)
    stir(deltas(twin)["prefix"].parameters())
    assert not torch.equal(output_of(twin), outputs)
    deltas(twin)["prefix"].detach()
    assert twin.bert.encoder.layer[0].attention.self.config is twin.bert.encoder.layer[1].attention.self.config
    assert torch.equal(output_of(model), outputs)
    assert_same(same_state(model), state)
    assert delta.attached


@pytest.mark.slow
def test_a_pickle_is_opened_in_another_process(tmp_path: Path) -> None:
    model, _ = prefixed("gpt2")
    torch.save({"model": model, "output": output_of(model), "inputs": batch_for(model)}, tmp_path / "model.pt")
    code = """
import sys, torch
told = torch.load(sys.argv[1], weights_only=False)
with torch.no_grad():
    assert torch.equal(told["model"](**told["inputs"])[0], told["output"])
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "model.pt")], check=True, timeout=120)


@pytest.mark.usefixtures("fresh_compiler")
@pytest.mark.parametrize("family", ["bert", pytest.param("llama", marks=pytest.mark.slow)])
def test_compiled_gives_equal_results(family: str) -> None:
    model = make(family, num_hidden_layers=1)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    inputs = batch_for(model)
    plain = output_of(compiled, **inputs)
    delta = PrefixModel(model, prefix_token_num=3, embed_dim=8, mid_dim=8)
    stir(delta.parameters())
    found = output_of(compiled, **inputs)
    torch.testing.assert_close(found, output_of(model, **inputs))
    assert not torch.allclose(found, plain, atol=1e-6)
    delta.detach()
    torch.testing.assert_close(output_of(compiled, **inputs), plain)


def gradients(model: Any) -> dict[str, torch.Tensor]:
    model.zero_grad()
    model(**batch_for(model))[0].float().square().sum().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("family", ["bart", "gpt2", "t5"])
def test_checkpointing_gives_equal_gradients(family: str, reentrant: bool) -> None:  # noqa: FBT001
    model, delta = prefixed(family)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        for key in ("dropout", "attention_dropout", "activation_dropout"):
            if isinstance(getattr(module, key, None), float):
                setattr(module, key, 0.0)
    model.train()
    delta.freeze_module()
    plain = gradients(model)
    assert plain.keys() == {name for name, p in model.named_parameters() if p.requires_grad} == set(dict(delta.named_parameters()))
    assert all(gradient.abs().sum() > 0 for gradient in plain.values())
    model.activation_checkpointing_enable({"use_reentrant": reentrant})
    model.enable_input_require_grads()
    for name, gradient in gradients(model).items():
        torch.testing.assert_close(gradient, plain[name], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("family", ["bert", "gpt2", "t5"])
def test_a_half_precision_backbone_keeps_its_dtype(family: str) -> None:
    model = fresh(family).to(torch.bfloat16)
    delta = PrefixModel(model, embed_dim=8, mid_dim=8)
    delta.freeze_module()
    assert {p.dtype for p in delta.parameters()} == {torch.float32}
    half = output_of(model)
    assert half.dtype == torch.bfloat16
    assert all(gradient.isfinite().all() and gradient.abs().sum() > 0 for gradient in gradients(model).values())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(output_of(model.float()).float(), half.float(), atol=0.1, rtol=0.1)


def test_it_works_beside_other_deltas() -> None:
    model, delta = prefixed("llama")
    alone = output_of(model)
    lora = LoraModel(model, modified_modules=["k_proj"])
    stir(lora.parameters(), scale=1.0)
    assert not torch.equal(output_of(model), alone)
    delta.detach()
    delta.attach()
    lora.detach()
    assert torch.equal(output_of(model), alone)


def test_on_a_skeleton() -> None:
    with torch.device("meta"):
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(num_key_value_heads=8))
    PrefixModel(model, prefix_token_num=6, reparameterize=False).freeze_module()
    assert trainable(model) == 32 * 2 * 6 * 8 * 128
    assert all(parameter.is_meta for parameter in model.parameters())
