"""LoRA: a low-rank update beside a linear layer or an embedding.

    h = W x + s · B · A · dropout(x),   s = alpha / r

with A in R^(r×in), B in R^(out×r). Hu et al., *LoRA: Low-Rank Adaptation of Large Language Models*, ICLR 2022,
https://arxiv.org/abs/2106.09685. A starts Kaiming-uniform (a = √5) and B from 0, so a new LoRA changes nothing. On an
embedding A starts from 0 and B from N(0, 1), and A's columns are looked up by token. Two variants:

* rsLoRA, s = alpha / √r. Kalajdzievski, *A Rank Stabilization Scaling Factor for Fine-Tuning with LoRA*, 2023,
  https://arxiv.org/abs/2312.03732.
* DoRA, W' = m · V / ‖V‖ with V = W + s · B · A, a norm for each row and m in R^out starting as the norms of W. Liu et al.,
  *DoRA: Weight-Decomposed Low-Rank Adaptation*, ICML 2024, https://arxiv.org/abs/2402.09353.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

from torch import nn

from deltanb._errors import DeltaError
from deltanb.engine._base import CommonOptions, DeltaModel
from deltanb.engine._config import BaseDeltaConfig, option
from deltanb.engine._hosts import is_conv1d
from deltanb.engine._insertion import AddParallel
from deltanb.engine._lora_layers import DoraEmbeddingLayer, DoraLayer, LoraEmbeddingLayer, LoraLayer, Reweigh
from deltanb.engine._per_host import value_per_host
from deltanb.structure import backbone_modules

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    import torch

    from deltanb.engine._hosts import Host
    from deltanb.engine._insertion import Hook

__all__ = ["LoraConfig", "LoraModel", "is_transposed"]


@dataclass(kw_only=True)
class LoraConfig(BaseDeltaConfig):
    """Settings of LoRA.

    Example:
        >>> LoraConfig(lora_r=4, rank_pattern={"attn@.v@": 8}).changed_options()
        {'lora_r': 4, 'rank_pattern': {'attn@.v@': 8}}
    """

    delta_type: ClassVar[str] = "lora"
    lora_r: int = option(8, "rank of the update; larger: more parameters", minimum=1, alias="r")
    lora_alpha: float = option(16.0, "scale: the update is multiplied by lora_alpha / lora_r", minimum=0, alias="alpha")
    lora_dropout: float = option(0.0, "share of the input dropped while training", minimum=0, below=1, alias="dropout")
    use_rslora: bool = option(False, "divide the scale by the square root of the rank (rsLoRA)", alias="rslora")  # noqa: FBT003
    use_dora: bool = option(False, "learn magnitudes and directions apart (DoRA)", alias="dora")  # noqa: FBT003
    rank_pattern: dict[str, int] = option(dict, "other ranks for some hosts: pattern to rank", minimum=1, rare=True)  # noqa: RUF009
    alpha_pattern: dict[str, float] = option(dict, "other scales for some hosts: pattern to lora_alpha", minimum=0, rare=True)  # noqa: RUF009


class LoraModel(DeltaModel):
    """LoRA on the matched linear layers, Conv1D layers and embeddings.

    Args:
        backbone_model: the model to modify, in place.
        lora_r: the rank.
        lora_alpha: the scale; the update is multiplied by ``lora_alpha / lora_r``.
        lora_dropout: share of the input dropped while training (not on embeddings).
        use_rslora: multiply by ``lora_alpha / sqrt(lora_r)`` instead.
        use_dora: learn the magnitude of each output apart from its direction; costs one more parameter an output.
        rank_pattern: pattern to rank, for hosts that differ. A full name means that host alone; the first pattern that hits counts.
        alpha_pattern: the same for ``lora_alpha``.
        **common: see `deltanb.engine.CommonOptions`. Default hosts: attention queries and values, by role.

    Raises:
        DeltaError: a pattern hits nothing, or one of a table none of the hosts; an option is out of its limits; a host is no linear
            layer or embedding.

    Example:
        >>> model = nn.Sequential(nn.Linear(8, 8))
        >>> LoraModel(backbone_model=model, modified_modules=["0"], lora_r=2).name
        'lora'
    """

    config: LoraConfig
    config_class = LoraConfig
    delta_type = "lora"
    merges = True
    default_modified_modules = ("attn@.q@", "attn@.v@")
    stand_ins = MappingProxyType({"attn@.q@": "mixer@.in@", "attn@.v@": "mixer@.in@"})

    def __init__(
        self,
        backbone_model: nn.Module,
        lora_r: int = 8,
        lora_alpha: float = 16,
        lora_dropout: float = 0.0,
        *,
        use_rslora: bool = False,
        use_dora: bool = False,
        rank_pattern: Mapping[str, int] | None = None,
        alpha_pattern: Mapping[str, float] | None = None,
        **common: Unpack[CommonOptions],
    ) -> None:
        options = {
            "lora_r": lora_r,
            "lora_alpha": lora_alpha,
            "lora_dropout": lora_dropout,
            "use_rslora": use_rslora,
            "use_dora": use_dora,
            "rank_pattern": rank_pattern or {},
            "alpha_pattern": alpha_pattern or {},
        }
        super().__init__(backbone_model, options, **common)

    def _build(self, hosts: Sequence[Host]) -> None:
        names = [host.name for host in hosts]
        self._ranks = value_per_host(self.backbone_model, names, self.config.rank_pattern, "rank_pattern")
        self._alphas = value_per_host(self.backbone_model, names, self.config.alpha_pattern, "alpha_pattern")
        super()._build(hosts)

    def make_child(self, host: Host) -> nn.Module:
        """A `LoraLayer`, or a `LoraEmbeddingLayer` on an embedding; with ``use_dora`` the forms that learn magnitudes too."""
        module = host.module
        if not isinstance(module, (nn.Linear, nn.Embedding)) and not is_conv1d(module):
            raise _no_host(host)
        options: dict[str, Any] = {
            "lora_r": self._ranks.get(host.name, self.config.lora_r),
            "lora_alpha": self._alphas.get(host.name, self.config.lora_alpha),
            "use_rslora": self.config.use_rslora,
        }
        if isinstance(module, nn.Embedding):
            options["host_scale"] = _embedding_scale(module)
        else:
            options["lora_dropout"] = self.config.lora_dropout
        return self._directed(host, options) if self.config.use_dora else _plain(host, options)

    def alike(self, host: Host) -> Hashable | None:
        """Hosts of one rank."""
        return (self._ranks.get(host.name), host.kind)

    def _directed(self, host: Host, options: dict[str, Any]) -> nn.Module:
        weight: Any = host.module.weight
        if not weight.is_floating_point():
            msg = f"DoRA cannot sit on {host.name}: its weight is quantised, and DoRA needs the norms of its rows."
            raise DeltaError(msg, expected="A host in float32, bfloat16 or float16.", try_="use_dora=False")
        seen = weight.T if is_transposed(host.module) else weight
        return DoraEmbeddingLayer(seen, **options) if isinstance(host.module, nn.Embedding) else DoraLayer(seen, **options)

    def merged_tensors(self, host: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The weight with the update in it."""
        child: Any = self.modules[host]
        turned = is_transposed(self.backbone_model.get_submodule(host))
        weight = tensors["weight"]
        return {"weight": child.merged(weight.T).T if turned else child.merged(weight)}

    def make_hooks(self) -> list[tuple[str, Hook]]:
        """The update is added to each host's output; DoRA scales the output too."""
        if not self.config.use_dora:
            return [(host, AddParallel(self.child_name())) for host in self.modules]
        hosts = {host: self.backbone_model.get_submodule(host) for host in self.modules}
        return [(host, Reweigh(self.child_name(), transposed=is_transposed(module))) for host, module in hosts.items()]


