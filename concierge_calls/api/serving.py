"""Serves until it is told to stop: opens the journal and the way to Vapi, takes runs up, and leaves them in order."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Final

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from concierge_calls.api.app import build
from concierge_calls.api.running import Runs
from concierge_calls.api.service import PREFIX, Service
from concierge_calls.errors import UsageError
from concierge_calls.exchange import exchange
from concierge_calls.journal import Journal
from concierge_calls.settings.loading import Settings

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
KEEP_ALIVE: Final = 75  # seconds, longer than clients pause: a connection closed in between looks like a lost reply
LAST_ANSWERS: Final = 10  # seconds for whoever still reads an answer
_NO_TOKEN: Final = (
    "{} is more than this machine, so whoever reaches it could have people called: set CONCIERGE_API_TOKEN, or listen"  # noqa: S105 -- a sentence
    " on 127.0.0.1."
)
_NO_SECRET: Final = "CONCIERGE_PUBLIC_URL is set, but VAPI_WEBHOOK_SECRET is not: Vapi's messages are answered 404."  # noqa: S105 -- a sentence

log = logging.getLogger("concierge_calls.api")


class Server(uvicorn.Server):
    """A server that leaves its runs in order before it closes."""

    def __init__(self, app: ASGIApp, runs: Runs, ready: Callable[[], object]) -> None:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=LAST_ANSWERS,
        )
        super().__init__(config)
        self._runs = runs
        self._ready = ready

    async def main_loop(self) -> None:
        """Say that it answers, and wait to be told to stop."""
        self._ready()
        await super().main_loop()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, leave the runs, and then let those go who wait for an answer."""
        for listener in (*self.servers, *(sockets or ())):
            listener.close()
        await self._runs.leave()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Have signals stop the server; one that was ignored when it began stays ignored."""
        loop = asyncio.get_running_loop()
        taken = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        for number in taken:
            loop.add_signal_handler(number, self._told)
        try:
            yield
        finally:
            for number in taken:
                loop.remove_signal_handler(number)

    def _told(self) -> None:
        self.force_exit = self.should_exit  # the second time nobody's answer is waited for
        self.should_exit = True


def serve(settings: Settings, *, host: str, port: int, simulate: bool, say: Callable[[str], object]) -> None:
    """Serve until a signal; `say` is told where, once it answers.

    Raises UsageError when it cannot or must not listen there, SettingsError when the key or the number is not set, and
    JournalError.
    """
    listener = listen(host, port, has_token=settings.api_token is not None)
    with listener, Journal(settings.journal_path(simulated=simulate)) as journal:
        asyncio.run(_serve(settings, journal, listener, host=host, simulate=simulate, say=say))


async def _serve(
    settings: Settings,
    journal: Journal,
    listener: socket.socket,
    *,
    host: str,
    simulate: bool,
    say: Callable[[str], object],
) -> None:
    public = settings.public_url
    if public is not None and settings.webhook_secret is None:
        log.warning(_NO_SECRET)
    server_url = None if public is None else f"{public}{PREFIX}/webhooks/vapi"
    async with exchange(settings, simulate=simulate, server_url=server_url) as shared:
        runs = Runs(journal, shared)
        service = Service(settings=settings, journal=journal, exchange=shared, runs=runs, host=host)
        runs.take_up_own()
        url = _url(host, listener)
        kind = " It is simulated: no phone rings." if simulate else ""
        server = Server(_logged(build(service)), runs, lambda: say(f"Listening on {url} (Ctrl-C ends it).{kind}"))
        await server.serve(sockets=[listener])


def listen(host: str, port: int, *, has_token: bool) -> socket.socket:
    """Return a socket that listens there; raises UsageError."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError, OverflowError):
        raise UsageError(f"--host {host} is no address of this machine; use 127.0.0.1.") from None
    if not (has_token or ip_address(str(address[0]).partition("%")[0]).is_loopback):
        raise UsageError(_NO_TOKEN.format(host))
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise UsageError(f"{host}:{port} cannot be used ({error.strerror}); choose another --host or --port.") from None
    return listener


def _url(host: str, listener: socket.socket) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listener.getsockname()[1]}"


def _logged(app: ASGIApp) -> ASGIApp:
    """Log each answer by its route, never by what stood in the address: that may be anybody's number."""

    async def logged(scope: Scope, receive: Receive, send: Send) -> None:
        began, status = time.monotonic(), 0

        async def sent(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await app(scope, receive, sent)
        finally:
            if scope["type"] == "http":
                route = getattr(scope.get("route"), "path", "(no route)")
                log.info("%s %s %s, %.3f s", _method(scope), route, status or "-", time.monotonic() - began)

    return logged


def _method(scope: Scope) -> str:
    method = str(scope["method"])
    return method if method.isalpha() and len(method) <= 7 else "(no method)"
