"""Starts a double: in threads of the test itself, or as a process that can be killed and started again."""

from __future__ import annotations

import base64
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.kestra.double.api import Api
from tests.kestra.double.children import Children
from tests.kestra.double.engine import Engine
from tests.kestra.double.options import Options
from tests.kestra.double.store import Record, Store
from tests.kestra.double.web import Server

ROOT = Path(__file__).resolve().parents[3]


class Double:
    """A Kestra on a loopback port, in threads of this process; its state is in a folder."""

    def __init__(
        self, options: Options, folder: Path, port: int = 0, environment: Mapping[str, str] | None = None
    ) -> None:
        self.options = options
        self._folder = folder
        self._port = port
        self._environment = environment

    def __enter__(self) -> Self:
        environment = dict(os.environ if self._environment is None else self._environment)
        store = Store(self._folder)
        self.children = Children(environment, self._folder / "work", self.options.time_from)
        self.engine = Engine(self.options, store, self.children, _secrets(environment))
        api = Api(self.options, store, self.engine)
        self._server = Server(api, self._port)
        self._port = self._server.server_address[1]
        self.url = self._server.url
        self.engine.recover(api.flow_of)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()
        self.engine.stop()

    def close(self) -> None:
        """Answer nobody more; what runs, runs on."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Process:
    """A Kestra on a loopback port as a process of its own, which can be killed with -9 and started again."""

    def __init__(self, folder: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._arguments = arguments
        self._environment = environment
        self._port = "0"
        self._held = socket.socket()
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.kill()
        self._held.close()
        for pid in _not_ended(Store(self._folder).ledger()):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)

    def start(self, *more: str) -> None:
        """Start it, at the same address as before; with these arguments, too, as long as it lives."""
        if self._port == "0" and sys.platform == "linux":
            self._hold_a_port()
        command = [sys.executable, "-m", "tests.kestra.double", "--state", str(self._folder), "--port", self._port]
        self._process = subprocess.Popen(
            [*command, *self._arguments, *more], cwd=ROOT, env=self._environment, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        self._port = self.url.rpartition(":")[2]

    def _hold_a_port(self) -> None:
        # Bound and never listening, it refuses everybody while no server is there, and nobody else is given the port.
        # Both have SO_REUSEADDR, with which Linux lets a server listen beside it.
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._held.bind(("127.0.0.1", 0))
        self._port = str(self._held.getsockname()[1])

    def kill(self, number: int = signal.SIGKILL) -> None:
        """End it by a signal, and wait for its end; its children live on as orphans (facts 11)."""
        self.send(number)
        self.wait()

    def send(self, number: int) -> None:
        """Send it a signal."""
        if self._process:
            self._process.send_signal(number)

    def wait(self) -> None:
        """Wait for its end."""
        if self._process:
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None


def _not_ended(ledger: list[Record]) -> list[int]:
    # By now the number of one that has ended may be somebody else's.
    ended = {(line["run"], line["attempt"]) for line in ledger if line["event"] == "end"}
    return [line["pid"] for line in ledger if line["event"] == "start" and (line["run"], line["attempt"]) not in ended]


def _secrets(environment: Mapping[str, str]) -> dict[str, str]:
    # SECRET_NAME=base64 in the server's environment, also in the open-source edition (facts 10).
    secrets = {name[7:]: value for name, value in environment.items() if name.startswith("SECRET_")}
    return {name: base64.b64decode(value).decode() for name, value in secrets.items()}
