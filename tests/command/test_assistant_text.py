"""--dry-run -v: every word that the assistant is told can be read before anybody hears it."""

from __future__ import annotations

from typing import Any

GOOD = "Blue Ridge,(864) 555-0106,plumbing"


def told(command: Any, *arguments: str, environ: dict[str, str] | None = None) -> str:
    finished = command(*arguments, "--dry-run", "-v", environ=environ)

    assert finished.code == 0
    return str(finished.err)


def test_the_whole_text_is_shown_with_the_facts_of_the_request(command: Any, providers: Any) -> None:
    text = told(command, "batch", providers(GOOD), "--client-name", "Dana Whitfield", "--criteria", "licensed")

    assert "Hello, this is an AI assistant calling for Dana Whitfield. Have I reached Blue Ridge?" in text
    assert "- What the client wants of the provider: licensed" in text
    assert '"Are you a robot?": say yes.' in text
    assert "{{" not in text
    assert "each of the others" not in text


def test_with_recording_it_says_so_at_once(command: Any, providers: Any) -> None:
    assert "and this call is recorded" in told(command, "batch", providers(GOOD), "--record")


def test_of_several_providers_the_first_ones_facts_are_shown(command: Any, providers: Any) -> None:
    text = told(command, "batch", providers("Odd,864-555-0106,moving", "Other,864-555-0117,plumbing"))

    assert "- Business you are calling: Odd\n" in text
    assert "- Business you are calling: Other\n" not in text
    assert text.rstrip().endswith("These are the facts of the first provider; each of the others has its own.")


def test_the_users_own_assistant_is_told_facts_alone(command: Any, providers: Any) -> None:
    own = {"VAPI_ASSISTANT_ID": "22222222-2222-4222-8222-222222222222"}
    text = told(command, "batch", providers(GOOD), environ=own)

    assert "Your own assistant is told these facts:\n- provider_name: Blue Ridge\n" in text
    assert "robot" not in text


def test_without_v_nothing_of_it_is_shown(command: Any, providers: Any) -> None:
    assert "robot" not in command("batch", providers(GOOD), "--dry-run").err
