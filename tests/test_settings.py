"""Settings: option, then environment, then .env, then default; each fault is a sentence that names its place."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from concierge_calls.errors import SettingsError
from concierge_calls.loopback import is_loopback
from concierge_calls.settings import folder
from concierge_calls.settings.fields import SETTINGS
from concierge_calls.settings.loading import Settings, load

EXAMPLE = Path(__file__).resolve().parent.parent / ".env.example"


def complaint(options: dict[str, Any] | None = None) -> str:
    with pytest.raises(SettingsError) as raised:
        load(options)
    return raised.value.message


def test_an_option_goes_before_the_environment_before_dotenv_before_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = [load().max_concurrent]
    Path(".env").write_text("VAPI_MAX_CONCURRENT_CALLS=2\n")
    found.append(load().max_concurrent)
    monkeypatch.setenv("VAPI_MAX_CONCURRENT_CALLS", "3")
    found.append(load().max_concurrent)
    found.append(load({"max_concurrent": "4"}).max_concurrent)
    found.append(load({"max_concurrent": None}).max_concurrent)

    assert found == [5, 2, 3, 4, 3]


def test_the_defaults_are_those_of_the_table() -> None:
    settings = load()

    assert {name: getattr(settings, name) for name in SETTINGS if name != "state_dir"} == {
        name: known.default for name, known in SETTINGS.items() if name != "state_dir"
    }
    assert set(Settings.model_fields) == set(SETTINGS)


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAPI_API_KEY", "")
    monkeypatch.setenv("VAPI_MAX_CONCURRENT_CALLS", "")

    assert (load().api_key, load().max_concurrent) == (None, 5)


@pytest.mark.parametrize("name", ["REGION", "API_KEY", "BASE_URL", "VIA", "RECORD", "STATE_DIR", "MAX_CONCURRENT"])
def test_variables_of_other_programs_are_left_alone(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    before = load()
    monkeypatch.setenv(name, "eu-west-1")

    assert load() == before


def test_the_address_that_the_key_is_sent_to_is_not_taken_from_dotenv(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("VAPI_BASE_URL=https://stranger.example\nvapi_base_url=https://stranger.example\n")
    assert load().base_url == "https://api.vapi.ai"

    monkeypatch.setenv("VAPI_BASE_URL", "https://proxy.example/")
    assert load().base_url == "https://proxy.example"


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("VAPI_MAX_CONCURRENT_CALLS", "0", "must be at least 1, not '0'"),
        ("VAPI_MAX_CONCURRENT_CALLS", "1.5", "must be a whole number, not '1.5'"),
        ("VAPI_MAX_CONCURRENT_CALLS", "9" * 50, f"must be at most 1000000, not '{'9' * 39}…'"),
        ("VAPI_CALL_TIMEOUT", "9", "must be at least 10, not '9'"),
        ("VAPI_CALL_TIMEOUT", "43201", "must be at most 43200, not '43201'"),
        ("VAPI_START_INTERVAL", "nan", "must be a number, not 'nan'"),
        ("VAPI_START_INTERVAL", "-1", "must be at least 0, not '-1'"),
        ("VAPI_ANALYSIS_TIMEOUT", "soon", "must be a number, not 'soon'"),
        ("VAPI_POLL_INTERVAL", "0", "must be above 0, not '0'"),
        ("CONCIERGE_RECORD", "perhaps", "must be true or false, not 'perhaps'"),
        ("CONCIERGE_VIA", "train", "must be auto, direct or kestra, not 'train'"),
        ("CONCIERGE_VIA", "\x1b[31mx", "must be auto, direct or kestra, not '[31mx'"),
        ("CONCIERGE_REDIAL_AFTER", "-1", "must be at least 0, not '-1'"),
    ],
)
def test_a_wrong_value_is_said_with_its_variable_and_what_the_setting_means(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(name, value)
    meaning = next(known.sentence for known in SETTINGS.values() if known.variable == name)

    assert complaint() == f"{name} {sentence}. {meaning}"


def test_a_wrong_option_is_said_by_the_options_name_and_each_fault_has_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAPI_START_INTERVAL", "-1")

    assert complaint({"call_timeout": "5"}).splitlines() == [
        "VAPI_START_INTERVAL must be at least 0, not '-1'. Least seconds between two dials.",
        "--call-timeout must be at least 10, not '5'. Each call's own limit in seconds, 10 to 43200.",
    ]


@pytest.mark.parametrize("key", ["sk-1\n", "sk-1\r", " sk-1", "sk 1", "sk-\x001", "sk-\x1b[31m", "sk-ö", "sk-\u200b1"])
def test_a_key_with_a_character_that_no_key_has_is_refused_and_not_shown(key: str) -> None:
    said = complaint({"api_key": key})

    assert said == (
        "VAPI_API_KEY has a space, a line end or another character that no key has; copy the key once more."
        " Vapi's private key, from its dashboard."
    )


def test_the_key_is_not_in_the_settings_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAPI_API_KEY", "sk-0123")

    assert "sk-0123" not in f"{load()!r} {load()} {load().model_dump()}"


@pytest.mark.parametrize(
    ("url", "is_taken"),
    [
        ("https://api.vapi.ai", True),
        ("https://proxy.example:8443/vapi", True),
        ("http://127.0.0.1:8765", True),
        ("http://localhost:8765", True),
        ("http://[::1]:8765", True),
        ("http://vapi.example", False),
        ("http://127.0.0.1.example", False),
        ("http://localhost@vapi.example", False),
        ("https://user:secret@vapi.example", False),
        ("https://vapi.example/?key=1", False),
        ("https://vapi.example:port", False),
        ("https://[vapi", False),
        ("https://", False),
        ("ftp://vapi.example", False),
        ("api.vapi.ai", False),
    ],
)
def test_the_address_is_https_unless_it_is_this_machine(
    monkeypatch: pytest.MonkeyPatch, url: str, is_taken: bool
) -> None:
    monkeypatch.setenv("VAPI_BASE_URL", url)
    if is_taken:
        assert load().base_url == url
        return
    said = complaint()
    assert said.startswith("VAPI_BASE_URL must ")
    assert "secret" not in said


def test_a_dotenv_that_cannot_be_read_is_said() -> None:
    Path(".env").write_bytes(b"VAPI_API_KEY=\xff\xfe\n")

    assert complaint() == ".env in this folder cannot be read (UnicodeDecodeError); mend or remove it."


def test_the_journal_of_simulated_runs_is_another_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/dana")
    monkeypatch.setenv("CONCIERGE_STATE_DIR", "~/calls")

    assert load().journal_path(simulated=False) == Path("/home/dana/calls/journal.db")
    assert load().journal_path(simulated=True) == Path("/home/dana/calls/simulated.db")


@pytest.mark.parametrize("variable", ["CONCIERGE_STATE_DIR", "concierge_state_dir"])
@pytest.mark.parametrize("by", ["the environment", ".env", "both", "nothing", "an empty one and .env"])
def test_whoever_only_looks_back_finds_the_same_journal(
    monkeypatch: pytest.MonkeyPatch, by: str, variable: str
) -> None:
    monkeypatch.delenv("CONCIERGE_STATE_DIR", raising=False)
    if by in ("the environment", "both"):
        monkeypatch.setenv(variable, "/srv/first")
    if by in (".env", "both", "an empty one and .env"):
        Path(".env").write_text(f"{variable}='/srv/second'\n")
    if by == "an empty one and .env":
        monkeypatch.setenv(variable, "")

    assert [folder.journal_path(simulated=kind) for kind in (False, True)] == [
        load().journal_path(simulated=kind) for kind in (False, True)
    ]


def test_a_folder_in_the_home_of_nobody_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONCIERGE_STATE_DIR", "~nobody-at-all/calls")
    with pytest.raises(SettingsError) as raised:
        folder.journal_path(simulated=False)
    assert raised.value.message == (
        "CONCIERGE_STATE_DIR is '~nobody-at-all/calls', and there is no such user here; name a folder."
    )


def test_whoever_only_looks_back_is_told_of_a_dotenv_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONCIERGE_STATE_DIR", raising=False)
    Path(".env").write_bytes(b"VAPI_API_KEY=\xff\xfe\n")
    with pytest.raises(SettingsError, match=r"^\.env in this folder cannot be read \(UnicodeDecodeError\)"):
        folder.journal_path(simulated=False)


@pytest.mark.parametrize(
    ("host", "expected"), [("127.9.9.9", True), ("::1", True), ("localhost", True), ("10.0.0.1", False)]
)
def test_loopback_is_this_machine(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_the_example_has_every_setting_with_its_sentence_and_default_commented_out() -> None:
    text = EXAMPLE.read_text("utf-8")
    offered = re.findall(r"^# (.+)\n# ([A-Z_]+)=(.*)$", text, re.MULTILINE)

    assert offered == [
        (known.sentence, known.variable, written(known.default))
        for name, known in SETTINGS.items()
        if name != "base_url"
    ]
    assert f"{SETTINGS['base_url'].sentence} (default: {SETTINGS['base_url'].default})" in text
    assert all(line.startswith("#") or not line for line in text.splitlines())


def test_the_example_with_its_comments_taken_away_changes_nothing() -> None:
    before = load()
    text = EXAMPLE.read_text("utf-8")
    Path(".env").write_text(
        "\n".join(line.removeprefix("# ") for line in re.findall(r"^# [A-Z_]+=.*$", text, re.MULTILINE))
    )

    assert load() == before


def written(default: object) -> str:
    if default is None:
        return ""
    return f"{default:g}" if isinstance(default, float) else str(default).lower() if default is False else str(default)