def is_transposed(module: nn.Module) -> bool:
    """Whether a host keeps its weight as [in, out]: Conv1D and embeddings do.

    Example:
        >>> is_transposed(nn.Linear(2, 3)), is_transposed(nn.Embedding(5, 3))
        (False, True)
    """
    return isinstance(module, nn.Embedding) or is_conv1d(module)


def _plain(host: Host, options: dict[str, Any]) -> nn.Module:
    module: Any = host.module
    if isinstance(module, nn.Embedding):
        return LoraEmbeddingLayer(module.num_embeddings, module.embedding_dim, **options)
    size_in = module.in_features if isinstance(module, nn.Linear) else module.weight.shape[0]
    return LoraLayer(size_in, host.output_size, **options)


def _embedding_scale(module: nn.Module) -> float:
    scale = getattr(module, "scalar_embed_scale", getattr(module, "embed_scale", 1.0))
    return float(scale)


def _no_host(host: Host) -> DeltaError:
    kind = type(host.module).__name__
    below = [name for name, module in backbone_modules(host.module) if isinstance(module, nn.Linear) or is_conv1d(module)]
    last = host.name.rpartition(".")[2]
    if below:
        near = list(dict.fromkeys(f"{last}.{name}" for name in below))[:4]
        return DeltaError(
            f"LoRA cannot sit on {host.name} ({kind}).",
            expected="A Linear, Conv1D or Embedding.",
            nearest=near,
            try_=f"%delta attach lora {near[0]}",
        )
    others = "bitfit trains its bias; an adapter can follow it"
    return DeltaError(
        f"LoRA cannot sit on {host.name} ({kind}): it has no weight matrix.",
        expected=f"A Linear, Conv1D or Embedding; here, {others}.",
        try_=f"%delta attach bitfit {last}",
    )
