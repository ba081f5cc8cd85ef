"""Kills the installed command with -9, at random moments and at every named point, and counts what it cost.

Run by hand: python tests/crashes/campaign.py --kills 200 --seed 1 [--jobs 4] [--points 8] [--broken reversed]

A run of 20 to 40 providers on 5 to 10 lines is begun, killed, resumed, killed again, until its share of the kills is
used up or nobody is left to call; then it is resumed once more and left alone, and the simulator's ledger is compared
with the document, which must by then be in the file that was asked for, to the letter as `show` tells it. A third of
the kills come within 50 ms of a create that reached the simulator. Only kills count that left a row `dialing` or
`placed`. The exit code is 1 when a promise was broken.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

if not __package__:  # run as a script
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from concierge_calls.simulator import SimulatorOptions
from tests.crashes.planted import POINTS
from tests.crashes.verdict import Verdict, compare
from tests.crashes.world import NUMBERS, Left, Sitting, World, let_go

CREATE_DELAY = 0.6
LIST_LAG = 0.2  # seconds, where a run dies at a named point
NEAR = 0.05  # seconds after a create
WANTED_NEAR = 0.4  # of the kills; towards the end of a run fewer creates come than are waited for
PAUSE = (0.4, 2.0)  # seconds from the beginning of a sitting to a kill that no create decides
KILLS_A_RUN = 20
PROMISES = ("rung_twice", "lost", "without_id", "missing", "unexplained", "old_document")
OUTPUT = ("before_document", "half_a_document", "before_rename", "after_rename")
WITHDRAWAL = ("before_delete", "delete_sent")
ONCE = (*OUTPUT, *WITHDRAWAL)  # passed once in a run for certain


@dataclass
class Figures:
    """What one run, or all of them, came to."""

    runs: int = 0
    kills: int = 0  # that count
    idle_kills: int = 0  # that found nobody on the line
    near: int = 0  # of those that count, within 50 ms of a create
    providers: int = 0
    in_flight: int = 0  # creates at a kill
    never_rang: int = 0  # uncertain rows
    unreached: int = 0  # named points at which nobody died
    seconds: float = 0.0
    broken: Counter[str] = field(default_factory=Counter)
    odd: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        kept = ", ".join(f"{self.broken[name]} {name.replace('_', ' ')}" for name in PROMISES)
        return (
            f"{self.kills} kills counted ({self.near} near a create, {self.idle_kills} more did not count), "
            f"{self.runs} runs, {self.providers} providers: {kept}; {self.never_rang} uncertain that never rang, "
            f"{self.in_flight} creates in flight at a kill; {self.unreached} points not reached; {self.seconds:.0f} s"
        )

    @property
    def kept(self) -> bool:
        """Whether every promise was kept, and nothing odd was said or written."""
        return not self.broken.total() and not self.odd and not self.unreached

    def add(self, other: Figures) -> None:
        """Add another run's figures."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def judge(self, verdict: Verdict) -> None:
        """Add what is wrong with one run."""
        self.broken.update({name: len(found) for name, found in verdict.broken.items()})
        self.never_rang += len(verdict.never_rang)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One run of a campaign; the same plan kills at the same moments, as far as the machine lets it."""

    seed: int
    kills: int = KILLS_A_RUN
    providers: int | None = None
    lines: int | None = None
    planted: str | None = None  # in every process
    last: str | None = None  # in the last resume alone
    point: str | None = None  # instead of kills at random moments


def killed_at_random(plan: Plan) -> Figures:
    """Begin a run, kill and resume it as the seed has it, and judge what came of it."""
    began = time.monotonic()
    chance = random.Random(plan.seed)  # noqa: S311 -- decides moments, keeps no secrets
    options = SimulatorOptions(
        speed=60.0, seed=plan.seed, create_delay=CREATE_DELAY, lose_replies=0.15, list_lag=1.0, talk=(60.0, 180.0)
    )
    providers, lines = plan.providers or chance.randint(20, 40), plan.lines or chance.randint(5, 10)
    with World(options, providers=providers, lines=lines) as world:
        figures = Figures(runs=1, providers=providers)
        dialing: dict[str, float] = {}
        for sitting, near in _kills(world, plan, chance, figures):
            killed_at = time.time()
            left = world.left()
            figures.odd += _oddities(sitting, world)
            if left.counts:
                figures.kills += 1
                figures.near += near
                # The first kill that met an attempt tells whether it was in flight; later ones find it in doubt.
                dialing = dict.fromkeys(left.dialing.values(), killed_at) | dialing
            else:
                figures.idle_kills += 1
            if figures.kills >= plan.kills or _is_done(left):
                break
        _finish(world, plan, figures, dialing)
    figures.seconds = time.monotonic() - began
    return figures


def killed_at_point(plan: Plan) -> Figures:
    """Begin a run that dies at its named point, resume it, and judge what came of it."""
    began = time.monotonic()
    point = plan.point or ""
    name = point.partition(":")[0]
    impatient = "impatient" if name in WITHDRAWAL else None
    with World(_options_at(name, plan.seed), providers=plan.providers or 10, lines=plan.lines or 3) as world:
        figures = Figures(runs=1, providers=len(world.numbers))
        world.output.write_text("an earlier document")
        died = world.batch(planted=",".join(filter(None, (plan.planted, impatient, point)))).finish()
        killed_at = time.time()
        world.simulator.options.list_lag = LIST_LAG
        let_go(world.simulator)
        left = world.left()
        figures.unreached += died != -9
        figures.kills += died == -9
        figures.odd += _half_written(world, point)
        _finish(world, plan, figures, dict.fromkeys(left.dialing.values(), killed_at))
    figures.seconds = time.monotonic() - began
    return figures


def _options_at(name: str, seed: int) -> SimulatorOptions:
    """Return the options with which the point is reached: a lost reply, or a call that has to wait for a line.

    What has the point reached holds until somebody has died there, however long that takes.
    """
    options = SimulatorOptions(speed=100.0, seed=seed, list_lag=LIST_LAG, talk=(10.0, 40.0))
    if name == "unseen":
        options.list_lag, options.lose_replies = 3600.0, 1.0
    if name in WITHDRAWAL:
        options.lines, options.lines_shape = 1, "blocked"
        options.stuck = dict.fromkeys(NUMBERS, "in-progress")
    return options


def _kills(world: World, plan: Plan, chance: random.Random, figures: Figures) -> Iterator[tuple[Sitting, bool]]:
    """Begin sittings and kill them, so many near a create; ends when one came to its own end."""
    # On a slow machine a command may be killed again and again before it has dialled anybody: it gets more time.
    while True:
        sitting = world.take_up(planted=plan.planted)
        near = figures.near <= figures.kills * WANTED_NEAR and _saw_a_create(world, sitting)
        pause = chance.uniform(0.0, NEAR) if near else chance.uniform(*PAUSE) + 0.2 * figures.idle_kills
        if sitting.ends_within(pause):
            return
        sitting.kill()
        yield sitting, near


def _saw_a_create(world: World, sitting: Sitting) -> bool:
    """Wait until a create has come, or the process has ended, or nothing has happened for a while."""
    before = world.simulator.ledger()["requests"]["create"]
    for _ in range(1500):
        if world.simulator.ledger()["requests"]["create"] > before:
            return True
        if sitting.ends_within(0.002):
            return False
    return False


def _is_done(left: Left) -> bool:
    """Whether only what is in doubt is left, which further kills would have looked for from the beginning."""
    return left.run is not None and not any(left.states[state] for state in ("pending", "placed", "ended"))


def _finish(world: World, plan: Plan, figures: Figures, dialing: dict[str, float]) -> None:
    last = world.take_up(planted=",".join(filter(None, (plan.planted, plan.last))) or None)
    code = last.finish()
    figures.odd += _oddities(last, world)
    if code not in (0, 3):
        figures.odd.append(f"the last resume ended with {code}: {last.said}")
    ledger, run = world.simulator.ledger(), world.left().run or ""
    shown = world.shown(run)
    document = json.loads(shown)
    figures.judge(compare(world.numbers, ledger, document, dialing))
    if ledger["peak"] > world.lines:
        figures.odd.append(f"{ledger['peak']} calls were on {world.lines} lines")
    window = world.simulator.options.create_delay + NEAR
    figures.in_flight += sum(_was_in_flight(ledger, number, at - window) for number, at in dialing.items())
    if figures.never_rang > figures.in_flight:
        figures.odd.append("more rows are uncertain that never rang than creates were in flight")
    if not world.output.exists() or world.output.read_text() != shown:
        figures.broken["old_document"] += 1


def _was_in_flight(ledger: Any, number: str, since: float) -> bool:
    """Whether this number's create had not come, or came so late that it cannot have been answered at the kill."""
    entry = ledger["numbers"].get(number)
    return entry is None or any(call["createdAt"] >= since for call in entry["calls"])


