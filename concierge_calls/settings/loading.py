"""Reads the settings from the environment and .env, and says in a sentence which one is wrong and why."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, DotEnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from concierge_calls.errors import SettingsError
from concierge_calls.loopback import is_loopback
from concierge_calls.plain import one_line
from concierge_calls.settings import kestra
from concierge_calls.settings.fields import SETTINGS, Setting
from concierge_calls.settings.folder import ENV_FILE, journal_in, unreadable


def _setting(name: str, **limits: Any) -> Any:
    known = SETTINGS[name]
    return Field(
        default=known.default,
        validation_alias=known.variable,  # and no other: REGION or API_KEY in the environment is not meant for us
        description=known.sentence,
        **limits,
    )


MANY = 1_000_000  # more than anybody means, and less than a database can hold

# What a value should have been, by the first word of pydantic's name for the fault.
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "finite": "a number",
    "bool": "true or false",
    "string": "a text",
    "path": "a path",
}


class Settings(BaseSettings):
    """What is set, by option, environment, .env in the working folder, or default, in this order."""

    model_config = SettingsConfigDict(
        env_file=ENV_FILE, env_ignore_empty=True, extra="ignore", hide_input_in_errors=True, frozen=True
    )

    api_key: SecretStr | None = _setting("api_key")
    phone_number_id: str | None = _setting("phone_number_id")
    assistant_id: str | None = _setting("assistant_id")
    base_url: str = _setting("base_url")
    max_concurrent: int = _setting("max_concurrent", ge=1, le=MANY)
    start_interval: float = _setting("start_interval", ge=0, le=3600, allow_inf_nan=False)
    call_timeout: int = _setting("call_timeout", ge=10, le=43200)
    analysis_timeout: float = _setting("analysis_timeout", ge=0, le=86400, allow_inf_nan=False)
    poll_interval: float = _setting("poll_interval", gt=0, le=60, allow_inf_nan=False)
    max_requests_per_minute: int = _setting("max_requests_per_minute", ge=0, le=MANY)
    via: Literal["auto", "direct", "kestra"] = _setting("via")
    region: str = _setting("region")
    record: bool = _setting("record")
    redial_after: float = _setting("redial_after", ge=0, le=24 * 365, allow_inf_nan=False)
    state_dir: Path | None = _setting("state_dir")
    api_token: SecretStr | None = _setting("api_token")
    public_url: str | None = _setting("public_url")
    webhook_secret: SecretStr | None = _setting("webhook_secret")
    kestra_enabled: bool = _setting("kestra_enabled")
    kestra_url: kestra.Address | None = _setting("kestra_url")
    kestra_username: kestra.User | None = _setting("kestra_username")
    kestra_password: kestra.Password | None = _setting("kestra_password")
    kestra_api_token: kestra.Token | None = _setting("kestra_api_token")
    kestra_tenant: kestra.Name = _setting("kestra_tenant")
    kestra_namespace: kestra.Name = _setting("kestra_namespace")
    kestra_flow: Literal["fan-out", "one-task"] = _setting("kestra_flow")
    kestra_runner: Literal["process", "docker"] = _setting("kestra_runner")
    kestra_image: kestra.Image | None = _setting("kestra_image")
    kestra_memory: kestra.Size | None = _setting("kestra_memory")
    kestra_cpus: float | None = _setting("kestra_cpus", gt=0, le=1024, allow_inf_nan=False)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Options, then the environment, then .env without an address that a secret of elsewhere is sent to."""
        del file_secret_settings
        return init_settings, env_settings, _Guarded(settings_cls, dotenv_settings)

    @field_validator("api_key")
    @classmethod
    def _printable_key(cls, value: SecretStr | None) -> SecretStr | None:
        # httpx would quote the whole header, and so the key, in its error about such a character.
        if value is not None and not _is_one_word(value.get_secret_value()):
            raise ValueError("has a space, a line end or another character that no key has; copy the key once more")
        return value

    @field_validator("api_token", "webhook_secret")
    @classmethod
    def _printable_secret(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _is_one_word(value.get_secret_value()):
            raise ValueError("has a space, a line end or another character that no header can hold; choose another")
        return value

    @field_validator("phone_number_id", "assistant_id")
    @classmethod
    def _printable_id(cls, value: str | None) -> str | None:
        if value is not None and not _is_one_word(value):
            raise ValueError("has a space, a line end or another character that no id has; copy the id once more")
        return value

    @field_validator("public_url")
    @classmethod
    def _safe_public_url(cls, value: str | None) -> str | None:
        return None if value is None else _safe_address(value, "https://calls.example.com")

    @field_validator("base_url")
    @classmethod
    def _safe_base_url(cls, value: str) -> str:
        return _safe_address(value, "https://api.vapi.ai")

    @property
    def can_call(self) -> bool:
        """Whether key and number are set, so that Vapi can be asked from here."""
        return bool(self.api_key and self.phone_number_id)

    def needed(self) -> tuple[str, str]:
        """Return the key and the phone number's id; raises SettingsError naming the one that is missing."""
        missing = [SETTINGS[name].variable for name in ("api_key", "phone_number_id") if not getattr(self, name)]
        if missing:
            is_, them = ("is", "it") if len(missing) == 1 else ("are", "them")
            raise SettingsError(
                f"{' and '.join(missing)} {is_} not set, so nobody can be called."
                f" Set {them} in the environment or in .env, or try it without a phone: --simulate."
            )
        return cast(SecretStr, self.api_key).get_secret_value(), cast(str, self.phone_number_id)

    def kestra_needed(self) -> kestra.KestraAccess:
        """Return where Kestra is and as whom to speak with it; raises SettingsError where no address is set."""
        if self.kestra_url is None:
            raise SettingsError(
                "KESTRA_URL is not set, so there is no Kestra to go to."
                " Set it to its address, such as http://kestra:8080, or use --via direct."
            )
        password, token = self.kestra_password, self.kestra_api_token
        return {
            "url": self.kestra_url,
            "username": self.kestra_username,
            "password": password.get_secret_value() if password else None,
            "api_token": token.get_secret_value() if token else None,
            "tenant": self.kestra_tenant,
            "namespace": self.kestra_namespace,
        }

    def journal_path(self, *, simulated: bool) -> Path:
        """Where the journal is: real runs in journal.db, simulated ones in simulated.db beside it."""
        return journal_in(self.state_dir, simulated=simulated)


class _Guarded(PydanticBaseSettingsSource):
    # A .env that lies in a folder somebody else filled must not send the key elsewhere.

    def __init__(self, settings_cls: type[BaseSettings], dotenv: PydanticBaseSettingsSource) -> None:
        super().__init__(settings_cls)
        self._dotenv = cast(DotEnvSettingsSource, dotenv)

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        return self._dotenv.get_field_value(field, field_name)

    def __call__(self) -> dict[str, Any]:
        found = {
            name: value for name, value in self._dotenv().items() if name.lower() not in ("vapi_base_url", "base_url")
        }
        return kestra.guarded(found, self.current_state)


def _safe_address(value: str, example: str) -> str:
    try:
        parts = urlsplit(value)
        is_whole = bool(parts.hostname) and parts.port != 0 and _is_one_word(value)
    except ValueError:  # a port or an IPv6 address that is none
        is_whole = False
    if not is_whole or "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(f"must be an address such as {example}, without a password or a query")
    if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        return value.rstrip("/")
    raise ValueError("must begin with https://, or with http:// for this machine itself")


def _is_one_word(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text


def load(options: Mapping[str, Any] | None = None, *, program: bool = False, without: Collection[str] = ()) -> Settings:
    """Read the settings, typed options first; an option that is None was not typed.

    Those `without` which it is to be done have their defaults, whatever is set. To a `program` a wrong one is named as
    the argument that it gave, to a person as the option that they typed.
    Raises SettingsError with a sentence for each setting that is wrong; a secret's value is never in it.
    """
    typed = {name: value for name, value in (options or {}).items() if value is not None}
    given: dict[str, Any] = {name: SETTINGS[name].default for name in without} | typed
    try:
        return Settings(**{SETTINGS[name].variable: value for name, value in given.items()})
    except ValidationError as error:
        raise SettingsError("\n".join(_sentence(fault, typed, program) for fault in error.errors())) from None
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(error) from None


def _sentence(fault: Any, typed: Mapping[str, Any], program: bool) -> str:
    place = str(fault["loc"][0]) if fault["loc"] else ""
    found = ((name, known) for name, known in SETTINGS.items() if known.variable.lower() == place.lower())
    name, known = next(found, (place, Setting(place, "")))
    option = name if program else known.option
    what = option if option and name in typed else known.variable
    given = "" if known.secret or fault["type"] == "value_error" else f", not {one_line(str(fault['input']), 40)!r}"
    return f"{what} {_must(fault)}{given}. {known.sentence}".rstrip()


def _must(fault: Any) -> str:
    limits = fault.get("ctx", {})
    match fault["type"]:
        case "greater_than_equal":
            return f"must be at least {limits['ge']:.10g}"
        case "greater_than":
            return f"must be above {limits['gt']:.10g}"
        case "less_than_equal":
            return f"must be at most {limits['le']:.10g}"
        case "literal_error":
            return f"must be {limits['expected'].replace(chr(39), '')}"
        case "value_error":
            return str(limits["error"])
        case kind:
            return f"must be {_KINDS.get(kind.partition('_')[0], 'something else')}"
