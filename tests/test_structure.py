from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from deltanb.structure import DELTA_MARK, Counts, module_names, parameter_names, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable


def recount(model: nn.Module, *, trainable: bool | None = None) -> int:
    return sum(p.numel() for p in model.parameters() if trainable is None or p.requires_grad == trainable)


def on_meta(name: str, config: str, **sizes: int) -> nn.Module:
    import transformers

    with torch.device("meta"):
        model: nn.Module = getattr(transformers, name)(getattr(transformers, config)(**sizes))
    return model


BART = {"d_model": 16, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "vocab_size": 64,
        "encoder_attention_heads": 2, "decoder_attention_heads": 2}  # fmt: skip
BERT = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 64}
FAMILIES: dict[str, Callable[[], nn.Module]] = {
    "bart": lambda: on_meta("BartForConditionalGeneration", "BartConfig", **BART),
    "albert": lambda: on_meta("AlbertForSequenceClassification", "AlbertConfig", embedding_size=8, **BERT),
    "bert": lambda: on_meta("BertForSequenceClassification", "BertConfig", **BERT),
    "t5": lambda: on_meta("T5ForConditionalGeneration", "T5Config", d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2, vocab_size=64),
    "gpt2": lambda: on_meta("GPT2LMHeadModel", "GPT2Config", n_embd=16, n_layer=2, n_head=2, vocab_size=64),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_counts_are_those_of_torch_on_the_meta_device(family: str) -> None:
    model = FAMILIES[family]()
    next(iter(model.children())).requires_grad_(requires_grad=False)
    tree = snapshot(model)
    assert tree.counts.total == recount(model)
    assert tree.counts.trainable == recount(model, trainable=True)
    assert tree.counts.frozen == recount(model, trainable=False)
    assert tree.counts.buffers == sum(buffer.numel() for buffer in model.buffers())
    assert sum(node.own.total for node in tree) == recount(model)


@pytest.mark.parametrize("family", FAMILIES)
def test_names_are_those_of_named_modules(family: str) -> None:
    model = FAMILIES[family]()
    names = [name for name, _ in model.named_modules()][1:]
    assert module_names(model) == names
    assert [node.name for node in snapshot(model) if node.name and not node.same_as] == names
    assert parameter_names(model) == [name for name, _ in model.named_parameters(remove_duplicate=False)]


def test_a_tied_tensor_counts_where_it_is_met_first(seq2seq: nn.Module) -> None:
    tree = snapshot(seq2seq)
    assert tree["shared"].own.total == 32 * 8
    assert tree["lm_head"].own.total == 32
    assert [p.tied_to for p in tree["lm_head"].parameters] == ["shared.weight", None]
    assert tree["encoder.embed_tokens"].counts == Counts()


def test_a_module_object_used_twice_is_walked_once() -> None:
    layer = nn.Linear(2, 3)
    model = nn.ModuleDict({"first": layer, "second": layer, "inside": nn.Sequential(layer)})
    tree = snapshot(model)
    assert tree.counts.total == recount(model) == 9
    assert [(node.name, node.same_as) for node in tree if node.same_as] == [("second", "first"), ("inside.0", "first")]
    assert module_names(model) == ["first", "inside"]


def test_what_the_root_owns_is_there(seq2seq: nn.Module) -> None:
    tree = snapshot(seq2seq)
    assert [p.name for p in tree.root.parameters] == ["scale"]
    assert tree.root.own.total == 3
    assert snapshot(nn.Linear(2, 2)).counts.total == 6


def test_buffers_are_no_parameters(seq2seq: nn.Module) -> None:
    tree = snapshot(seq2seq)
    assert tree.counts.buffers == 24
    assert tree["encoder"].own == Counts(buffers=12)
    assert snapshot(nn.BatchNorm1d(4)).counts == Counts(8, 8, 0, 9)


def test_shapes_types_and_dtypes_are_kept() -> None:
    tree = snapshot(nn.Sequential(nn.Linear(2, 3, bias=False, dtype=torch.bfloat16)))
    (weight,) = tree["0"].parameters
    assert (weight.shape, weight.dtype, weight.numel, tree["0"].type) == ((3, 2), "bfloat16", 6, "Linear")


def test_a_lazy_module_has_no_elements_yet() -> None:
    tree = snapshot(nn.LazyLinear(4))
    assert tree.counts.total == 0
    assert tree.root.parameters[0].shape == (0,)


def test_the_modules_of_a_delta_are_marked_all_the_way_down(tuned: nn.Module) -> None:
    tree = snapshot(tuned)
    down = tree["encoder.layers.0.fc2.adapter.down"]
    assert (down.delta, down.own) == ("adapter", Counts(18, 18, 18))
    assert tree["encoder.layers.0.fc2"].delta is None
    assert tree.counts.delta == 6 * (18 + 24)
    assert not [name for name in module_names(tuned) if "adapter" in name]


def test_a_tensor_that_a_delta_owns_but_did_not_bring_counts_for_the_backbone(tuned: nn.Module) -> None:
    norm = snapshot(tuned)["decoder.layers.1.norm"]
    assert [(p.delta, p.brought) for p in norm.parameters] == [("adapter", False)] * 2
    assert norm.own == Counts(16, 16, 0)


def test_a_snapshot_does_not_change_with_the_model(seq2seq: nn.Module) -> None:
    tree = snapshot(seq2seq)
    seq2seq.requires_grad_(requires_grad=False)
    seq2seq.add_module("more", nn.Linear(1, 1))
    assert tree.counts.trainable == tree.counts.total
    assert "more" not in tree
    with pytest.raises(AttributeError, match="can't set attribute"):
        tree.root.name = "x"  # type: ignore[misc]


def test_siblings_can_be_put_in_the_order_of_calls(seq2seq: nn.Module) -> None:
    tree = snapshot(seq2seq).in_order({"decoder": 0, "encoder": 1, "encoder.layers": 0})
    assert [child.name for child in tree.root.children] == ["decoder", "encoder", "shared", "lm_head"]
    assert [child.name for child in tree["encoder"].children] == ["encoder.layers", "encoder.embed_tokens"]
    assert tree.counts == snapshot(seq2seq).counts


def test_absent_parameters_and_children_are_passed_over() -> None:
    model = nn.Module()
    model.register_parameter("none", None)
    model.register_module("nobody", None)
    model.register_buffer("nothing", None)
    assert snapshot(model).counts == Counts()
    assert (module_names(model), parameter_names(model)) == ([], [])


def test_the_mark_of_a_delta_is_no_state(tuned: nn.Module) -> None:
    marked: Any = tuned.get_submodule("encoder.layers.0.fc2.adapter")
    assert DELTA_MARK in marked.__dict__
    assert not [key for key in tuned.state_dict() if DELTA_MARK in key]
