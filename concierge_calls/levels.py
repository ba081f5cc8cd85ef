"""How many calls the backend takes at once, as far as its refusals tell."""

from __future__ import annotations

import math

FIRST_QUIET = 1.0  # seconds after a refusal for lack of lines, before one more call is tried
LONGEST_QUIET = 120.0
LONGEST_ALONE = 30.0  # the same while no call of ours is on the line


class Levels:
    """How many calls may be on the line at once, as far as refusals tell.

    A call that is refused while n - 1 others have their lines closes level n: for a second, and for twice as long each
    time that it is refused again. A call that gets its line opens its level and all below, and the next one after
    another second.
    """

    def __init__(self) -> None:
        self._closed: dict[int, tuple[float, float]] = {}  # level -> until when, after a wait of how many seconds

    def __repr__(self) -> str:
        return f"<Levels refused: {', '.join(map(str, sorted(self._closed))) or 'none'}>"

    def opens(self, level: int) -> float:
        """Return from when on so many calls may be on the line at once."""
        return max((until for each, (until, _) in self._closed.items() if each <= level), default=-math.inf)

    def is_probe(self, level: int) -> bool:
        """Whether one of so many calls was refused before, so that one more is no more than a try."""
        return any(each <= level for each in self._closed)

    def refused(self, level: int, now: float) -> None:
        """One of so many calls got no line; those that were dialled together and refused together are one refusal."""
        until, wait = self._closed.get(level, (-math.inf, 0.0))
        if now >= until:
            wait = min(LONGEST_ALONE if level == 1 else LONGEST_QUIET, 2 * wait or FIRST_QUIET)
            self._closed[level] = now + wait, wait

    def served(self, level: int, now: float) -> None:
        """So many calls have their lines."""
        opened = [each for each in self._closed if each <= level]
        for each in opened:
            del self._closed[each]
        if opened:
            self._closed.setdefault(level + 1, (now + FIRST_QUIET, FIRST_QUIET))
