"""``%delta serve``: starts, is replaced, stops; and what cannot be served."""

from __future__ import annotations

import json
import socket
import threading
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from tests.models import bart
from tests.test_bad_input import ready, refused
from tests.test_magics import bench_of, one_shell, run, shell
from tests.test_serving import saved
from tests.tiny_text import tiny_tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["one_shell", "ready", "shell"]


@pytest.fixture
def served(ready: Any) -> Iterator[Any]:
    """A tiny BERT with an adapter attached, and a folder with a copy of it."""
    run(ready, "%delta save deltas/films;")
    bench_of(ready).backbone_in_use.tokenizer = tiny_tokenizer()
    yield ready
    bench_of(ready).serve(stop=True)


def deltas_at(address: str) -> list[str]:
    with urllib.request.urlopen(f"{address}deltas", timeout=5) as reply:  # noqa: S310 - our own address
        return [delta["name"] for delta in json.loads(reply.read())["deltas"]]


def test_it_serves_is_replaced_and_stops_without_a_thread_left(served: Any) -> None:
    before = set(threading.enumerate())
    first = run(served, "%delta serve deltas --port 0").value
    assert deltas_at(first.address) == ["films"]
    assert list(bench_of(served).attached) == ["adapter"]
    run(served, "%delta save deltas/more;")
    second = run(served, f"%delta serve deltas --port {first.port}").value
    assert not first.running
    assert second.port == first.port
    assert deltas_at(second.address) == ["films", "more"]
    assert "has ended" in run(served, "%delta serve --stop").title
    assert "Nothing" in run(served, "%delta serve --stop").title
    assert set(threading.enumerate()) - before == set()


def test_training_on_does_not_change_what_is_served(served: Any) -> None:
    server = run(served, "%delta serve deltas --port 0").value
    before = server.app.pool.predict("a good film", "films").probabilities
    for parameter in served.user_ns["net"].parameters():
        parameter.data.zero_()
    assert server.app.pool.predict("a good film", "films").probabilities == before


def test_what_cannot_be_served_is_refused_and_the_old_server_goes_on(served: Any, tmp_path: Path) -> None:
    server = run(served, "%delta serve deltas --port 0").value
    (tmp_path / "empty").mkdir()
    saved(bart(), "lora", tmp_path / "foreign" / "one", 1)
    refused(served, "%delta serve empty", "holds no deltas")
    refused(served, "%delta serve gone", "is not there")
    refused(served, "%delta serve foreign", "None of the 1 folders", "BartForConditionalGeneration")
    refused(served, "%delta serve deltas --port 99999", "no port 99999")
    refused(served, "%delta serve", "no folder")

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        refused(served, f"%delta serve deltas --port {other.getsockname()[1]}", "is in use")
    assert server.running
    assert deltas_at(server.address) == ["films"]
