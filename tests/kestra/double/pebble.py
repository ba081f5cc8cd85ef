"""Pebble, as far as our flows use it: whatever else stands between two braces is an error."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import jq  # type: ignore[import-not-found]

TOKEN = re.compile(
    r"""\s*(?:
    (?P<string>'[^']*'|"[^"#]*") | (?P<number>\d+) | (?P<name>[A-Za-z_]\w*)
    | (?P<sign>\?\?|!=|[|(){}\[\].,:])
    )""",
    re.VERBOSE | re.DOTALL,
)


class PebbleError(Exception):
    """A text cannot be rendered."""


class Missing(PebbleError):
    """A name is not there; what `??` puts its other side for."""


class Ambiguous(PebbleError):
    """Two operators stand side by side without parentheses; which goes first is nothing to rely on."""


def render(text: str, variables: Mapping[str, Any]) -> str:
    """Return the text with every {{ expression }} replaced by its value; maps and lists as their JSON."""
    if "{%" in text or "{#" in text:
        raise PebbleError(f"Unexpected tag in: {text[:80]}")
    done, end = [], 0
    while (start := text.find("{{", end)) >= 0:
        done.append(text[end:start])
        expression = _Expression(text, start + 2, variables)
        done.append(shown(expression.whole()))
        end = expression.end
    return "".join([*done, text[end:]])


def shown(value: object) -> str:
    """Return a value as Kestra writes it into a text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class _Expression:
    """One expression, evaluated while it is read."""

    def __init__(self, text: str, start: int, variables: Mapping[str, Any]) -> None:
        self._text = text
        self._variables = variables
        self.end = start
        self._kind = ""
        self._piece = ""
        self._next()

    def whole(self) -> Any:
        """Return the value of the expression up to its closing braces."""
        value = self._operation()
        if self._piece != "}" or self._text[self.end : self.end + 1] != "}":
            raise PebbleError(f"Unexpected {self._piece!r} in: {self._text[:80]}")
        self.end += 1
        return value

    def _next(self) -> str:
        before, found = self._piece, TOKEN.match(self._text, self.end)
        if not found:
            raise PebbleError(f"Cannot be read from here: {self._text[self.end : self.end + 40]!r}")
        self._kind = found.lastgroup or ""
        self._piece, self.end = found[self._kind], found.end()
        return before

    def _take(self, sign: str) -> None:
        if self._piece != sign:
            raise PebbleError(f"{sign!r} was expected, not {self._piece!r}, in: {self._text[:80]}")
        self._next()

    def _operation(self) -> Any:
        try:
            value, missing = self._operand(), None
        except Missing as fault:
            value, missing = None, fault
            self._skip_path()
        if self._piece == "??":
            self._next()
            other = self._operand()
            value = other if value is None else value
        elif missing:
            raise missing
        elif self._piece == "!=":
            self._next()
            value = value != self._operand()
        else:
            while self._piece == "|":
                self._next()
                value = self._filtered(value)
        if self._piece in ("??", "!=", "|"):
            raise Ambiguous(f"Parentheses are missing before {self._piece!r} in: {self._text[:80]}")
        return value

    def _skip_path(self) -> None:
        while self._piece in (".", "["):
            opening = self._next()
            self._next()
            if opening == "[":
                self._take("]")

    def _operand(self) -> Any:
        kind, piece = self._kind, self._piece
        if kind == "string":
            self._next()
            return piece[1:-1]
        if kind == "number":
            return int(self._next())
        if piece == "(":
            self._next()
            value = self._operation()
            self._take(")")
            return value
        if piece == "{":
            return self._map()
        if piece == "[":
            self._next()
            self._take("]")
            return []
        if kind == "name":
            return self._path()
        raise PebbleError(f"Unexpected {piece!r} in: {self._text[:80]}")

    def _map(self) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        self._take("{")
        while self._piece != "}":
            key = self._operand()
            self._take(":")
            entries[key] = self._operand()
            if self._piece != "}":
                self._take(",")
        self._next()
        return entries

    def _path(self) -> Any:
        name = self._next()
        if self._piece == "(":
            return self._called(name)
        value = _of(self._variables, name)
        while self._piece in (".", "["):
            opening = self._next()
            key = self._next().strip("'\"")
            if opening == "[":
                self._take("]")
            value = _of(value, key)
        return value

    def _called(self, name: str) -> Any:
        self._take("(")
        argument = self._operand()
        self._take(")")
        if name != "secret":
            raise PebbleError(f"Function or Macro [{name}] does not exist.")
        secrets = self._variables["secrets"]
        if argument not in secrets:
            raise PebbleError(f"Cannot find secret for key '{argument}'.")
        return secrets[argument]

    def _filtered(self, value: Any) -> Any:
        name, argument = self._next(), None
        if self._piece == "(":
            self._next()
            argument = self._operand()
            self._take(")")
        if name == "jq" and argument is not None:
            return jq.compile(argument).input_text(json.dumps(value)).all()
        if name not in FILTERS or argument is not None:
            raise PebbleError(f"Filter [{name}] does not exist.")
        return FILTERS[name](value)


def _of(value: Any, name: str) -> Any:
    if not isinstance(value, Mapping) or name not in value:
        raise Missing(f"Unable to find '{name}' used in the expression")
    return value[name]


def _base64encode(value: Any) -> str:
    if not isinstance(value, str):
        raise PebbleError("The 'base64encode' filter takes a text.")
    return base64.b64encode(value.encode()).decode()


FILTERS: Mapping[str, Callable[[Any], Any]] = {
    "base64encode": _base64encode,
    "first": lambda value: value[0],
    "toJson": lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":")),
}
