"""Models made from a configuration alone: freshly initialised, or a skeleton on the meta device."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb._quiet import quiet
from deltanb.backbones._tasks import auto_class

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from deltanb.backbones._backbone import Task

__all__ = ["check_memory", "fresh_model", "seeded", "skeleton_model"]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Random numbers of torch on the CPU from ``seed`` inside; the global generator is as before afterwards.

    Example:
        >>> import torch
        >>> with seeded(0):
        ...     first = torch.rand(1)
        >>> with seeded(0):
        ...     print(torch.equal(first, torch.rand(1)))
        True
    """
    import torch

    # torch.manual_seed would also reseed every GPU, which fork_rng does not undo for those it is not told of.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def skeleton_model(config: Any, task: Task) -> nn.Module:
    """The full structure without weights or memory, in the dtype that the model was published in.

    Example:
        >>> from transformers import BertConfig
        >>> next(skeleton_model(BertConfig(), "base").parameters()).device
        device(type='meta')
    """
    import torch

    with quiet(), seeded(0), torch.device("meta"):
        model: nn.Module = auto_class(config, task).from_config(config, trust_remote_code=False)
    # Wav2Vec2 makes one parameter in a way that passes the device by.
    return model.to("meta").eval()


def fresh_model(config: Any, task: Task, seed: int) -> nn.Module:
    """A model with new weights, float32, the same for the same ``seed``.

    Example:
        >>> from transformers import BertConfig
        >>> config = BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=300)
        >>> sum(p.numel() for p in fresh_model(config, "base", 0).parameters())
        7064
    """
    import torch

    with quiet(), seeded(seed), torch.device("cpu"):
        model: nn.Module = auto_class(config, task).from_config(config, dtype=torch.float32, trust_remote_code=False)
    return model.eval()


def check_memory(config: Any, task: Task, name: str) -> None:
    """Refuses a model whose float32 weights exceed the machine's memory: the kernel would die without a word.

    Example:
        >>> from transformers import BertConfig
        >>> check_memory(BertConfig(), "base", "bert-base")
    """
    need = 4 * sum(parameter.numel() for parameter in skeleton_model(config, task).parameters())
    have = _memory()
    if need > have:
        raise DeltaError(
            f"The weights of {name!r} take {need / 2**30:,.1f} GiB, and this machine has {have / 2**30:,.1f} GiB.",
            expected="Its structure can be had without weights.",
            try_=f"%delta backbone {name} --skeleton",
        )


def _memory() -> int:
    """The machine's memory in bytes, or what a container grants of it."""
    import psutil

    limits = [int(psutil.virtual_memory().total)]
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            limits.append(int(Path(path).read_text(encoding="ascii")))
        except (OSError, ValueError):
            continue
    return min(limits)
