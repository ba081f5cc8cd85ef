"""One call's life from its placing to its final outcome: what is known of it, and what is to be done next."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from concierge_calls.backend import ENDING, RINGING, Placed, Stage
from concierge_calls.models import Reason
from concierge_calls.vapi.schemas import Call

NEVER: Final = float("inf")

# Vapi, OpenAPI Call.status; a status that is not here (not-found, deletion-failed, a new one) moves nothing.
_STAGES: Final = {
    "ringing": Stage.RINGING,
    "in-progress": Stage.IN_PROGRESS,
    "forwarding": Stage.IN_PROGRESS,
    "ended": Stage.ENDED,
}
_ORDER: Final = list(Stage)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long following waits for what, in seconds."""

    overlap: float = 2.0  # how far a whole look of the feed reaches back before the newest change seen
    whole: float = 1.0  # from one whole look to the next; those in between, at a short interval, are glances
    glance: float = 0.25  # how far one of these reaches back
    fresh: float = 60.0  # a call that was placed longer ago is asked for by its id when following begins
    sweep: float = 60.0  # a live call of which the feed told nothing for so long is asked for by its id
    fast_sweep: float = 10.0  # the same, where it was never seen, while the feed fails, once that missed a change
    analysis: tuple[float, ...] = (5.0, 15.0, 45.0)  # after the end, the analysis is asked for by the call's id
    ringing: float = RINGING
    slack: float = ENDING  # beyond ringing and its own limit, before a call is overdue
    blocked: float = 30.0  # for a free line, before a call is withdrawn
    again: float = 2.0  # between two tries to end a call
    stuck: float = 60.0  # for a call to end that was hung up, before it is given up
    shut_out: float = 900.0  # of nothing but refusals, before calls are followed no longer
    unseen: float = 180.0  # of nothing but word that Vapi does not know the call, before that is told
    forgotten: float = 3600.0  # beyond its deadline, before a call that Vapi does not know is lost


class Why(StrEnum):
    """Why a call is to be ended before its time."""

    USER = "user"
    DEADLINE = "deadline"
    NO_LINE = "no_line"  # it still waits for a line; only this one leaves a call alone that began to ring


class Do(StrEnum):
    """What to do next for a call."""

    TELL = "tell"  # it has come further
    SIGHT = "sight"  # Vapi has not known it for long, or knows it again
    LOSE = "lose"  # Vapi no longer knows it
    GIVE_UP = "give_up"  # it would not end
    HANG_UP = "hang_up"
    ASK = "ask"  # for the call, by its id
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Step:
    """What to do next: tell which stage, or wait for how many seconds at most."""

    do: Do
    seconds: float = NEVER
    stage: Stage = Stage.ENDED


