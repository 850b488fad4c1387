"""LoRA as PEFT writes it, in every variant that computes what `deltanb.LoraModel` can compute."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from deltanb.checkpoints._peft_common import Adapter, Folder, as_saved, checked
from deltanb.checkpoints._peft_targets import of_pattern

if TYPE_CHECKING:
    import torch

    from deltanb.checkpoints._saved import Saved

__all__ = ["EMBEDDING", "LINEAR", "REBUILDING", "REFUSED", "read_lora"]

# A LoRA's tensors, with what PEFT calls them on a linear layer and on an embedding.
LINEAR = {"lora_A": "lora_A.weight", "lora_B": "lora_B.weight", "lora_magnitude_vector": "lora_magnitude_vector"}
EMBEDDING = {"lora_A": "lora_embedding_A", "lora_B": "lora_embedding_B", "lora_magnitude_vector": "lora_magnitude_vector"}
_PARTS = {theirs.removesuffix(".weight"): f"lora.{own}" for names in (LINEAR, EMBEDDING) for own, theirs in names.items()}
# Behind it PEFT may put the adapter's name, or "weight".
_KEY = re.compile(rf"(?P<host>.+)\.(?P<part>{'|'.join(_PARTS)})(?:\.(?!weight$|bias$)[^.]+)?(?:\.weight)?")

_KINDS: dict[str, tuple[type, ...]] = {
    "r": (int,),
    "lora_alpha": (int, float),
    "lora_dropout": (int, float),
    "rank_pattern": (dict,),
    "alpha_pattern": (dict,),
    "use_rslora": (bool,),
    "use_dora": (bool,),
    "bias": (str,),
}
# Settings that make PEFT compute something else than LoRA, with what that is.
REFUSED = {
    "alora_invocation_tokens": "aLoRA works only from certain tokens on",
    "arrow_config": "Arrow chooses between several adapters for each token",
    "ensure_weight_tying": "adapters of tied layers are tied too",
    "kasa_config": "KaSA also changes the backbone's own weights",
    "layer_replication": "it builds layers that the backbone does not have",
    "lora_bias": "lora_B has a bias of its own",
    "megatron_config": "its layers are split among devices",
    "monteclora_config": "MonteCLoRA samples its weights",
    "target_parameters": "it changes parameters that are no module's own",
    "trainable_token_indices": "it also trains single rows of an embedding",
    "use_bdlora": "its matrices are in blocks",
    "use_qalora": "QA-LoRA pools the input in groups",
}
_WITHOUT_EFFECT = (
    "corda_config",
    "eva_config",
    "fan_in_fan_out",
    "loftq_config",
    "lora_ga_config",
    "megatron_core",
    "qalora_group_size",
    "runtime_config",
    "velora_config",
)
# Ways to start from that take the first adapter out of the backbone's own weights, anew each time PEFT loads the folder.
REBUILDING = ("pissa", "olora", "corda", "loftq", "lora_ga")


def read_lora(folder: Folder) -> Saved:
    """LoRA from a folder.

    Raises:
        DeltaError: a setting has no form here, or is of the wrong kind.
    """
    settings = folder.settings
    checked(folder, _KINDS, known=("init_lora_weights", *REFUSED, *_WITHOUT_EFFECT), refused=REFUSED)
    start = settings.get("init_lora_weights")
    if isinstance(start, str) and start.startswith(REBUILDING):
        why = "it takes the first adapter out of the backbone's own weights"
        raise folder.refused(
            f"init_lora_weights={start!r}", why, "save with path_initial_model_for_weight_conversion, which makes it plain LoRA"
        )
    adapter = folder.split(_KEY, _PARTS)
    r, alpha = settings.get("r", 8), settings.get("lora_alpha", 8)
    ranks = {host: of_pattern(settings.get("rank_pattern") or {}, host, r) for host in adapter.hosts}
    alphas = {host: of_pattern(settings.get("alpha_pattern") or {}, host, alpha) for host in adapter.hosts}
    options = {
        "lora_r": r,
        "lora_alpha": alpha,
        "lora_dropout": settings.get("lora_dropout", 0.0),
        **_flags(settings),
        **_table("rank_pattern", ranks, r),
        **_table("alpha_pattern", alphas, alpha),
    }
    saved = as_saved(folder, adapter, "lora", options)
    saved.problems += _wrong_ranks(adapter, ranks)
    return saved


def _flags(settings: dict[str, Any]) -> dict[str, bool]:
    return {key: True for key in ("use_rslora", "use_dora") if settings.get(key)}


def _table(key: str, values: dict[str, Any], usual: Any) -> dict[str, dict[str, Any]]:
    """The hosts that differ, by their full names."""
    other = {host: value for host, value in values.items() if value != usual}
    return {key: other} if other else {}


def _wrong_ranks(adapter: Adapter, ranks: dict[str, Any]) -> list[str]:
    """A wrong alpha cannot be seen; a wrong rank can."""
    wrong = [(host, found) for host, said in ranks.items() if (found := _rank(adapter.tensors, host)) not in (None, said)]
    if not wrong:
        return []
    host, found = wrong[0]
    return [f"the settings say rank {ranks[host]} for {host}, and its tensors have rank {found} ({len(wrong)} such modules)"]


def _rank(tensors: dict[str, torch.Tensor], host: str) -> int | None:
    tensor = tensors.get(f"{host}.lora.lora_A")
    return None if tensor is None or tensor.ndim == 0 else len(tensor)
