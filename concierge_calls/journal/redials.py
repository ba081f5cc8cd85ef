"""The calls in doubt that are dialled once more because somebody asked for their numbers, and what became of that."""

from __future__ import annotations

import logging
from collections import deque

from concierge_calls.journal.entries import Attempt, Claim
from concierge_calls.models import Reason
from concierge_calls.plain import shown

log = logging.getLogger(__name__)


class Redials:
    """Whom this sitting dials again; nobody else does, and a later sitting only if it is asked to."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._asked: deque[Attempt] = deque()
        self._dialled: dict[int, Attempt] = {}  # by the id of the attempt that was made instead
        self._told: set[tuple[int, str]] = set()

    def __repr__(self) -> str:
        return f"<Redials {len(self._asked)} to be dialled, {len(self._dialled)} dialled>"

    @property
    def next(self) -> Attempt | None:
        """The attempt in doubt whose turn it is; None when nobody is left."""
        return self._asked[0] if self._asked else None

    def ask(self, in_doubt: Attempt) -> None:
        """Have this attempt followed by another one."""
        self._asked.append(in_doubt)

    def dialled(self, claim: Claim | Reason | None) -> None:
        """The next one was dialled, or this is why not; None: it is in doubt no longer."""
        in_doubt = self._asked.popleft()
        if isinstance(claim, Claim) and claim.attempt is not None:
            self._dialled[claim.attempt.id] = in_doubt
        elif isinstance(claim, Reason):
            log.warning("…%s is not dialled again: %s", in_doubt.asked.provider.last_four, claim.message)

    def put_back(self, attempt: Attempt, why: Reason | None, *, for_good: bool) -> None:
        """This attempt rang nobody: its call is in doubt as before, and unless that is for good it is dialled again."""
        in_doubt = self._dialled.pop(attempt.id, None)
        if in_doubt is None:  # an earlier sitting dialled it
            return
        if not for_good:
            self._asked.append(in_doubt)
        told = (attempt.index, "" if why is None else shown(why.message))
        if told not in self._told:  # a backend without a free line says so each time
            self._told.add(told)
            last_four = attempt.asked.provider.last_four
            log.warning("…%s was not dialled again, so its call stays in doubt: %s", last_four, told[1])
