"""What went wrong between us and Kestra, in sentences: a pure reading of its answers, or of what came instead."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from socket import gaierror
from typing import Final, Literal, TypeVar

import httpx

from concierge_calls.errors import KestraInDoubt, KestraRefused, KestraUnreachable
from concierge_calls.kestra.refusals import Answer, shows, words
from concierge_calls.plain import shown

E = TypeVar("E", bound=BaseException)
Credentials = Literal["none", "basic", "token"]

_LONGEST_QUOTE: Final = 300
_MISSING_TYPE: Final = re.compile(r"Invalid type: ([\w.]+)")


@dataclass(frozen=True, slots=True)
class Place:
    """Where Kestra is and as whom it is spoken to, as far as a sentence needs it; `hide` are the secrets."""

    address: str
    tenant: str = "main"
    credentials: Credentials = "none"
    is_plain: bool = False
    hide: tuple[str, ...] = field(default=(), repr=False)

    def quote(self, text: str) -> str:
        """Return other people's words for a sentence of ours: on one line, shortened, without numbers and secrets."""
        for secret in self.hide:
            text = text.replace(secret, "***")
        return shown(text, _LONGEST_QUOTE)

    def refusal(self, what: str, answer: Answer) -> KestraRefused:
        """Return the error for a question about `what` that was answered with no."""
        said, status = words(answer.body), answer.status
        sentence, is_kestras = next((text, theirs) for fits, text, theirs in _RULES if fits(answer, said, self))
        message = sentence.format(
            what=what,
            status=status,
            says=f"; it says: {self.quote(said)}" if said else "",
            shows=self._shows(answer.body),
            address=self.address,
            tenant=self.quote(self.tenant),
            to=self.quote(httpx.URL(answer.location).host) if _is_address(answer.location) else "elsewhere",
            type=self.quote(missing_type(said)),
        )
        return KestraRefused(
            message[:1].upper() + message[1:] if message.startswith(what) else message, status if is_kestras else 0
        )

    def unanswered(self, what: str, answer: Answer) -> KestraUnreachable:
        """Return the error for a question about `what` that was answered with a failure on the way, or of Kestra's."""
        return KestraUnreachable(
            f"Kestra at {self.address} could not be asked for {what}: HTTP {answer.status} ({self._says(answer)}). "
            "See whether it is up, and its own log, then try again."
        )

    def unreadable(self, what: str, body: bytes) -> KestraRefused:
        """Return the error for an answer about `what` that is not what Kestra answers."""
        return KestraRefused(
            f"What {self.address} answered about {what} is not Kestra's ({self._shows(body)}). "
            "Set KESTRA_URL to the address of Kestra itself, without /ui and without /api."
        )

    def unreachable(self, error: BaseException) -> KestraUnreachable:
        """Return the error for a request that failed on the way."""
        return KestraUnreachable(self._what_happened(error))

    def in_doubt(self, why: str) -> KestraInDoubt:
        """Return the error for a start of which the answer does not tell whether it happened."""
        return KestraInDoubt(f"{why}, so Kestra may have started the run, and it is not started again by itself.")

    def doubt(self, answer: Answer) -> KestraInDoubt:
        """Return the error for a start that was answered with neither a yes nor a no."""
        return self.in_doubt(f"The start was answered with HTTP {answer.status} ({self._says(answer)})")

    def lost(self, error: BaseException) -> KestraInDoubt:
        """Return the error for a start of which the reply was lost."""
        return self.in_doubt(f"Kestra's reply was lost ({type(error).__name__})")

    def _shows(self, body: bytes) -> str:
        what, text = shows(body)
        return f"{what}: {self.quote(text)}" if text else what

    def _says(self, answer: Answer) -> str:
        said = words(answer.body)
        return f"it says: {self.quote(said)}" if said else self._shows(answer.body)

    def _what_happened(self, error: BaseException) -> str:
        causes = list(_causes(error))
        if unverified := _first(causes, ssl.SSLCertVerificationError):
            return (
                f"The certificate of {self.address} cannot be verified ({self.quote(unverified.verify_message)}). "
                "If your organisation signs its own, name the file of its authority in SSL_CERT_FILE."
            )
        if broken := _first(causes, ssl.SSLError):
            return (
                f"{self.address} does not speak TLS as it should ({self.quote(_reason(broken))}). "
                "If this Kestra has none, KESTRA_URL begins with http://."
            )
        if _first(causes, gaierror):
            return f"The host of {self.address} is not known. Check KESTRA_URL and the network."
        if _first(causes, httpx.ProxyError):
            return f"The proxy on the way to {self.address} refused. Check HTTPS_PROXY and NO_PROXY."
        if _first(causes, ConnectionRefusedError):
            return f"Nothing listens at {self.address}. Start Kestra there, or check KESTRA_URL."
        if _first(causes, httpx.TimeoutException) or _first(causes, TimeoutError):
            return f"Kestra at {self.address} did not answer in time. See whether it is up, then try again."
        name = type(error).__name__
        tls = " If this Kestra has TLS, KESTRA_URL begins with https://." if self.is_plain else ""
        return f"The connection to Kestra at {self.address} broke ({name}). See whether it is up, then try again.{tls}"


