"""The model hub, as far as all that talk to it need the same: ids, tokens, and what went wrong in plain words.

The hub's own client does the talking. It reads ``HF_ENDPOINT``, ``HF_HUB_OFFLINE`` and the token of whoever is logged in.
"""

from __future__ import annotations

import errno
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from huggingface_hub import HfApi

__all__ = [
    "LOGIN",
    "TIMEOUT",
    "check_token",
    "checked_id",
    "explained",
    "hub_client",
    "hub_error",
    "is_hub_id",
    "is_offline",
    "is_unreachable",
    "unreachable",
]

LOGIN = "huggingface_hub.login()"
TIMEOUT = 10.0  # seconds for the first answer; the client itself would wait for ever
_SERVER = 500
_AGAIN = "The same can be run again: nothing is done twice."


def is_hub_id(text: str) -> bool:
    """Whether a text is of the form ``user/name``, as repositories on the hub are called.

    Example:
        >>> is_hub_id("ann/reviews"), is_hub_id("reviews"), is_hub_id("./reviews"), is_hub_id("a/b/c")
        (True, False, False, False)
    """
    return text.count("/") == 1 and not _fault(text)


def checked_id(repo: object, *, alone: bool = False) -> str:
    """The id of a repository, if it is one; the hub is not asked.

    Args:
        repo: ``user/name``.
        alone: whether the name alone will do.

    Raises:
        DeltaError: it is none; offers what may have been meant.

    Example:
        >>> checked_id("https://huggingface.co/ann/reviews")
        Traceback (most recent call last):
        ...
        deltanb._errors.DeltaError: 'https://huggingface.co/ann/reviews' is no id of a repository: ... Nearest: ann/reviews.
    """
    text = repo.strip() if isinstance(repo, str) else ""
    fault = _fault(text) if text else "it must be a text"
    if not fault and "/" not in text and not alone:
        fault = "it says no user"
    if not fault:
        return text
    near = re.sub(r"[^\w.-]+", "-", text.rpartition("/")[2]).strip("-.")
    owner = re.sub(r"[^\w.-]+", "-", text.rpartition("/")[0].rpartition("/")[2]).strip("-.") or "user"
    guess = re.sub(r"(-)-+|(\.)\.+", r"\1\2", f"{owner}/{near.removesuffix('.git')}")
    raise DeltaError(
        f"{repo!r} is no id of a repository: {fault}.",
        expected="An id is user/name, of letters, digits, - _ and a single dot between them.",
        nearest=[guess] if near and is_hub_id(guess) else [],
    )


def _fault(text: str) -> str:
    """What is wrong with an id by the hub's own rules; "" if nothing is."""
    from huggingface_hub import utils
    from huggingface_hub.errors import HFValidationError

    client: Any = utils
    try:
        client.validate_repo_id(text)
    except HFValidationError as error:
        return str(error).split(": '")[0].replace("`", "").rstrip(".:")
    return ""


def check_token(token: object) -> None:
    r"""Refuse what cannot be a token, without repeating it: the client's own error would show it whole.

    Raises:
        DeltaError: it is no text of plain characters.

    Example:
        >>> check_token("hf_abc\n")
        Traceback (most recent call last):
        ...
        deltanb._errors.DeltaError: This is no token of the hub: ...
    """
    if token is None or isinstance(token, bool) or (isinstance(token, str) and re.fullmatch(r"[!-~]+", token)):
        return
    raise DeltaError(
        "This is no token of the hub: it is empty, or has blanks or signs that no token has.",
        expected="A text such as hf_…; better none at all: log in once, and it stays out of the notebook.",
        try_=LOGIN,
    )


