"""The part of Kestra's JSON that is relied on, in Kestra's own names, and what is made of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter
from pydantic.alias_generators import to_camel

from concierge_calls.kestra.dialect import Dialect

T = TypeVar("T")

LEVELS: Final = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR")
# Every other state, one that is not known as well, counts as going on until the deadline.
OVER: Final = frozenset(
    {"SUCCESS", "WARNING", "FAILED", "KILLED", "CANCELLED", "RETRIED", "SKIPPED", "RESUBMITTED"},
)


@dataclass(frozen=True, slots=True)
class Server:
    """What a server says of itself; `has_user` is None where it does not say."""

    version: str
    dialect: Dialect
    has_user: bool | None = None


@dataclass(frozen=True, slots=True)
class Flow:
    """A flow as it is deployed, with its YAML."""

    revision: int
    source: str
    is_disabled: bool = False


@dataclass(frozen=True, slots=True)
class TaskRun:
    """One task's run within an execution; `value` is the item's text in a ForEach, `outputs` None until it has some.

    More than one attempt means that it was run that many times.
    """

    id: str
    task_id: str
    value: str | None
    state: str
    attempts: int
    outputs: Mapping[str, Any] | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Execution:
    """An execution as it stands; `outputs` are the flow's, None where they are not in it."""

    id: str
    namespace: str
    flow_id: str
    revision: int
    labels: Mapping[str, str]
    state: str
    task_runs: tuple[TaskRun, ...] = field(repr=False)
    outputs: Mapping[str, Any] | None = field(repr=False)

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes of it; processes of a killed one may live on all the same."""
        return self.state in OVER


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a log; its message is other people's text."""

    task_id: str
    level: str
    message: str = field(repr=False)


def parsed(kind: type[T], body: bytes) -> T:
    """Read a reply; raises ValueError for one that is none of this kind. Half a character in it becomes U+FFFD."""
    try:
        value = json.loads(body.decode("utf-8-sig", "replace"))
        if b"\\ud" in body.lower():
            whole = json.dumps(value, ensure_ascii=False).encode("utf-16", "surrogatepass")
            value = json.loads(whole.decode("utf-16", "replace"))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return TypeAdapter(kind).validate_python(value)


def as_list(value: object) -> list[Any]:
    """Return a list as it is, and an empty one for whatever else stands in its place."""
    return value if isinstance(value, list) else []


def _object(value: object) -> object:
    return value if isinstance(value, dict) else None


class _Reply(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="ignore",
        coerce_numbers_to_str=True,
        hide_input_in_errors=True,
    )


_Objects = Annotated[dict[str, Any] | None, BeforeValidator(_object)]


class Configs(_Reply):
    """GET /api/v1/configs."""

    version: str = Field(min_length=1)
    is_basic_auth_initialized: bool | None = None


class Revision(_Reply):
    """A flow; `source` only where it was asked for."""

    revision: int = Field(ge=1)
    source: str = ""
    disabled: bool = False


class Validation(_Reply):
    """One entry of POST flows/validate; its status is 200 whatever it says."""

    constraints: str | None = None


class Started(_Reply):
    """What a POST of an execution answers; the state in it may be any by then."""

    id: str = Field(min_length=1)


class Label(_Reply):
    """A label of an execution."""

    key: str
    value: str


class State(_Reply):
    """The state of an execution or of a task's run."""

    current: str


class Found(_Reply):
    """An execution as a search shows it."""

    id: str = Field(min_length=1)
    namespace: str = ""
    flow_id: str = ""
    labels: Annotated[list[Label], BeforeValidator(as_list)] = Field(default_factory=list)

    def has(self, label: str, value: str) -> bool:
        """Whether it bears this label."""
        return any(mine.key == label and mine.value == value for mine in self.labels)


class Page(_Reply):
    """A page of a search."""

    results: list[Found]


class RawTaskRun(_Reply):
    """A task's run as it stands in an execution."""

    id: str
    task_id: str
    value: str | None = None
    attempts: Annotated[list[Any], BeforeValidator(as_list)] = Field(default_factory=list)
    state: State
    outputs: _Objects = None

    def run(self) -> TaskRun:
        """Return it in our words."""
        return TaskRun(self.id, self.task_id, self.value, self.state.current, len(self.attempts), self.outputs)


class RawExecution(Found):
    """GET executions/{id}."""

    flow_revision: int
    state: State
    task_run_list: Annotated[list[RawTaskRun], BeforeValidator(as_list)] = Field(default_factory=list)
    outputs: _Objects = None

    def execution(self) -> Execution:
        """Return it in our words."""
        return Execution(
            id=self.id,
            namespace=self.namespace,
            flow_id=self.flow_id,
            revision=self.flow_revision,
            labels={label.key: label.value for label in self.labels},
            state=self.state.current,
            task_runs=tuple(each.run() for each in self.task_run_list),
            outputs=self.outputs,
        )


class TaskOutput(_Reply):
    """One entry of the list of a 2.x execution's outputs by task."""

    task_id: str
    task_run_id: str


class RawLogLine(_Reply):
    """One entry of GET logs/{id}."""

    task_id: str | None = None
    level: str = ""
    message: str = ""

    def line(self) -> LogLine:
        """Return it in our words."""
        return LogLine(self.task_id or "", self.level, self.message)
