"""The command that offers over HTTP what the command line does."""

from __future__ import annotations

import logging
import sys
from typing import Annotated

import typer

from concierge_calls.cli import options

WHEN = "%Y-%m-%d %H:%M:%S"


def serve(
    host: Annotated[
        str, typer.Option("--host", help="The address it listens on; beyond this machine only with a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Its port; 0 takes a free one.", min=0, max=65535)] = 8000,
    simulate: options.Simulate = False,
) -> None:
    """Answer over HTTP: calls providers for other programs, and shows the runs."""
    from concierge_calls.api.serving import serve as serve_until_told
    from concierge_calls.settings.fields import SETTINGS
    from concierge_calls.settings.loading import load

    # What a simulated server does not use may be wrong.
    unused = {"api_key": "simulated", "base_url": SETTINGS["base_url"].default} if simulate else {}
    settings = load(unused)
    _log_to_stderr()
    serve_until_told(settings, host=host, port=port, simulate=simulate, say=logging.getLogger("concierge_calls").info)


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Masked("%(asctime)s %(message)s", WHEN))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("concierge_calls").setLevel(logging.INFO)


class _Masked(logging.Formatter):
    """Cuts every phone number in what is logged to its last digits."""

    def format(self, record: logging.LogRecord) -> str:
        from concierge_calls.plain import masked

        return masked(super().format(record))
