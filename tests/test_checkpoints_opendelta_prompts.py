"""OpenDelta's prefixes and soft prompts for BERT, RoBERTa and GPT-2, against an independent reference."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest
import torch

from deltanb import load
from deltanb._errors import DeltaError
from tests.attention import by_definition
from tests.models import assert_same, batch_for, same_state, trainable
from tests.opendelta_folders import FAMILIES, Numbers, folder_of, layers, tiny

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

N, SIZE = 3, 16
KINDS = ["network", "raw", "soft_prompt"]
_OWN: dict[str, dict[str, Any]] = {
    "network": {"delta_type": "prefix", "modified_modules": ["attn@"], "common_structure": True, "embed_dim": 8, "mid_dim": 5},
    "raw": {"delta_type": "prefix", "modified_modules": ["attn@"], "common_structure": True, "reparameterize": False},
    "soft_prompt": {"delta_type": "soft_prompt", "modified_modules": ["root"], "init_range": 0.5, "token_init": True},
}


def network(draw: Numbers, host: str, places: int) -> list[list[torch.Tensor]]:
    """Rows of all attentions as OpenDelta decodes them: key and value of each in turn."""
    name = f"{host}.reparams"
    hidden = draw(f"{name}.wte.weight", N, 8) @ draw(f"{name}.control_trans.0.weight", 5, 8).T + draw(f"{name}.control_trans.0.bias", 5)
    width = 2 * places * SIZE
    wide = hidden.tanh() @ draw(f"{name}.control_trans.2.weight", width, 5).T + draw(f"{name}.control_trans.2.bias", width)
    decoded = wide.view(N, 2 * places, SIZE).permute(1, 0, 2)
    return [[decoded[2 * at], decoded[2 * at + 1]] for at in range(places)]


def raw(draw: Numbers, hosts: list[str]) -> list[list[torch.Tensor]]:
    return [[draw(f"{host}.prefix.past_{part}", N, SIZE) for part in ("key", "value")] for host in hosts]


def reference(family: str, kind: str, patch: pytest.MonkeyPatch) -> tuple[dict[str, Any], dict[str, torch.Tensor], torch.Tensor]:
    """Settings, tensors and logits of one case, without the engine."""
    model, draw = tiny(family), Numbers()
    hosts = [f"{layer}.{FAMILIES[family][1]}" for layer in layers(model, family)]
    inputs = batch_for(model)
    context: AbstractContextManager[Any] = nullcontext()
    if kind == "soft_prompt":
        rows = draw("soft_prompt_layer.soft_embeds", N, SIZE).expand(2, -1, -1)
        embeds = torch.cat([rows, model.get_input_embeddings()(inputs["input_ids"])], 1)
        inputs = {"inputs_embeds": embeds, "attention_mask": torch.ones(embeds.shape[:2])}
    else:
        rows = network(draw, hosts[0], len(hosts)) if kind == "network" else raw(draw, hosts)
        names = hosts if family == "gpt2" else [f"{host}.self" for host in hosts]
        context = by_definition(model, dict(zip(names, rows, strict=True)), patch)
    facts = {"backbone_class": type(model).__name__, "exclude_modules": ["lm_head"], "opendelta_version": "0.3.0"}
    length = {"soft_token_num" if kind == "soft_prompt" else "prefix_token_num": N}
    with torch.no_grad(), context:
        return {**facts, **length, **_OWN[kind]}, draw.tensors, model(**inputs).logits


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(**batch_for(model)).logits


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_logits_and_names_are_the_references(family: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, tensors, wanted = reference(family, kind, monkeypatch)
    model = tiny(family)
    before, plain = same_state(model), logits(model)
    delta = load(folder_of(tmp_path / "d", settings, tensors), model)
    found = logits(model)
    assert found.shape[1] == (2 if family != "gpt2" else 7 + N if kind == "soft_prompt" else 7)
    torch.testing.assert_close(found, wanted, atol=5e-5, rtol=0)
    assert (found[:, -len(plain[0]) :] - plain).abs().max() > 1e-2
    assert {name: tensor.shape for name, tensor in delta.tensors().items()} == {name: tensor.shape for name, tensor in tensors.items()}
    delta.freeze_module()
    assert trainable(model) == sum(tensor.numel() for tensor in tensors.values())
    assert model.state_dict().keys() == tensors.keys()
    delta.save_finetuned(tmp_path / "own")
    fresh = tiny(family)
    load(tmp_path / "own", fresh)
    assert torch.equal(logits(fresh), found)
    delta.detach()
    assert_same(same_state(model), before)
    assert torch.equal(logits(model), plain)


def test_exclusion_is_by_raw_prefix(tmp_path: Path) -> None:
    draw = Numbers()
    network(draw, "bert.encoder.layer.0.attention", 1)
    settings = {**_OWN["network"], "prefix_token_num": N, "exclude_modules": ["bert.encoder.layer.1"], "backbone_class": ""}
    assert load(folder_of(tmp_path, settings, draw.tensors), tiny("bert")).hosts == ["bert.encoder.layer.0.attention"]


def test_a_network_of_another_size_is_refused(tmp_path: Path) -> None:
    draw = Numbers()
    network(draw, "bert.encoder.layer.0.attention", 3)
    model = tiny("bert")
    before = same_state(model)
    with pytest.raises(DeltaError, match=r"2 misshapen .*control_trans\.2"):
        load(folder_of(tmp_path, {**_OWN["network"], "prefix_token_num": N}, draw.tensors), model)
    assert_same(same_state(model), before)
