"""What a worker finds of itself when it is checked: the version, the host, its own checks and the state folder."""

from __future__ import annotations

import json
import os
import re
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

VARIABLE: Final = "CONCIERGE_CHECK"
MADE: Final = "made"  # what became of the marker: this child made it,
SEEN: Final = "seen"  # or it was there already, as another child had made it
_NAME: Final = re.compile(r"[0-9a-f]{8,40}")
_OLD: Final = 24 * 3600.0  # seconds; a marker of a second child that saw no first one is left behind


def here(
    environ: Mapping[str, str], state_dir: Path, *, version: str, checks: Sequence[Mapping[str, str]]
) -> dict[str, object]:
    """Return what this machine is as a worker, and leave or take away the marker of this check in its state folder.

    `checks` are those of the key and the like, each with `name`, `state` and `sentence`.
    """
    found: dict[str, object] = {"version": version, "host": socket.gethostname(), "folder": str(state_dir)}
    try:
        found["marker"] = _mark(state_dir, _name(environ))
    except OSError as error:
        found["fault"] = error.strerror or type(error).__name__
    return found | {"checks": list(checks)}


def line(found: Mapping[str, object]) -> str:
    """Return the line by which Kestra takes a child's outputs: whole, and in ASCII."""
    return f"::{json.dumps({'outputs': {'check': found}}, separators=(',', ':'))}::\n"


def _name(environ: Mapping[str, str]) -> str:
    given = environ.get(VARIABLE, "")
    return given if _NAME.fullmatch(given) else os.urandom(8).hex()


def _mark(state_dir: Path, name: str) -> str:
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    for old in state_dir.glob("kestra-check-*"):
        if old.stat().st_mtime < time.time() - _OLD:
            old.unlink(missing_ok=True)
    marker = state_dir / f"kestra-check-{name}"
    try:
        marker.touch(mode=0o600, exist_ok=False)
    except FileExistsError:
        marker.unlink(missing_ok=True)
        return SEEN
    return MADE
