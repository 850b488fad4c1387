"""Where pretrained weights go, and in how many bits they are kept."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError

if TYPE_CHECKING:
    from deltanb.backbones._backbone import Task

__all__ = ["Placement"]

_BITS = (4, 8)


@dataclass(frozen=True)
class Placement:
    """What ``load_backbone`` was asked for.

    Attributes:
        device_map: of transformers: ``auto``, ``cpu``, ``cuda:0``, …; None: the CPU.
        bits: 4 or 8: quantised by bitsandbytes; None: float32.

    Example:
        >>> Placement("auto", 4).said
        '; 4-bit weights, device map auto'
    """

    device_map: str | None = None
    bits: int | None = None

    @property
    def wanted(self) -> bool:
        """Whether anything was asked for."""
        return self.device_map is not None or self.bits is not None

    @property
    def said(self) -> str:
        """What follows the source of the weights."""
        parts = [f"{self.bits}-bit weights"] * bool(self.bits) + [f"device map {self.device_map}"] * bool(self.device_map)
        return f"; {', '.join(parts)}" if parts else ""

    def check(self, *, pretrained: bool) -> None:
        """Refuse what cannot be done.

        Args:
            pretrained: whether weights are read at all.

        Raises:
            DeltaError: nothing is read, the number is no number of bits, or a library is missing.

        Example:
            >>> Placement(bits=3).check(pretrained=True)
            Traceback (most recent call last):
            ...
            deltanb._errors.DeltaError: bits=3 is not usable. 4 or 8 is needed. Try: bits=4
        """
        if not self.wanted:
            return
        if self.bits is not None and (self.bits not in _BITS or isinstance(self.bits, bool)):
            raise DeltaError(f"bits={self.bits!r} is not usable.", expected="4 or 8 is needed.", try_="bits=4")
        if not pretrained:
            msg = "bits and device_map are for pretrained weights that are read: new weights, skeletons and models of your own have none."
            raise DeltaError(msg, expected="A name, a folder or a hub id of pretrained weights.", try_="%delta backbone minilm --bits 4")
        if self.bits is not None and find_spec("bitsandbytes") is None:
            msg = f"{self.bits}-bit weights need the package bitsandbytes, which is not installed."
            raise DeltaError(msg, expected="Install it, and start the kernel again.", try_="pip install bitsandbytes")
        self._check_device()

    def _check_device(self) -> None:
        import torch

        device = self.device_map
        if device is None or device in ("auto", "balanced", "balanced_low_0", "sequential"):
            return
        known = ["auto", "balanced", "balanced_low_0", "sequential", "cpu"]
        count = torch.accelerator.device_count()
        here = torch.accelerator.current_accelerator() if count else None
        known += [f"{here.type}:{at}" for at in range(count)] if here is not None else []
        if device not in known and device != getattr(here, "type", None):
            raise DeltaError(f"There is no device {device!r} here.", expected=f"One of: {', '.join(known)}.", try_="--device-map auto")

    def options(self, config: Any, task: Task) -> dict[str, Any]:
        """Arguments of ``from_pretrained``; the head, which has to be learned, is not quantised.

        Example:
            >>> from transformers import BertConfig
            >>> Placement("auto").options(BertConfig(), "classification")
            {'device_map': 'auto'}
        """
        found: dict[str, Any] = {"device_map": self.device_map} if self.device_map else {}
        if self.bits is None:
            return found
        import torch
        import transformers

        config_class: Any = transformers.BitsAndBytesConfig
        heads = {"llm_int8_skip_modules": _heads(config, task)}
        if self.bits == _BITS[0]:
            precise = {"bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": torch.float32}
            return {"device_map": _own_device(), **found, "quantization_config": config_class(load_in_4bit=True, **precise, **heads)}
        return {"device_map": _own_device(), **found, "quantization_config": config_class(load_in_8bit=True, **heads)}


def _own_device() -> str:
    """Of several processes, each has its own device; one alone takes all."""
    import torch

    rank = os.environ.get("LOCAL_RANK")
    here = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return f"{here.type}:{rank}" if here is not None and rank is not None else "auto"


def _heads(config: Any, task: Task) -> list[str]:
    """The modules beside the base model, by name."""
    from deltanb.backbones._build import skeleton_model

    model = skeleton_model(config, task)
    prefix = getattr(model, "base_model_prefix", "")
    children = [name for name, _ in model.named_children()]
    return [name for name in children if name != prefix] if prefix in children else []
