"""Where the document goes: stdout, a file whole or not at all, or straight into a device or a pipe."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from concierge_calls.errors import OutputError
from concierge_calls.models import Format

Writer = Callable[[IO[str]], object]
STDOUT = "-"
UNFINISHED = ".unfinished"  # ends the name of a document that is not whole yet


class Output:
    """A place for the document, tried before the first dial and written at the end."""

    def __init__(self, target: str, others: Iterator[str] | None = None) -> None:
        """Write to `target`; where it must be a new file, `others` has the names to take if that one is taken."""
        self.target = target
        self._others = others

    def __repr__(self) -> str:
        return f"<Output {self.target}>"

    @classmethod
    def chosen(cls, option: str | None, source: str, format_: Format = Format.JSON) -> Output:
        """Return where the document goes: where the user said, else stdout, else a new file beside the user.

        A terminal is no place for a document, so there it goes to `./<providers file's stem>.results.<format>`,
        or to the next free name of that kind rather than over another run's.
        """
        if option is not None:
            return cls(option if option == STDOUT else os.path.abspath(option))
        if sys.stdout is None or not sys.stdout.isatty():
            return cls(STDOUT)
        names = _new_names("providers" if source == STDOUT else Path(source).stem, format_)
        return cls(next(name for name in names if not os.path.lexists(name)), names)

    @property
    def is_stdout(self) -> bool:
        """Whether the document goes to stdout."""
        return self.target == STDOUT

    @property
    def is_on_terminal(self) -> bool:
        """Whether somebody sees it appear where other things are shown."""
        return self.is_stdout and sys.stdout is not None and sys.stdout.isatty()

    @property
    def was_chosen_by_us(self) -> bool:
        """Whether it is a new file because stdout is a terminal, and nobody said where."""
        return self._others is not None

    def check(self) -> None:
        """Find out before anybody is dialled whether it can be written; raises OutputError if not."""
        if self.is_stdout:
            _stdout()
            return
        try:
            if _is_special(self.target):
                if not os.access(self.target, os.W_OK):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))  # one place says it
                return
            path = Path(os.path.realpath(self.target))
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))  # one place says it
            handle, name = _temporary(path)
            os.unlink(name)
            os.close(handle)
        except OSError as error:
            raise self._refused(error) from error

    def write(self, writer: Writer) -> None:
        """Write the document; a regular file is there whole (mode 0600, synced) or as it was before.

        Raises OutputError when it cannot be written, BrokenPipeError when nobody reads stdout any more.
        """
        if self.is_stdout:
            write_to_stdout(writer)
            return
        try:
            if _is_special(self.target):  # the name itself: what /dev/stdout or /dev/fd/63 leads to may have none
                with open(self.target, "w", encoding="utf-8") as file:
                    writer(file)
            else:
                self._write_whole(writer)
        except OSError as error:
            raise self._refused(error) from error

    def _write_whole(self, writer: Writer) -> None:
        path = Path(os.path.realpath(self.target))
        _sweep(path)
        handle, name = _temporary(path)
        try:
            with open(handle, "w", encoding="utf-8") as file:
                writer(file)
                file.flush()
                os.fsync(file.fileno())
                self._publish(name, path)  # while it is locked
        finally:
            with suppress(FileNotFoundError):  # it has its own name by now
                os.unlink(name)
        _sync_folder(path.parent)

    def _publish(self, name: str, path: Path) -> None:
        if self._others is not None:
            for other in (self.target, *self._others):
                try:
                    os.link(name, other)  # fails where a file is, so that another run's stays
                except FileExistsError:
                    continue
                except OSError:  # a file system without links
                    break
                self.target = other
                return
        os.replace(name, path)

    def _refused(self, error: OSError) -> OutputError:
        why = error.strerror or type(error).__name__
        return OutputError(f"{self.target} cannot be written ({why}); choose another place with --output.")


def write_to_stdout(writer: Writer) -> None:
    """Write to stdout in UTF-8, whatever the locale.

    Raises BrokenPipeError when nobody reads it any more, OutputError for a full disk and the like.
    """
    try:
        with open(_stdout(), "w", encoding="utf-8", closefd=False) as file:
            writer(file)
    except BrokenPipeError:
        raise
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise OutputError(f"stdout cannot be written ({why}); choose a file with --output.") from error


def forget_stdout() -> None:
    """Let what Python still flushes at exit vanish, now that nobody reads stdout, instead of becoming a traceback."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _stdout() -> int:
    if sys.stdout is None:  # the process was started without one
        raise OutputError("stdout is closed; choose a file with --output.")
    return sys.stdout.fileno()


def _new_names(stem: str, suffix: str) -> Iterator[str]:
    for number in range(1, 10_000):
        yield os.path.abspath(f"{stem}.results{f'-{number}' if number > 1 else ''}.{suffix}")


def _is_special(target: str) -> bool:
    with suppress(FileNotFoundError):
        mode = os.stat(target).st_mode
        return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
    return False


def _temporary(path: Path) -> tuple[int, str]:
    while True:
        handle, name = tempfile.mkstemp(prefix=_prefix(path), suffix=UNFINISHED, dir=path.parent)
        if _is_locked(handle) and os.path.exists(name):  # nobody swept it before
            return handle, name
        os.close(handle)


def _is_locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks, on which nobody sweeps
        return True
    return True


def _sweep(path: Path) -> None:
    """Remove what processes left that were killed while they wrote this document; a living one holds its lock."""
    names = []
    with suppress(OSError):
        names = os.listdir(path.parent)
    for name in names:
        if name.startswith(_prefix(path)) and name.endswith(UNFINISHED):
            with suppress(OSError):
                _remove_unless_locked(path.parent / name)


def _remove_unless_locked(path: Path) -> None:
    handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    finally:
        os.close(handle)


def _prefix(path: Path) -> str:
    return f".{path.name[:50]}."


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)  # the new name is on the disk, too
    finally:
        os.close(handle)
