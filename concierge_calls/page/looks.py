"""The templates and what gives them their looks: one style sheet, named by its hash in the page's own policy."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from concierge_calls.plain import harmless

if TYPE_CHECKING:
    from jinja2 import Environment, Template


def template(name: str) -> Template:
    """Return this template, in which every value is escaped."""
    return _environment().get_template(name)


@cache
def part(name: str) -> str:
    """Return a style sheet or a script of the package, as it stands within a page."""
    return files("concierge_calls.page").joinpath(name).read_text("utf-8")


def hashed(name: str) -> str:
    """Return the source by which a content-security policy allows exactly this part (CSP 3, section 2.3.1)."""
    digest = hashlib.sha256(part(name).encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("concierge_calls.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "part": lambda name: Markup(part(name)),  # noqa: S704 - a file of ours
        "hashed": hashed,
    }
    environment.filters["harmless"] = harmless
    return environment
