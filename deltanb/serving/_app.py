"""What the app answers: a request's method, path and body in, a status and a body out. Knows nothing of sockets."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from http import HTTPStatus
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb._suggest import close

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltanb.serving._pool import DeltaPool

__all__ = ["MOST_BYTES", "App", "Reply"]

MOST_BYTES = 64 * 1024  # of a body
_MOST_ROWS = 256  # of a request
_PATHS = {"/": "GET", "/deltas": "GET", "/predict": "POST"}
_POLICY = (
    "default-src 'none'; style-src 'nonce-{0}'; script-src 'nonce-{0}'; img-src data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass
class Reply:
    """An answer.

    Attributes:
        status: of HTTP.
        body: its bytes.
        kind: the content's type.
        headers: further ones.
    """

    status: int
    body: bytes
    kind: str = "application/json; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)


class App:
    """The app on a pool.

    Args:
        pool: what it serves.
        label_names: the classes; default: as the pool finds them.
        title: what the page calls the backbone.

    Example:
        >>> from torch import nn
        >>> from deltanb.serving import DeltaPool
        >>> App(DeltaPool(nn.Linear(1, 1))).reply("GET", "/nowhere").status
        404
    """

    def __init__(self, pool: DeltaPool, label_names: Sequence[str] | None = None, title: str = "") -> None:
        self.pool = pool
        self.label_names = label_names
        self.title = title or str(getattr(pool.given, "name", "") or type(pool.model).__name__)

    def reply(self, method: str, path: str, body: bytes = b"") -> Reply:
        """The answer to a request; whatever is wrong with it is said in ``error``.

        Args:
            method: ``GET``, ``POST``, …
            path: without the query.
            body: as it came.
        """
        if path not in _PATHS:
            near = close(path, _PATHS)
            return _error(HTTPStatus.NOT_FOUND, f"There is no {path!r} here. There are: {', '.join(_PATHS)}.", nearest=near)
        if method != _PATHS[path]:
            found = _error(HTTPStatus.METHOD_NOT_ALLOWED, f"{path} takes {_PATHS[path]}, not {method}.")
            found.headers["Allow"] = _PATHS[path]
            return found
        if path == "/":
            return self._page()
        try:
            return _json(HTTPStatus.OK, self._deltas() if path == "/deltas" else self._predict(body))
        except DeltaError as error:
            return _error(HTTPStatus.BAD_REQUEST, str(error), nearest=error.nearest)
        except Exception as error:  # noqa: BLE001 - one bad request must not take the app down, nor show its insides
            return _error(HTTPStatus.INTERNAL_SERVER_ERROR, f"The model could not answer: {type(error).__name__}.")

    def _page(self) -> Reply:
        nonce = secrets.token_urlsafe(16)
        text = files("deltanb.serving").joinpath("page.html").read_text(encoding="utf-8").replace("NONCE", nonce)
        headers = {"Content-Security-Policy": _POLICY.format(nonce)}
        return Reply(HTTPStatus.OK, text.encode(), "text/html; charset=utf-8", headers)

    def _deltas(self) -> dict[str, Any]:
        return {"backbone": self.title, "deltas": self.pool.describe(), "problems": self.pool.problems}

    def _predict(self, body: bytes) -> dict[str, Any]:
        texts, deltas = _asked(body)
        found = self.pool.predict(texts, deltas, label_names=self.label_names)
        rows = zip(texts, deltas, found.df["label"], found.df["probability"], found.probabilities, strict=True)
        answers = [
            {
                "text": text,
                "delta": delta,
                "label": label,
                "probability": p,
                "probabilities": dict(zip(found.label_names, every, strict=True)),
            }
            for text, delta, label, p, every in rows
        ]
        return {"answers": answers}


def _asked(body: bytes) -> tuple[list[str], list[str | None]]:
    """A text and a delta for each answer that is wanted.

    Raises:
        DeltaError: it is no JSON, or not of the form that the app takes.
    """
    form = 'A body such as {"text": "A fine film.", "delta": "reviews"}; lists give several.'
    try:
        data = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise DeltaError(f"The body is no JSON: {error}.", expected=form) from None
    if not isinstance(data, dict) or "text" not in data or data.keys() - {"text", "delta"}:
        odd = sorted(data.keys() - {"text", "delta"}) if isinstance(data, dict) else []
        what = f"it has {odd[0]!r}" if odd else 'it has no "text"' if isinstance(data, dict) else "it is no object"
        raise DeltaError(f"The body is not what /predict takes: {what}.", expected=form)
    texts: Any = data["text"]
    deltas: Any = data.get("delta")
    rows = next((len(value) for value in (texts, deltas) if isinstance(value, list)), 1)
    texts = texts if isinstance(texts, list) else [texts] * rows
    deltas = deltas if isinstance(deltas, list) else [deltas] * rows
    if len(texts) != len(deltas):
        raise DeltaError(f"There are {len(texts)} texts and {len(deltas)} deltas.", expected="As many of both, or one of either.")
    if rows > _MOST_ROWS:
        raise DeltaError(f"{rows} answers are too many at a time.", expected=f"At most {_MOST_ROWS}.")
    if any(not isinstance(name, str | None) for name in deltas):
        raise DeltaError("A delta's name is no text.", expected="A name, or null for the plain backbone.")
    return texts, deltas


def _json(status: int, data: dict[str, Any]) -> Reply:
    return Reply(int(status), json.dumps(data, ensure_ascii=False).encode())


def _error(status: int, what: str, nearest: Sequence[str] = ()) -> Reply:
    return _json(status, {"error": what, **({"nearest": list(nearest)} if nearest else {})})