@dataclass(slots=True, eq=False, kw_only=True)
class Life:
    """What is known of one call that is followed; times are in Vapi's clock."""

    placed: Placed
    deadline: datetime
    pace: Pace
    heard_at: datetime  # when the feed or an answer last told of it, or an answer last failed to come
    call: Call | None = None  # as Vapi last showed it
    told: Stage | None = None  # what was last told to whoever follows
    absent_since: datetime | None = None  # since then Vapi's only answer has been that it does not know the call
    absent_for: timedelta = timedelta()  # how long after that it last said so
    unseen: bool = False  # it was told that Vapi has not known the call for long
    asking: bool = False  # a question by its id is under way
    asks: int = 0  # how many of the moments to ask for its analysis are over
    answered_at: datetime | None = None  # when Vapi last answered a question by its id, with whatever
    ended_at: datetime | None = None
    ending: bool = False  # somebody is at ending it
    unwanted: bool = False  # the user asked for its end
    to_be_deleted: bool = False  # an answer showed that it waits, and it is to wait no longer
    may_be_deleted: bool = False  # that intent is committed
    deleted: bool = False  # a DELETE was sent, or may have been by an earlier process
    rang: bool = False  # Vapi has shown that a phone rings, or that somebody took the call
    hurried: bool = False  # it is not to wait for a line any longer
    cut: Reason | None = None  # why we hung up, once that may have had its effect
    resisting_since: datetime | None = None
    given_up: bool = False
    fault: Exception | None = None  # what broke on our side; it is raised in whoever follows
    news: asyncio.Event = field(default_factory=asyncio.Event)
    heralded: set[str] = field(default_factory=set)  # what somebody else said has become of it
    tasks: set[asyncio.Task[None]] = field(default_factory=set)  # what goes on beside its following
    alarm: asyncio.Task[None] | None = None  # that one of them which wakes whoever follows, if nothing else does
    alarm_at: float = NEVER  # in the loop's time

    def __post_init__(self) -> None:
        # Whether the DELETE left before an earlier process died cannot be known. If it did not, and somebody else
        # deleted the call since, that is taken for ours, and a row whose phone certainly never rang is dialled again.
        self.may_be_deleted = self.deleted = self.placed.withdrawing

    def __repr__(self) -> str:
        status = self.call.status if self.call else "not seen"
        return f"<Life of {self.id}: {status}, told {self.told or 'nothing'}>"

    @property
    def id(self) -> str:
        """The call's id at Vapi."""
        return self.placed.call_id

    @property
    def absent(self) -> bool:
        """Whether Vapi's last answer was that it does not know the call."""
        return self.absent_since is not None

    @property
    def is_over(self) -> bool:
        """Whether Vapi has shown that it ended."""
        return stage_of(self.call) is Stage.ENDED

    @property
    def waits(self) -> bool:
        """Whether it waits for a free line, as far as is known."""
        return self.placed.blocked if self.call is None else self.shows_waiting(self.call)

    @property
    def awaits_commit(self) -> bool:
        """Whether it is to be deleted as soon as that intent is committed."""
        return self.to_be_deleted and self.waits and not self.may_be_deleted

    @property
    def control_url(self) -> str | None:
        """Where the live call takes orders (Vapi, call-features), when that is known."""
        return (self.call and self.call.monitor.control_url) or self.placed.control_url

    def shows_waiting(self, call: Call) -> bool:
        """Whether this answer shows a call that waits for a free line; what it leaves out was said at the placing."""
        limits = call.subscription_limits
        blocked = limits.concurrency_blocked if limits.model_fields_set else self.placed.blocked
        return call.status == "scheduled" or (call.status == "queued" and blocked)

    def hear(self, call: Call, now: datetime) -> None:
        """Take in what Vapi showed; an older picture, from a slower one of its machines, tells only that it rang."""
        if call.status == "not-found":
            self.miss(now)
            return
        self.heard_at, self.absent_since, self.absent_for = now, None, timedelta()
        self.rang = self.rang or stage_of(call) in (Stage.RINGING, Stage.IN_PROGRESS)
        if rank(call) >= rank(self.call):
            self.call = call
            if self.is_over and self.ended_at is None:
                self.ended_at = min(call.ended_at or now, now)
        self.news.set()

    def leave(self) -> None:
        """End what goes on beside its following."""
        for task in self.tasks:
            task.cancel()
        self.tasks, self.alarm = set(), None  # such a task holds the life, and whatever was said in the call, for long

    def miss(self, now: datetime) -> None:
        """Take in that Vapi does not know the call."""
        self.heard_at = now
        self.absent_since = self.absent_since or now
        self.absent_for = now - self.absent_since
        self.news.set()


def stage_of(call: Call | None) -> Stage | None:
    """How far the call has come; None while nobody's phone rings."""
    return _STAGES.get(call.status or "") if call else None


def rank(call: Call | None) -> int:
    """A number that grows while a call goes on; -1 for one that was never seen."""
    stage = stage_of(call)
    return (-1 if call is None else 0) if stage is None else _ORDER.index(stage) + 1


