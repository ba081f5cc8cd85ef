"""What kind of server the double is."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tests.kestra.double.sources import COMMANDS

USER = "ci@kestra.io"
PASSWORD = "Secret-1234"  # noqa: S105 -- of a server on a loopback port, for tests

# The three servers that facts.md was written from; every other version is told by its number alone.
VERSIONS = {"0": "0.21.0-SNAPSHOT", "1": "1.3.25", "2": "2.0.0-SNAPSHOT"}
RELEASED_2 = "2.0.7"  # whose outputs have endpoints of their own (facts 6)

MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Options:
    """A server as it was installed; the times are seconds."""

    dialect: str = "1"
    version: str = ""
    user: str | None = USER  # None: nobody has set one yet, so every request is refused (facts 1)
    password: str = PASSWORD
    auth: bool | None = None  # None: as the dialect has it by default (facts 2)
    plugins: tuple[str, ...] = (COMMANDS,)  # without it the flows' task type is unknown (facts 4)
    restart_strategy: str = "AFTER_TERMINATION_GRACE_PERIOD"
    restart_after: float = 0.1  # until a child that was running at a crash is started again; minutes on a real server
    grace: float = 300.0  # how long a stopping server waits for its children
    time_from: Path | None = None  # a file from whose making on a task's time counts; None: from its start on
    search_lag: float = 0.0  # how long a search does not show a new execution
    result_limit: int = field(default=0)  # bytes of one child's outputs; 0: as the dialect has it

    def __post_init__(self) -> None:
        if self.dialect not in VERSIONS:
            raise ValueError(f"there is no dialect {self.dialect!r}")

    @property
    def number(self) -> str:
        """The version that the server says it is."""
        return self.version or VERSIONS[self.dialect]

    @property
    def is_released_2(self) -> bool:
        """Whether flow outputs are no longer in the execution, and errors are problem details (facts 3 and 6)."""
        return self.dialect == "2" and "SNAPSHOT" not in self.number

    @property
    def wants_auth(self) -> bool:
        """Whether requests need credentials (facts 2)."""
        return self.dialect != "0" if self.auth is None else self.auth

    @property
    def largest_result(self) -> int:
        """Bytes beyond which one child's outputs are lost (facts 12)."""
        return self.result_limit or (MIB if self.dialect == "2" else 10 * MIB)

    @property
    def largest_message(self) -> int | None:
        """Bytes of inputs beyond which nothing is started (facts 12)."""
        return MIB if self.dialect == "2" else None
