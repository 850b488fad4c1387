"""A small model hub on 127.0.0.1: repositories, commits, large files, tokens, and the ways in which a hub says no.

It speaks as much of the hub's HTTP interface as its own client uses for making, filling, listing and reading a repository.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["HubServer", "Repository"]

LICENCES = ("mit", "apache-2.0")
LARGE = (".safetensors", ".bin")


@dataclass
class Repository:
    """One repository: who may see it, and its files at each commit, oldest first."""

    private: bool = False
    gated: bool = False
    commits: list[tuple[str, dict[str, bytes]]] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[-1][1] if self.commits else {}

    @property
    def sha(self) -> str:
        return self.commits[-1][0] if self.commits else "0" * 40

    def commit(self, changes: Mapping[str, bytes], message: str = "by hand") -> str:
        files = {**self.files, **changes}
        sha = hashlib.sha1(f"{len(self.commits)}{sorted(files)}".encode(), usedforsecurity=False).hexdigest()
        self.commits.append((sha, files))
        self.messages.append(message)
        return sha

    def at(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        if revision == "main":
            return self.sha, self.files
        return next((entry for entry in self.commits if entry[0] == revision), None)


class HubServer:
    """The hub, for the time of a ``with`` block.

    Attributes:
        repositories: by id.
        tokens: token to user and right (``write`` or ``read``).
        faults: part of a path to what happens there: a status, ``"close"``, ``"silence"``, or ``"portal"``.
        requests: method and path of all that was asked for, the token's owner with it.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.tokens = {"hf_ann": ("ann", "write"), "hf_bob": ("bob", "write"), "hf_reader": ("ann", "read")}
        self.faults: dict[str, int | str] = {}
        self.requests: list[tuple[str, str, str]] = []
        self.blobs: dict[str, bytes] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("OurHub", (_Handler,), {"hub": self}))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def add(self, name: str, files: Mapping[str, bytes], **options: Any) -> Repository:
        """A repository with one commit."""
        self.repositories[name] = Repository(**options)
        self.repositories[name].commit(files)
        return self.repositories[name]

    def environment(self, home: Path, token: str = "") -> dict[str, str]:
        """The environment of a process that knows this hub alone, and keeps what it fetches under ``home``."""
        own = {key: value for key, value in os.environ.items() if not key.startswith("HF_") and not key.lower().endswith("_proxy")}
        told = {"HF_ENDPOINT": self.url, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
        return {**own, **told, "HF_TOKEN": token, "IPYTHONDIR": str(home), "PYTHONPATH": str(Path(__file__).parent.parent)}

    def asked(self, part: str) -> list[str]:
        """Paths that were asked for and have ``part`` in them."""
        return [path for _, path, _ in self.requests if part in path]


class _Refused(Exception):  # noqa: N818 (an answer, no fault)
    def __init__(self, status: int, code: str = "", message: str = "", **body: Any) -> None:
        self.status, self.code, self.message, self.body = status, code, message, body


_BAD_TOKEN = _Refused(401, message="Invalid credentials in Authorization header")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: HubServer

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def _serve(self) -> None:
        self.content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.route = unquote(urlsplit(self.path).path)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        self.user, self.right = self.hub.tokens.get(token, ("", ""))
        self.hub.requests.append((self.command, self.route, self.user))
        fault = next((fault for part, fault in self.hub.faults.items() if part in self.route), None)
        if fault == "close":
            self.close_connection = True
        elif fault == "silence":
            time.sleep(2)
            self.close_connection = True
        elif fault == "portal":
            self._answer(200, b"<html>Please log in to this network</html>", {"Content-Type": "text/html"})
        else:
            self._answered(_Refused(fault) if fault else _BAD_TOKEN if token and not self.user else None)

    def _answered(self, refusal: _Refused | None) -> None:
        try:
            self._answer(200, *self._found(refusal))
        except _Refused as said:
            headers = {"X-Error-Code": said.code, "X-Error-Message": said.message}
            body = json.dumps({"error": said.message or said.code or "no", **said.body}).encode()
            self._answer(said.status, body, {key: value for key, value in headers.items() if value})

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    # What is asked for ------------------------------------------------------------------------------------------------

    def _found(self, refusal: _Refused | None) -> tuple[bytes, dict[str, str]]:
        if refusal:
            raise refusal
        for pattern, answer in _ROUTES.items():
            hit = re.fullmatch(pattern, self.route)
            if hit:
                result = answer(self, *hit.groups())
                return result if isinstance(result, tuple) else (json.dumps(result).encode(), {"Content-Type": "application/json"})
        raise _Refused(404, message=f"no such route: {self.command} {self.route}")

    def _repository(self, name: str, *, write: bool = False) -> Repository:
        """The repository, for who may see it; the others are told that there is none."""
        found = self.hub.repositories.get(name)
        owner = name.partition("/")[0]
        if found is None or (found.private and self.user != owner):
            raise _Refused(404 if self.user else 401, "RepoNotFound", "Repository not found")
        if found.gated and self.user != owner:
            raise _Refused(403, "GatedRepo", "Access to this model is restricted")
        if write:
            self._check_right(owner)
        return found

    def _check_right(self, owner: str) -> None:
        if not self.user:
            raise _Refused(401, message="Invalid username or password.")
        if self.user != owner or self.right != "write":
            raise _Refused(403, message=f"You don't have the rights to create a model under the namespace {owner!r}")

    def _whoami(self) -> Any:
        if not self.user:
            raise _Refused(401, message="Invalid username or password.")
        return {"type": "user", "name": self.user, "orgs": [], "auth": {"accessToken": {"role": self.right}}}

    def _create(self) -> Any:
        asked = json.loads(self.content)
        owner = asked.get("organization") or self.user
        self._check_right(owner)
        name = f"{owner}/{asked['name']}"
        if name in self.hub.repositories:
            raise _Refused(409, message="You already created this model repo", url=f"{self.hub.url}/{name}")
        made = self.hub.repositories[name] = Repository(private=asked.get("visibility") == "private")
        made.commit({".gitattributes": b"*.safetensors filter=lfs"}, "initial commit")
        return {"url": f"{self.hub.url}/{name}", "name": name, "id": "1"}

    def _info(self, name: str, revision: str | None = None) -> Any:
        repository = self._repository(name)
        found = repository.at(revision or "main")
        if found is None:
            raise _Refused(404, "RevisionNotFound", "Invalid rev id")
        siblings = [{"rfilename": path, **_entry(path, content)} for path, content in found[1].items()]
        return {"id": name, "sha": found[0], "private": repository.private, "gated": False, "tags": [], "siblings": siblings}

    def _tree(self, name: str, revision: str) -> Any:
        found = self._repository(name).at(revision)
        if found is None:
            raise _Refused(404, "RevisionNotFound", "Invalid rev id")
        rows = {path: _entry(path, content) for path, content in found[1].items()}
        return [{"type": "file", "path": path, "oid": row["blobId"], "size": row["size"]} for path, row in rows.items()]

    def _stop(self) -> Any:
        self.hub.faults[""] = "close"
        return {}

    def _preupload(self, name: str) -> Any:
        self._repository(name, write=True)
        files = json.loads(self.content)["files"]
        modes = [{"path": file["path"], "uploadMode": "lfs" if file["path"].endswith(LARGE) else "regular"} for file in files]
        return {"files": [{**entry, "shouldIgnore": False} for entry in modes]}

    def _batch(self, name: str) -> Any:
        self._repository(name, write=True)
        objects = json.loads(self.content)["objects"]
        links = {oid: {kind: {"href": f"{self.hub.url}/lfs/{kind}/{oid}"} for kind in ("upload", "verify")} for oid in _oids(objects)}
        known = self.hub.blobs
        rows = [{**entry, **({} if entry["oid"] in known else {"actions": links[entry["oid"]]})} for entry in objects]
        return {"transfer": "basic", "objects": rows}

    def _put_large(self, oid: str) -> Any:
        if hashlib.sha256(self.content).hexdigest() != oid:
            raise _Refused(400, message="the content has another digest")
        self.hub.blobs[oid] = self.content
        return {}

    def _verify(self, oid: str) -> Any:
        if oid not in self.hub.blobs:
            raise _Refused(404, message="no such object")
        return {}

    def _commit(self, name: str) -> Any:
        repository = self._repository(name, write=True)
        rows = [json.loads(line) for line in self.content.splitlines()]
        header = next(row["value"] for row in rows if row["key"] == "header")
        if header.get("parentCommit", repository.sha) != repository.sha:
            raise _Refused(412, message="A commit has happened since. Please refresh and try again.")
        changes = {row["value"]["path"]: base64.b64decode(row["value"]["content"]) for row in rows if row["key"] == "file"}
        changes |= {row["value"]["path"]: self.hub.blobs[row["value"]["oid"]] for row in rows if row["key"] == "lfsFile"}
        sha = repository.commit(changes, header["summary"])
        return {"commitUrl": f"{self.hub.url}/{name}/commit/{sha}", "commitOid": sha, "success": True}

    def _validate(self) -> Any:
        licence = re.search(r"^license: (.*)$", json.loads(self.content)["content"], flags=re.MULTILINE)
        if licence and licence.group(1) not in LICENCES:
            raise _Refused(400, errors=[{"message": f'"license" must be one of [{", ".join(LICENCES)}]'}], warnings=[])
        return {"errors": [], "warnings": []}

    def _resolve(self, name: str, revision: str, path: str) -> tuple[bytes, dict[str, str]]:
        found = self._repository(name).at(revision)
        if found is None:
            raise _Refused(404, "RevisionNotFound", "Invalid rev id")
        if path not in found[1]:
            raise _Refused(404, "EntryNotFound", "Entry not found")
        content = found[1][path]
        return content, {"ETag": f'"{_etag(path, content)}"', "X-Repo-Commit": found[0]}


def _oids(objects: list[dict[str, Any]]) -> list[str]:
    return [entry["oid"] for entry in objects]


def _etag(path: str, content: bytes) -> str:
    entry = _entry(path, content)
    return entry["lfs"]["sha256"] if "lfs" in entry else entry["blobId"]


def _entry(path: str, content: bytes) -> dict[str, Any]:
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    large = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
    return {"size": len(content), "blobId": blob, **({"lfs": large} if path.endswith(LARGE) else {})}


_NAME = "([^/]+/[^/]+)"
_ROUTES: dict[str, Any] = {
    "/api/whoami-v2": _Handler._whoami,
    "/api/repos/create": _Handler._create,
    "/api/validate-yaml": _Handler._validate,
    f"/api/models/{_NAME}": _Handler._info,
    f"/api/models/{_NAME}/revision/(.+)": _Handler._info,
    f"/api/models/{_NAME}/tree/(.+)": _Handler._tree,
    "/stop": _Handler._stop,  # from now on nobody answers
    f"/api/models/{_NAME}/preupload/main": _Handler._preupload,
    f"/api/models/{_NAME}/commit/main": _Handler._commit,
    rf"/{_NAME}\.git/info/lfs/objects/batch": _Handler._batch,
    "/lfs/upload/(.+)": _Handler._put_large,
    "/lfs/verify/(.+)": _Handler._verify,
    f"/{_NAME}/resolve/([^/]+)/(.+)": _Handler._resolve,
}
