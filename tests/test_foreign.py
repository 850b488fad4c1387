"""Models that PEFT or adapters has changed: their layers are deltas, counted as such, and no pattern hits what is inside them."""

from __future__ import annotations

import copy
import sys
import types
import warnings
from typing import Any

import peft
import pytest
import torch
from torch import nn

from deltanb import DeltaError
from deltanb._foreign import as_deltas, foreign_deltas, summary
from deltanb.structure import snapshot
from deltanb.widgets._payload import payload
from deltanb.widgets.explorer import Explorer
from tests.models import bart, bert, output_of

SEQ = {"task_type": "SEQ_CLS"}
CONFIGS: dict[str, tuple[Any, str, int]] = {
    "lora": (peft.LoraConfig(target_modules=["query"], r=2), "lora", 2),
    "dora on embeddings": (peft.LoraConfig(target_modules=["word_embeddings"], r=2, use_dora=True), "lora", 1),
    "ia3": (peft.IA3Config(target_modules=["query", "output.dense"], feedforward_modules=["output.dense"]), "ia3", 6),
    "ln_tuning": (peft.LNTuningConfig(target_modules=["LayerNorm"]), "ln_tuning", 5),
    "prefix": (peft.PrefixTuningConfig(num_virtual_tokens=4, **SEQ), "prefix_tuning", 1),
    "prompt": (peft.PromptTuningConfig(num_virtual_tokens=4, **SEQ), "prompt_tuning", 1),
    "p_tuning": (peft.PromptEncoderConfig(num_virtual_tokens=4, **SEQ), "p_tuning", 1),
    "loha": (peft.LoHaConfig(target_modules=["query"], r=2), "loha", 2),
    "vera": (peft.VeraConfig(target_modules=["query"], r=2), "vera", 2),
    "oft": (peft.OFTConfig(target_modules=["query"], oft_block_size=4), "oft", 2),
}


def changed(config: Any, model: Any = None) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return peft.get_peft_model(model or bert(), copy.deepcopy(config))


@pytest.mark.parametrize("name", CONFIGS)
def test_everything_that_peft_trains_is_a_delta(name: str) -> None:
    config, kind, hosts = CONFIGS[name]
    model = changed(config)
    found = foreign_deltas(model)
    assert {"origin": "PEFT", "kind": kind, "name": "default", "hosts": hosts} in summary(found)
    tree = as_deltas(snapshot(model), found)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    marked = {f"{node.name}.{info.name}" for node in tree for info in node.parameters if info.delta}
    assert trained == marked
    assert tree.counts.delta == sum(model.get_parameter(name).numel() for name in trained)
    assert tree.counts.total == sum(p.numel() for p in model.parameters())


def test_two_adapters_keep_their_names_and_places() -> None:
    model = changed(peft.LoraConfig(target_modules=["query"], r=2, **SEQ))
    model.add_adapter("reviews", peft.LoraConfig(target_modules=["query", "key"], r=1, **SEQ))
    told = {(entry["kind"], entry["name"]): entry["hosts"] for entry in summary(foreign_deltas(model))}
    assert told == {("lora", "default"): 2, ("lora", "reviews"): 4, ("modules_to_save", "default"): 1, ("modules_to_save", "reviews"): 1}


def test_a_plain_model_and_one_of_our_own_have_none() -> None:
    explorer = Explorer(bart())
    explorer.on_attach("lora", ["q_proj"])
    assert foreign_deltas(explorer.bench.model) == {}
    assert "foreign" not in explorer.structure


def test_the_structure_tells_of_it_and_names_no_inner_module() -> None:
    model = changed(CONFIGS["lora"][0])
    found = payload(model)
    assert found["foreign"] == [{"origin": "PEFT", "kind": "lora", "name": "default", "hosts": 2}]
    assert found["totals"][2] == 2 * 2 * (16 * 2)
    rows = list(rows_of(found["root"]))
    assert {row["k"] for row in rows if "d" in row} == {"lora"}
    explorer = Explorer(model, pattern="query")
    assert [name.rpartition(".")[2] for name in explorer.matched] == ["query", "query"]
    assert all(not name.endswith(("lora_A", "lora_A.default")) for name in explorer.on_match(["[r].*"])["names"])


def rows_of(row: dict[str, Any]) -> Any:
    yield row
    for child in row.get("c", []):
        yield from rows_of(child)


def test_a_delta_can_sit_beside_those_of_peft_and_go_again() -> None:
    model = changed(CONFIGS["lora"][0]).eval()
    before = output_of(model)
    explorer = Explorer(model)
    explorer.on_attach("adapter", ["query"], options={"bottleneck_dim": 2})
    assert explorer.structure["totals"][2] == 128 + 2 * (16 * 2 * 2 + 2 + 16)
    explorer.on_undo()
    assert torch.equal(output_of(model), before)
    assert explorer.structure["totals"][2] == 128


@pytest.mark.parametrize("pattern", ["lora_A", "[r].*query.*"])
def test_patterns_that_hit_what_is_inside_are_refused(pattern: str) -> None:
    explorer = Explorer(changed(CONFIGS["lora"][0]))
    before = explorer.structure
    with pytest.raises(DeltaError, match="belongs to lora 'default' of PEFT"):
        explorer.on_attach("adapter", [pattern])
    assert explorer.structure == before


@pytest.fixture
def adapters(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """Classes laid out as in the library adapters, which is not installed: what matters is where they come from."""
    module = types.ModuleType("adapters.methods.bottleneck")

    class BottleneckLayer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.adapters = nn.ModuleDict()
            self.adapter_fusion_layer = nn.ModuleDict()

    class LoRALinear(nn.Linear):
        def __init__(self) -> None:
            super().__init__(4, 4)
            self.loras = nn.ModuleDict()

    BottleneckLayer.__module__ = "adapters.methods.bottleneck"
    LoRALinear.__module__ = "adapters.methods.lora"
    module.BottleneckLayer, module.LoRALinear = BottleneckLayer, LoRALinear  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "adapters.methods.bottleneck", module)
    return module


def test_layers_of_the_library_adapters_are_deltas(adapters: Any) -> None:
    model = nn.Module()
    model.dense, model.query, model.output_adapters = nn.Linear(4, 4), adapters.LoRALinear(), adapters.BottleneckLayer()
    down = nn.ModuleDict({"adapter_down": nn.Linear(4, 2), "adapter_up": nn.Linear(2, 4)})
    model.output_adapters.adapters["reviews"] = down
    model.query.loras["reviews"] = nn.Linear(4, 1)
    found = foreign_deltas(model)
    assert {(entry["kind"], entry["name"]) for entry in summary(found)} == {("bottleneck", "reviews"), ("lora", "reviews")}
    assert not {"query", "dense"} & found.keys()
    counts = as_deltas(snapshot(model), found).counts
    assert counts.delta == sum(p.numel() for p in down.parameters()) + 5
    assert payload(model)["modules"] == 2


def test_layers_of_adapters_that_hold_nothing_yet_are_no_hosts(adapters: Any) -> None:
    model = nn.Sequential(nn.Linear(2, 2), adapters.BottleneckLayer())
    assert payload(model)["modules"] == 1
