"""The lock on a run: whoever holds it works on the run, and it dies with its process."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from concierge_calls.errors import RunLocked
from concierge_calls.journal.faults import explained


class RunLock:
    """One run's lock, held from the moment it is made."""

    def __init__(self, folder: Path, run_id: str) -> None:
        """Take the lock of this run among the `locks` of the folder.

        Raises RunLocked when another holds it, JournalError when the folder cannot be used.
        """
        self.path = folder / "locks" / f"{run_id}.lock"
        with explained(self.path):
            self._handle: int | None = self._take(run_id)

    def release(self) -> None:
        """Give the run to whoever comes next; once is enough, more does no harm."""
        if self._handle is None:
            return
        # The name goes first: whoever opened the old file meanwhile sees that it is gone, and makes a new one.
        with suppress(OSError):
            self.path.unlink()
        os.close(self._handle)
        self._handle = None

    def _take(self, run_id: str) -> int:
        while True:
            make_private_folder(self.path.parent)
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.fchmod(handle, 0o600)
                if self._is_still(handle):
                    return handle
            except BlockingIOError as error:
                worked_on = _is_worked_on(handle)
                os.close(handle)
                if not worked_on:  # somebody only looked, which is over in an instant
                    continue
                raise RunLocked(
                    f"Run {run_id} is being worked on by another process; wait until that one ends, "
                    f"or stop it, then: concierge-calls resume {run_id}"
                ) from error
            except BaseException:
                os.close(handle)
                raise
            os.close(handle)

    def _is_still(self, handle: int) -> bool:
        # Between opening and locking, the one before us may have removed the file: a lock on it would bind nobody.
        try:
            return os.path.samestat(os.fstat(handle), self.path.stat())
        except FileNotFoundError:
            return False


def is_held(folder: Path, run_id: str) -> bool:
    """Tell whether a process holds this run's lock now; raises JournalError when the folder cannot be used."""
    path = folder / "locks" / f"{run_id}.lock"
    with explained(path):
        try:
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            return _is_worked_on(handle)
        finally:
            os.close(handle)


def _is_worked_on(handle: int) -> bool:
    # Whoever works on a run holds its lock alone, and whoever looks shares it: only the former refuses a share.
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def make_private_folder(folder: Path) -> None:
    """Make the folder with mode 0700 whatever the umask; one that was there keeps the mode it has."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        if not folder.is_dir():
            raise
    else:
        folder.chmod(0o700)