def _oddities(sitting: Sitting, world: World) -> Iterator[str]:
    said = sitting.said
    if "Traceback" in said or "bug" in said or any(number in said for number in world.numbers):
        yield said


def _half_written(world: World, point: str) -> Iterator[str]:
    text = world.output.read_text()
    if text != "an earlier document":
        try:
            json.loads(text)
        except ValueError:
            yield f"killed at {point}, a document was there by half"


def at_random(kills: int, seed: int, planted: str | None) -> Iterable[Plan]:
    """Return the runs of a campaign of so many kills, one for each twenty."""
    return [Plan(seed=seed * 1000 + run, planted=planted) for run in range(-(-kills // KILLS_A_RUN) + kills // 100)]


def at_points(times: int, seed: int, planted: str | None) -> Iterable[Plan]:
    """Return a run for each named point, and for each of the first times that it is passed."""
    for name in POINTS:
        for nth in range(1, times + 1):
            point = f"{name}:{1 if name in ONCE else nth}"
            yield Plan(seed=seed * 1000 + nth, planted=planted, point=point)


def mortal() -> None:
    """Have SIGTERM end this process in order, so that the commands that it began end with it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


def work(plan: Plan) -> tuple[Plan, Figures]:
    """Carry out one plan."""
    return plan, killed_at_random(plan) if plan.point is None else killed_at_point(plan)


def main() -> None:
    """Carry out the campaign that the options ask for, and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=200, help="kills at random moments")
    parser.add_argument("--points", type=int, default=0, help="so many times at each named point")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="runs at once")
    parser.add_argument("--broken", choices=["reversed", "forgetful"], help="the promise to take out beforehand")
    options = parser.parse_args()
    plans = [*at_random(options.kills, options.seed, options.broken)]
    plans += at_points(options.points, options.seed, options.broken)
    began, total = time.monotonic(), Figures()
    mortal()
    with get_context("spawn").Pool(options.jobs, initializer=mortal, maxtasksperchild=1) as pool:
        for plan, figures in pool.imap_unordered(work, plans):
            print(f"seed {plan.seed}{f' at {plan.point}' if plan.point else ''}: {figures}", *figures.odd, sep="\n  ")
            total.add(figures)
    total.seconds = time.monotonic() - began
    print(f"all: {total}")
    sys.exit(0 if total.kept else 1)


if __name__ == "__main__":
    main()
