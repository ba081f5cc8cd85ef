"""The double's Pebble: exactly what our flows use, and an error for everything else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kestra.double.pebble import Ambiguous, Missing, PebbleError, render

VARIABLES: dict[str, Any] = {
    "inputs": {"n": 5, "name": "{{ x }}", "list": [1, {"a": None}], "none": None, "flag": True},
    "outputs": {"call": {"vars": {"results": [1]}, "outputFiles": {"a.json": "kestra:///a"}}},
    "secrets": {"KEY": "s"},
}


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("plain } { text", "plain } { text"),
        ("{{ inputs.n }}-{{ inputs.n }}", "5-5"),
        ("{{ inputs.name }}", "{{ x }}"),
        ("{{ inputs.list }}", '[1,{"a":null}]'),
        ("{{ inputs.none }}", ""),
        ("{{ inputs.flag }}", "true"),
        ("{{ inputs.gone ?? 'other' }}", "other"),
        ("{{ inputs.none ?? 'other' }}", "other"),
        ("{{ outputs.gone.vars.results ?? [] }}", "[]"),
        ("{{ outputs.gone['a.json'] ?? '' }}", ""),
        ("{{ outputs.call.outputFiles['a.json'] ?? '' }}", "kestra:///a"),
        ("{{ (inputs.gone ?? inputs.n) != inputs.n }}", "false"),
        ("{{ (outputs.call ?? {}) | jq('.vars.results[]') | first | toJson }}", "1"),
        ("{{ {'a': (inputs.gone ?? ''), 'b': inputs.n} | toJson | base64encode }}", "eyJhIjoiIiwiYiI6NX0="),
        ("{{ secret('KEY') }}", "s"),
    ],
)
def test_what_our_flows_say_is_rendered(text: str, rendered: str) -> None:
    assert render(text, VARIABLES) == rendered


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{{ x }}", Missing),
        ("{{ inputs.gone }}", Missing),
        ("{{ inputs.gone | toJson }}", Missing),
        ("{{ {'a': inputs.gone} | toJson }}", Missing),
        ("{{ inputs.n.deeper }}", Missing),
        ("{{ inputs.gone ?? [] | toJson }}", Ambiguous),
        ("{{ inputs.gone ?? inputs.none ?? 1 }}", Ambiguous),
        ("{{ inputs.n + 1 }}", PebbleError),
        ("{{ inputs.n | upper }}", PebbleError),
        ("{{ inputs.n | base64encode }}", PebbleError),
        ("{{ json('{}') }}", PebbleError),
        ("{{ secret('GONE') }}", PebbleError),
        ("{% if true %}", PebbleError),
        ("{# comment #}", PebbleError),
        ("{{ inputs.n", PebbleError),
        ("{{ inputs.n }", PebbleError),
    ],
)
def test_everything_else_is_an_error(text: str, error: type[PebbleError]) -> None:
    with pytest.raises(error):
        render(text, VARIABLES)