def missing_type(said: str) -> str:
    """Return the type of task that a server does not know by what it says of a flow; empty for another fault."""
    found = _MISSING_TYPE.search(said)
    return found[1] if found else ""


def will_last(error: BaseException) -> bool:
    """Whether the same request would fail in the same way a moment later."""
    return _first(list(_causes(error)), ssl.SSLCertVerificationError) is not None


def _is_address(location: str) -> bool:
    try:
        return bool(httpx.URL(location).host)
    except httpx.InvalidURL:
        return False


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Return an error and all that it came from, groups opened."""
    unopened: list[BaseException | None] = [error]
    seen: set[int] = set()
    while unopened:
        item = unopened.pop(0)
        if item is None or id(item) in seen:
            continue
        seen.add(id(item))
        yield item
        unopened += [*(item.exceptions if isinstance(item, BaseExceptionGroup) else ()), item.__cause__]
        unopened.append(item.__context__)


def _reason(error: ssl.SSLError) -> str:
    reason = getattr(error, "reason", None)  # OpenSSL's word for it, where the error is OpenSSL's
    return reason.replace("_", " ").lower() if isinstance(reason, str) else "no reason given"


def _first(causes: list[BaseException], kind: type[E]) -> E | None:
    return next((cause for cause in causes if isinstance(cause, kind)), None)


_Fits = Callable[[Answer, str, Place], bool]

# Read from the top, the first that fits: its sentence, and whether it was Kestra that answered.
_RULES: Final[tuple[tuple[_Fits, str, bool], ...]] = (
    (
        lambda it, _, place: it.status == 401 and place.credentials == "none",
        "Kestra at {address} wants credentials (HTTP 401). Set KESTRA_USERNAME and KESTRA_PASSWORD.",
        True,
    ),
    (
        lambda it, _, place: it.status == 401 and place.credentials == "token",
        "Kestra at {address} does not accept KESTRA_API_TOKEN (HTTP 401). Only its Enterprise edition knows tokens: "
        "make a new one there, or set KESTRA_USERNAME and KESTRA_PASSWORD instead.",
        True,
    ),
    (
        lambda it, *_: it.status == 401,
        "Kestra at {address} does not accept KESTRA_USERNAME and KESTRA_PASSWORD (HTTP 401). "
        "Copy them once more; on a new server set its first user before.",
        True,
    ),
    (
        lambda it, *_: it.status == 403,
        "Kestra at {address} does not let these credentials at {what} (HTTP 403{says}). "
        "Give their user the right to it, or set those of another.",
        True,
    ),
    (
        lambda it, *_: it.status == 407,
        "The proxy on the way to {address} wants credentials of its own (HTTP 407). Check HTTPS_PROXY and NO_PROXY.",
        False,
    ),
    (
        lambda it, *_: 300 <= it.status < 400,
        "{address} sends us to {to} (HTTP {status}), which nothing is sent to unasked. "
        "Set KESTRA_URL to the address at which Kestra itself answers.",
        False,
    ),
    (
        lambda it, *_: it.status == 413,
        "{what} is more than {address} takes at once (HTTP 413). "
        "Raise the limit of Kestra or of the proxy before it, or make two files of the providers file.",
        True,
    ),
    (
        lambda _, said, __: "tenant must be" in said.lower(),
        "Kestra at {address} has no tenant {tenant} (HTTP {status}{says}). "
        "Set KESTRA_TENANT to one that it has: main, as a rule.",
        True,
    ),
    (
        lambda _, said, __: missing_type(said) != "",
        "Kestra at {address} does not know {type}, so a plugin is missing there. "
        "Install it (see https://kestra.io/plugins) and restart Kestra, then: concierge-calls kestra check.",
        True,
    ),
    (
        lambda it, said, _: it.status == 409 and "disabled" in said.lower(),
        "Kestra at {address} has {what} disabled. Enable it there, then try again.",
        True,
    ),
    (
        lambda it, said, _: it.status == 404 and (bool(said) or not it.body),
        "Kestra at {address} does not know {what} (HTTP 404). "
        "See what is there, and whether KESTRA_TENANT and KESTRA_NAMESPACE are right: concierge-calls kestra check",
        True,
    ),
    (
        lambda it, said, _: not said,
        "What answers at {address} about {what} is not Kestra (HTTP {status}, {shows}). "
        "Set KESTRA_URL to the address of Kestra itself, without /ui and without /api.",
        False,
    ),
    (
        lambda *_: True,
        "Kestra at {address} did not accept {what} (HTTP {status}{says}). "
        "See what is in the way with: concierge-calls kestra check",
        True,
    ),
)
