"""The flows that Kestra runs, rendered for the server that they go to."""

from __future__ import annotations

import json
import math
import re
import string
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from typing import Final

from concierge_calls.backend import ENDING, RINGING
from concierge_calls.errors import KestraRefused, SettingsError
from concierge_calls.kestra.dialect import Dialect

_NAMESPACE: Final = re.compile(r"[a-z0-9][a-z0-9._-]*")
_MEMORY: Final = re.compile(r"([1-9]\d*)\s?(?:([kKmMgG])[bB]?)?")
_IMAGE: Final = re.compile(r"[A-Za-z0-9][\w.:/@-]*")

SERVERS: Final = {Dialect.V0: "Kestra 0.18 to 0.22", Dialect.V1: "Kestra 0.23 to 1.x", Dialect.V2: "Kestra 2.x"}
_OURS: Final = re.compile(r"^# Rendered by concierge-calls (\S+) for Kestra ", re.MULTILINE)
# The places where a flow says how many lines it has, and how long a child may take, whatever else was changed in it.
_VARIABLE: Final = r"^variables:[^\n]*\n(?:[ \t]+[^\n]*\n|\n)*?[ \t]+lines:[ \t]*"
_DEFAULT: Final = (
    r"^[ \t]*-[ \t]+id:[ \t]*max_concurrent[ \t]*\n(?:(?![ \t]*-[ \t])[ \t]+[^\n]*\n)*?[ \t]+defaults:[ \t]*"
)
_BOUND: Final = r"^[ \t]*concurrencyLimit:[ \t]*"
_BACKSTOP: Final = r"^[ \t]*timeout:[ \t]*PT"


class FlowKind(StrEnum):
    """Who bounds the calls of a run: Kestra, with a task for each, or one task with our own limit inside."""

    FAN_OUT = "fan-out"
    ONE_TASK = "one-task"

    @property
    def flow_id(self) -> str:
        """The flow's id on the server."""
        return "contact_providers_concurrent" if self is FlowKind.FAN_OUT else "contact_providers_one_task"


class RunnerKind(StrEnum):
    """Where a child runs: as a process of the worker, or in a container that the worker starts."""

    PROCESS = "process"
    DOCKER = "docker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """How a flow's children are run; the image and what a container may use are for `docker` alone.

    `memory` is written as Docker does (`512MB`), `cpus` counts cores. Raises SettingsError when they do not fit.
    """

    kind: RunnerKind = RunnerKind.PROCESS
    image: str | None = None
    memory: str | None = None
    cpus: float | None = None

    def __post_init__(self) -> None:
        fault = _not_docker(self) if self.kind is RunnerKind.PROCESS else _docker(self)
        if fault:
            raise SettingsError(fault)


def render(
    kind: FlowKind, dialect: Dialect, *, limit: int, backstop: int, runner: Runner | None = None, namespace: str
) -> str:
    """Return a flow's YAML for a server of this dialect: `limit` calls at once, `backstop` seconds for a child.

    Raises SettingsError for a namespace that Kestra does not take, or a bound of containers that this one does not.
    """
    if not _NAMESPACE.fullmatch(namespace):
        raise SettingsError(
            f"{namespace!r} is no namespace of Kestra's: KESTRA_NAMESPACE has small letters, digits, dots, - and _."
        )
    if kind is FlowKind.ONE_TASK:
        name, indent = "one_task", 4
    else:
        name, indent = ("loop" if dialect is Dialect.V2 else "for_each"), 8
    scalars = {"limit": str(limit), "backstop": f"PT{backstop}S", "namespace": namespace}
    return filled(name, scalars | _blocks(kind, dialect, scalars, runner or Runner(), indent))


def changed(source: str, *, limit: int, backstop: int) -> str:
    """Return a deployed flow's YAML with its limit (calls at once) and backstop (seconds) changed, and nothing else.

    Raises KestraRefused where one of them is not to be found.
    """
    source = _replaced(source, _VARIABLE, r"\d+", str(limit), "variables: lines")
    source = _replaced(source, _DEFAULT, r"\d+", str(limit), "max_concurrent's default")
    if re.search(r"^id:[ \t]*[\"']?" + FlowKind.FAN_OUT.flow_id, source, re.MULTILINE):
        source = _replaced(source, _BOUND, r"\d+", str(limit), "concurrencyLimit")
    return _replaced(source, _BACKSTOP, r"\d+S", f"{backstop}S", "timeout: PT...S")


def is_ours(source: str) -> bool:
    """Whether a deployed flow was rendered here, be it by another version; see `rendered_by`."""
    return rendered_by(source) is not None


def rendered_by(source: str) -> str | None:
    """Return the version of concierge-calls that rendered a flow, or None for somebody else's."""
    found = _OURS.search(source)
    return found[1] if found else None


def limit_of(source: str) -> int:
    """Return how many calls at once a deployed flow makes; raises KestraRefused where it does not say."""
    found = re.search(_VARIABLE + r"(\d+)", source, re.MULTILINE)
    if not found:
        raise _missing("variables: lines")
    return int(found[1])


def backstop(rows_in_slice: int, call_timeout: float, analysis_timeout: float) -> int:
    """Return the seconds after which Kestra ends a child of so many calls, one after the other: twice what they take.

    The child bounds itself well before.
    """
    return math.ceil(2 * rows_in_slice * (RINGING + call_timeout + ENDING + analysis_timeout))


