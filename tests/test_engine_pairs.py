"""The parallel adapter's pairs: who belongs to whom, what waits between the two, and that nothing is left behind."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import warnings
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from deltanb import AdapterModel, LoraModel, ParallelAdapterModel, deltas
from deltanb._errors import DeltaError
from deltanb.probe import call_order, probe
from tests.models import assert_same, bart, batch_for, bert, make, output_of, same_state, stir

if TYPE_CHECKING:
    from collections.abc import Callable


def pairs(model: nn.Module, *patterns: str, **options: Any) -> dict[str, str]:
    delta = ParallelAdapterModel(model, modified_modules=patterns, bottleneck_dim=2, **options)
    delta.detach()
    return delta.pairs


def test_pairs_stay_in_their_block() -> None:
    model = bart()
    stacks = [f"model.{stack}.layers.{at}" for stack in ("encoder", "decoder") for at in (0, 1)]
    assert pairs(model, "fc1", "fc2") == {f"{stack}.fc1": f"{stack}.fc2" for stack in stacks}
    assert pairs(model, "self_attn") == pairs(model, "self_attn", "self_attn") == {f"{s}.self_attn": f"{s}.self_attn" for s in stacks}
    assert pairs(model, "fc1", "fc2", exclude_modules=["model.encoder"]) == {f"{s}.fc1": f"{s}.fc2" for s in stacks[2:]}
    both = pairs(model, "fc1", "fc2", "q_proj", "out_proj")
    assert len(both) == 4 + 4 + 2
    assert all(second == first.replace("fc1", "fc2").replace("q_proj", "out_proj") for first, second in both.items())


def test_gated_t5_pairs_the_gate_with_the_output_of_its_own_block() -> None:
    model = make("t5", feed_forward_proj="gated-gelu")
    found = ParallelAdapterModel(model, bottleneck_dim=2).pairs
    assert len(found) == 8
    for first, second in found.items():
        assert second == (first if first.endswith("layer.0") else first.replace("wi_0", "wo"))


@pytest.mark.parametrize(
    ("patterns", "said"),
    [
        (["fc1", "fc2", "self_attn"], "'self_attn' stays without a partner"),
        (["[r]encoder.*fc1", "fc2"], r"model.decoder.layers.0.fc2 stays without a partner.*--exclude model.decoder.layers.0.fc2"),
        (["encoder.layers.0.fc1", "encoder.layers.1.fc2"], "stays without a partner"),
        (["q_proj,k_proj", "fc2"], r"fc2 could be paired with .*k_proj or .*q_proj"),
        (["fc1", "fc2,final_layer_norm"], r"fc1 could be paired with .*fc2 or .*final_layer_norm"),
        (["fc1", "fc2", "fc1", "final_layer_norm"], r"fc1 is the first of two pairs"),
        (["embed_tokens"], "takes token ids"),
        (["fc1", "lm_headd"], "matches none"),
    ],
)
def test_a_pair_that_is_none_is_refused_by_name(patterns: list[str], said: str) -> None:
    model = bart()
    before = same_state(model)
    with pytest.raises(DeltaError, match=said):
        ParallelAdapterModel(model, modified_modules=patterns)
    assert not deltas(model)
    assert_same(same_state(model), before)


def test_a_host_must_give_as_many_vectors_as_it_takes() -> None:
    with pytest.raises(DeltaError, match=r"takes \[2, 8, 16\] and gives \[2, 16\]"):
        ParallelAdapterModel(bert(), modified_modules=["pooler"])


def test_two_full_names_are_a_pair_whatever_their_blocks() -> None:
    model = bart()
    names = ("model.encoder.layers.0.fc1", "model.encoder.layers.1.fc2")
    assert pairs(model, *names) == dict([names])
    delta = ParallelAdapterModel(model, modified_modules=names, bottleneck_dim=2)
    before = output_of(model)
    stir(delta.parameters())
    assert not torch.equal(output_of(model), before)


def test_one_pattern_for_unlike_modules_says_how_to_pair_them() -> None:
    with pytest.warns(UserWarning, match=r"itself, here fc1, fc2; for a pair of two give two patterns: fc1 fc2"):
        ParallelAdapterModel(bart(), modified_modules=["fc1,fc2"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ParallelAdapterModel(bart(), modified_modules=["self_attn"])


def test_the_second_called_first_is_said() -> None:
    model = bart()
    ParallelAdapterModel(model, modified_modules=["fc2", "fc1"], bottleneck_dim=2)
    with pytest.raises(DeltaError, match=r"layers.0.fc1 was called before model.encoder.layers.0.fc2"):
        output_of(model)


def test_two_modules_on_other_positions_are_not_added() -> None:
    model = bert()
    ParallelAdapterModel(model, modified_modules=["bert.encoder.layer.1.output.dense", "bert.pooler.dense"], bottleneck_dim=2)
    with pytest.raises(DeltaError, match=r"\[2, 7, 16\] and the output of bert.pooler.dense \[2, 16\]"):
        output_of(model)


@pytest.mark.parametrize(
    ("family", "name"),
    [
        ("gpt2", "transformer.h.1.attn.c_attn"),
        ("gpt2", "transformer.h.1.mlp.c_fc"),
        ("gpt2", "transformer.h.1.attn"),
        ("bart", "model.decoder.layers.1.self_attn"),
        ("bart", "model.decoder.layers.1.encoder_attn"),
        ("llama", "model.layers.1.self_attn"),
        ("t5", "encoder.block.1.layer.0"),
        ("bert", "bert.encoder.layer.1.attention"),
    ],
)
def test_beside_one_module_called_by_position_or_by_keyword(family: str, name: str) -> None:
    """The adapter of its input is added to its output, or to the first part of it; Conv1D is a host as any other."""
    model = make(family)
    seen: dict[str, Any] = {}
    delta = ParallelAdapterModel(model, modified_modules=[name], bottleneck_dim=2, scaled=3)
    stir(delta.parameters(), scale=1.0)
    delta.detach()

    def watch(key: str) -> None:
        def note(_module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            seen[key] = (args[0] if args else kwargs["hidden_states"], output[0] if isinstance(output, tuple) else output)

        handle = model.get_submodule(name).register_forward_hook(note, with_kwargs=True)
        output_of(model)
        handle.remove()

    watch("without")
    delta.attach()
    watch("with")
    down_w, down_b, up_w, up_b = delta.parameters()
    value, output = seen["without"]
    added = nn.functional.gelu(value @ down_w.T + down_b, approximate="tanh") @ up_w.T + up_b
    torch.testing.assert_close(seen["with"][1], output + 3 * added)


def slots(delta: Any) -> list[dict[int, Any]]:
    return [hook.slot._values for _, hook in delta.hooks if hasattr(hook, "slot")]


class BrokenError(RuntimeError):
    """What a module between the two may do."""


def trip(_module: nn.Module, _args: Any) -> None:
    raise BrokenError


@pytest.mark.parametrize("again", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))], ids=["copy", "pickle"])  # noqa: S301
def test_nothing_waits_after_a_failure_between_the_two(again: Callable[[Any], Any]) -> None:
    model = bart().train()
    delta = ParallelAdapterModel(model, bottleneck_dim=2)
    layer = model.model.encoder.layers[1]
    handle = layer.fc2.register_forward_pre_hook(trip)
    with pytest.raises(BrokenError):
        model(**batch_for(model))
    handle.remove()
    assert slots(delta)
    assert not any(slots(delta))
    outputs = output_of(model.eval())
    assert torch.equal(output_of(again(model)), outputs)


def test_a_copy_in_the_middle_of_a_forward_is_whole() -> None:
    model = bart()
    delta = ParallelAdapterModel(model, modified_modules=["fc1", "fc2"], bottleneck_dim=2)
    stir(delta.parameters())
    copies: list[Any] = []

    def copy_once(_module: nn.Module, _args: Any) -> None:
        assert any(slots(delta))
        handle.remove()
        copies.extend([copy.deepcopy(model), pickle.loads(pickle.dumps(model))])  # noqa: S301 - our own bytes

    handle = model.model.encoder.layers[0].fc2.register_forward_pre_hook(copy_once)
    outputs = model(**batch_for(model))[0]
    for twin in copies:
        assert not any(slots(deltas(twin)["parallel_adapter"]))
        assert torch.equal(output_of(twin), outputs)
        stir(deltas(twin)["parallel_adapter"].parameters())
        assert not torch.equal(output_of(twin), outputs)


def graph_tensors() -> set[int]:
    gc.collect()
    return {id(thing) for thing in gc.get_objects() if type(thing) is torch.Tensor and thing.grad_fn is not None}


def test_no_tensor_outlives_a_forward() -> None:
    model = bart().train()
    delta = ParallelAdapterModel(model, bottleneck_dim=2)
    before = graph_tensors()
    model(**batch_for(model))[0].sum().backward()
    assert not any(slots(delta))
    assert not graph_tensors() - before


def test_threads_do_not_mix() -> None:
    """Two passes at once, each with its own values waiting."""
    model = bart()
    delta = ParallelAdapterModel(model, modified_modules=["fc1", "fc2"], bottleneck_dim=2)
    stir(delta.parameters(), scale=1.0)
    inputs = [batch_for(model, seed) for seed in (1, 2)]
    wanted = [output_of(model, **each) for each in inputs]
    meet = threading.Barrier(2, timeout=20)
    found: dict[int, torch.Tensor] = {}

    def wait_for_both(_module: nn.Module, _args: Any) -> None:
        meet.wait()

    handle = model.model.encoder.layers[0].fc2.register_forward_pre_hook(wait_for_both)
    threads = [threading.Thread(target=lambda at=at: found.update({at: output_of(model, **inputs[at])})) for at in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    handle.remove()
    assert all(torch.equal(found[at], wanted[at]) for at in (0, 1))


def test_the_structure_can_be_probed_while_it_is_attached() -> None:
    model = bart()
    delta = ParallelAdapterModel(model, bottleneck_dim=2)
    order = call_order(model)
    assert order["model.encoder.layers.0.fc1"] < order["model.encoder.layers.0.fc2"]
    probe(model, until=["model.encoder.layers.0.activation_fn", "model.encoder.layers.0.fc1"])
    assert not any(slots(delta))


def test_several_deltas_on_one_place_come_and_go_in_any_order() -> None:
    model = bart()
    before, plain = same_state(model), output_of(model)
    found = [
        ParallelAdapterModel(model, modified_modules=["fc1", "fc2"], bottleneck_dim=2),
        AdapterModel(model, modified_modules=["fc2"], bottleneck_dim=2),
        LoraModel(model, modified_modules=["fc1", "fc2"], lora_r=2),
        ParallelAdapterModel(model, modified_modules=["fc1", "fc2"], bottleneck_dim=2, name="second"),
    ]
    for seed, delta in enumerate(found):
        stir(delta.parameters(), seed)
    outputs, state = output_of(model), same_state(model)
    for order in ([0, 2, 1, 3], [3, 1, 0, 2]):
        for at in order:
            found[at].detach()
        assert torch.equal(output_of(model), plain)
        assert_same(same_state(model), before)
        for at in order:
            found[at].attach()
        assert torch.equal(output_of(model), outputs)
        assert_same(same_state(model), state)


def test_generation_goes_through_pairs() -> None:
    model = bart()
    delta = ParallelAdapterModel(model, bottleneck_dim=4)
    ids = batch_for(model)["input_ids"]
    plain = model.generate(input_ids=ids, max_new_tokens=6, do_sample=False)
    stir(delta.parameters(), scale=1.0)
    cached = model.generate(input_ids=ids, max_new_tokens=6, do_sample=False, use_cache=True)
    assert torch.equal(cached, model.generate(input_ids=ids, max_new_tokens=6, do_sample=False, use_cache=False))
    assert not torch.equal(cached, plain)
