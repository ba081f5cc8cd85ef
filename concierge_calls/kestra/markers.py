"""The marks that a dial leaves in a folder before it leaves itself, so that no other start of its task dials it too."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from concierge_calls.errors import JournalError
from concierge_calls.journal.lock import make_private_folder


class Markers:
    """An empty file for each attempt to dial, named by its key; all workers that see the folder keep the promise."""

    def __init__(self, folder: Path) -> None:
        """Use this folder, which is made if there is none. Raises JournalError when it cannot be written."""
        self._folder = folder
        try:
            make_private_folder(folder)
            if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
                raise PermissionError("this user may not write there")
        except OSError as error:
            raise self._refused(error) from error

    def __repr__(self) -> str:
        return f"<Markers in {self._folder}>"

    def put(self, key: str) -> bool:
        """Mark that this attempt is about to be dialled, on the disk itself; False when it was marked before.

        Raises JournalError when it cannot be marked, and then no marker is left.
        """
        try:
            handle = os.open(self._folder / key, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            return False
        except OSError as error:
            raise self._refused(error) from error
        try:
            os.fsync(handle)
            self._sync()
        except OSError as error:
            self.take_back(key)
            raise self._refused(error) from error
        finally:
            os.close(handle)
        return True

    def take_back(self, key: str) -> None:
        """Forget the marker of an attempt by which certainly nobody was rung."""
        with suppress(OSError):  # one that stays makes a later attempt uncertain, which is the safe side
            (self._folder / key).unlink()
            self._sync()

    def beginning(self, beginning: str) -> frozenset[str]:
        """The marked keys that begin so. Raises JournalError."""
        try:
            return marked(self._folder, beginning)
        except OSError as error:
            raise self._refused(error) from error

    def _sync(self) -> None:
        folder = os.open(self._folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)  # the file's name is on the disk, too
        finally:
            os.close(folder)

    def _refused(self, error: OSError) -> JournalError:
        return JournalError(
            f"Who is dialled cannot be marked in {self._folder} ({error.strerror or error}), so nobody is dialled; give"
            " this user room and the right to write there, or set CONCIERGE_STATE_DIR to another folder."
        )


def marked(folder: Path, beginning: str) -> frozenset[str]:
    """Return the keys marked in a folder that begin so, be it one that cannot be written. Raises OSError."""
    with os.scandir(folder) as entries:
        return frozenset(entry.name for entry in entries if entry.name.startswith(beginning))