def ending_due(life: Life, now: datetime) -> Why | None:
    """Why the call is to be ended now, if it is."""
    if life.is_over or life.given_up:
        return None
    if life.unwanted:
        return Why.USER
    if now >= life.deadline:
        return Why.DEADLINE
    return Why.NO_LINE if life.waits and now >= _patience_ends(life) else None


def is_lost(life: Life, now: datetime) -> bool:
    """Whether a call that Vapi does not know is past the time in which that may be lag."""
    return life.absent and (life.deleted or now >= life.deadline + timedelta(seconds=life.pace.forgotten))


def is_unseen(life: Life) -> bool:
    """Whether Vapi has said for so long that it does not know the call that this is hardly lag."""
    return life.absent_for >= timedelta(seconds=life.pace.unseen)


def on_the_line(life: Life, now: datetime, sweep: float) -> Step:
    """What to do for a call that has not ended; `sweep` is how many seconds of silence are borne."""
    stage = stage_of(life.call)
    if stage is Stage.ENDED:
        return Step(Do.TELL)
    if is_lost(life, now):
        return Step(Do.LOSE)
    if life.given_up:
        return Step(Do.GIVE_UP)
    if life.unseen is not is_unseen(life):
        return Step(Do.SIGHT)
    if stage and (life.told is None or _ORDER.index(stage) > _ORDER.index(life.told)):
        return Step(Do.TELL, stage=stage)
    if life.awaits_commit:
        return Step(Do.TELL, stage=Stage.WITHDRAWING)
    if not life.ending and ending_due(life, now):
        return Step(Do.HANG_UP)
    is_seen = life.call is not None and not life.absent
    next_sweep = life.heard_at + timedelta(seconds=sweep if is_seen else life.pace.fast_sweep)
    may_ask = not (life.ending or life.asking)
    if may_ask and now >= next_sweep:
        return Step(Do.ASK)
    moments = [life.deadline, *([_patience_ends(life)] if life.waits else []), *([next_sweep] if may_ask else [])]
    return Step(Do.WAIT, min(((moment - now).total_seconds() for moment in moments if moment > now), default=NEVER))


def after_the_end(life: Life, now: datetime, timeout: float, *, awaited: bool) -> Step:
    """What to do for a call that has ended; `awaited` says that its analysis is due and not all there.

    That it is missing is believed when Vapi has answered after `timeout` seconds, not because it could not be asked.
    """
    end = life.ended_at or now
    over = end + timedelta(seconds=timeout)
    if not awaited or (life.answered_at and life.answered_at >= over):
        return Step(Do.TELL, stage=Stage.SETTLED)
    if life.asking:
        return Step(Do.WAIT)
    moments = [moment for moment in life.pace.analysis if moment < timeout] + [timeout]
    passed = moments_passed(life, now, timeout)
    if passed > life.asks:
        return Step(Do.ASK)
    if passed < len(moments):
        return Step(Do.WAIT, end.timestamp() + moments[passed] - now.timestamp())
    next_ask = life.heard_at + timedelta(seconds=life.pace.again)
    return Step(Do.ASK) if now >= next_ask else Step(Do.WAIT, (next_ask - now).total_seconds())


def moments_passed(life: Life, now: datetime, timeout: float) -> int:
    """How many of the moments to ask for the analysis, the last one at `timeout`, are over."""
    elapsed = (now - (life.ended_at or now)).total_seconds()
    return sum(moment <= elapsed for moment in life.pace.analysis if moment < timeout) + (timeout <= elapsed)


def was_heard(life: Life) -> bool:
    """Whether anything shows that a phone rang, so that the call is never placed again, whatever its reason says."""
    call = life.call
    spoken = call is not None and (call.started_at is not None or bool(call.artifact.messages))
    return life.rang or life.placed.rang or spoken


def _patience_ends(life: Life) -> datetime:
    if life.hurried:
        return life.placed.created_at
    return life.placed.created_at + timedelta(seconds=life.pace.blocked)
