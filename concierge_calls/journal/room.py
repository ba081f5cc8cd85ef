"""Room on the disk that is kept for the results of the calls on the line, and given up once the disk is full."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from concierge_calls.errors import JournalFull
from concierge_calls.journal.faults import explained

FOR_A_CALL = 512 * 1024  # bytes; what is said in five minutes, as the backend and as we keep it, is half of that
MOST_CALLS = 64  # more hardly end at one moment, and the disk is not ours
_BLOCK = bytes(64 * 1024)


def wanted(calls: int) -> int:
    """Return how many bytes are kept for so many calls on the line."""
    return FOR_A_CALL * (1 + min(calls, MOST_CALLS))


def free_beside(path: Path) -> int:
    """Return how many bytes this user may still write on the disk of this file; raises JournalError."""
    with explained(path):
        disk = os.statvfs(path.parent)
    return disk.f_bavail * disk.f_frsize


class Room:
    """So much of the disk that so many calls on the line can end on it; it is in a file that dies with the run."""

    def __init__(self, path: Path, calls: int) -> None:
        """Take the room in this file. Raises JournalFull when the disk has not so much."""
        self._size = wanted(calls)
        self._path = path
        self._guard = threading.Lock()  # given up by the thread that writes, taken again and closed by another
        self._held = False
        with explained(path):
            self._file: int | None = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            self._take()
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"<Room of {self._size} bytes, {'held' if self._held else 'given up'}>"

    @property
    def is_held(self) -> bool:
        """Whether the disk was never full, or has room again."""
        return self._held

    def give_up(self) -> bool:
        """Let the journal have the room; whether there was any."""
        with self._guard:
            had, self._held = self._held, False
            if had and self._file is not None:
                os.ftruncate(self._file, 0)
            return had

    def take_again(self) -> bool:
        """Hold the room, and say whether the disk has so much now."""
        try:
            self._take()
        except JournalFull:
            return False
        return True

    def close(self) -> None:
        """Let the room go for good; once is enough, more does no harm."""
        self.give_up()
        with self._guard:
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def _take(self) -> None:
        with self._guard, explained(self._path):
            if self._held or self._file is None:
                return
            try:
                for start in range(0, self._size, len(_BLOCK)):
                    os.pwrite(self._file, _BLOCK, start)  # a file with a hole in it would hold nothing
                os.fsync(self._file)
            except OSError:
                os.ftruncate(self._file, 0)
                raise
            self._held = True
