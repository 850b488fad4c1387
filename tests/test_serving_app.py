"""The example app: what it answers to good and bad requests, and that it leaves nothing behind."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from deltanb import DeltaError, DeltaPool
from deltanb.serving.__main__ import main
from deltanb.serving._app import MOST_BYTES, App
from deltanb.serving._server import Server
from tests.lab import browser_page
from tests.test_serving import saved, sharp
from tests.tiny_text import Tiny, tiny_tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ODD = "<img src=x onerror=document.title='gone'>"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder, model = tmp_path_factory.mktemp("served"), sharp()
    saved(model, "lora", folder / "films", 1, ["classifier"])
    saved(model, "adapter", folder / "news", 2)
    (folder / "broken").mkdir()
    (folder / "broken" / "config.json").write_text("{")
    with Server(App(DeltaPool(Tiny(model, tiny_tokenizer()), folder), ["bad", "good"]), port=0) as found:
        yield found


def sent(server: Server, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, Any]:
    """Status, headers and what came; a body that is no text is sent as JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    text = body if body is None or isinstance(body, str | bytes) else json.dumps(body)
    known = {"Content-Type": "application/json"} if body is not None else {}
    connection.request(method, path, text, {**known, **headers})
    reply = connection.getresponse()
    came = reply.read()
    connection.close()
    return reply.status, reply.headers, json.loads(came) if reply.headers.get_content_type() == "application/json" else came.decode()


def test_deltas_are_listed_with_what_is_not_served(server: Server) -> None:
    status, _, found = sent(server, "GET", "/deltas?now")
    assert status == 200
    assert [(delta["name"], delta["type"]) for delta in found["deltas"]] == [("films", "lora"), ("news", "adapter")]
    assert "config.json cannot be read" in found["problems"]["broken"]
    assert found["backbone"] == "tiny"


def test_a_text_with_one_delta_several_or_none(server: Server) -> None:
    _, _, one = sent(server, "POST", "/predict", {"text": "a good film", "delta": "films"})
    _, _, every = sent(server, "POST", "/predict", {"text": "a good film", "delta": [None, "films", "news"]})
    _, _, plain = sent(server, "POST", "/predict", {"text": "a good film"})
    assert [answer["delta"] for answer in every["answers"]] == [None, "films", "news"]
    for single, row in ((plain, 0), (one, 1)):
        answer, same = single["answers"][0], every["answers"][row]
        assert answer["label"] == same["label"]
        assert answer["probability"] == pytest.approx(same["probability"], abs=1e-5)
        assert answer["probabilities"].keys() == {"bad", "good"}
        assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert every["answers"][0]["probability"] != every["answers"][1]["probability"]
    _, _, texts = sent(server, "POST", "/predict", {"text": ["a good film", "a bad film"], "delta": "news"})
    assert [answer["text"] for answer in texts["answers"]] == ["a good film", "a bad film"]


BAD: list[tuple[str, str, Any, int, str]] = [
    ("POST", "/predict", "{", 400, "no JSON"),
    ("POST", "/predict", "[" * 10_000, 400, "no JSON"),
    ("POST", "/predict", b"\xff\xfe", 400, "no JSON"),
    ("POST", "/predict", ["text"], 400, "no object"),
    ("POST", "/predict", {"delta": "films"}, 400, 'no "text"'),
    ("POST", "/predict", {"text": "a", "detla": "films"}, 400, "'detla'"),
    ("POST", "/predict", {"text": 3}, 400, "3 is no text"),
    ("POST", "/predict", {"text": []}, 400, "no text"),
    ("POST", "/predict", {"text": "a", "delta": "film"}, 400, "No delta 'film'"),
    ("POST", "/predict", {"text": "a", "delta": "broken"}, 400, "could not be loaded"),
    ("POST", "/predict", {"text": "a", "delta": [3]}, 400, "name is no text"),
    ("POST", "/predict", {"text": ["a", "b"], "delta": ["films"]}, 400, "2 texts and 1 deltas"),
    ("POST", "/predict", {"text": "a", "delta": [None] * 1000}, 400, "too many"),
    ("POST", "/predict", {"text": "a" * MOST_BYTES}, 413, "at most 65,536"),
    ("GET", "/predict", None, 405, "takes POST"),
    ("DELETE", "/deltas", None, 405, "takes GET"),
    ("GET", "/predcit", None, 404, "There is no '/predcit'"),
    ("GET", "/../../etc/passwd", None, 404, "There is no"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "words"), BAD, ids=[str(at) for at in range(len(BAD))])
