"""Low-rank adapter, parallel adapter and Compacter: what they compute, their counts, names, first values and options."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import transformers
from torch import nn
from transformers.activations import get_activation

from deltanb import CompacterModel, LowRankAdapterModel, ParallelAdapterModel, load
from deltanb._errors import DeltaError
from tests.models import bart, batch_for, make, output_of, stir, total, trainable
from tests.test_engine_counts import BASE

TYPES: dict[str, Any] = {"low_rank_adapter": LowRankAdapterModel, "parallel_adapter": ParallelAdapterModel, "compacter": CompacterModel}
# The published numbers of the defaults: full-size models, everything else frozen.
COUNTS = {
    "low_rank_adapter": {"bart": 28_512, "bert": 57_024, "roberta": 57_024, "t5": 114_048, "gpt2": 57_024},
    "parallel_adapter": {"bart": 451_872, "bert": 903_744, "roberta": 903_744, "t5": 1_807_488, "gpt2": 903_744},
    "compacter": {"bart": 30_912, "bert": 61_824, "roberta": 61_824, "t5": 123_648, "gpt2": 61_824},
}
BART_HOSTS = {"low_rank_adapter": ["fc2"], "parallel_adapter": ["fc1", "fc2"], "compacter": ["fc2"]}
SMALL = {"low_rank_adapter": {"reduction_factor": 4}, "parallel_adapter": {"bottleneck_dim": 3}, "compacter": {"reduction_factor": 2}}
gelu = get_activation("gelu_new")


@pytest.mark.parametrize("family", BASE)
def test_the_published_counts(family: str) -> None:
    name, settings, size = BASE[family]
    with torch.device("meta"):
        model = getattr(transformers, f"{name}Model")(getattr(transformers, f"{name}Config")(**settings))
    for kind, counts in COUNTS.items():
        delta = TYPES[kind](model, modified_modules=BART_HOSTS[kind] if family == "bart" else None)
        delta.freeze_module()
        assert trainable(model) == total(model) - size == counts[family]
        assert all(parameter.is_meta for parameter in model.parameters())
        delta.detach()
        assert total(model) == size


@pytest.mark.parametrize("family", ["bart", "bert", "distilbert", "gpt2", "llama", "roberta", "t5"])
@pytest.mark.parametrize("kind", TYPES)
def test_defaults_fit_every_family_with_roles(kind: str, family: str) -> None:
    model = make(family)
    before, names = output_of(model), str(model)
    delta = TYPES[kind](model, **SMALL[kind])
    assert {number for number in ("0", "1") for host in delta.hosts if number in host.split(".")} == {"0", "1"}
    delta.freeze_module()
    model(**batch_for(model))[0].square().sum().backward()
    assert all(parameter.grad is not None for parameter in delta.parameters())
    stir(delta.parameters())
    changed = output_of(model)
    assert not torch.allclose(changed, before)
    delta.detach()
    assert torch.equal(output_of(model), before)
    assert str(model) == names
    delta.attach()
    assert torch.equal(output_of(model), changed)


def one(size_in: int = 8, size_out: int = 12) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(size_in, size_out)), torch.randn(2, 3, size_in)


@pytest.mark.parametrize("rank", [1, 3])
def test_the_low_rank_formula(rank: int) -> None:
    model, value = one()
    hidden = model(value)
    delta = LowRankAdapterModel(model, modified_modules="0", reduction_factor=4, low_rank_rank=rank, non_linearity="tanh")
    stir(delta.parameters(), scale=1.0)
    left, right, bias, left2, right2, bias2 = (p.detach() for p in delta.parameters())
    assert [tuple(p.shape) for p in delta.parameters()] == [(12, rank), (rank, 3), (3,), (3, rank), (rank, 12), (12,)]
    low = torch.tanh(hidden @ torch.einsum("ir,ro->io", left, right) + bias)
    torch.testing.assert_close(model(value), hidden + low @ torch.einsum("ir,ro->io", left2, right2) + bias2)


@pytest.mark.parametrize("scaled", [1.0, 4.0, 0.0, -2.0])
def test_the_parallel_formula(scaled: float) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 5))
    value = torch.randn(2, 3, 6)
    hidden = model(value)
    delta = ParallelAdapterModel(model, modified_modules=["0", "2"], bottleneck_dim=2, scaled=scaled, non_linearity="relu")
    stir(delta.parameters(), scale=1.0)
    down_w, down_b, up_w, up_b = delta.parameters()
    torch.testing.assert_close(model(value), hidden + scaled * ((value @ down_w.T + down_b).relu() @ up_w.T + up_b))


def kronecker_sum(rules: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """The sum of Kronecker products, entry by entry."""
    parts, rows, columns = weights.shape
    whole = torch.zeros(parts * rows, parts * columns)
    for at in range(parts):
        for a in range(parts):
            for b in range(parts):
                whole[a * rows : (a + 1) * rows, b * columns : (b + 1) * columns] += rules[at, a, b] * weights[at]
    return whole


COMPACTER: list[dict[str, Any]] = [
    {},
    {"kronecker_prod": True},
    {"kronecker_prod": False},
    {"factorized_phm": False},
    {"phm_rank": 2},
    {"factorized_phm_rule": True},
    {"learn_phm": False},
    {"learn_phm": False, "factorized_phm_rule": True},
    {"use_bias_up_sampler": False},
    {"use_bias_down_sampler": False, "use_bias_up_sampler": False},
    {"hypercomplex_division": 2},
    {"shared_phm_rule": True},
    {"shared_W_phm": True},
    {"shared_phm_rule": True, "factorized_phm_rule": True, "shared_W_phm": True, "factorized_phm": False},
    {"shared_phm_rule": True, "learn_phm": False, "shared_W_phm": True, "use_bias_down_sampler": False, "use_bias_up_sampler": False},
]


def sampler(tensors: dict[str, torch.Tensor], which: str, hosts: list[str]) -> tuple[torch.Tensor, Any]:
    """Matrix and bias of one layer from the saved tensors alone: its own, else those of the first that has them."""

    def find(name: str, places: list[str]) -> torch.Tensor | None:
        keys = [f"{host}.compactor.{place}_sampler.{name}" for host in hosts for place in places]
        return next((tensors[key] for key in keys if key in tensors), None)

    rule, weight = find("phm_rule", [which, "down"]), find("W", [which])
    if rule is None:
        rule = torch.einsum("nap,npb->nab", find("phm_rule_left", [which, "down"]), find("phm_rule_right", [which, "down"]))
    if weight is None:
        weight = torch.einsum("nir,nro->nio", find("W_left", [which]), find("W_right", [which]))
    bias = tensors.get(f"{hosts[0]}.compactor.{which}_sampler.b")
    return kronecker_sum(rule, weight), 0 if bias is None else bias


@pytest.mark.parametrize("options", COMPACTER, ids=str)
def test_the_compacter_formula(options: dict[str, Any], tmp_path: Any) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Linear(16, 16))
    value = torch.randn(2, 3, 8)
    delta = CompacterModel(model, modified_modules="[r]\\d", reduction_factor=2, **options)
    tensors = delta.tensors()
    stir([tensor for name, tensor in tensors.items() if "phm_rule" in name], scale=1.0)
    stir(delta.parameters(), seed=6, scale=0.5)
    hidden = value
    for at, hosts in enumerate((["0"], ["1", "0"])):
        hidden = nn.functional.linear(hidden, model[at].weight, model[at].bias)
        (down, down_b), (up, up_b) = (sampler(delta.tensors(), which, hosts) for which in ("down", "up"))
        hidden = hidden + gelu(hidden @ down + down_b) @ up + up_b
    torch.testing.assert_close(model(value), hidden, atol=1e-4, rtol=1e-4)
    delta.save_finetuned(tmp_path / "d")
    other = nn.Sequential(nn.Linear(8, 16), nn.Linear(16, 16))
    other.load_state_dict({name: tensor for name, tensor in model.state_dict().items() if "compactor" not in name})
    load(tmp_path / "d", other)
    assert torch.equal(other(value), model(value))


def test_shared_tensors_are_there_once() -> None:
    """A rule of 4·4·4 for all eight layers, and two thin pairs for each of the two layers of every host: all hosts are of size 16."""
    hosts, rule, thin, biases = 4, 64, 4 * (4 + 2), 8 + 16
    for options, wanted in (
        ({}, hosts * (2 * rule + 2 * thin + biases)),
        ({"shared_phm_rule": True}, rule + hosts * (2 * thin + biases)),
        ({"shared_W_phm": True}, 2 * thin + hosts * (2 * rule + biases)),
        ({"shared_phm_rule": True, "shared_W_phm": True}, rule + 2 * thin + hosts * biases),
        ({"learn_phm": False}, hosts * (2 * thin + biases)),
    ):
        model = bart()
        delta = CompacterModel(model, modified_modules=["fc2"], reduction_factor=2, **options)
        delta.freeze_module()
        assert trainable(model) == total(model) - 13_312 == sum(p.numel() for p in delta.parameters()) == wanted
        names = [name for name in delta.tensors() if "phm_rule" in name]
        assert len(names) == (1 if "shared_phm_rule" in options else 2 * hosts)
        learned = {name for name, p in model.named_parameters() if p.requires_grad}
        assert {name for name in model.state_dict() if "compactor" in name} == learned


def test_hosts_of_several_sizes_share_what_fits() -> None:
    model = bart()
    delta = CompacterModel(model, modified_modules=["fc1", "fc2"], reduction_factor=2, shared_W_phm=True, shared_phm_rule=True)
    assert len([name for name in delta.tensors() if "W_left" in name]) == 4  # lower and upper, for 32 and for 16
    assert len([name for name in delta.tensors() if "phm_rule" in name]) == 1


def test_names_and_shapes() -> None:
    model = make("gpt2")
    names = {name for name, _ in model.named_parameters()}
    host = "transformer.h.0.mlp.c_proj"
    for kind, options, wanted in (
        ("low_rank_adapter", {"low_rank_rank": 2}, ["down_sampler.W_left", "down_sampler.W_right", "down_sampler.b"]),
        ("compacter", {}, ["down_sampler.phm_rule", "down_sampler.W_left", "down_sampler.W_right", "down_sampler.b"]),
        ("parallel_adapter", {}, ["modulelist.down_proj.weight", "modulelist.down_proj.bias"]),
    ):
        delta = TYPES[kind](model, modified_modules=[host], **SMALL[kind], **options)
        child = "compactor" if kind == "compacter" else kind
        added = [name.removeprefix(f"{host}.{child}.") for name, _ in model.named_parameters() if name not in names]
        assert added == [*wanted, *(name.replace("down", "up") for name in wanted)]
        delta.detach()
    second = [CompacterModel(model, modified_modules=[host], reduction_factor=2, name=name) for name in (None, "compacter_1", "mine")]
    assert [delta.child_name() for delta in second] == ["compactor", "compactor_1", "mine"]


def big(kind: str, **options: Any) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(400, 800))
    TYPES[kind](model, modified_modules="0", **options)
    return {name.partition(".")[2].partition(".")[2]: tensor for name, tensor in model.state_dict().items() if name.count(".") > 1}


@pytest.mark.parametrize("how", ["glorot-uniform", "glorot-normal"])
def test_first_values_of_a_low_rank_adapter(how: str) -> None:
    found = big("low_rank_adapter", reduction_factor=2, low_rank_rank=20, low_rank_w_init=how)
    for name, sizes in {"down_sampler.W_left": 800 + 20, "up_sampler.W_right": 20 + 800}.items():
        spread = math.sqrt(2) * math.sqrt(2 / sizes)
        assert found[name].std().item() == pytest.approx(spread, rel=0.05)
        assert bool(found[name].abs().max() > 2 * spread) == (how == "glorot-normal")
    assert not found["down_sampler.b"].any()
    assert not found["up_sampler.b"].any()


def test_first_values_of_a_parallel_adapter() -> None:
    found = big("parallel_adapter", bottleneck_dim=200)
    for name in ("modulelist.down_proj", "modulelist.up_proj"):
        assert found[f"{name}.weight"].std().item() == pytest.approx(0.01, rel=0.05)
        assert found[f"{name}.weight"].abs().max() > 0.03
        assert not found[f"{name}.bias"].any()


def test_first_values_of_compacter() -> None:
    found = big("compacter", reduction_factor=2, hypercomplex_division=20, phm_rank=4)
    assert found["down_sampler.phm_rule"].std().item() == pytest.approx(0.01, rel=0.05)
    assert found["down_sampler.W_left"].std().item() == pytest.approx(math.sqrt(2) * math.sqrt(2 / (40 + 4)), rel=0.05)
    assert not found["down_sampler.b"].any()
    other = {"phm_c_init": "uniform", "hypercomplex_nonlinearity": "normal", "phm_init_range": 0.5, "factorized_phm": False}
    found = big("compacter", reduction_factor=2, hypercomplex_division=20, **other)
    assert found["up_sampler.phm_rule"].abs().max().item() == pytest.approx(0.01, rel=0.02)
    assert found["up_sampler.W"].std().item() == pytest.approx(0.5, rel=0.05)
    found = big("compacter", reduction_factor=2, hypercomplex_division=20, phm_rank=4, hypercomplex_nonlinearity="glorot-normal")
    assert found["up_sampler.W_right"].abs().max() > 2 * math.sqrt(2) * math.sqrt(2 / (40 + 4))


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("low_rank_adapter", {"reduction_factor": 64}, r"leaves nothing of .*fc2, whose output has size 16.* from 1 to 16"),
        ("low_rank_adapter", {"low_rank_rank": 0}, "must be a whole number from 1"),
        ("low_rank_adapter", {"low_rank_w_init": "glorot"}, "one of glorot-uniform, glorot-normal"),
        ("compacter", {"reduction_factor": 16}, r"must divide the size of .*fc2 \(16\) and its bottleneck \(1\).*reduction_factor=4"),
        ("compacter", {"reduction_factor": 2, "hypercomplex_division": 3}, "One of 1, 2, 4, 8.*hypercomplex_division=8"),
        ("compacter", {"phm_c_init": "glorot"}, "one of normal, uniform"),
        ("compacter", {"kronecker_prod": "maybe"}, "true or false"),
        ("parallel_adapter", {"scaled": "much"}, "scaled must be a number"),
    ],
)
def test_options_that_cannot_be(kind: str, options: dict[str, Any], said: str) -> None:
    model = bart()
    names = str(model)
    with pytest.raises(DeltaError, match=said):
        TYPES[kind](model, modified_modules=["fc2"], **options)
    assert str(model) == names


def test_advice_on_the_division_is_good() -> None:
    with pytest.raises(DeltaError) as caught:
        CompacterModel(bart(), modified_modules=["fc2"])
    option, value = caught.value.try_.split("=")
    CompacterModel(bart(), modified_modules=["fc2"], **{option: value})


@pytest.mark.parametrize("kind", ["low_rank_adapter", "compacter"])
def test_a_host_without_an_output_size_is_refused(kind: str) -> None:
    with pytest.raises(DeltaError, match="channels first"):
        TYPES[kind](make("vit"), modified_modules=["projection"])
    with pytest.raises(DeltaError, match="container"):
        TYPES[kind](nn.Sequential(nn.Sequential(nn.Linear(4, 4))), modified_modules="0")
