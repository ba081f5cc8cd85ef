"""How the service describes itself: OpenAPI with examples, and a page that is made of it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from html import escape
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from concierge_calls import __version__
from concierge_calls.api.answers import EventAnswer
from concierge_calls.api.problems import MEDIA_TYPE, ProblemDetails
from concierge_calls.api.service import PREFIX

ABOUT: Final = (
    "Has an AI assistant phone service providers, at most so many at once, and answers what they said."
    " Nobody is rung twice: a request that comes again with its Idempotency-Key answers the same run."
)
_SENTENCES: Final = {
    400: "The request is wrong, so nothing was done.",
    401: "The token is missing or wrong.",
    403: "The request came for a foreign Host or from a foreign Origin.",
    404: "There is no such run, or nothing of that kind in it.",
    409: "Somebody else is at it, or it was a simulated run whose simulator is gone.",
    413: "The body has more than 5 MB.",
    415: "The body is not JSON.",
    422: "The Idempotency-Key came with another request.",
    429: "The server works on 100 runs already.",
    502: "Vapi did not give it.",
    503: (
        "With `runId`: that run stopped before it was finished and goes on by itself, or the server is being stopped."
        " Without: Vapi is out of reach or refuses key or number, or the server is being stopped, and no run was begun."
    ),
    507: "The disk that holds the journal, or what is put aside for an answer, is full.",
}
_OPEN: Final = (f"{PREFIX}/health", f"{PREFIX}/session", f"{PREFIX}/webhooks/vapi")
STYLE: Final = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;overflow-wrap:anywhere}"
    "pre{overflow:auto;background:#f4f4f4;color:#111;padding:.75rem}h2{border-top:1px solid;padding-top:1rem}"
)
CONTENT_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{base64.b64encode(sha256(STYLE.encode()).digest()).decode()}';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

Answers = dict[int | str, dict[str, Any]]


def problems(*statuses: int) -> Answers:
    """Return the description of these problems, as a route declares them."""
    schema = {"$ref": "#/components/schemas/ProblemDetails"}
    content = {MEDIA_TYPE: {"schema": schema}}
    return {status: {"description": _SENTENCES[status], "content": content} for status in statuses}


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI description, made once."""
    if app.openapi_schema is None:
        made = get_openapi(title="concierge-calls", version=__version__, description=ABOUT, routes=app.routes)
        schemas = made.setdefault("components", {}).setdefault("schemas", {})
        for model in (ProblemDetails, EventAnswer):  # which no route names as its JSON
            schemas[model.__name__] = model.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas |= schemas[model.__name__].pop("$defs")
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        made["components"]["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer", "description": "CONCIERGE_API_TOKEN, where one is set."}
        }
        for path, method, operation in _operations(made):
            _complete(path, method, operation)
        app.openapi_schema = made
    return app.openapi_schema


def paths_that_take(app: FastAPI, method: str) -> frozenset[str]:
    """Return the paths that have this method."""
    return frozenset(path for path, methods in describe(app)["paths"].items() if method in methods)


def methods_of(app: FastAPI, path: str) -> list[str]:
    """Return the methods that an address has."""
    paths = describe(app)["paths"]
    found = [path] if path in paths else [known for known in paths if _matches(known, path)]
    return sorted({method.upper() for known in found for method in paths[known]})


def _matches(template: str, path: str) -> bool:
    parts, given = template.split("/"), path.split("/")
    return len(parts) == len(given) and all(
        part == found or part.startswith("{") for part, found in zip(parts, given, strict=True)
    )


def _operations(made: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in made["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    # FastAPI adds a 422 of its own, which is a 400 here.
    answers = operation["responses"]
    if answers.get("422", {}).get("description") == "Validation Error":
        del answers["422"]
    common = [400, 403, *([] if path in _OPEN else [401]), *([413, 415] if method == "post" else [413])]
    for status, answer in problems(*common).items():
        answers.setdefault(str(status), answer)
    answers.setdefault("503", problems(503)[503] | {"description": "The server is being stopped."})
    operation["responses"] = dict(sorted(answers.items()))
    operation["security"] = [{}] if path in _OPEN else [{"token": []}, {}]


def docs_page(app: FastAPI) -> str:
    """Return the description as a page, without a script and without anything from elsewhere."""
    made = describe(app)
    parts = [f"<h1>{escape(made['info']['title'])} {escape(made['info']['version'])}</h1><p>{escape(ABOUT)}</p>"]
    parts.append('<p>For programs: <a href="/openapi.json">/openapi.json</a></p>')
    parts += (_section(path, method, operation, made) for path, method, operation in _operations(made))
    return page("The API of concierge-calls", "".join(parts))


def page(title: str, body: str) -> str:
    """Return a whole page of HTML around this body, which is HTML already."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>'
        f"<body><main>{body}</main></body></html>"
    )


def _section(path: str, method: str, operation: Mapping[str, Any], made: Mapping[str, Any]) -> str:
    answers = "".join(
        f"<li>{escape(status)}: {escape(answer['description'])}</li>"
        for status, answer in operation["responses"].items()
    )
    headers = "".join(
        f"<li><code>{escape(each['name'])}</code> ({escape(each['in'])}) {escape(each.get('description', ''))}</li>"
        for each in operation.get("parameters", ())
    )
    sentence = escape(operation.get("description", operation.get("summary", "")))
    return (
        f"<h2>{method.upper()} <code>{escape(path)}</code></h2><p>{sentence}</p>"
        f"<ul>{headers}</ul>{_example(operation, made)}<ul>{answers}</ul>"
    )


def _example(operation: Mapping[str, Any], made: Mapping[str, Any]) -> str:
    if "requestBody" not in operation:
        return ""
    name = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    examples = made["components"]["schemas"][name].get("examples", ())
    return "".join(f'<pre tabindex="0">{escape(json.dumps(each, indent=2))}</pre>' for each in examples)