def test_bad_requests_are_answered_in_a_sentence(server: Server, method: str, path: str, body: Any, status: int, words: str) -> None:
    found, _, data = sent(server, method, path, body)
    assert (found, words in data["error"]) == (status, True), data
    assert "Traceback" not in data["error"]


def test_the_nearest_name_is_offered(server: Server) -> None:
    assert sent(server, "POST", "/predict", {"text": "a", "delta": "filsm"})[2]["nearest"] == ["films"]
    assert sent(server, "GET", "/predikt")[2]["nearest"] == ["/predict"]


def test_other_sites_cannot_use_it(server: Server) -> None:
    assert sent(server, "GET", "/deltas", Host="evil.example:80")[0] == 403
    assert sent(server, "POST", "/predict", '{"text": "a"}', **{"Content-Type": "text/plain"})[0] == 415
    assert "Access-Control-Allow-Origin" not in sent(server, "GET", "/deltas")[1]


def test_the_page_is_one_file_that_reaches_nothing_outside(server: Server) -> None:
    status, headers, text = sent(server, "GET", "/")
    assert status == 200
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "http://" not in text
    assert "https://" not in text
    assert "NONCE" not in text
    assert sent(server, "GET", "/")[1]["Content-Security-Policy"] != headers["Content-Security-Policy"]


def test_a_port_in_use_and_ports_that_are_none(server: Server) -> None:
    with pytest.raises(DeltaError, match=f"Port {server.port} is in use") as found:
        Server(server.app, server.port)
    assert found.value.try_ == f"--port {server.port + 1}"
    with pytest.raises(DeltaError, match="There is no port 70000"):
        Server(server.app, 70_000)


def test_stopping_frees_the_port_and_leaves_no_thread(server: Server) -> None:
    before = set(threading.enumerate())
    one = Server(server.app, 0).start()
    with socket.create_connection(("127.0.0.1", one.port)):  # as browsers do: a connection without a question
        assert sent(one, "GET", "/deltas")[0] == 200
        one.stop()
    one.stop()
    assert not one.running
    assert set(threading.enumerate()) - before == set()
    Server(server.app, one.port).stop()


def test_many_at_once_get_their_own_answers(server: Server) -> None:
    wanted = {name: sent(server, "POST", "/predict", {"text": "a bad film", "delta": name})[2] for name in ("films", "news", None)}
    wrong: list[Any] = []

    def ask(name: str | None) -> None:
        if sent(server, "POST", "/predict", {"text": "a bad film", "delta": name})[2] != wanted[name]:
            wrong.append(name)

    threads = [threading.Thread(target=ask, args=[name]) for name in [*wanted] * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_program_says_what_is_wrong_in_one_paragraph(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 1
    assert main([str(tmp_path / "gone")]) == 1
    said = capsys.readouterr().err
    assert "holds no deltas" in said
    assert "is not there" in said


@pytest.mark.slow
def test_the_program_serves_and_ends(tmp_path: Path) -> None:
    from deltanb import LoraModel, load_backbone

    backbone = load_backbone("minilm")
    delta = LoraModel(backbone.model)
    delta.save_finetuned(tmp_path / "films")
    command = [sys.executable, "-m", "deltanb.serving", str(tmp_path), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("1 delta at http://127.0.0.1:")
        process.send_signal(2)
        assert process.wait(20) == 0


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_person_types_a_sentence_and_sees_every_answer(server: Server, scheme: Any, tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright, browser_page(playwright, width=720, height=640) as page:
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text) if message.type in ("error", "warning") else None)
        page.emulate_media(color_scheme=scheme)
        page.goto(server.address)
        page.keyboard.type(f"a good film {ODD}")
        page.keyboard.press("Enter")
        page.wait_for_selector("tbody tr:nth-child(3)")
        assert page.locator("tbody th").all_inner_texts() == ["(no delta)", "films", "news"]
        assert ODD in page.locator("caption").inner_text()
        assert page.title() == "Deltas side by side"
        assert page.locator("[role=status]").inner_text() == "3 answers."
        assert "broken: " in page.locator("#faults").inner_text()
        page.screenshot(path=str(tmp_path / "page.png"))
        assert not faults
        assert not page.outside
        from tests.page import AXE

        if AXE.exists():
            page.context.new_cdp_session(page).send("Page.setBypassCSP", {"enabled": True})
            page.reload()
            page.fill("#sentence", "a good film")
            page.keyboard.press("Enter")
            page.wait_for_selector("tbody tr")
            page.evaluate(AXE.read_text())
            found = page.evaluate("axe.run(document.body, {resultTypes: ['violations']})")
            assert [one["id"] for one in found["violations"] if one["impact"] in ("serious", "critical")] == []
