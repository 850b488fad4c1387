"""From a folder to an attached delta: recognise, read, check, attach, fill."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from deltanb._errors import DeltaError
from deltanb._warn import warn
from deltanb.checkpoints import adapters, native, opendelta, peft
from deltanb.checkpoints._declared import declare_again, declared
from deltanb.checkpoints._files import CONFIG, WEIGHTS, read_json
from deltanb.checkpoints._fingerprint import structure_fingerprint, weights_fingerprint
from deltanb.checkpoints._folders import checked_folder, format_of, saved_folders
from deltanb.checkpoints._saved import Saved
from deltanb.engine import AutoDeltaModel, deltas, own_tensors
from deltanb.engine._registry import unwrapped
from deltanb.structure import module_names, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from deltanb.engine import BaseDeltaConfig, DeltaModel

__all__ = ["load", "read", "read_config", "transplant"]

_SHOWN = 3


def read(folder: str | Path, backbone_model: nn.Module | None = None) -> Saved:
    """Read a saved delta without attaching it.

    Args:
        folder: written by deltanb, OpenDelta, PEFT or adapters.
        backbone_model: completes the reading where a format leaves something to the backbone; it is not changed.

    Raises:
        DeltaError: it is no such folder, its files are damaged, or it holds what has no form here; says why.
    """
    path = checked_folder(folder)
    kind = format_of(path)
    if not kind:
        raise _no_delta(path)
    saved = _READERS[kind](path)
    return saved.fit(saved, unwrapped(backbone_model)) if saved.fit and backbone_model is not None else saved


_READERS: dict[str, Callable[[Path], Saved]] = {
    "deltanb": native.read,
    "OpenDelta": opendelta.read,
    "PEFT": peft.read,
    "adapters": adapters.read,
}


def _no_delta(path: Path) -> DeltaError:
    found = ", ".join(sorted(entry.name for entry in path.iterdir())[:6]) or "nothing"
    settings = read_json(path / CONFIG) if (path / CONFIG).is_file() else {}
    what = "a whole model" if "model_type" in settings or "architectures" in settings else "no delta"
    msg = f"{path} holds {what}: there is {found}."
    inside = [str(path / name) for name in saved_folders(path)]
    try_ = f"%delta load {inside[0]}" if inside else "%delta save my-delta"
    return DeltaError(
        msg, expected=f"A delta is a folder with {CONFIG} and {WEIGHTS}, as %delta save writes it.", nearest=inside, try_=try_
    )


def read_config(folder: str | Path) -> BaseDeltaConfig:
    """The settings of a saved delta."""
    return read(folder).config


def load(folder: str | Path, backbone_model: nn.Module, *, name: str | None = None, strict: bool = True) -> DeltaModel:
    """Read a saved delta and attach it. What does not fit is an error before anything has changed.

    Nothing is frozen until ``freeze_module`` is called, and train or eval mode is not touched.

    Args:
        folder: written by deltanb, OpenDelta, PEFT or adapters.
        backbone_model: the model to attach it to.
        name: the delta's name; default: the one it was saved under, if that is free.
        strict: refuse another backbone, and missing, surplus or misshapen tensors; False: take what fits, and warn.

    Raises:
        DeltaError: see ``strict``; or the folder is damaged.

    Example:
        >>> import copy, tempfile
        >>> from torch import nn
        >>> from deltanb import LoraModel
        >>> backbone = nn.Sequential(nn.Linear(4, 4))
        >>> fresh = copy.deepcopy(backbone)
        >>> delta = LoraModel(backbone, modified_modules=["0"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = delta.save_finetuned(folder)
        ...     other = load(folder, fresh)
        >>> bool((other.tensors()["0.lora.lora_A"] == delta.tensors()["0.lora.lora_A"]).all())
        True
    """
    saved = read(folder, backbone_model)
    problems = _backbone_problems(saved, backbone_model)
    if problems and strict:
        raise _other_backbone(saved, backbone_model, problems[0])
    if saved.problems and strict:
        raise _does_not_fit(saved, saved.problems)
    notes = [*saved.notes, *problems, *saved.problems, *_weight_notes(saved, backbone_model)]
    delta = _attached(saved, backbone_model, name)
    try:
        notes += _fill(saved, delta, strict=strict)
    except BaseException:
        delta.detach()
        raise
    delta.notes += notes
    for note in notes:
        warn(note)
    return delta


def transplant(delta: DeltaModel, backbone_model: nn.Module, *, name: str | None = None) -> tuple[DeltaModel, list[str]]:
    """A delta's settings and values on another backbone of the same structure; the delta itself is left alone.

    Args:
        delta: attached to its own backbone, or not.
        backbone_model: where to.
        name: of the new delta; default: the same.

    Returns:
        The new delta, attached and with the same declarations, and what is worth saying.

    Raises:
        DeltaError: the backbone differs; nothing has changed then.
    """
    facts = {"class": type(delta.backbone_model).__name__, "structure": structure_fingerprint(delta.backbone_model)}
    tensors = {name: tensor.clone() for name, tensor in delta.tensors(delta.delta_type).items()}
    saved = Saved(Path(delta.name), "memory", delta.config, tensors, name=delta.name, hosts=delta.hosts, backbone=facts)
    problems = _backbone_problems(saved, backbone_model)
    if problems:
        raise _other_backbone(saved, backbone_model, problems[0])
    other = _attached(saved, backbone_model, name or delta.name)
    try:
        notes = _fill(saved, other, strict=True)
        declare_again(other, declared(delta), delta.name)
    except BaseException:
        other.detach()
        raise
    return other, notes


def _attached(saved: Saved, backbone: nn.Module, name: str | None) -> DeltaModel:
    wanted = name or (saved.name if saved.name and saved.name not in deltas(backbone) else None)
    return AutoDeltaModel.from_config(saved.config, backbone, name=wanted)


def _backbone_problems(saved: Saved, backbone: nn.Module) -> list[str]:
    missing = sorted(set(saved.hosts) - {"", *module_names(backbone)})
    if missing:
        return [f"{len(missing)} of its {len(saved.hosts)} hosts are not there (such as {missing[0]})"]
    known = saved.backbone.get("structure")
    if known and known != structure_fingerprint(backbone):
        return ["names or shapes of the parameters differ"]
    return []


def _other_backbone(saved: Saved, backbone: nn.Module, problem: str) -> DeltaError:
    counts = snapshot(backbone).counts
    size = f" with {saved.backbone['parameters']:,} parameters" if saved.backbone.get("parameters") else ""
    origin = f"{saved.backbone.get('class') or 'another model'}{size}"
    here = f"{type(backbone).__name__} with {counts.total - counts.delta:,}"
    msg = f"{saved.folder} was saved from {origin}; this backbone is a {here}: {problem}."
    name = saved.backbone.get("name")
    return DeltaError(
        msg,
        expected="A delta fits the backbone that it was saved from.",
        try_=f"%delta backbone {name}" if name else "take that backbone, then load the delta",
    )


def _weight_notes(saved: Saved, backbone: nn.Module) -> list[str]:
    known = saved.backbone.get("weights")
    if not known:
        return []
    if weights_fingerprint(backbone, saved.tensors) in (known, ""):
        return []
    return [f"the backbone has other weights than the one {saved.folder} was saved from: results will differ"]


def _fill(saved: Saved, delta: DeltaModel, *, strict: bool) -> list[str]:
    """Copy the tensors into a delta; checks all of them first."""
    import torch

    own = delta.delta_type
    place: dict[str, torch.Tensor] = {**delta.module_parameters(own), **delta.module_buffers(own), **delta.created_parameters()}
    tensors = delta.adopted(saved.tensors)
    rest = [name for name in tensors if name not in place]
    place |= own_tensors(delta, rest)
    missing = sorted(place.keys() - tensors.keys())
    surplus = sorted(tensors.keys() - place.keys())
    misshapen = [
        f"{name} is {list(tensors[name].shape)}, here {list(place[name].shape)}"
        for name in sorted(place.keys() & tensors.keys())
        if tensors[name].shape != place[name].shape
    ]
    problems = [_listed(what, names) for what, names in [("missing", missing), ("surplus", surplus), ("misshapen", misshapen)] if names]
    if problems and strict:
        raise _does_not_fit(saved, problems)
    fitting = {name: tensor for name, tensor in place.items() if name in tensors and tensors[name].shape == tensor.shape}
    empty = [name for name, tensor in fitting.items() if tensor.is_meta or tensors[name].is_meta]
    with torch.no_grad():
        for name in fitting.keys() - set(empty):
            fitting[name].copy_(tensors[name])
    return [*problems, *([f"there is a skeleton without weights: {len(empty)} tensors were not filled"] if empty else [])]


def _does_not_fit(saved: Saved, problems: list[str]) -> DeltaError:
    return DeltaError(
        f"{saved.folder} does not fit: {'; '.join(problems)}.",
        expected="The file must hold exactly the tensors of this delta on this backbone.",
        try_="load(…, strict=False) takes what fits",
    )


def _listed(what: str, names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{len(names)} {what} ({', '.join(names[:_SHOWN])}{more})"
