"""The structure that the browser gets: every name, role and count in it, checked against the model itself."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from deltanb import AdapterModel, LoraModel
from deltanb.roles import roles_of
from deltanb.structure import module_names
from deltanb.widgets._payload import payload
from tests.families import FAMILIES, fresh

if TYPE_CHECKING:
    from torch import nn


def opened(row: dict[str, Any], above: str, others: dict[str, str]) -> list[tuple[str, str, dict[str, Any]]]:
    """Name, role and row of every module, opened the way the browser does it."""
    if row.get("d") or row.get("s"):
        return []
    found = []
    for at, label in enumerate(row["l"]):
        name = f"{above}.{label}" if above else label
        roles = row.get("r", [""])
        segments = name.split(".")
        role = re.sub(r"\{(\d+)\}", lambda hit, parts=segments: parts[int(hit[1])], roles[min(at, len(roles) - 1)])
        found += [(name, others.get(name, role), row)] if name else []
        for child in row.get("c", []):
            found += opened(child, name, others)
    return found


def check(model: nn.Module) -> None:
    sent = json.loads(json.dumps(payload(model)))
    found = opened(sent["root"], "", sent.get("roles", {}))
    names = [name for name, _, _ in found]
    assert names == module_names(model)
    assert sent["modules"] == len(names)
    assert {name: role for name, role, _ in found if role} == (roles_of(model) or {})
    assert sent["totals"][0] == sum({id(p): p.numel() for p in model.parameters()}.values())
    assert sent["totals"][1] == sum({id(p): p.numel() for p in model.parameters() if p.requires_grad}.values())


@pytest.mark.parametrize("family", list(FAMILIES))
def test_the_payload_opens_to_the_model_s_own_names_and_roles(family: str) -> None:
    check(fresh(family))


def test_deltas_are_in_the_payload_and_not_among_the_names() -> None:
    model = fresh("bart")
    AdapterModel(model, modified_modules=["fc2"], bottleneck_dim=2)
    LoraModel(model, modified_modules=["q_proj"], lora_r=2, name="reviews")
    check(model)
    assert '"d": "reviews", "k": "lora"' in json.dumps(payload(model))
