"""Kestra's settings: each fault a sentence, and no credentials sent to an address that stands elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from concierge_calls.errors import SettingsError
from concierge_calls.settings.fields import SETTINGS
from concierge_calls.settings.loading import load

HIDDEN = "Geheim-0123"
PAIR = {"KESTRA_USERNAME": "dana@example.com", "KESTRA_PASSWORD": HIDDEN}
URL = {"KESTRA_URL": "http://kestra:8080"}


def set_in_dotenv(values: dict[str, str]) -> None:
    Path(".env").write_text("".join(f"{name}={value}\n" for name, value in values.items()))


def complaint() -> str:
    with pytest.raises(SettingsError) as raised:
        load()
    assert HIDDEN not in raised.value.message
    return raised.value.message


@pytest.mark.parametrize(
    ("environment", "dotenv"),
    [
        (URL | PAIR, {}),
        ({}, URL | PAIR),
        (URL, PAIR),
        ({}, URL),
        (URL | PAIR, {"KESTRA_URL": "https://stranger.example"}),
    ],
    ids=["environment", "dotenv", "credentials in dotenv", "no credentials", "the environment goes first"],
)
def test_the_address_stands_where_its_credentials_stand_or_before_them(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], dotenv: dict[str, str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    set_in_dotenv(dotenv)
    has_user = bool((environment | dotenv).get("KESTRA_PASSWORD"))

    assert load().kestra_needed() == {
        "url": "http://kestra:8080",
        "username": "dana@example.com" if has_user else None,
        "password": HIDDEN if has_user else None,
        "api_token": None,
        "tenant": "main",
        "namespace": "ai_concierge",
    }


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        (PAIR, "KESTRA_USERNAME and KESTRA_PASSWORD"),
        ({"KESTRA_PASSWORD": HIDDEN}, "KESTRA_PASSWORD"),
        ({"KESTRA_API_TOKEN": HIDDEN}, "KESTRA_API_TOKEN"),
    ],
)
@pytest.mark.parametrize("variable", ["KESTRA_URL", "kestra_url"])
def test_an_address_of_dotenv_does_not_get_the_credentials_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], names: str, variable: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    set_in_dotenv({variable: "https://stranger.example", "KESTRA_USERNAME": "theirs@example.com"})

    assert complaint() == (
        f"KESTRA_URL is set in .env, and {names} in the environment, so that a .env of somebody else's could have "
        f"that sent anywhere; set all of them in one place. {SETTINGS['kestra_url'].sentence}"
    )


@pytest.mark.parametrize(
    ("url", "taken"),
    [
        ("http://kestra:8080", "http://kestra:8080"),
        ("https://kestra.example/", "https://kestra.example"),
        ("https://example.com/kestra", "https://example.com/kestra"),
        ("http://10.0.0.7:8080", "http://10.0.0.7:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("kestra:8080", None),
        ("ftp://kestra", None),
        ("http://", None),
        ("http://dana:Geheim-0123@kestra:8080", None),
        ("http://kestra:port", None),
        ("http://kestra:8080/ui/main", None),
        ("http://kestra:8080/api/v1", None),
        ("http://kestra:8080?tenant=main", None),
        ("http://kes tra", None),
    ],
)
def test_the_address_is_that_of_kestra_itself_and_may_be_plain(
    monkeypatch: pytest.MonkeyPatch, url: str, taken: str | None
) -> None:
    monkeypatch.setenv("KESTRA_URL", url)
    if taken is None:
        assert complaint().startswith("KESTRA_URL must be ")
    else:
        assert load().kestra_url == taken


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("KESTRA_ENABLED", "perhaps", "must be true or false, not 'perhaps'"),
        (
            "KESTRA_USERNAME",
            "dana:x",
            "has a colon, a line end or another character that no user has; copy it once more",
        ),
        (
            "KESTRA_PASSWORD",
            f"{HIDDEN}\n",
            "has a line end or another character that is no part of it; copy it once more",
        ),
        (
            "KESTRA_API_TOKEN",
            f"{HIDDEN} ",
            "has a space, a line end or another character that no token has; copy it once more",
        ),
        (
            "KESTRA_NAMESPACE",
            "a/b",
            "must be of small letters, digits, dots, dashes and underscores, and begin with one of the former",
        ),
        ("KESTRA_FLOW", "both", "must be fan-out or one-task, not 'both'"),
        ("KESTRA_RUNNER", "vm", "must be process or docker, not 'vm'"),
        ("KESTRA_IMAGE", "a b", "must be the name of an image such as registry.example/concierge-calls:0.1.0"),
        ("KESTRA_MEMORY", "much", "must be a size such as 512MB or 2GB"),
        ("KESTRA_CPUS", "0", "must be above 0, not '0'"),
    ],
)
def test_a_wrong_value_is_said_with_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv(variable, value)
    meaning = next(known.sentence for known in SETTINGS.values() if known.variable == variable)

    assert complaint() == f"{variable} {said}. {meaning}"


def test_without_an_address_there_is_no_kestra_to_go_to() -> None:
    with pytest.raises(SettingsError) as raised:
        load().kestra_needed()

    assert raised.value.message == (
        "KESTRA_URL is not set, so there is no Kestra to go to. "
        "Set it to its address, such as http://kestra:8080, or use --via direct."
    )


def test_neither_password_nor_token_is_in_the_settings_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KESTRA_PASSWORD", HIDDEN)
    monkeypatch.setenv("KESTRA_API_TOKEN", HIDDEN)

    assert HIDDEN not in f"{load()!r} {load()} {load().model_dump()}"


def test_a_wrong_setting_can_be_read_past(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KESTRA_URL", "kestra")
    monkeypatch.setenv("KESTRA_CPUS", "many")
    monkeypatch.setenv("KESTRA_FLOW", "one-task")
    settings = load(without={"kestra_url", "kestra_cpus"})

    assert (settings.kestra_url, settings.kestra_cpus, settings.kestra_flow) == (None, None, "one-task")
