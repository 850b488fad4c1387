"""Every way in which a hub says no, or nothing: one paragraph with the way out, nothing half done, never a token."""

from __future__ import annotations

import errno
import json
import pickle
import re
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import save

import deltanb
from deltanb import AdapterModel, LoraModel
from deltanb._errors import DeltaError
from deltanb._hub import checked_id
from deltanb.magics._help import help_for
from deltanb.magics._parse import parse
from deltanb.workbench import Workbench
from tests.hub_server import Repository
from tests.models import bert, same_state
from tests.test_sharing import delta, hub

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.hub_server import HubServer

__all__ = ["delta", "hub"]

WHOLE = {"config.json": b'{"model_type": "bert"}', "model.safetensors": save({"a": torch.zeros(1)})}


HIDDEN = "hf_secret"
EXPIRED = "hf_expired"


def refused(action: Callable[[], Any]) -> DeltaError:
    """What was said; no token in it, nor in any traceback."""
    with pytest.raises(DeltaError) as caught:
        action()
    shown = [repr(caught.value), *caught.value._render_traceback_(), *traceback.format_exception(caught.value)]
    assert not re.search("hf_(secret|s.cret|expired|ann|bob|reader)", "".join(shown))
    assert not re.search("During handling|direct cause", "".join(shown))
    return caught.value


# Before any network ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("repo", "nearest"),
    [
        ("ann/my reviews", ["ann/my-reviews"]),
        ("https://huggingface.co/ann/reviews", ["ann/reviews"]),
        ("ann/reviews.git", ["ann/reviews"]),
        ("ann/a--b", ["ann/a-b"]),
        ("./reviews", ["user/reviews"]),
        ("a/b/c", ["b/c"]),
        ("../../etc/passwd", ["etc/passwd"]),
        ("", []),
        (None, []),
    ],
)
def test_a_malformed_id_never_reaches_the_network(repo: Any, nearest: list[str], hub: HubServer, delta: AdapterModel) -> None:
    for action in (lambda: deltanb.push(delta, repo), lambda: deltanb.pull(repo)):
        said = refused(action)
        assert said.what.startswith(f"{repo!r} is no id of a repository: ")
        assert said.nearest == nearest
        assert not [near for near in nearest if checked_id(near) != near]
    assert not hub.requests


def test_a_pull_must_say_whose_it_is(hub: HubServer) -> None:
    assert refused(lambda: deltanb.pull("reviews")).nearest == ["user/reviews"]
    assert not hub.requests


