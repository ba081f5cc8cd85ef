"""Puts the app on a loopback port: in a thread of its own for tests and `--simulate`, or in the foreground."""

import signal
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Self

from concierge_calls.simulator.options import SimulatorOptions

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from concierge_calls.simulator.serving import Server

_HOST: Final = "127.0.0.1"


class Simulator:
    """A Vapi on a loopback port, in a daemon thread with a loop of its own; it dies with the process."""

    def __init__(self, options: SimulatorOptions | None = None, port: int = 0) -> None:
        from concierge_calls.simulator.account import Account
        from concierge_calls.simulator.ledger import Requests

        self.options = options or SimulatorOptions()
        self.url = ""
        self._port = port
        self._account = Account(self.options)
        self._requests = Requests()
        self._running: tuple[Server, threading.Thread] | None = None

    def __repr__(self) -> str:
        return f"<Simulator {self.url or 'not started'} {self._account!r}>"

    def start(self) -> None:
        """Begin to accept connections on `url`.

        Raises:
            OSError: the port is taken.
        """
        from concierge_calls.simulator.serving import Server

        listener = _listen(self._port)
        self._port = listener.getsockname()[1]  # kept, so that one that was stopped comes back at the same address
        self.url = f"http://{_HOST}:{self._port}"
        server = Server(self._app())
        thread = threading.Thread(target=server.work, args=(listener,), name="simulator", daemon=True)
        self._running = server, thread
        thread.start()
        server.ready.wait()

    def stop(self) -> None:
        """Stop answering and wait for the thread; calls go on in the ledger all the same."""
        if self._running:
            server, thread = self._running
            server.tell()
            thread.join()
            self._running = None

    def ledger(self) -> dict[str, Any]:
        """Return the same as `GET /ledger`, from any thread and also after `stop`."""
        from concierge_calls.simulator.ledger import ledger

        return ledger(self._account, self._requests)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def _app(self) -> "Starlette":
        from concierge_calls.simulator.app import build

        return build(self._account, self._requests)


def app(options: SimulatorOptions) -> "Starlette":
    """Return the ASGI app by itself, with an account of its own."""
    return Simulator(options)._app()


def run(options: SimulatorOptions, port: int, on_ready: Callable[[str], None]) -> None:
    """Serve in the foreground until Ctrl-C or SIGTERM, which end it quietly; `on_ready` is told the URL.

    Raises:
        OSError: the port is taken.
    """
    signals = {signal.SIGINT, signal.SIGTERM}
    # Blocked before the thread starts, which inherits it: so the signal waits for sigwait and strikes nowhere else.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        with Simulator(options, port) as simulator:
            on_ready(simulator.url)
            signal.sigwait(signals)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _listen(port: int) -> socket.socket:
    # Named as TCP, or asyncio would leave Nagle's algorithm on, which holds up every second write for 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((_HOST, port))
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    return listener
