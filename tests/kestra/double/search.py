"""What a search finds: each version knows its own filters, and ignores the others' (facts 5)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tests.kestra.double.store import Record

Query = Sequence[tuple[str, str]]

FILTER = re.compile(r"filters\[(\w+)\]\[(\w+)\](?:\[(.+)\])?")
FIELDS: dict[str, Callable[[Record], Any]] = {
    "flowId": lambda record: record["flowId"],
    "namespace": lambda record: record["namespace"],
    "parentId": lambda record: record["parentId"],
    "kind": lambda record: record["kind"],
    "state": lambda record: record["state"]["current"],
}


class BadQuery(Exception):
    """A field inside filters[...] that the server does not know."""


def found(every: Iterable[Record], query: Query, dialect: str) -> list[Record]:
    """Return the executions that a search finds, oldest first unless it says how to sort."""
    records = [record for record in every if _fits(record, query, dialect)]
    if ("sort", "state.startDate:desc") in query:
        records.reverse()
    return records


def page(records: list[Record], query: Query) -> list[Record]:
    """Return one page, of ten unless the query says otherwise."""
    asked = dict(query)
    size, number = int(asked.get("size", 10)), int(asked.get("page", 1))
    return records[(number - 1) * size : number * size]


def _fits(record: Record, query: Query, dialect: str) -> bool:
    filters = [(found, value) for name, value in query if (found := FILTER.fullmatch(name))] if dialect != "0" else []
    asked_kind = any(found[1] == "kind" for found, _ in filters)
    if record["kind"] != "NORMAL" and not asked_kind:  # a Loop's iterations are not shown by themselves (facts 9)
        return False
    if not all(_has(record, found, value) for found, value in filters):
        return False
    if dialect == "2":  # `labels=` is ignored there
        return True
    return all(_has_label(record, *value.partition(":")[::2]) for name, value in query if name == "labels")


def _has(record: Record, found: re.Match[str], value: str) -> bool:
    field, operation, key = found.groups()
    if operation != "EQUALS":
        raise BadQuery(f"Operation {operation} is not supported for field {field}")
    if field == "labels" and key:
        return _has_label(record, key, value)
    if field not in FIELDS:
        raise BadQuery(f"Provided query filters are invalid: unknown field {field}")
    return bool(FIELDS[field](record) == value)


def _has_label(record: Record, key: str, value: str) -> bool:
    return {"key": key, "value": value} in record["labels"]
