"""The engine: delta types, and what all of them share. Knows torch and transformers, knows no notebook."""

from deltanb.engine._arithmetic import add, interpolate
from deltanb.engine._attachment import set_apart
from deltanb.engine._base import CommonOptions, DeltaModel
from deltanb.engine._config import BaseDeltaConfig
from deltanb.engine._describe import describe_types
from deltanb.engine._facts import host_dims, host_facts, prompt_place
from deltanb.engine._freezing import Declaration, apply_declarations, declare, freeze, restore_declarations, snapshot_ownership, unfreeze
from deltanb.engine._freezing import dump as snapshot_declarations
from deltanb.engine._gradients import dead_parameters
from deltanb.engine._hosts import match
from deltanb.engine._lora_layers import DoraEmbeddingLayer, DoraLayer, LoraEmbeddingLayer, LoraLayer
from deltanb.engine._memory import PROCESS_BYTES, Outlook, Place, Planned, score_heads, training_memory
from deltanb.engine._merged import merged_originals
from deltanb.engine._merging import Effect, set_merged
from deltanb.engine._movement import Moved, Passes, places_of, side_by_side
from deltanb.engine._naming import free_name
from deltanb.engine._ownership import own_tensors
from deltanb.engine._plan import Plan, plan
from deltanb.engine._registry import deltas
from deltanb.engine._switch import use, without_deltas
from deltanb.engine._weight_change import WeightChange, effective_rank, first_energy, weight_changes
from deltanb.engine.adapter import AdapterConfig, AdapterLayer, AdapterModel
from deltanb.engine.auto import DELTA_TYPES, AutoDeltaConfig, AutoDeltaModel, delta_class
from deltanb.engine.bitfit import BiasLayer, BitFitConfig, BitFitModel
from deltanb.engine.compacter import CompacterConfig, CompacterModel
from deltanb.engine.ia3 import IA3Config, IA3Layer, IA3Model
from deltanb.engine.ln_tuning import LnTuningConfig, LnTuningModel
from deltanb.engine.lora import LoraConfig, LoraModel
from deltanb.engine.low_rank_adapter import LowRankAdapterConfig, LowRankAdapterModel, LowRankLinear
from deltanb.engine.parallel_adapter import ParallelAdapterConfig, ParallelAdapterLayer, ParallelAdapterModel
from deltanb.engine.prefix import PrefixConfig, PrefixLayer, PrefixModel, PrefixNetwork
from deltanb.engine.soft_prompt import SoftPromptConfig, SoftPromptLayer, SoftPromptModel

__all__ = [
    "DELTA_TYPES",
    "PROCESS_BYTES",
    "AdapterConfig",
    "AdapterLayer",
    "AdapterModel",
    "AutoDeltaConfig",
    "AutoDeltaModel",
    "BaseDeltaConfig",
    "BiasLayer",
    "BitFitConfig",
    "BitFitModel",
    "CommonOptions",
    "CompacterConfig",
    "CompacterModel",
    "Declaration",
    "DeltaModel",
    "DoraEmbeddingLayer",
    "DoraLayer",
    "Effect",
    "IA3Config",
    "IA3Layer",
    "IA3Model",
    "LnTuningConfig",
    "LnTuningModel",
    "LoraConfig",
    "LoraEmbeddingLayer",
    "LoraLayer",
    "LoraModel",
    "LowRankAdapterConfig",
    "LowRankAdapterModel",
    "LowRankLinear",
    "Moved",
    "Outlook",
    "ParallelAdapterConfig",
    "ParallelAdapterLayer",
    "ParallelAdapterModel",
    "Passes",
    "Place",
    "Plan",
    "Planned",
    "PrefixConfig",
    "PrefixLayer",
    "PrefixModel",
    "PrefixNetwork",
    "SoftPromptConfig",
    "SoftPromptLayer",
    "SoftPromptModel",
    "WeightChange",
    "add",
    "apply_declarations",
    "dead_parameters",
    "declare",
    "delta_class",
    "deltas",
    "describe_types",
    "effective_rank",
    "first_energy",
    "free_name",
    "freeze",
    "host_dims",
    "host_facts",
    "interpolate",
    "match",
    "merged_originals",
    "own_tensors",
    "places_of",
    "plan",
    "prompt_place",
    "restore_declarations",
    "score_heads",
    "set_apart",
    "set_merged",
    "side_by_side",
    "snapshot_declarations",
    "snapshot_ownership",
    "training_memory",
    "unfreeze",
    "use",
    "weight_changes",
    "without_deltas",
]
