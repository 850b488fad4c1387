"""From the hub to a cache. Only settings (JSON) and weights (safetensors) are ever downloaded, and only of a size that was allowed.

The cache under ``HF_HOME`` is deltanb's own: nothing that another program fetched is ever read with a delta.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from deltanb._errors import DeltaError
from deltanb._hub import TIMEOUT, checked_id, explained, hub_client, is_unreachable, unreachable
from deltanb._quiet import quiet
from deltanb.checkpoints._files import ADAPTER_CONFIG, ADAPTER_FACTS, ADAPTER_WEIGHTS, CONFIG, WEIGHTS, read_json
from deltanb.checkpoints.adapters import FILES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from huggingface_hub import HfApi

__all__ = ["MOST_BYTES", "cache_folder", "fetch"]

MOST_BYTES = 2_000_000_000  # of weights; more is no delta, or has to be asked for
_SETTINGS = (CONFIG, ADAPTER_CONFIG, ADAPTER_FACTS, *(name for name in FILES if name.endswith(".json")))
_MOST_SETTINGS = 1_000_000  # bytes of them all
_SAFE = ".safetensors"
_OF_OTHERS = (ADAPTER_WEIGHTS, *(name for name in FILES if name.endswith(_SAFE)))  # the weights that PEFT and adapters write
_PICKLED = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")


def fetch(
    repo: str,
    *,
    revision: str | None = None,
    max_bytes: int = MOST_BYTES,
    token: str | bool | None = None,
    endpoint: str | None = None,
) -> tuple[Path, list[str]]:
    """The folder of the cache with a delta's files, downloaded where they are missing, and what is worth saying.

    Raises:
        DeltaError: see `pull`.
    """
    repo = checked_id(repo)
    client = hub_client(token=token, endpoint=endpoint)
    with explained(repo), quiet():
        sizes = _listed(client, repo, revision)
        if isinstance(sizes, dict):
            return _downloaded(client, repo, revision, sizes, max_bytes), []
    return _cached(repo, revision, late="Timeout" in type(sizes).__name__)


def _listed(client: HfApi, repo: str, revision: str | None) -> dict[str, int | None] | Exception:
    """The files of a repository and their sizes; where no hub answers, the reason."""
    try:
        listing = client.model_info(repo, revision=revision, files_metadata=True, timeout=TIMEOUT)
    except Exception as error:
        if is_unreachable(error):
            return error
        raise
    return {file.rfilename: file.size for file in listing.siblings or []}


def cache_folder() -> Path:
    """Where downloaded deltas are kept."""
    from huggingface_hub import constants

    return Path(constants.HF_HOME) / "deltanb"


def _cached(repo: str, revision: str | None, *, late: bool) -> tuple[Path, list[str]]:
    """What an earlier download left."""
    from huggingface_hub import try_to_load_from_cache

    for name in _SETTINGS:
        found = try_to_load_from_cache(repo, name, cache_dir=cache_folder(), revision=revision)
        if isinstance(found, str) and any(Path(found).parent.glob(f"*{_SAFE}")):
            place = Path(found).parent
            return place, [f"the hub is out of reach: {repo} is as it was when it was downloaded last (commit {place.name[:8]})"]
    raise unreachable(repo, late=late)


def _downloaded(client: HfApi, repo: str, revision: str | None, sizes: Mapping[str, int | None], max_bytes: int) -> Path:
    """Settings first: they are small, and say whether there is a delta at all."""
    top = {name: size for name, size in sizes.items() if "/" not in name}
    settings = [name for name in _SETTINGS if name in top]
    _check_size(repo, {name: top[name] for name in settings}, _MOST_SETTINGS)
    places = _files(client, repo, revision, settings)
    weights = _weights(repo, settings, top, next(iter(places), None))
    _check_size(repo, {name: top[name] for name in weights}, max_bytes)
    places |= _files(client, repo, revision, weights)
    if len(places) > 1:
        msg = f"{repo!r} was changed on the hub while it was downloaded."
        raise DeltaError(msg, expected="All files of one moment.", try_=f"%delta pull {repo}")
    return places.pop()


def _files(client: HfApi, repo: str, revision: str | None, names: Iterable[str]) -> set[Path]:
    """Download files; the folders that they are in."""
    return {Path(client.hf_hub_download(repo, name, revision=revision, cache_dir=cache_folder())).parent for name in names}


def _weights(repo: str, settings: list[str], top: Mapping[str, int | None], folder: Path | None) -> list[str]:
    """The files of weights that belong to the delta.

    Raises:
        DeltaError: there is no delta, or its weights could run code.
    """
    ours = CONFIG in settings and folder is not None and "delta_type" in read_json(folder / CONFIG)
    if not ours and ADAPTER_CONFIG not in settings:
        found = ", ".join(sorted(top)[:6]) or "nothing"
        what = "a whole model" if settings else "no delta"
        raise DeltaError(
            f"{repo!r} holds {what}: there is {found}.",
            expected="A delta that deltanb or PEFT wrote, with its settings in JSON and its weights in safetensors.",
            try_=f"%delta backbone {repo}" if settings else "",
        )
    safe = [name for name in ((WEIGHTS,) if ours else _OF_OTHERS) if name in top]
    if safe:
        return safe
    pickled = sorted(name for name in top if name.endswith(_PICKLED))
    if not pickled:
        raise DeltaError(f"{repo!r} has settings of a delta, and no weights.", expected=f"A file {WEIGHTS}, as %delta push writes it.")
    raise DeltaError(
        f"{repo!r} has its weights only as {', '.join(pickled)}: a file of that kind can run code when it is opened.",
        expected="From the hub only safetensors are read. Whoever owns it can push it anew in that form.",
    )


def _check_size(repo: str, sizes: Mapping[str, int | None], most: int) -> None:
    total = sum(size or 0 for size in sizes.values())
    if total > most or None in sizes.values():
        size = "unknown" if None in sizes.values() else f"{total / 1e6:,.0f} MB"
        raise DeltaError(
            f"{', '.join(sizes)} of {repo!r}: the size is {size}.",
            expected=f"At most {most / 1e6:,.0f} MB are downloaded.",
            try_=f"deltanb.pull({repo!r}, max_bytes={total})" if most > _MOST_SETTINGS and total else "",
        )
