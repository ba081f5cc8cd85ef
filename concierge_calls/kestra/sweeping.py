"""Removes what children have left in a worker's state folder, once no start of them will ask for it any more."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

KEPT = 30 * 24 * 3600.0  # seconds; no task of Kestra's is started again after so long


def sweep(*, markers: Path, children: Path) -> None:
    """Remove the markers and the children's journals that nothing has touched for 30 days."""
    moment = time.time() - KEPT
    for path in _older(markers, moment):
        with suppress(OSError):
            path.unlink()
    for folder in _older(children, moment):
        shutil.rmtree(folder, ignore_errors=True)


def _older(folder: Path, moment: float) -> Iterator[Path]:
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in list(entries):
            with suppress(OSError):  # another child sweeps, too
                if entry.stat(follow_symlinks=False).st_mtime < moment:
                    yield Path(entry.path)
