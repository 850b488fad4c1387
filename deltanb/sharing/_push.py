"""From a delta to a repository on the hub: one commit, and none where nothing has changed."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

from deltanb import checkpoints
from deltanb._errors import DeltaError
from deltanb._hub import LOGIN, checked_id, explained, hub_client, is_offline, unreachable
from deltanb._quiet import quiet
from deltanb._version import __version__
from deltanb.checkpoints._files import CONFIG, WEIGHTS, read_json
from deltanb.reports import StructureReport
from deltanb.sharing._card import CURVE, STRUCTURE, Subject
from deltanb.sharing._metadata import card_text, license_of
from deltanb.sharing._remote import CARD, Remote, check_place, look
from deltanb.structure import snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from huggingface_hub import HfApi

    from deltanb.engine import DeltaModel
    from deltanb.training import TrainingResult

__all__ = ["About", "Pushed", "push"]


class About(TypedDict, total=False):
    """What a card says beyond what the delta knows itself.

    Attributes:
        training: the run that gave the delta its values.
        backbone: the line of Python that makes its backbone, such as ``deltanb.load_backbone("minilm")``.
        license: an id such as ``mit``; default: the one that the card has already, or none.
        datasets: ids of data sets on the hub.
    """

    training: TrainingResult | None
    backbone: str
    license: str | None
    datasets: Sequence[str]


@dataclass(frozen=True)
class Pushed:
    """What became of a push.

    Attributes:
        repo: ``user/name``.
        url: of its page.
        commit: the newest one.
        files: those that this push wrote; empty if everything was there already, just so.
        private: whether only its owner sees it.
        notes: what is worth saying.
    """

    repo: str
    url: str
    commit: str
    files: list[str] = field(default_factory=list)
    private: bool = False
    notes: list[str] = field(default_factory=list)


def push(
    delta: DeltaModel,
    repo: str,
    *,
    private: bool = False,
    message: str = "",
    force: bool = False,
    token: str | bool | None = None,
    endpoint: str | None = None,
    **about: Unpack[About],
) -> Pushed:
    """Upload a delta, and nothing else, with a card and a picture of its structure. The same again makes no new commit.

    Args:
        delta: attached.
        repo: ``user/name``, or the name alone for a repository of your own; made if it is not there.
        private: whether a new repository is for its owner alone. One that is there keeps what it is.
        message: of the commit.
        force: write even where the repository holds something else, or another delta.
        token: default: that of whoever is logged in. It is sent to the hub and kept nowhere.
        endpoint: address of the hub; default: the public one, or ``HF_ENDPOINT``.
        **about: what the card says beyond what the delta knows itself; see `About`.

    Raises:
        DeltaError: nobody is logged in, or may not write there; the id is malformed; the repository holds something else, or
            is public where ``private`` was asked for; the hub is out of reach. What was there is unchanged then.

    Example:
        >>> push(delta, "ann/reviews", private=True)  # doctest: +SKIP
        Pushed(repo='ann/reviews', url='https://huggingface.co/ann/reviews', ...)
    """
    repo = checked_id(repo, alone=True)
    _check_attached(delta)
    client = _logged_in(repo, token=token, endpoint=endpoint)
    with tempfile.TemporaryDirectory() as folder, explained(repo), quiet():
        checkpoints.save(delta, folder)
        if "/" not in repo:
            repo = f"{client.whoami()['name']}/{repo}"
        remote = look(client, repo)
        facts = read_json(Path(folder) / CONFIG)
        check_place(remote, facts, private=private, force=force)
        files = {name: (Path(folder) / name).read_bytes() for name in (CONFIG, WEIGHTS)}
        notes: list[str] = []
        # The card of an earlier session may know of a training run that this one does not.
        if remote.changed(files) or any(about.values()):
            files, notes = _with_card(delta, files, facts, remote, about)
        changed = remote.changed(files)
        commit = _sent(
            client, remote, changed, message or f"{facts['delta_type']} {facts['name']!r}, by deltanb {__version__}", private=private
        )
    hidden = remote.private if remote.exists else private
    return Pushed(repo, f"{client.endpoint}/{repo}", commit, sorted(changed), hidden, notes)


def _check_attached(delta: DeltaModel) -> None:
    if not delta.attached:
        msg = f"{delta.name!r} is detached, so its card could not show what it does to a model."
        raise DeltaError(msg, expected="An attached delta.", try_=f"%delta reattach {delta.name}")


def _logged_in(repo: str, *, token: str | bool | None, endpoint: str | None) -> HfApi:
    """The client of somebody who can write, as far as can be told without asking the hub."""
    from huggingface_hub import get_token

    client = hub_client(token=token, endpoint=endpoint)
    if is_offline():
        raise unreachable(repo)
    if token is False or (not isinstance(token, str) and not get_token()):
        raise DeltaError(
            "Nobody is logged in to the hub, so nothing can be pushed.",
            expected="A token with write access. Logging in once keeps it out of the notebook.",
            try_=LOGIN,
        )
    return client


def _with_card(
    delta: DeltaModel, files: dict[str, bytes], facts: dict[str, object], remote: Remote, about: About
) -> tuple[dict[str, bytes], list[str]]:
    """The files with the card and its pictures."""
    training = about.get("training")
    drawn = {STRUCTURE: StructureReport(snapshot(delta.backbone_model)).svg, CURVE: training.svg() if training else None}
    pictures = {name: svg.encode() for name, svg in drawn.items() if svg}
    subject = Subject(
        repo=remote.repo,
        delta=delta,
        facts=facts,
        size=len(files[WEIGHTS]),
        training=training,
        backbone=about.get("backbone", ""),
        license=about.get("license") or license_of(remote.card, remote.repo),
        pictures=list(pictures),
    )
    text, notes = card_text(subject, about.get("datasets", ()), remote.card)
    return {**files, **pictures, CARD: text.encode()}, notes


def _sent(client: HfApi, remote: Remote, files: dict[str, bytes], message: str, *, private: bool) -> str:
    """One commit with all files; the newest commit."""
    from huggingface_hub import CommitOperationAdd

    if not files:
        return remote.commit
    if not remote.exists:
        client.create_repo(remote.repo, private=private)
    operations = [CommitOperationAdd(path_in_repo=name, path_or_fileobj=content) for name, content in files.items()]
    # Whatever somebody else has committed since we looked is not overwritten.
    parent = remote.commit or None
    return client.create_commit(remote.repo, operations, commit_message=message, parent_commit=parent).oid
