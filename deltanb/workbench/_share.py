"""Verbs that share deltas over the model hub: push and pull."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from deltanb import checkpoints, sharing
from deltanb._errors import DeltaError
from deltanb._hub import checked_id
from deltanb.reports import Outcome
from deltanb.workbench._files import Files
from deltanb.workbench._python import call

if TYPE_CHECKING:
    from deltanb.engine import DeltaModel
    from deltanb.workbench._step import Step

__all__ = ["Share"]


class Share(Files):
    """The verbs that write to and read from the hub."""

    def push(
        self,
        repo: str,
        name: str | None = None,
        *,
        private: bool = False,
        license: str | None = None,  # noqa: A002 (the hub's word)
        message: str = "",
        force: bool = False,
    ) -> Outcome:
        """Upload a delta with a card. The same again makes no new commit.

        Args:
            repo: ``user/name``, or the name alone for a repository of your own.
            name: which delta; default: the only one.
            private: whether a new repository is for its owner alone.
            license: an id such as ``mit``.
            message: of the commit.
            force: write over something else, or another delta.
        """
        repo = checked_id(repo, alone=True)
        if name is None and len(self.attached) > 1 and repo in self.attached:
            msg = f"{repo!r} is a delta here, and the name of a repository is needed first."
            raise DeltaError(msg, expected="The repository, then the delta.", try_=f"%delta push my-{repo} {repo}")
        delta = self.only(name, f"%delta push {repo}")
        run = self._run_of(delta)
        backbone = "" if self.backbone_in_use.kind == "yours" else self.backbone_in_use.code
        with self.step("push", f"%delta push {repo}") as step:
            step.undoable = False
            options = {"private": private or None, "license": license, "message": message or None, "force": force or None}
            result = [] if run is None else ["training=result"]
            variable = self._names.of(delta)
            step.python.append(call("deltanb.push", variable, repr(repo), *result, backbone=backbone or None, **options))
            with step.shield.lifted():
                pushed = sharing.push(
                    delta,
                    repo,
                    private=private,
                    message=message,
                    force=force,
                    license=license,
                    backbone=backbone,
                    training=None if run is None else run.now.fields["result"],  # type: ignore[union-attr]
                )
        facts = {
            "page": pushed.url,
            "seen by": "you alone" if pushed.private else "everybody",
            "written": ", ".join(pushed.files) or "nothing",
            "commit": pushed.commit[:8],
        }
        said = f"Pushed {delta.name} to {pushed.repo}." if pushed.files else f"{pushed.repo} is on the hub already, just so: no new commit."
        return Outcome(said, facts, pushed.notes, next=f"%delta load {pushed.repo}", value=pushed)

    def _run_of(self, delta: DeltaModel) -> Step | None:
        """The last training, if it was this delta that learned."""
        step = next((step for step in reversed(self.steps) if step.verb == "train"), None)
        if step is None or step.now is None or not any(delta is other for other in step.now.attached):
            return None
        learned = step.values_then.keys()  # empty where it was too much to keep
        return step if not learned or learned & delta.tensors().keys() else None

    def pull(self, repo: str, folder: str | None = None, *, revision: str | None = None) -> Outcome:
        """Download a delta to a folder. What is there already is never changed; the same again has no effect.

        Args:
            repo: ``user/name``.
            folder: default: the name of the repository.
            revision: a branch, a tag or a commit; default: ``main``.
        """
        repo = checked_id(repo)
        place = Path(folder or repo.rpartition("/")[2]).expanduser()
        there = place.exists()
        with self.step("pull", f"%delta pull {repo}") as step:
            step.undoable = False
            with step.shield.lifted():
                sharing.pull(repo, place, revision=revision)
            step.python.append(call("deltanb.pull", repr(repo), repr(str(place)), revision=revision))
        saved = checkpoints.read(place)
        facts = {
            "folder": str(place),
            "format": saved.format,
            "delta": f"{saved.config.delta_type} on {len(saved.hosts)} modules",
            "made on": saved.backbone.get("name") or saved.backbone.get("class") or "a backbone that it does not name",
        }
        title = f"{place} is what the hub has as {repo} already." if there else f"Pulled {repo}."
        return Outcome(title, facts, next=f"%delta load {place}", value=place)
