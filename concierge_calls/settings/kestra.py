"""What Kestra's settings must look like, and why its address and its credentials come from the same place."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, MutableMapping
from typing import Annotated, Any, Final, TypedDict
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr

CREDENTIALS: Final = ("kestra_username", "kestra_password", "kestra_api_token")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,149}", re.ASCII)
_SIZE: Final = re.compile(r"[1-9]\d*\s?([kmg]b?)?", re.ASCII | re.IGNORECASE)
_HOW_A_NAME_LOOKS: Final = (
    "must be of small letters, digits, dots, dashes and underscores, and begin with one of the former"
)


class KestraAccess(TypedDict):
    """Where Kestra is and as whom to speak with it: what a client is made with."""

    url: str
    username: str | None
    password: str | None
    api_token: str | None
    tenant: str
    namespace: str


class _Foreign:
    """Stands for an address of .env whose credentials are in the environment."""

    def __init__(self, names: Collection[str]) -> None:
        self.names = " and ".join(name.upper() for name in names)


def guarded(dotenv: Mapping[str, Any], earlier: Collection[str]) -> dict[str, Any]:
    """Return what .env says, its Kestra only with credentials of its own; `earlier` is what is set before .env.

    A .env that lies in a folder somebody else filled must not have the user's own credentials sent elsewhere.
    """
    named = {name.lower() for name in earlier}
    foreign = [name for name in CREDENTIALS if name in named]
    if not foreign or "kestra_url" in named:
        return dict(dotenv)
    return {name: _Foreign(foreign) if name.lower() == "kestra_url" else value for name, value in dotenv.items()}


def forget_the_route(environ: MutableMapping[str, str]) -> None:
    """Remove from a worker's environment what says which way calls go: there they always go directly.

    What is called KESTRA_URL or the like there is as a rule the server's own, and none of our settings.
    """
    for name in [each for each in environ if each.upper().startswith("KESTRA_") or each.upper() == "CONCIERGE_VIA"]:
        del environ[name]


def _of_one_place(value: object) -> object:
    if isinstance(value, _Foreign):
        raise ValueError(  # noqa: TRY004 -- a setting is wrong, not our argument
            f"is set in .env, and {value.names} in the environment, so that a .env of somebody else's could have that"
            " sent anywhere; set all of them in one place"
        )
    return value


def _address(value: str) -> str:
    try:
        parts = urlsplit(value)
        is_whole = bool(parts.hostname) and parts.port != 0 and value.isascii() and value.isprintable()
    except ValueError:  # a port or an IPv6 address that is none
        is_whole = False
    if not is_whole or parts.scheme not in ("http", "https") or "@" in parts.netloc or " " in value:
        raise ValueError("must be an address such as http://kestra:8080, without a password in it")
    if parts.query or parts.fragment or re.search(r"/(ui|api)(/|$)", parts.path):
        raise ValueError("must be the address of Kestra itself, without /ui, /api or what follows")
    return value.rstrip("/")


def _printable(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().isprintable():
        raise ValueError("has a line end or another character that is no part of it; copy it once more")
    return value


def _user(value: str) -> str:
    if not value.isprintable() or ":" in value:
        raise ValueError("has a colon, a line end or another character that no user has; copy it once more")
    return value


def _token(value: SecretStr) -> SecretStr:
    if not all("!" <= letter <= "~" for letter in value.get_secret_value()):
        raise ValueError("has a space, a line end or another character that no token has; copy it once more")
    return value


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError(_HOW_A_NAME_LOOKS)
    return value


def _size(value: str) -> str:
    if not _SIZE.fullmatch(value):
        raise ValueError("must be a size such as 512MB or 2GB")
    return value


def _image(value: str) -> str:
    if not all("!" <= letter <= "~" for letter in value):
        raise ValueError("must be the name of an image such as registry.example/concierge-calls:0.1.0")
    return value


Address = Annotated[str, BeforeValidator(_of_one_place), AfterValidator(_address)]
User = Annotated[str, AfterValidator(_user)]
Password = Annotated[SecretStr, AfterValidator(_printable)]
Token = Annotated[SecretStr, AfterValidator(_token)]
Name = Annotated[str, AfterValidator(_name)]
Size = Annotated[str, AfterValidator(_size)]
Image = Annotated[str, AfterValidator(_image)]
