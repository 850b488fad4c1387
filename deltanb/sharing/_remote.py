"""What a repository on the hub holds now, and whether a delta may be written there."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb._hub import TIMEOUT
from deltanb.checkpoints._files import CONFIG, read_json
from deltanb.sharing._fetch import cache_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from huggingface_hub import HfApi

__all__ = ["CARD", "Remote", "check_place", "look"]

CARD = "README.md"
_EMPTY = {".gitattributes", CARD, "LICENSE", ".gitignore"}  # what a repository may have from the start
_MOST = 1_000_000  # bytes of a card, or of settings
# What of a delta's settings says that it is the same one, with other values perhaps.
_OTHERS = {"format", "format_version", "versions", "name", "freeze", "backbone", "tensors", "sha256"}


@dataclass(frozen=True)
class Remote:
    """A repository.

    Attributes:
        repo: ``user/name``.
        exists: whether it is there, for this user.
        private: whether only its owner sees it.
        commit: the newest one.
        digests: file to its SHA-256, or to git's own digest.
        card: the text of its ``README.md``, if it has one.
        settings: what its ``config.json`` says.
    """

    repo: str
    exists: bool = False
    private: bool = False
    commit: str = ""
    digests: Mapping[str, str] = field(default_factory=dict)
    card: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def changed(self, files: Mapping[str, bytes]) -> dict[str, bytes]:
        """Those of the files that the repository does not have, just so."""
        return {name: content for name, content in files.items() if self.digests.get(name) not in _digests(content)}


def _digests(content: bytes) -> tuple[str, str]:
    """SHA-256, as the hub names large files, and git's digest, as it names small ones."""
    blob = b"blob %d\0" % len(content) + content
    return hashlib.sha256(content).hexdigest(), hashlib.sha1(blob, usedforsecurity=False).hexdigest()


def look(client: HfApi, repo: str) -> Remote:
    """Ask the hub about a repository."""
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        info = client.model_info(repo, files_metadata=True, timeout=TIMEOUT)
    except RepositoryNotFoundError:
        return Remote(repo)
    files = {file.rfilename: file for file in info.siblings or []}
    small = {name: _small(client, repo, name, info.sha) for name in (CARD, CONFIG) if name in files and (files[name].size or 0) <= _MOST}
    digests = {name: (file.lfs.sha256 if file.lfs else file.blob_id) or "" for name, file in files.items()}
    card = small[CARD].read_bytes().decode(errors="replace") if CARD in small else None
    settings = _settings(small[CONFIG]) if CONFIG in small else {}
    return Remote(repo, exists=True, private=bool(info.private), commit=info.sha or "", digests=digests, card=card, settings=settings)


def _settings(path: Path) -> dict[str, Any]:
    """What a file says; nothing, where it is no file of settings at all."""
    try:
        return read_json(path)
    except DeltaError:
        return {}


def _small(client: HfApi, repo: str, name: str, commit: str | None) -> Path:
    return Path(client.hf_hub_download(repo, name, revision=commit, cache_dir=cache_folder()))


def check_place(remote: Remote, facts: Mapping[str, Any], *, private: bool, force: bool) -> None:
    """Whether a delta may be written to a repository.

    Args:
        remote: the repository.
        facts: what the delta's ``config.json`` will say.
        private: whether nobody else may see it.
        force: write over something else.

    Raises:
        DeltaError: it holds something else, or another delta; or it is public.
    """
    if remote.exists and private and not remote.private:
        raise DeltaError(
            f"{remote.repo!r} is public, and you asked for a private repository.",
            expected="Another name, or make it private first, in the settings on its page.",
            try_=f"%delta push {remote.repo}-private --private",
        )
    inside = sorted(set(remote.digests) - _EMPTY)
    if force or not inside:
        return
    what = ""
    if remote.settings.get("format") != "deltanb":
        what = f"something else: there is {', '.join(inside[:6])}"
    elif _delta_in(remote.settings) != _delta_in(facts):
        hosts = len(remote.settings.get("hosts") or [])
        what = f"another delta: {remote.settings.get('delta_type')} {remote.settings.get('name')!r} on {hosts} modules"
    if what:
        raise DeltaError(
            f"{remote.repo!r} holds {what}.",
            expected="Take a new name, or write over it with --force (force=True); the hub keeps what was there in its history.",
            try_=f"%delta push {remote.repo}-2",
        )


def _delta_in(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in facts.items() if key not in _OTHERS}
