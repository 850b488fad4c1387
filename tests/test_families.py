"""Every delta type on every family: it works from attaching to detaching, or is refused for a reason that is written down here."""

from __future__ import annotations

import re
import textwrap
import warnings
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from deltanb import AutoDeltaConfig, AutoDeltaModel
from deltanb._errors import DeltaError
from deltanb.engine.auto import DELTA_TYPES
from deltanb.roles import known_families
from tests.families import FAMILIES, batch_for, fresh
from tests.models import assert_same, same_state, trains

if TYPE_CHECKING:
    from torch import nn

    from deltanb.engine import DeltaModel

INTRODUCTION = """# Families and delta types

This page is written by `tests/test_families.py`, which attaches every delta type to a tiny model of every family, trains
it for a step, saves it, loads it into a fresh model and detaches it again. *yes*: all of that works at the default hosts,
so `%delta attach TYPE` needs no pattern. *no*: it is refused with an error, for the reason of that number.
"""
WHERE = """## Where a delta sits by default

The modules inside one layer. Roles (`attn@.q@`, `ff@.w2@`) name the same things in all families; where a family has no
such module, what stands in its place is taken and a note says so: the whole mixture of experts (`mlp`) in Mixtral and
Qwen3-MoE, whose experts are three-dimensional parameters and no modules; the mixer in Mamba, which has no attention.
A plain module has no default: name the modules."""
OTHERS = """## Families whose roles are known

A model of another family is told to name modules. A known one inside another model is found.
"""
PAGE = Path(__file__).resolve().parent.parent / "docs" / "families.md"
MATRIX = [(family, delta_type) for family in FAMILIES for delta_type in DELTA_TYPES]

# What tiny models need to be told: the types' defaults are meant for hidden sizes of hundreds.
SMALL: dict[str, dict[str, Any]] = {
    "compacter": {"reduction_factor": 4, "hypercomplex_division": 2},
    "low_rank_adapter": {"reduction_factor": 4},
    "prefix": {"prefix_token_num": 2, "embed_dim": 4, "mid_dim": 4},
    "soft_prompt": {"soft_token_num": 2},
}
# Refused: a part of the error, and the reason in words.
NO_TOKENS = ("A soft prompt cannot stand before", "it reads no text alone, and a soft prompt is put before text")
REFUSED: dict[tuple[str, str], tuple[str, str]] = {
    ("deberta-v2", "prefix"): ("computes attention in code of its own", "its attention is code of its own, which takes no further keys"),
    ("mamba", "prefix"): ("has nothing that prefix usually sits on", "it has no attention"),
    ("mamba", "ia3"): ("has nothing that ia3 usually sits on", "it has neither keys and values nor a feed-forward layer"),
    **{(family, "soft_prompt"): NO_TOKENS for family in ("clip", "vit", "wav2vec2", "whisper")},
    **{("plain", delta_type): ("which has no family", "nothing is known about it: name the modules") for delta_type in DELTA_TYPES},
    ("plain", "soft_prompt"): NO_TOKENS,
}
SEEN: dict[tuple[str, str], list[str]] = {}  # hosts that the tests found, for the page: attaching once more would give the same
NAMED = {"ln_tuning": ["blocks.$.0"], "parallel_adapter": ["blocks.$.1", "blocks.$.3"]}


def attached(model: nn.Module, delta_type: str, **settings: Any) -> DeltaModel:
    """A small delta of a type, at its default hosts unless ``settings`` names others; what was taken instead is not warned of."""
    config = AutoDeltaConfig.from_dict({"delta_type": delta_type, **SMALL.get(delta_type, {}), **settings})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "there is no")
        torch.manual_seed(3)
        return AutoDeltaModel.from_config(config, model)


def first_output(model: nn.Module) -> torch.Tensor:
    output: torch.Tensor = model(**batch_for(model))[0]
    return output


def one_step(model: nn.Module) -> None:
    """Train what is trainable for one step."""
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1.0)
    first_output(model).square().mean().backward()
    optimizer.step()
    model.zero_grad(set_to_none=True)


