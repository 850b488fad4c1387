"""Cases of what deltas cost, for the engine and for the browser: tiny models, what each delta type would add to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from deltanb._errors import DeltaError
from deltanb.addressing import pattern_hits
from deltanb.engine import DELTA_TYPES, host_dims, host_facts, match, plan, training_memory
from deltanb.engine.auto import AutoDeltaConfig
from deltanb.roles import roles_of
from deltanb.structure import module_names
from deltanb.widgets._payload import payload
from tests.models import SMALL, make, of_type

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

__all__ = ["MODELS", "cases_of"]

MODELS = ("bert", "bart", "gpt2", "llama", "t5", "vit", "mamba", "mixtral", "gpt_neox", "clip", "wav2vec2", "plain", "half", "tuned")
# Type: further options to try; every one is tried on every model.
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "adapter": [{"bottleneck_dim": 3}, {"placement": "at_norm", "bottleneck_dim": 2}],
    "lora": [{"lora_r": 2}, {"use_dora": True, "lora_r": 1, "use_rslora": True}, {"rank_pattern": {"[r].*[kv].*": 3}, "lora_r": 2}],
    "bitfit": [{}],
    "prefix": [{}, {"reparameterize": False, "prefix_token_num": 2}, {"embed_dim": 3, "mid_dim": 5}, {"shift_positions": True}],
    "soft_prompt": [{"soft_token_num": 5}, {"keep_rows": True}],
    "low_rank_adapter": [{"reduction_factor": 3, "low_rank_rank": 2}, {"reduction_factor": 40}],
    "parallel_adapter": [{"bottleneck_dim": 5}],
    "compacter": [
        {"reduction_factor": 4},
        {"reduction_factor": 2, "shared_phm_rule": True, "shared_W_phm": True, "use_bias_up_sampler": False},
        {"reduction_factor": 4, "factorized_phm": False, "factorized_phm_rule": True, "hypercomplex_division": 2, "learn_phm": False},
        {"reduction_factor": 5, "phm_rank": 2},
    ],
    "ia3": [{}, {"feedforward_modules": ["[r].*"]}],
    "ln_tuning": [{}],
}
# Patterns that hit blocks, embeddings, norms, convolutions and what cannot carry anything.
PATTERNS: dict[str, list[list[str]]] = {
    "bert": [["output"], ["LayerNorm", "classifier"], ["attention"], ["word_embeddings"], ["encoder"], ["encoder.layer"], ["dropout"]],
    "bart": [["fc1", "fc2"], ["self_attn"], ["shared"], ["encoder.layers.1", "decoder"], ["fc1"], ["lm_head"], ["self_attn", "fc1"]],
    "gpt2": [["c_attn"], ["mlp"], ["attn"], ["wte", "ln_f"], ["h.0"]],
    "llama": [["mlp"], ["input_layernorm"], ["self_attn", "o_proj"], ["gate_proj", "down_proj"]],
    "t5": [["SelfAttention"], ["layer.0"], ["shared"], ["layer_norm"], ["EncDecAttention"]],
    "vit": [["patch_embeddings"], ["projection"]],
    "mamba": [["mixer"], ["conv1d"]],
    "mixtral": [["mlp"], ["experts"]],
    "gpt_neox": [["attention"], ["dense_4h_to_h"]],
    "clip": [["self_attn"], ["fc2"], ["vision_model"]],
    "wav2vec2": [["attention"], ["conv"], ["feature_projection"]],
    "plain": [["$.1", "$.3"], ["blocks"], ["embed"], ["head"]],
}


def cases_of(name: str) -> dict[str, Any]:
    """One of the models as the browser gets it, and what each request gives."""
    model = _made(name)
    described = {**payload(model), "dims": host_dims(model)}
    memory = [training_memory(model, 4, 16), _adapted(name)]
    return {"model": described, "cases": list(_cases(name, model)), "memory": memory}


def _adapted(name: str) -> dict[str, int]:
    """Memory with an adapter after every linear layer, all else frozen."""
    model = _made(name)
    names = [module for module in module_names(model) if (host_facts(model, module) or "-")[0] in ("l", "c")]
    if name != "tuned":
        of_type("adapter", model, modified_modules=names).freeze_module(exclude=["deltas"])
    return training_memory(model, 4, 16)


def _made(name: str) -> nn.Module:
    model: nn.Module = make({"half": "llama", "tuned": "bert"}.get(name, name))
    if name == "half":
        model.to(torch.bfloat16)
    if name == "tuned":
        of_type("bitfit", model, modified_modules=["attention"])
        of_type("adapter", model, modified_modules=["output.dense"]).freeze_module(exclude=["deltas", "classifier"])
    return model


def _cases(name: str, model: nn.Module) -> Iterator[dict[str, Any]]:
    patterns = PATTERNS.get({"half": "llama", "tuned": "bert"}.get(name, name), [])
    for kind, every in OPTIONS.items():
        for options in every:
            yield _case(model, kind, None, options)
        for words in patterns if kind != "soft_prompt" else []:
            yield _case(model, kind, words, SMALL.get(kind, {}))
    if name == "bert":
        for kind in ("bitfit", "lora"):
            yield _case(model, kind, ["attention", "dense"] if kind == "bitfit" else ["dense"], {}, exclude=["layer.0"])


def _case(model: nn.Module, kind: str, patterns: list[str] | None, options: dict[str, Any], exclude: Any = None) -> dict[str, Any]:
    """One request, with what the engine says."""
    names = module_names(model)
    places = {module: at for at, module in enumerate(names)}
    found: dict[str, Any] = {"type": kind, "options": options}
    words = _patterns(model, kind, patterns, options)
    found["patterns"] = words
    if exclude:
        found["excluded"] = [places[hit] for hit in match(model, exclude).names]
    try:
        hit = match(model, words, exclude).names if words else []
        found["names"] = [places[module] for module in hit]
    except DeltaError:
        found["names"] = []
    found["hits"] = {word: _hits(model, word, names) for word in _words(kind, words, options)}
    try:
        made = plan(model, kind, patterns, exclude, **options)
    except DeltaError as error:
        return {**found, "error": error.what}
    cost = {key: getattr(made, key) for key in ("hosts", "parameters", "share", "bytes", "tensors")}
    return {**found, "cost": cost}


def _patterns(model: nn.Module, kind: str, patterns: list[str] | None, options: dict[str, Any]) -> list[str]:
    """What stands for no pattern."""
    if kind == "soft_prompt" or patterns:
        return patterns or []
    delta: Any = DELTA_TYPES[kind].__new__(DELTA_TYPES[kind])
    delta.backbone_model, delta.config = model, AutoDeltaConfig.from_dict({"delta_type": kind, **options})
    try:
        return list(delta.defaults.patterns)
    except DeltaError:
        return []


def _words(kind: str, words: list[str], options: dict[str, Any]) -> list[str]:
    """The patterns that a formula looks up by itself."""
    given = [*options.get("rank_pattern", ()), *options.get("feedforward_modules", ())]
    return [*given, *(words if kind == "parallel_adapter" else []), *(["ff@.w2@"] if kind == "ia3" else [])]


def _hits(model: nn.Module, word: str, names: list[str]) -> list[int]:
    try:
        hits = set(pattern_hits(word, names, roles_of(model)))
    except DeltaError:
        hits = set()
    return [at for at, name in enumerate(names) if name in hits]
