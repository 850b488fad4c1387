"""The app behind a port of this machine."""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar, Self
from urllib.parse import urlsplit

from deltanb._errors import DeltaError
from deltanb.serving._app import MOST_BYTES, Reply, _error

if TYPE_CHECKING:
    from deltanb.serving._app import App

__all__ = ["Server"]

_HOME = "127.0.0.1"
_PATIENCE = 15.0  # seconds that a client may be silent in the middle of a request


class Server:
    """The app, reachable from this machine only, in a thread of its own from `start` to `stop`.

    Args:
        app: what answers.
        port: to listen on; 0: any free one.

    Attributes:
        address: where a browser finds it.

    Raises:
        DeltaError: the port is in use, or not to be had.

    Example:
        >>> from torch import nn
        >>> from deltanb.serving import DeltaPool
        >>> from deltanb.serving._app import App
        >>> with Server(App(DeltaPool(nn.Linear(1, 1))), port=0) as server:
        ...     server.address.startswith("http://127.0.0.1:")
        True
    """

    def __init__(self, app: App, port: int = 8000) -> None:
        self.app = app
        try:
            self._http = _Http((_HOME, port), app)
        except (OSError, OverflowError) as error:
            raise _no_port(port, error) from None
        self.port: int = self._http.server_address[1]
        self.address = f"http://{_HOME}:{self.port}/"
        self._thread: threading.Thread | None = None

    def start(self) -> Self:
        """Answer from now on; returns at once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._http.serve_forever, args=[0.1], name="deltanb-serving", daemon=True)
            self._thread.start()
        return self

    def stop(self) -> None:
        """Answer no more: the port is free and the threads are gone afterwards. Stopped already: nothing happens."""
        if self._thread is not None:
            self._http.shutdown()
            self._http.hang_up()
            self._thread.join()
            self._thread = None
        self._http.server_close()

    @property
    def running(self) -> bool:
        """Whether it answers."""
        return self._thread is not None

    def wait(self) -> None:
        """Until somebody stops it, or presses Ctrl-C."""
        if self._thread is not None:
            self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Http(ThreadingHTTPServer):
    daemon_threads = False  # so that stopping waits for the answers that are under way
    allow_reuse_address = True

    def __init__(self, place: tuple[str, int], app: App) -> None:
        super().__init__(place, _Handler)
        self.app = app
        self._lines: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own."""
        self._lines.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """End a connection."""
        self._lines.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """Read no more from anybody: browsers open connections before they have something to ask. Answers still go out."""
        for line in list(self._lines):
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RD)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: _Http
    timeout: ClassVar[float] = _PATIENCE
    server_version = "deltanb"
    sys_version = ""

    def _answer(self) -> None:
        self._send(self._refused() or self.server.app.reply(self.command, urlsplit(self.path).path, self._body()))

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _answer  # noqa: N815 - names that http.server looks for

    def _refused(self) -> Reply | None:
        """What is turned away before it is read: other sites' pages, and bodies too large or of no known length."""
        host = self.headers.get("Host", "").partition(":")[0]
        if host not in (_HOME, "localhost"):
            return _error(HTTPStatus.FORBIDDEN, f"This app answers to {_HOME} and localhost only.")
        if self.command != "POST":
            return None
        if self.headers.get_content_type() != "application/json":
            return _error(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body must be JSON: send Content-Type: application/json.")
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            return _error(HTTPStatus.LENGTH_REQUIRED, "The request does not say how long its body is.")
        if int(length[:12]) > MOST_BYTES:
            return _error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body has {length[:12]} bytes; at most {MOST_BYTES:,} are read.")
        return None

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"])) if self.command == "POST" else b""

    def _send(self, reply: Reply) -> None:
        with contextlib.suppress(ConnectionError):
            self.send_response(reply.status)
            fixed = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
            for name, value in {**fixed, **reply.headers, "Content-Type": reply.kind, "Content-Length": str(len(reply.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)

    def log_message(self, *_: Any) -> None:
        """Nothing is logged: what people type is theirs."""


def _no_port(port: int, error: OSError | OverflowError) -> DeltaError:
    if getattr(error, "errno", None) == errno.EADDRINUSE:
        return DeltaError(f"Port {port} is in use.", expected="A free port; 0 takes any.", try_=f"--port {port + 1 if port < 65535 else 0}")  # noqa: PLR2004
    if isinstance(error, OverflowError):
        return DeltaError(f"There is no port {port}.", expected="A number from 1024 to 65535, or 0 for any free one.", try_="--port 8000")
    return DeltaError(f"Port {port} cannot be used: {error.strerror}.", expected="A number from 1024 to 65535.", try_="--port 8000")