def whole_life(model: nn.Module, other: nn.Module, delta_type: str, folder: Path, **settings: Any) -> list[str]:
    """Attach, train, save, load into ``other``, detach; the hosts."""
    before = same_state(model)
    with torch.no_grad():
        output = first_output(model)
    delta = attached(model, delta_type, **settings)
    delta.freeze_module(set_state_dict=False)
    own = set(delta.tensors())
    assert trains(model) <= own
    values = {name: p.detach().clone() for name, p in model.named_parameters()}
    one_step(model)
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, values[name])}
    assert moved
    assert moved <= own
    with torch.no_grad():
        trained = first_output(model)
        assert not torch.equal(trained, output)
        delta.save_finetuned(folder)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "there is no")
            loaded = AutoDeltaModel.from_finetuned(folder, other)
        same = [torch.equal(p, q) for p, q in zip(model.parameters(), other.parameters(), strict=True)]
        assert all(same)
        torch.testing.assert_close(first_output(other), trained, rtol=1e-6, atol=1e-6)  # where tensors lie in memory may tell
        loaded.detach()
        delta.detach()
        assert torch.equal(first_output(model), output)
    assert_same(same_state(model), before)
    return list(delta.hosts)


@cache
def spare(family: str) -> Any:
    """A second model, for a delta to be loaded into; it is left as it was found."""
    return fresh(family)


@pytest.mark.parametrize(("family", "delta_type"), MATRIX)
def test_every_type_on_every_family(family: str, delta_type: str, tmp_path: Path) -> None:
    model = fresh(family)
    if (family, delta_type) not in REFUSED:
        SEEN[family, delta_type] = whole_life(model, spare(family), delta_type, tmp_path / "saved")
        return
    before = same_state(model)
    with pytest.raises(DeltaError, match=re.escape(REFUSED[family, delta_type][0])):
        attached(model, delta_type)
    assert_same(same_state(model), before)


@pytest.mark.parametrize("delta_type", sorted(set(DELTA_TYPES) - {"prefix", "soft_prompt"}))
def test_a_module_of_no_family_whose_parts_are_named(delta_type: str, tmp_path: Path) -> None:
    named = NAMED.get(delta_type, ["blocks.$.1"])
    whole_life(fresh("plain"), fresh("plain"), delta_type, tmp_path / "saved", modified_modules=named)


def default_hosts(family: str) -> dict[tuple[str, ...], list[str]]:
    """The types that have default hosts in a family, by what those are called inside a layer."""
    found: dict[tuple[str, ...], list[str]] = {}
    for delta_type in DELTA_TYPES:
        if (family, delta_type) not in REFUSED:
            hosts = SEEN.get((family, delta_type)) or attached(fresh(family), delta_type).hosts
            found.setdefault(tuple(dict.fromkeys(map(inside_a_layer, hosts))), []).append(delta_type)
    return found


def inside_a_layer(name: str) -> str:
    """What follows the layer's number; the whole name outside of layers."""
    layer = re.search(r"\.\d+\.(albert_layers\.\d+\.)?", name)
    return (name[layer.end() :] if layer else name) or "the whole model"


def page() -> str:
    """The page about families, from what attaches."""
    lines = [INTRODUCTION, "| family | " + " | ".join(DELTA_TYPES) + " |", "|---" * (len(DELTA_TYPES) + 1) + "|"]
    reasons = list(dict.fromkeys(reason for _, reason in REFUSED.values()))
    for family in FAMILIES:
        cells = [f"no ({reasons.index(REFUSED[family, kind][1]) + 1})" if (family, kind) in REFUSED else "yes" for kind in DELTA_TYPES]
        lines.append(f"| {family} | {' | '.join(cells)} |")
    lines += ["", *(f"{at}. {reason}" for at, reason in enumerate(reasons, 1)), "", WHERE]
    for family in FAMILIES:
        if family != "plain":
            lines += ["", f"### {family}", "", "| type | modules of a layer, and others by their full names |", "|---|---|"]
            lines += [f"| {', '.join(kinds)} | {', '.join(hosts)} |" for hosts, kinds in default_hosts(family).items()]
    return "\n".join([*lines, "", OTHERS, textwrap.fill(", ".join(known_families()), 120), ""])


def test_the_page_says_what_is_so(request: pytest.FixtureRequest) -> None:
    text = page()
    if request.config.getoption("--overwrite"):
        PAGE.write_text(text, encoding="utf-8", newline="\n")
    assert text == PAGE.read_text(encoding="utf-8"), "docs/families.md is out of date; --overwrite writes it"


def test_the_refusals_are_of_types_and_families_that_there_are() -> None:
    assert set(REFUSED) <= set(MATRIX)
