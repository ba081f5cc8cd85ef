"""A script task: really a process of the worker, in a fresh folder, as facts 10 tells of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# As in Java, a dot is no line separator of any kind: a raw U+2028 makes the line an ordinary one (facts 10).
OUTPUTS = re.compile("^::(\\{[^\n\r\u0085\u2028\u2029]*\\})::$")


@dataclass
class Ended:
    """What came of a child."""

    exit_code: int = 0
    timed_out: bool = False
    printed: dict[str, Any] = field(default_factory=dict)
    log: list[tuple[str, str]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether the task failed."""
        return self.timed_out or self.exit_code != 0


class Children:
    """The processes that this worker has started and that may live."""

    def __init__(self, environment: Mapping[str, str], work: Path, time_from: Path | None = None) -> None:
        """Give them this environment, and folders in `work`; their time counts from when there is that file."""
        work.mkdir(parents=True, exist_ok=True)
        self._environment = environment
        self._work = work
        self._time_from = time_from
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()

    def run(
        self,
        key: str,
        script: str,
        env: Mapping[str, str],
        files: Mapping[str, bytes],
        wanted: list[str],
        seconds: float | None,
        starting: AbstractContextManager[object],
        on_start: Callable[[int], None],
    ) -> Ended:
        """Run a child to its end and return what came of it; raises OSError if it cannot be started.

        It is started, and `on_start` is told its number, within `starting`, so that nobody hears of it any later.
        Its environment is the worker's and its own; on a timeout it gets SIGTERM and nothing else, and its end is
        waited for however long that takes (facts 10).
        """
        folder = Path(tempfile.mkdtemp(dir=self._work))
        try:
            for name, content in files.items():
                (folder / name).write_bytes(content)
            environment = {**self._environment, **env, "WORKING_DIR": str(folder)}
            with starting:
                process = subprocess.Popen(
                    ["/bin/sh", "-c", f"set -e\n{script}"],
                    cwd=folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
                with self._lock:
                    self._processes[key] = process
                on_start(process.pid)
            if seconds is not None:
                self._until_time_counts(process)
            ended = _awaited(process, seconds)
            ended.files = {name: (folder / name).read_bytes() for name in wanted if (folder / name).is_file()}
            return ended
        finally:
            with self._lock:
                self._processes.pop(key, None)
            shutil.rmtree(folder, ignore_errors=True)

    def _until_time_counts(self, process: subprocess.Popen[bytes]) -> None:
        while self._time_from and not self._time_from.exists() and process.poll() is None:
            time.sleep(0.01)

    def terminate(self, key: str) -> None:
        """Send SIGTERM to a child and all that it started; nothing follows it (facts 11)."""
        with self._lock:
            process = self._processes.get(key)
        if process:
            _signal(process.pid, signal.SIGTERM)

    def living(self) -> list[str]:
        """Return the keys of those that live."""
        with self._lock:
            return list(self._processes)

    def reap(self) -> None:
        """Kill whatever still lives, as no server does: a test leaves nothing behind."""
        with self._lock:
            processes = list(self._processes.values())
        for process in processes:
            _signal(process.pid, signal.SIGKILL)


def outputs_in(line: str) -> dict[str, Any]:
    """Return the outputs that a line carries; none unless the whole line is `::{"outputs": {...}}::` (facts 10)."""
    found = OUTPUTS.match(line)
    if not found:
        return {}
    try:
        said = json.loads(found[1])
    except ValueError:
        return {}
    outputs = said.get("outputs")
    return outputs if isinstance(outputs, dict) else {}


def _awaited(process: subprocess.Popen[bytes], seconds: float | None) -> Ended:
    timed_out = False
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        timed_out = True
        _signal(process.pid, signal.SIGTERM)
        output, _ = process.communicate()
    ended = Ended(exit_code=_shell_code(process.returncode), timed_out=timed_out)
    for line in re.split("\r\n|\r|\n", output.decode("utf-8", "replace")):
        printed = outputs_in(line)
        ended.printed |= printed  # a later line replaces a key (facts 10)
        if line and not printed:
            ended.log.append(("INFO", line))
    return ended


def _shell_code(code: int) -> int:
    return 128 - code if code < 0 else code


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
