"""What can be asked of the simulator: its pace, its seed and every fault it can have."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

REFUSALS: Final = ("key", "number", "assistant", "credits", "credits-ended", "daily-limit", "body")
LINES_SHAPES: Final = ("400", "blocked", "ended", "429")
ANALYSES: Final = ("late", "frozen", "missing")
STUCK: Final = ("queued", "ringing", "in-progress")


@dataclass(slots=True, kw_only=True)
class SimulatorOptions:
    """The simulator's settings, read anew by each request, so that a fault can begin or end while it runs.

    Durations marked (real) are seconds on the wall; (simulated) ones are divided by `speed`. Fractions are 0 to 1,
    and which of the creates they hit is drawn from `seed` and the number.
    """

    speed: float = 1.0
    """Everything simulated goes this many times faster; a call keeps the pace it was created with."""
    seed: int = 0
    """Decides all that the last digit of the number does not."""
    create_delay: float = 0.0
    """(real) `POST /call` answers this late; the phone rings before the reply."""
    reply_delay: float = 0.0
    """(real) Every other reply is this late."""
    lose_replies: float = 0.0
    """Fraction of creates that dial, whereupon the connection closes without a reply."""
    fail_before: float = 0.0
    """Fraction of creates answered 503 with nobody dialled."""
    fail_after: float = 0.0
    """Fraction of creates answered 500 although the phone rings."""
    fail_reads: float = 0.0
    """Fraction of reads (get, list, phone number, assistant) answered 503."""
    html_errors: bool = False
    """The failures above come as the HTML page of a proxy."""
    refuse: str | None = None
    """What Vapi refuses: `key` `number` `assistant` `credits` `daily-limit` `body`; `credits-ended`: after a 201."""
    rate_limit: int = 0
    """Requests in a UTC minute, beyond which Vapi answers 429; 0 is no limit."""
    lines: int = 0
    """Calls that the account may have on the line; 0 is no limit."""
    lines_shape: str = "400"
    """What a call too many looks like: `400`, `blocked` (Vapi dials it later), `ended` or `429`."""
    list_lag: float = 0.0
    """(real) The list shows a new call, and each change of one, this late."""
    get_lag: float = 0.0
    """(real) `GET /call/{id}` answers 404 for a call younger than this."""
    analysis_delay: float = 4.0
    """(simulated) The analysis comes this long after the end."""
    analysis: str = "late"
    """`late` (it comes, and `updatedAt` moves), `frozen` (it comes, `updatedAt` does not move) or `missing`."""
    talk: tuple[float, float] | None = None
    """(simulated) A conversation lasts between so long and so long; None: as long as its script takes to say."""
    endings: dict[str, str] = field(default_factory=dict)
    """Number -> endedReason that its calls end with, whatever their last digit."""
    stuck: dict[str, str] = field(default_factory=dict)
    """Number -> the status (`queued` `ringing` `in-progress`) that its calls never leave by themselves."""
    deaf: bool = False
    """The control URL answers 200 and nobody hangs up."""
    provider: str = "twilio"
    """Who carries the phone number; `vapi` is one of the free numbers."""
    clock_skew: float = 0.0
    """(real) Vapi's clock, also in `Date`, is this many seconds ahead of this machine's; read at the start only."""
    reject_keys: frozenset[str] | set[str] = frozenset()
    """API keys that are answered 401."""

    def __post_init__(self) -> None:
        for name in _CHOICES:
            _chosen(name, getattr(self, name))


_CHOICES: Final[dict[str, tuple[str | None, ...]]] = {
    "refuse": (None, *REFUSALS),
    "lines_shape": LINES_SHAPES,
    "analysis": ANALYSES,
}


def change(options: SimulatorOptions, values: Mapping[str, Any]) -> None:
    """Set the fields named in `values`, as JSON has them; all or none.

    Raises:
        ValueError: a name, a type or a word that the options do not have.
    """
    read = {name: _read(name, value) for name, value in values.items()}
    for name, value in read.items():
        setattr(options, name, value)


def as_json(options: SimulatorOptions) -> dict[str, Any]:
    """Return the options with JSON's types, as `PUT /options` takes them."""
    plain = {each.name: getattr(options, each.name) for each in fields(options)}
    return plain | {"reject_keys": sorted(options.reject_keys)}


def _read(name: str, value: Any) -> Any:
    blank = {each.name: getattr(SimulatorOptions(), each.name) for each in fields(SimulatorOptions)}
    if name not in blank:
        raise ValueError(f"no option {name!r}")
    if name in _CHOICES:
        return _chosen(name, value)
    if name == "talk":
        return _talk(value)
    if name == "reject_keys":
        return frozenset(map(str, _typed(name, value, list)))
    if isinstance(blank[name], float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return _typed(name, value, type(blank[name]))


def _chosen(name: str, value: Any) -> Any:
    if value not in _CHOICES[name]:
        raise ValueError(f"{name} is one of {', '.join(map(str, _CHOICES[name]))}, not {value!r}")
    return value


def _talk(value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    low, high = map(float, _typed("talk", value, list))
    return low, high


def _typed(name: str, value: Any, wanted: type) -> Any:
    if type(value) is not wanted:
        raise ValueError(f"{name} is a {wanted.__name__}, not {value!r}")
    return value
