"""The web server under the simulator: uvicorn, quiet and quick to stop."""

import asyncio
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from concierge_calls.simulator.replies import HANG_UP

_KEEP_ALIVE_SECONDS: Final = 75  # longer than any client pauses: a connection closed in between would look like a fault

_LAST_BYTES_SECONDS: Final = 1.0
_TURNS_OF_A_NEWCOMER: Final = 3  # of the event loop, until a connection that was accepted just now is known


class Server(uvicorn.Server):
    """A server that runs in a thread of its own until it is told to stop, from any other."""

    def __init__(self, app: ASGIApp) -> None:
        config = uvicorn.Config(
            _with_a_way_to_hang_up(app),
            log_config=None,
            lifespan="off",
            ws="none",
            http="h11",
            loop="asyncio",
            date_header=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        )
        super().__init__(config)
        self.ready = threading.Event()
        self._told = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def work(self, listener: socket.socket) -> None:
        """Serve on a listening socket; what the thread runs."""
        try:
            with _quiet(threading.get_ident()):
                asyncio.run(self.serve(sockets=[listener]))
        finally:
            self.ready.set()

    async def main_loop(self) -> None:
        """Wait for `tell`, where uvicorn looks for it ten times a second."""
        self._loop = asyncio.get_running_loop()
        self.ready.set()
        await self._told.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the doors at once: whoever still waits for a reply gets none."""
        for door in [door for server in self.servers for door in server.sockets]:
            asyncio.get_running_loop().remove_reader(door.fileno())
        for _ in range(_TURNS_OF_A_NEWCOMER):  # asyncio loses one that was accepted when the listener is closed at once
            await asyncio.sleep(0)
        for listener in (*self.servers, *(sockets or ())):
            listener.close()
        tasks, left = list(self.server_state.tasks), self.server_state.connections
        for connection in list(left):
            connection.shutdown()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_BYTES_SECONDS):
                while left:  # noqa: ASYNC110 -- uvicorn has no event for it
                    await asyncio.sleep(0.001)
        for connection in list(left):  # whose other end reads no more
            connection.transport.abort()
        await asyncio.sleep(0)

    def tell(self) -> None:
        """Ask the server to stop."""
        if self._loop:
            self._loop.call_soon_threadsafe(self._told.set)


@contextmanager
def _quiet(thread: int) -> Iterator[None]:
    """Drop what uvicorn logs in this thread; its loggers are the whole process's, and stay as they are."""
    loggers = [logging.getLogger(f"uvicorn.{each}") for each in ("error", "access")]

    def elsewhere(record: logging.LogRecord) -> bool:
        return record.thread != thread

    for logger in loggers:
        logger.addFilter(elsewhere)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(elsewhere)


def _with_a_way_to_hang_up(app: ASGIApp) -> ASGIApp:
    async def outermost(scope: Scope, receive: Receive, send: Send) -> None:
        # uvicorn's `send` is a method of the object that holds the connection.
        cycle: Any = getattr(send, "__self__", None)
        scope[HANG_UP] = cycle.transport.close
        await app(scope, receive, send)

    return outermost