def is_offline() -> bool:
    """Whether the user has switched the hub off (``HF_HUB_OFFLINE=1``)."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def hub_client(*, token: str | bool | None = None, endpoint: str | None = None) -> HfApi:
    """The hub's client.

    Args:
        token: default: that of whoever is logged in; False for none.
        endpoint: address of the hub; default: the public one, or ``HF_ENDPOINT``.

    Raises:
        DeltaError: the token cannot be one.
    """
    from huggingface_hub import HfApi

    from deltanb._version import __version__

    check_token(token)
    return HfApi(endpoint=endpoint, token=token, library_name="deltanb", library_version=__version__)


@contextmanager
def explained(repo: str) -> Iterator[None]:
    """Whatever the client raises inside comes out as a `DeltaError`; mistakes of ours come out as they are."""
    try:
        yield
    except Exception as error:
        said = hub_error(error, repo)
        if said is None:
            raise
        raise said from None  # what the client raises may show the headers of a request


def hub_error(error: Exception, repo: str, also: str = "") -> DeltaError | None:
    """What an exception of the hub's client, or of the disk under its cache, means for the user.

    Args:
        error: what was raised.
        repo: which repository it was about.
        also: a sentence to add where another way is known.

    Returns:
        None where it is neither the hub's nor the disk's.
    """
    from huggingface_hub import errors

    if isinstance(error, errors.LocalEntryNotFoundError):  # a file could neither be asked for nor found in the cache
        error = error.__cause__ if isinstance(error.__cause__, errors.HfHubHTTPError) else errors.OfflineModeIsEnabled()
    if isinstance(error, errors.HfHubHTTPError):
        return _refused(error, repo, also)
    if is_unreachable(error):
        return unreachable(repo, late="Timeout" in type(error).__name__)
    if isinstance(error, ValueError):
        return _no_sense(error)
    return _disk(error, repo) if isinstance(error, OSError) else None


def _refused(error: Any, repo: str, also: str) -> DeltaError:
    """The hub answered, and said no."""
    from huggingface_hub import errors

    status = error.response.status_code
    if isinstance(error, errors.GatedRepoError):
        return DeltaError(
            f"The hub asks for consent before it gives {repo!r} away.",
            expected=f"Accept the terms on its page, then log in. {also}".strip(),
            try_=LOGIN,
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return DeltaError(f"The hub's {repo!r} has no such revision.", expected="A branch, a tag or a commit of it; default: main.")
    if isinstance(error, errors.RepositoryNotFoundError):
        return DeltaError(f"The hub has no model {repo!r}, or it is private.", expected=also or _both(), try_=LOGIN)
    told = _ANSWERS.get(status)
    if told:
        what, expected, try_ = (text.format(repo=repo, owner=repo.partition("/")[0]) for text in told)
        return DeltaError(what, expected=expected, try_=try_)
    fault = f"a fault of its own (HTTP {status})" if status >= _SERVER else f"HTTP {status}, {error.server_message or _first_line(error)}"
    return DeltaError(f"The hub failed with {repo!r}: {fault}.", expected=also or _AGAIN, try_="the same again in a minute")


def _both() -> str:
    return "It says the same of what is missing and of what you may not see: check the name, or log in with an account that may."


_ANSWERS = {
    401: ("The hub does not accept your token.", "It may be mistyped, expired or revoked; a new one is made in a minute.", LOGIN),
    403: (
        "You have no right to do this with {repo!r} on the hub.",
        "A token with write access, of an account that may write to {owner!r}; or a repository of your own.",
        LOGIN,
    ),
    409: ("Somebody else changed {repo!r} on the hub at the same moment.", _AGAIN, "the same again"),
    412: ("Somebody else changed {repo!r} on the hub at the same moment.", _AGAIN, "the same again"),
    429: ("The hub asks for patience: too many requests in a short time.", _AGAIN, "the same again in a few minutes"),
}


def _no_sense(error: ValueError) -> DeltaError | None:
    """The client could make nothing of an answer, or the hub nothing of a card."""
    if "Invalid metadata in README.md" in str(error):
        reason = " ".join(str(error).split("\n")[1:]).strip().lstrip("- ") or "it gives no reason"
        return DeltaError(f"The hub refuses the card's metadata: {reason}.", expected="A licence is an id such as mit or apache-2.0.")
    if type(error).__name__ == "JSONDecodeError":
        what = "What answers in the hub's place is no hub: a login page of this network, perhaps."
        return DeltaError(what, expected=_AGAIN, try_="open a web page first")
    return None


def is_unreachable(error: Exception) -> bool:
    """Whether no hub answered at all: no network, no server, too late, or switched off."""
    from huggingface_hub import errors

    transport: Any = errors.HfHubHTTPError.__mro__[1]  # the HTTP library's own base class; which library depends on the client
    return isinstance(error, (transport, errors.OfflineModeIsEnabled)) and not isinstance(error, errors.HfHubHTTPError)


def unreachable(repo: str, *, late: bool = False) -> DeltaError:
    """What there is to say where no hub answers.

    Args:
        repo: which repository was wanted.
        late: whether there was a connection, and no answer in time.
    """
    if is_offline():
        what = f"The hub is switched off here (HF_HUB_OFFLINE), so {repo!r} is out of reach."
        return DeltaError(
            what, expected="Without that setting, or with what is on this machine already.", try_="%delta load my-first-delta"
        )
    what = "The hub did not answer in time" if late else "No model hub can be reached"
    return DeltaError(f"{what}, so {repo!r} is out of reach.", expected=f"A working network. {_AGAIN}", try_="%delta load my-first-delta")


def _disk(error: OSError, repo: str) -> DeltaError:
    place = f" ({Path(error.filename).parent})" if isinstance(error.filename, (str, Path)) else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DeltaError(
            f"The disk is full{place}, so {repo!r} cannot be downloaded.", expected="Make room, or set HF_HOME to another disk."
        )
    reason = (error.strerror or _first_line(error)).lower()
    return DeltaError(
        f"{repo!r} cannot be kept on this machine{place}: {reason}.", expected="HF_HOME can name another folder for the cache."
    )


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".:") if lines else type(error).__name__
