"""Refuses what Vapi refuses: unknown properties, lengths, numbers, words; in the sentences of its framework, NestJS."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from concierge_calls.simulator.accepted import REQUIRED, SHAPES
from concierge_calls.simulator.accepted_parts import BY_PROVIDER, EVERY_PROVIDER

_E164: Final = re.compile(r"\+[1-9]\d{1,14}")
_LOOSE: Final = re.compile(r"\+?[a-zA-Z0-9]+")
_NOT_E164: Final = (
    "number must be a valid phone number in the E.164 format. "
    "Hot tip, you may be missing the country code (Eg. US: +1)."
)
_TYPES: Final[dict[str, tuple[tuple[type, ...], str]]] = {
    "string": ((str,), "must be a string"),
    "number": ((int, float), "must be a number conforming to the specified constraints"),
    "boolean": ((bool,), "must be a boolean value"),
    "object": ((dict,), "must be an object"),
}
# Alternatives of a create that the simulator does not play.
_UNPLAYED: Final = ("squadId", "squad", "workflowId", "workflow", "customers", "customerId", "schedulePlan")


def create_faults(body: Any) -> list[str] | str | None:
    """Return what Vapi would say against `POST /call` with this body: a list or one sentence; None is nothing."""
    if not isinstance(body, dict):
        return ["body must be an object"]
    if found := list(faults(body, "CreateCallDTO")) + list(_numbers(body)):
        return found
    if played := [name for name in _UNPLAYED if body.get(name) is not None]:
        return [
            f"{name} is not played by the simulator, which takes one `customer` and one assistant" for name in played
        ]
    return _missing(body)


def faults(value: Mapping[str, Any], shape: str) -> Iterator[str]:
    """Yield what is wrong with an object of the published schema `shape`, nested faults with their path in front."""
    known = SHAPES[shape]
    for name, member in value.items():
        if name not in known:
            yield f"property {name} should not exist"
        elif member is not None:  # null is the same as absent to NestJS's IsOptional
            yield from _member(name, member, known[name])
    for name in REQUIRED.get(shape, ()):
        if value.get(name) is None:
            yield f"{name} should not be null or undefined"


def _member(name: str, value: Any, rule: str) -> Iterator[str]:
    kind, _, rest = rule.partition(" of ")
    if rule.startswith("off or ") and value == "off":
        return
    rule = rule.removeprefix("off or ")
    if rule.startswith("="):
        yield from _nested(name, value, rule[1:])
    elif rule == "by provider":
        yield from _provided(name, value)
    elif kind in ("array", "map"):
        yield from _members(name, value, kind, rest)
    elif rule != "any":
        yield from _plain(name, value, rule)


def _nested(name: str, value: Any, shape: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"nested property {name} must be either object or array"
        return
    yield from (f"{name}.{each}" for each in faults(value, shape))


def _provided(name: str, value: Any) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"nested property {name} must be either object or array"
        return
    if shape := BY_PROVIDER[name].get(value.get("provider", "")):
        yield from _nested(name, value, shape)
        return
    yield from (f"{name}.{each} should not be empty" for each in EVERY_PROVIDER[name] if not value.get(each))


def _members(name: str, value: Any, kind: str, rule: str) -> Iterator[str]:
    if not isinstance(value, list if kind == "array" else dict):
        yield f"{name} must be an {'array' if kind == 'array' else 'object'}"
        return
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, each in pairs:
        if rule.startswith("="):
            yield from _nested(f"{name}.{key}", each, rule[1:])
        elif rule != "any":
            yield from _plain(f"each value in {name}", each, rule)


def _plain(name: str, value: Any, rule: str) -> Iterator[str]:
    kind, _, limits = rule.partition(" ")
    types, sentence = _TYPES[kind]
    if not isinstance(value, types) or (kind == "number" and isinstance(value, bool)):
        yield f"{name} {sentence}"
        return
    limits, _, words = limits.partition("in ") if "in " in limits else (limits, "", "")
    if words and value not in words.split("|"):
        yield f"{name} must be one of the following values: {', '.join(words.split('|'))}"
    low, _, high = limits.strip().partition("..")
    yield from _range(name, value, low, high)


def _range(name: str, value: Any, low: str, high: str) -> Iterator[str]:
    text = isinstance(value, str)
    size = len(value) if text else value
    if low and size < float(low):
        yield (
            f"{name} must be longer than or equal to {low} characters"
            if text
            else f"{name} must not be less than {low}"
        )
    if high and size > float(high):
        yield (
            f"{name} must be shorter than or equal to {high} characters"
            if text
            else f"{name} must not be greater than {high}"
        )


def _numbers(body: Mapping[str, Any]) -> Iterator[str]:
    customer = body.get("customer")
    if not isinstance(customer, dict) or customer.get("sipUri"):
        return
    number = customer.get("number")
    pattern = _LOOSE if customer.get("numberE164CheckEnabled") is False else _E164
    if not isinstance(number, str) or not pattern.fullmatch(number):
        yield f"customer.{_NOT_E164}"


def _missing(body: Mapping[str, Any]) -> list[str] | str | None:
    if not body.get("phoneNumberId") and not body.get("phoneNumber"):
        return "Couldn't Get Phone Number. Need Either `phoneNumberId` Or `phoneNumber`."
    if not body.get("assistantId") and not body.get("assistant"):
        return "Couldn't Get Assistant. Need Either `assistantId` Or `assistant`."
    if not body.get("customer"):
        return "Couldn't Get Customer. Need Either `customer` Or `customerId`."
    if body.get("assistantVersion") and not body.get("assistantId"):
        return ["assistantVersion can only be used with assistantId"]
    return None