def filled(name: str, values: Mapping[str, str]) -> str:
    """Return the template of this name with its places filled."""
    text = resources.files(__package__).joinpath("flows", f"{name}.yaml").read_text(encoding="utf-8")
    return _Template(text).substitute(values)


def runner_lines(runner: Runner, dialect: Dialect) -> str:
    """Return the lines of a task that say how it is run, not indented.

    Raises SettingsError for a bound of containers that this Kestra does not take.
    """
    if dialect is Dialect.V0 and runner.cpus and runner.cpus % 1:
        raise SettingsError(
            f"KESTRA_CPUS is {runner.cpus:g}, and Kestra up to 0.22 bounds a container by whole processors alone: make"
            " it a whole number, or leave it out."
        )
    lines = filled(runner.kind, {"image": json.dumps(runner.image)}).rstrip("\n")
    return lines + textwrap.indent(_bounds(runner), "  ")


class _Template(string.Template):
    """Has @{name} for its places: YAML, Pebble and jq have their own use for $ and {{ }}."""

    delimiter = "@"


def _block(name: str, values: Mapping[str, str], indent: int) -> str:
    return textwrap.indent(filled(name, values), " " * indent).rstrip("\n")


def _blocks(
    kind: FlowKind, dialect: Dialect, scalars: Mapping[str, str], runner: Runner, indent: int
) -> dict[str, str]:
    return {
        "header": _header(kind, dialect, scalars["limit"]),
        "inputs": _block("inputs", {**scalars, "about_limit": _about_limit(kind)}, 0),
        "guard": _block("guard", {}, 0),
        "runner": textwrap.indent(runner_lines(runner, dialect), " " * indent),
        "secrets": _block(f"{runner.kind}_secrets", {}, indent + 2),
        **_list(dialect),
    }


def _header(kind: FlowKind, dialect: Dialect, limit: str) -> str:
    from concierge_calls import __version__

    what = {
        FlowKind.FAN_OUT: "Calls a list of providers: a task for each of them, and Kestra bounds how many run at once.",
        FlowKind.ONE_TASK: "Calls a list of providers in one task, which bounds by itself how many are called at once.",
    }
    setting = "KESTRA_FLOW=one-task " if kind is FlowKind.ONE_TASK else ""
    return (
        f"# {what[kind]}\n"
        f"# Rendered by concierge-calls {__version__} for {SERVERS[dialect]}.\n"
        f"# Deployed by: {setting}concierge-calls kestra deploy --max-concurrent {limit}"
    )


def _about_limit(kind: FlowKind) -> str:
    if kind is FlowKind.ONE_TASK:
        return "Calls at once"
    return "Calls at once; another number is refused, since Kestra takes it from the flow alone"


def _list(dialect: Dialect) -> dict[str, str]:
    # Kestra 2.x refuses an execution whose inputs are more than 1 MB, unless they are in a file.
    if dialect is Dialect.V2:
        about, kind, rendered = "A file with a JSON list of providers", "FILE", "{{ inputs.providers }}"
    else:
        about, kind, rendered = "A list of providers", "JSON", "{{ inputs.providers | toJson }}"
    about = f"{about}, each with a name and a phone: [{{name, phone}}, ...]"
    return {"providers": f'    type: {kind}\n    description: "{about}"', "list": rendered}


def _bounds(runner: Runner) -> str:
    memory = f'\nmemory:\n  memory: "{_size(runner.memory)}"' if runner.memory else ""
    return memory + (f"\ncpu:\n  cpus: {runner.cpus:g}" if runner.cpus else "")


def _size(memory: str) -> str:
    # As Docker's own 512m Kestra would not take it: every container would fail when it is to start.
    found = _MEMORY.fullmatch(memory)
    return f"{found[1]}{found[2].upper()}B" if found and found[2] else memory


def _not_docker(runner: Runner) -> str | None:
    given = {"KESTRA_IMAGE": runner.image, "KESTRA_MEMORY": runner.memory, "KESTRA_CPUS": runner.cpus}
    names = [name for name, value in given.items() if value is not None]
    if not names:
        return None
    is_, them = ("is", "it") if len(names) == 1 else ("are", "them")
    return f"{' and '.join(names)} {is_} for a container alone: set KESTRA_RUNNER=docker too, or leave {them} out."


def _docker(runner: Runner) -> str | None:
    if runner.image is None or not _IMAGE.fullmatch(runner.image):
        return "KESTRA_RUNNER=docker needs KESTRA_IMAGE, the name of an image that has concierge-calls installed."
    if runner.memory is not None and not _MEMORY.fullmatch(runner.memory):
        return f"KESTRA_MEMORY is {runner.memory!r}: write it as Docker does, such as 512MB."
    if runner.cpus is not None and not 0 < runner.cpus < math.inf:
        return f"KESTRA_CPUS is {runner.cpus:g}: it must be a number of cores above 0, such as 1 or 0.5."
    return None


def _replaced(source: str, before: str, old: str, new: str, name: str) -> str:
    replaced, count = re.subn(f"({before}){old}\\b", lambda found: f"{found[1]}{new}", source, flags=re.MULTILINE)
    if count != 1:
        raise _missing(name)
    return replaced


def _missing(name: str) -> KestraRefused:
    return KestraRefused(
        f"The flow on the Kestra server has no {name} that could be set (or more than one), so the run was not handed "
        "to it and nobody was called. Put a new one there with: concierge-calls kestra deploy"
    )
