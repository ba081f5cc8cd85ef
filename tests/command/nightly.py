"""examples/nightly.sh run as cron runs it, with a command that notes how it is called."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
from pathlib import Path
from typing import Any

from tests.command.conftest import COMMAND, LONGEST

EXAMPLES = Path(__file__).parents[2] / "examples"
NIGHTLY = EXAMPLES / "nightly.sh"


class Nightly:
    """Runs nightly.sh as cron does, in the test's own folder, with a command that notes how it is called."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        self.folder = folder
        self.results = folder / "results"
        self.command = scratch / "command"
        self.left = scratch / "tmp"
        self.left.mkdir()
        self._notes = scratch / "notes"
        self.stand_in(f'exec {shlex.quote(COMMAND)} "$@"')
        self._started: list[subprocess.Popen[str]] = []

    def stand_in(self, script: str) -> None:
        """Have the command do this."""
        self.command.write_text(f'#!/bin/sh\necho "$$ $*" >>{shlex.quote(str(self._notes))}\n{script}\n')
        self.command.chmod(0o755)

    def start(self, *options: str, **settings: str) -> subprocess.Popen[str]:
        """Begin the job, in a process group of its own."""
        environ = {
            **os.environ,
            "CONCIERGE": str(self.command),
            "REQUEST": "",
            "TMPDIR": str(self.left),
            **settings,
        }
        self._started.append(
            subprocess.Popen(
                [str(NIGHTLY), *options],
                cwd=self.folder,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        )
        return self._started[-1]

    def finish(self, job: subprocess.Popen[str]) -> tuple[int, str]:
        """Wait for the end, and return the exit code and the mail with what differs from run to run replaced."""
        mail, _ = job.communicate(timeout=LONGEST)
        assert list(self.left.iterdir()) == []
        mail = mail.replace(str(self.folder), "FOLDER").replace(str(self.command), "COMMAND")
        mail = re.sub(r"\d{4}-\d\d-\d\dT\d{6}", "WHEN", mail)
        return job.returncode, re.sub(r"\d{8}-[a-z2-9]{8}", "RUN", mail)

    def __call__(self, *options: str, **settings: str) -> tuple[int, str]:
        """Run the job to its end."""
        return self.finish(self.start(*options, **settings))

    @property
    def called(self) -> list[str]:
        """How the command was called, one line each time, without where the document goes."""
        lines = [line.split(" ", 1)[1] for line in self._notes.read_text().splitlines()]
        return [re.sub(r" --output \S+", "", re.sub(r"\d{8}-[a-z2-9]{8}", "RUN", line)) for line in lines]

    @property
    def process(self) -> int:
        """The process of the command that was called last."""
        return int(self._notes.read_text().splitlines()[-1].split()[0])

    @property
    def document(self) -> Any:
        """The one document that was kept."""
        [path] = self.results.glob("*.json")
        return json.loads(path.read_text())

    def close(self) -> None:
        """End what a test has left running."""
        for job in self._started:
            if job.poll() is None:
                os.killpg(job.pid, signal.SIGKILL)
            job.communicate()
