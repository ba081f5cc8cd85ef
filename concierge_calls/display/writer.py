"""Writes to a stream, during a run in a thread of its own, so that a stream that stalls holds up no call."""

from __future__ import annotations

import logging
import os
import select
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from io import UnsupportedOperation
from queue import Empty, SimpleQueue
from typing import IO, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")

Compose = Callable[[Sequence[str]], str]


class Writer:
    """Writes what is said in its order; a stream that is gone ends the writing and nothing else.

    `compose` makes of what was said since it was last asked the text that is written. With `every`, a number of
    seconds, it is asked that often while the thread runs, though nothing was said.
    """

    def __init__(self, stream: IO[str] | None, compose: Compose = "".join, every: float | None = None) -> None:
        self._stream = stream
        self._compose = compose
        self._every = every
        self._queue: SimpleQueue[str | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._turn = threading.Lock()  # held to look for the thread, so that nothing is queued when it is gone
        self._writing = threading.Lock()  # held from asking for a text until it is written

    def say(self, text: str) -> None:
        """Write the text, at once where no thread runs, else as soon as the stream takes it."""
        with self._turn:
            if self._thread is None:
                self._write([text])
            else:
                self._queue.put(text)

    def start(self) -> None:
        """Begin to write in a thread, so that `say` never waits."""
        with self._turn:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="display", daemon=True)
                self._thread.start()

    def settle(self, seconds: float) -> None:
        """Wait until the text is written that was asked for last, so many seconds at most."""
        if self._writing.acquire(timeout=seconds):
            self._writing.release()

    def close(self) -> None:
        """Wait until everything is written, and write at once from here on."""
        if (thread := self._thread) is None:
            return
        self._queue.put(None)
        thread.join()
        with self._turn:
            self._thread = None
            if late := self._left():
                self._write(late)

    def _work(self) -> None:
        texts: list[str | None] = []
        while None not in texts:
            texts = self._said()
            self._write([text for text in texts if text is not None])

    def _said(self) -> list[str | None]:
        texts: list[str | None] = []
        with suppress(Empty):
            texts.append(self._queue.get(timeout=self._every))
            while texts[-1] is not None:
                texts.append(self._queue.get_nowait())
        return texts

    def _left(self) -> list[str]:
        texts: list[str | None] = []
        with suppress(Empty):
            while True:
                texts.append(self._queue.get_nowait())
        return [text for text in texts if text is not None]

    def _write(self, texts: Sequence[str]) -> None:
        with self._writing:
            self._compose_and_put(texts)

    def _compose_and_put(self, texts: Sequence[str]) -> None:
        if self._stream is None:
            return
        try:
            text = self._compose(texts)
        except Exception:  # a fault in the drawing must not swallow the sentences that follow
            log.exception("The run cannot be drawn any more; it goes on, and what is said is still written.")
            self._compose, self._every = "".join, None
            text = "".join(texts)
        try:
            if text:
                _put(self._stream, text)
        except (OSError, ValueError):
            self._stream = None


def _put(stream: IO[str], text: str) -> None:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    data = text.encode(encoding, "backslashreplace")
    handle = _handle(stream)
    if handle is None:
        stream.write(data.decode(encoding))
        stream.flush()
        return
    # What a stream of Python's has taken of a text when it would block nobody can tell, so its file is written to.
    _patiently(handle, stream.flush)
    while data:
        data = data[_patiently(handle, partial(os.write, handle, data)) :]


def _handle(stream: IO[str]) -> int | None:
    try:
        return stream.fileno()
    except UnsupportedOperation:
        return None


def _patiently(handle: int, work: Callable[[], T]) -> T:
    # Somebody else may have made the terminal non-blocking; it takes more when it has shown what it has.
    while True:
        try:
            return work()
        except BlockingIOError:
            select.select([], [handle], [])
