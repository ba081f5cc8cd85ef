"""The service's description: the committed one, the page made of it, and whether the service keeps to it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from jsonschema import Draft202012Validator

from concierge_calls.api.app import bare
from tests.api.conftest import Served, Vapi, batch, streamed

COMMITTED = Path(__file__).parents[2] / ".github" / "openapi.json"
# What it is for, and not whether a number that may be one can be called.
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
    "response_headers_conformance,negative_data_rejection,unsupported_method,allow_header_conformance"
)
SECONDS = "30"

Serve = Callable[..., Served]


def test_the_committed_description_is_what_the_program_says() -> None:
    assert json.loads(COMMITTED.read_text("utf-8")) == bare().openapi(), "make it with: python .ci/openapi.py"


def test_every_body_has_an_example_that_is_taken() -> None:
    schemas = bare().openapi()["components"]["schemas"]
    bodies = [schema for name, schema in schemas.items() if name.endswith("Body") and "examples" in schema]
    for schema in bodies:
        for example in schema["examples"]:
            Draft202012Validator({**schema, "components": {"schemas": schemas}}).validate(example)
    assert len(bodies) == 5


def test_what_is_answered_is_as_described(serve: Serve) -> None:
    server = serve("--simulate")
    schemas = bare().openapi()["components"]["schemas"]
    document = server.post("/providers/batch-call", batch(100, 115, 100)).json()
    events = streamed(server.client.get(f"/runs/{document['run']['id']}/events"))

    def check(name: str, answer: object) -> None:
        rules = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}
        Draft202012Validator(rules).validate(answer)

    check("DocumentAnswer", document)
    check("HealthAnswer", server.client.get("/health").json())
    for event in events:
        check("EventAnswer", event)


def test_the_page_has_every_route_and_nothing_from_elsewhere(standing: tuple[Served, Vapi]) -> None:
    server, _ = standing
    page = server.client.get(f"{server.url}/docs")
    description = server.client.get(f"{server.url}/openapi.json").json()

    assert [path for path in description["paths"] if f"<code>{path}</code>" not in page.text] == []
    assert re.findall(r"<script|<link|<img|https?://", page.text) == []
    assert page.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert '<a href="/docs">' in server.client.get(f"{server.url}/").text


def test_whatever_is_sent_is_answered_as_described(serve: Serve, tmp_path: Path) -> None:
    server = serve("--simulate")
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            *("run", f"{server.url}/openapi.json", "--max-time", SECONDS, "--checks", CHECKS, "--no-color"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout
    assert "Traceback" not in server.said
