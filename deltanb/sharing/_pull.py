"""Reading from the hub: to a folder, or straight to a backbone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from deltanb import checkpoints
from deltanb._errors import DeltaError
from deltanb._hub import is_hub_id
from deltanb._warn import warn
from deltanb.checkpoints._files import replace_files
from deltanb.sharing._fetch import MOST_BYTES, fetch

if TYPE_CHECKING:
    from torch import nn

    from deltanb.engine import DeltaModel

__all__ = ["load", "located", "pull"]


def pull(
    repo: str,
    folder: str | Path | None = None,
    *,
    revision: str | None = None,
    max_bytes: int = MOST_BYTES,
    token: str | bool | None = None,
    endpoint: str | None = None,
) -> Path:
    """Download a delta from the hub, and check that it is whole. Only JSON and safetensors are downloaded.

    Args:
        repo: ``user/name``.
        folder: where to put it; default: a cache, where it need not be downloaded twice.
        revision: a branch, a tag or a commit; default: ``main``.
        max_bytes: refuse weights that are larger.
        token: default: that of whoever is logged in.
        endpoint: address of the hub; default: the public one, or ``HF_ENDPOINT``.

    Returns:
        The folder, which ``load`` reads.

    Raises:
        DeltaError: the repository is not there or not for you, holds no delta or one that could run code, is too large, is
            damaged; the hub is out of reach and the cache does not have it; ``folder`` holds something else.

    Example:
        >>> pull("ann/reviews", "reviews")  # doctest: +SKIP
        PosixPath('reviews')
    """
    source, notes = fetch(repo, revision=revision, max_bytes=max_bytes, token=token, endpoint=endpoint)
    checkpoints.read(source)
    for note in notes:
        warn(note)
    return source if folder is None else _copied(source, Path(folder).expanduser(), repo)


def load(
    source: str | Path,
    backbone_model: nn.Module,
    *,
    name: str | None = None,
    strict: bool = True,
    revision: str | None = None,
    token: str | bool | None = None,
    endpoint: str | None = None,
) -> DeltaModel:
    """Read a saved delta, from a folder or from the hub, and attach it. What does not fit is an error before anything has changed.

    Nothing is frozen until ``freeze_module`` is called, and train or eval mode is not touched.

    Args:
        source: a folder; else, where there is none of that name, ``user/name`` on the hub.
        backbone_model: the model to attach it to.
        name: the delta's name; default: the one it was saved under, if that is free.
        strict: refuse another backbone, and missing, surplus or misshapen tensors; False: take what fits, and warn.
        revision: of the repository; default: ``main``.
        token: default: that of whoever is logged in.
        endpoint: address of the hub; default: the public one, or ``HF_ENDPOINT``.

    Raises:
        DeltaError: see ``strict`` and `pull`; or the folder is damaged.

    Example:
        >>> import copy, tempfile
        >>> from torch import nn
        >>> from deltanb import LoraModel
        >>> backbone = nn.Sequential(nn.Linear(4, 4))
        >>> fresh = copy.deepcopy(backbone)
        >>> delta = LoraModel(backbone, modified_modules=["0"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     other = load(delta.save_finetuned(folder), fresh)
        >>> other
        <lora 'lora' on 1 modules, attached, lora_r=8, lora_alpha=16...>
    """
    folder, notes = located(source, revision=revision, token=token, endpoint=endpoint)
    delta = checkpoints.load(folder, backbone_model, name=name, strict=strict)
    delta.notes += notes
    for note in notes:
        warn(note)
    return delta


def located(
    source: str | Path, *, revision: str | None = None, token: str | bool | None = None, endpoint: str | None = None
) -> tuple[Path, list[str]]:
    """Where a delta is: the folder itself, else, for what looks like ``user/name``, the cache with what the hub has.

    Returns:
        The folder, and what is worth saying.

    Raises:
        DeltaError: see `pull`.
    """
    path = Path(source).expanduser()
    if path.exists() or not isinstance(source, str) or not is_hub_id(source) or path.parent.is_dir():
        if revision is not None:
            msg = f"A folder has no revision {revision!r}."
            raise DeltaError(msg, expected=f"Revisions are of repositories on the hub; {str(source)!r} is a folder.")
        return path, []
    try:
        return fetch(source, revision=revision, token=token, endpoint=endpoint)
    except DeltaError as error:
        what = f"There is no folder {source!r}. {error.what}"
        raise DeltaError(what, expected=error.expected, nearest=error.nearest, try_=error.try_) from None


def _copied(source: Path, folder: Path, repo: str) -> Path:
    """The files, in a folder of the user's; what is there already is never changed.

    Raises:
        DeltaError: the folder holds something else, or cannot be written.
    """
    files = {path.name: path.read_bytes() for path in sorted(source.iterdir())}
    if folder.is_dir() and all((folder / name).is_file() and (folder / name).read_bytes() == files[name] for name in files):
        return folder
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        msg = f"{folder} is there already, and is not what the hub has as {repo!r}."
        raise DeltaError(msg, expected="A new folder: a pull overwrites nothing.", try_=f"%delta pull {repo} {folder}-2")
    replace_files({folder / name: content for name, content in files.items()})
    return folder