def test_who_is_not_logged_in_is_told_how(hub: HubServer, delta: AdapterModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    for token in (None, True, False):
        said = refused(lambda token=token: deltanb.push(delta, "ann/reviews", token=token))
        assert said.what == "Nobody is logged in to the hub, so nothing can be pushed."
        assert said.try_ == "huggingface_hub.login()"
    assert not hub.requests


def test_a_token_with_odd_signs_is_refused_and_not_repeated(hub: HubServer, delta: AdapterModel) -> None:
    for token in ("hf_secret\n", "", "hf_sécret", 7):
        assert "no token of the hub" in refused(lambda token=token: deltanb.push(delta, "ann/reviews", token=token)).what
    assert not hub.requests


def test_a_magic_takes_no_token(hub: HubServer) -> None:
    """What stands in a cell is saved with the notebook."""
    del hub
    assert "token" not in str(help_for("push"))
    said = refused(lambda: parse(f"push ann/reviews --token {HIDDEN}", {}))
    assert said.what == "%delta push has no option 'token'."


def test_a_detached_delta_and_a_skeleton_are_not_pushed(hub: HubServer, delta: AdapterModel) -> None:
    delta.detach()
    assert refused(lambda: deltanb.push(delta, "ann/reviews")).try_ == "%delta reattach adapter"
    with torch.device("meta"):
        skeleton = LoraModel(torch.nn.Sequential(torch.nn.Linear(2, 2)), modified_modules=["0"])
    assert "no weights to save" in refused(lambda: deltanb.push(skeleton, "ann/reviews")).what
    assert not hub.repositories


def test_a_hub_that_is_switched_off_is_left_alone(hub: HubServer, delta: AdapterModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for action in (lambda: deltanb.push(delta, "ann/reviews"), lambda: deltanb.pull("ann/reviews"), lambda: deltanb.load("ann/x", bert())):
        assert "The hub is switched off here (HF_HUB_OFFLINE)" in refused(action).what
    assert not hub.requests


def test_a_folder_for_peft_is_not_pushed_as_something_else(hub: HubServer, delta: AdapterModel) -> None:
    assert "deltanb's own format" in refused(lambda: delta.save_finetuned("here", format="peft", push_to_hub="ann/reviews")).what
    assert not Path("here").exists()
    assert not hub.requests


# What the hub says -------------------------------------------------------------------------------------------------------


def test_a_token_that_the_hub_does_not_know(hub: HubServer, delta: AdapterModel) -> None:
    hub.add("ann/reviews", WHOLE)
    for action in (lambda: deltanb.push(delta, "ann/x", token=EXPIRED), lambda: deltanb.pull("ann/reviews", token=EXPIRED)):
        said = refused(action)
        assert (said.what, said.try_) == ("The hub does not accept your token.", "huggingface_hub.login()")


@pytest.mark.parametrize(("token", "repo"), [("hf_reader", "ann/reviews"), ("hf_bob", "ann/reviews")])
def test_who_may_not_write_is_told_what_it_takes(token: str, repo: str, hub: HubServer, delta: AdapterModel) -> None:
    said = refused(lambda: deltanb.push(delta, repo, token=token))
    assert said.what == "You have no right to do this with 'ann/reviews' on the hub."
    assert "write access, of an account that may write to 'ann'" in said.expected
    assert not hub.repositories


@pytest.mark.parametrize("token", [None, False, "hf_bob"], ids=["logged in", "nobody", "another"])
def test_missing_and_private_look_alike_and_both_are_said(token: Any, hub: HubServer) -> None:
    hub.add("bob/secret" if token is None else "ann/secret", WHOLE, private=True)
    for repo in ("ann/nothing", "bob/secret" if token is None else "ann/secret"):
        said = refused(lambda repo=repo: deltanb.pull(repo, token=token))
        assert said.what == f"The hub has no model {repo!r}, or it is private."
        assert "log in with an account that may" in said.expected
    assert refused(lambda: deltanb.load("ann/nothing", bert())).what.startswith("There is no folder 'ann/nothing'. The hub has no model")


def test_gated_revision_and_disabled(hub: HubServer) -> None:
    hub.add("bob/gated", WHOLE, gated=True)
    assert "asks for consent" in refused(lambda: deltanb.pull("bob/gated")).what
    hub.add("ann/open", WHOLE)
    assert refused(lambda: deltanb.pull("ann/open", revision="v9")).what == "The hub's 'ann/open' has no such revision."
    assert refused(lambda: deltanb.load(".", bert(), revision="v9")).what == "A folder has no revision 'v9'."


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (500, "a fault of its own (HTTP 500)"),
        (503, "a fault of its own (HTTP 503)"),
        (429, "too many requests"),
        (418, "HTTP 418"),
        ("close", "No model hub can be reached"),
        ("silence", "did not answer in time"),
        ("portal", "a login page of this network"),
    ],
)
def test_a_hub_in_trouble_is_one_sentence_and_changes_nothing(
    fault: int | str, words: str, hub: HubServer, delta: AdapterModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deltanb.sharing._remote.TIMEOUT", 0.3)
    monkeypatch.setattr("deltanb.sharing._fetch.TIMEOUT", 0.3)
    before = same_state(delta.backbone_model)
    hub.faults["/api/"] = fault
    for action in (lambda: deltanb.push(delta, "ann/reviews"), lambda: deltanb.pull("ann/reviews", "here")):
        said = refused(action)
        assert words in said.what
        assert "\n" not in str(said)
    assert not hub.repositories
    assert not Path("here").exists()
    assert str(same_state(delta.backbone_model)) == str(before)


def test_no_hub_at_all(hub: HubServer, delta: AdapterModel) -> None:
    for action in (
        lambda: deltanb.push(delta, "ann/r", endpoint="http://127.0.0.1:9"),
        lambda: deltanb.pull("ann/r", endpoint="http://127.0.0.1:9"),
    ):
        assert refused(action).what == "No model hub can be reached, so 'ann/r' is out of reach."
    assert not hub.requests


def test_a_push_that_breaks_off_is_finished_by_the_next(hub: HubServer, delta: AdapterModel) -> None:
    hub.faults["/commit/"] = 403
    refused(lambda: deltanb.push(delta, "ann/reviews"))
    assert list(hub.repositories["ann/reviews"].files) == [".gitattributes"]
    hub.faults.clear()
    assert deltanb.push(delta, "ann/reviews").files


def test_a_change_by_somebody_else_in_between_is_not_overwritten(
    hub: HubServer, delta: AdapterModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    deltanb.push(delta, "ann/reviews")
    repository = hub.repositories["ann/reviews"]
    commit = Repository.commit
    monkeypatch.setattr("deltanb.sharing._push.check_place", lambda *_, **__: commit(repository, {"README.md": b"theirs"}))
    assert "at the same moment" in refused(lambda: deltanb.push(delta, "ann/reviews", license="mit")).what
    assert repository.files["README.md"] == b"theirs"


def test_a_licence_that_the_hub_does_not_know(hub: HubServer, delta: AdapterModel) -> None:
    said = refused(lambda: deltanb.push(delta, "ann/reviews", license="free for all"))
    assert said.what.startswith('The hub refuses the card\'s metadata: "license" must be one of')
    assert hub.repositories["ann/reviews"].files.keys() == {".gitattributes"}


# What is there already ---------------------------------------------------------------------------------------------------


def test_a_repository_of_something_else_is_left_alone_unless_forced(hub: HubServer, delta: AdapterModel) -> None:
    hub.add("ann/model", WHOLE)
    hub.add("ann/odd", {"config.json": b"no JSON", "notes.txt": b""})
    for repo in ("ann/model", "ann/odd"):
        said = refused(lambda repo=repo: deltanb.push(delta, repo))
        assert said.what.startswith(f"{repo!r} holds something else: there is config.json, ")
        assert said.try_ == f"%delta push {repo}-2"
        assert len(hub.repositories[repo].commits) == 1
    assert "model.safetensors" in deltanb.push(delta, "ann/model", force=True).files


def test_another_delta_is_not_overwritten_unless_forced(hub: HubServer, delta: AdapterModel) -> None:
    deltanb.push(delta, "ann/reviews")
    other = LoraModel(bert(), modified_modules=["query"])
    said = refused(lambda: deltanb.push(other, "ann/reviews"))
    assert said.what == "'ann/reviews' holds another delta: adapter 'adapter' on 4 modules."
    deltanb.push(other, "ann/reviews", force=True)
    assert json.loads(hub.repositories["ann/reviews"].files["config.json"])["delta_type"] == "lora"


def test_private_is_never_taken_for_public(hub: HubServer, delta: AdapterModel) -> None:
    deltanb.push(delta, "ann/open")
    deltanb.push(delta, "ann/closed", private=True)
    assert refused(lambda: deltanb.push(delta, "ann/open", private=True)).try_ == "%delta push ann/open-private --private"
    assert deltanb.push(delta, "ann/closed", license="mit").private
    assert hub.repositories["ann/closed"].private


def test_an_empty_repository_made_on_the_page_is_filled(hub: HubServer, delta: AdapterModel) -> None:
    hub.add("ann/new", {".gitattributes": b"", "README.md": b"---\nlicense: mit\n---\n"})
    deltanb.push(delta, "ann/new")
    card = hub.repositories["ann/new"].files["README.md"].decode()
    assert "license: mit" in card
    assert "## Load it" in card


def test_a_card_whose_metadata_is_broken_is_not_overwritten(hub: HubServer, delta: AdapterModel) -> None:
    hub.add("ann/new", {"README.md": b"---\nlicense: [mit\n---\n"})
    assert "metadata of the card of 'ann/new' cannot be read" in refused(lambda: deltanb.push(delta, "ann/new")).what


# What is never read ------------------------------------------------------------------------------------------------------


class Trap:
    """Runs when it is unpickled."""

    def __reduce__(self) -> Any:
        return (Path("trapped").touch, ())


@pytest.mark.parametrize("settings", ["config.json", "adapter_config.json"])
def test_pickled_weights_are_not_even_downloaded(settings: str, hub: HubServer) -> None:
    told = {"delta_type": "adapter"} if settings == "config.json" else {"peft_type": "LORA"}
    hub.add("bob/old", {settings: json.dumps(told).encode(), "pytorch_model.bin": pickle.dumps(Trap()), "sub/model.safetensors": b""})
    said = refused(lambda: deltanb.load("bob/old", bert()))
    assert "only as pytorch_model.bin: a file of that kind can run code when it is opened" in said.what
    assert not hub.asked(".bin")
    assert not Path("trapped").exists()


def test_a_pickle_beside_safetensors_stays_where_it_is(hub: HubServer, delta: AdapterModel) -> None:
    deltanb.push(delta, "ann/reviews")
    more = {"pytorch_model.bin": pickle.dumps(Trap()), "tokenizer.json": b"{}", "run.py": b"", "sub/config.json": b"{}"}
    hub.repositories["ann/reviews"].commit(more)
    place = deltanb.pull("ann/reviews")
    assert sorted(path.name for path in place.iterdir()) == ["config.json", "model.safetensors"]
    assert not [path for path in hub.asked("/resolve/") if not path.endswith(("/config.json", "/model.safetensors", "/README.md"))]


def test_a_whole_model_is_not_downloaded(hub: HubServer) -> None:
    hub.add("bob/model", {**WHOLE, "model-00001-of-00002.safetensors": b""})
    said = refused(lambda: deltanb.pull("bob/model"))
    assert said.what.startswith("'bob/model' holds a whole model: there is config.json")
    assert said.try_ == "%delta backbone bob/model"
    hub.add("bob/data", {"data.csv": b""})
    assert refused(lambda: deltanb.pull("bob/data")).what == "'bob/data' holds no delta: there is data.csv."
    assert not hub.asked(".safetensors")


def test_sizes_are_looked_at_before_anything_is_downloaded(hub: HubServer, delta: AdapterModel) -> None:
    deltanb.push(delta, "ann/reviews")
    said = refused(lambda: deltanb.pull("ann/reviews", max_bytes=1000))
    assert said.what.startswith("model.safetensors of 'ann/reviews': the size is ")
    assert not hub.asked("/resolve/main/model.safetensors")
    hub.repositories["ann/reviews"].commit({"config.json": b" " * 1_000_001})
    assert "At most 1 MB" in refused(lambda: deltanb.pull("ann/reviews")).expected


@pytest.mark.parametrize("damage", ["cut", "swapped"])
def test_what_was_damaged_on_the_hub_is_not_taken(damage: str, hub: HubServer, delta: AdapterModel) -> None:
    deltanb.push(delta, "ann/reviews")
    content = hub.repositories["ann/reviews"].files["model.safetensors"]
    hub.repositories["ann/reviews"].commit({"model.safetensors": content[:-4] if damage == "cut" else content[:-4] + b"\1\2\3\4"})
    assert "is truncated or altered" in refused(lambda: deltanb.pull("ann/reviews", "here")).what
    assert not Path("here").exists()


def test_a_full_disk_and_a_cache_that_cannot_be_written(hub: HubServer, delta: AdapterModel, monkeypatch: pytest.MonkeyPatch) -> None:
    deltanb.push(delta, "ann/reviews")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/cache/blob")

    with monkeypatch.context() as patch:
        patch.setattr("huggingface_hub.file_download.http_get", full)
        assert refused(lambda: deltanb.pull("ann/reviews")).what == "The disk is full (/cache), so 'ann/reviews' cannot be downloaded."
    Path("file").touch()
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", "file")
    assert "cannot be kept on this machine" in refused(lambda: deltanb.pull("ann/reviews")).what
    del hub


def test_an_interrupt_leaves_hub_and_workbench_as_they_were(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Workbench()
    bench.backbone("bert-tiny", random=True)
    bench.attach("lora", ["query"])
    steps = len(bench.steps)

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("huggingface_hub.HfApi.preupload_lfs_files", stop)
    said = refused(lambda: bench.push("ann/reviews"))
    assert said.what == "push was interrupted."
    assert (len(bench.steps), "push" in bench.code()) == (steps, False)
    assert list(hub.repositories["ann/reviews"].files) == [".gitattributes"]
