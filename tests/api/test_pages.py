"""The pages for people, as a server answers them: to whom, with what policy, and with nothing of others as markup."""

from __future__ import annotations

import re
from collections.abc import Callable

import httpx

from concierge_calls.page import policy
from tests.api.conftest import Served, Vapi, batch, encoded
from tests.api.test_runs import on_the_line
from tests.page.test_kept import Page

Serve = Callable[..., Served]
TOKEN = "sesame-and-more"  # noqa: S105 -- it opens nothing
HOSTILE = "</title><script>alert(1)</script><img src=x onerror=alert(2)>"


def page(server: Served, query: str = "", **cookies: str) -> httpx.Response:
    return httpx.get(f"{server.url}/{query}", cookies=cookies, trust_env=False)


def words(answer: httpx.Response) -> str:
    return " ".join(Page(answer.text).text.split())


def test_the_page_lists_the_runs_and_shows_each(serve: Serve, vapi: Vapi) -> None:
    server = serve()
    run = server.begin(batch(100))
    server.finished(run)
    home, shown = page(server), page(server, f"?run={run}")

    assert (home.status_code, shown.status_code) == (200, 200)
    assert f"/?run={run}" in Page(home.text).values("href")
    assert "1 of 1 finished" in words(home)
    assert "1 provider: 1 completed." in words(shown)
    assert "On the line now" not in words(shown)
    assert Page(shown.text).tags.count("rect") == 1


def test_a_run_that_goes_on_shows_who_is_on_the_line_and_how_it_is_stopped(serve: Serve, vapi: Vapi) -> None:
    server = serve()
    run = on_the_line(server, vapi, batch(100))
    shown = page(server, f"?run={run}")

    assert "On the line now" in words(shown)
    assert "Dial nobody else and hang up" in words(shown)
    assert "not finished" in words(shown)


def test_a_run_that_stopped_early_says_why_how_it_is_finished_and_when_it_is_tried_again(
    serve: Serve, vapi: Vapi
) -> None:
    vapi.options.refuse = "credits"
    server = serve()
    run = server.post("/providers/batch-call", batch(100)).json()["runId"]
    said = words(page(server, f"?run={run}"))

    assert "Stopped: Vapi wants to be paid first" in said
    assert re.search(
        rf"To finish this run once that is mended: concierge-calls resume {run}"
        r" This server tries it again by itself at \d\d:\d\d:\d\d UTC\.",
        said,
    )
    assert "It is being worked on now" not in said


def test_whoever_has_not_shown_the_token_sees_only_the_question_for_it(serve: Serve, vapi: Vapi) -> None:
    server = serve(CONCIERGE_API_TOKEN=TOKEN)
    server.client.headers["authorization"] = f"Bearer {TOKEN}"
    run = server.begin(batch(100))
    asked, wrong = page(server, f"?run={run}"), page(server, concierge_calls="0" * 64)
    begun = server.post("/session", {"token": TOKEN})
    known = page(server, f"?run={run}", **dict(begun.cookies))

    assert asked.text == wrong.text
    assert "Provider 100" not in asked.text
    assert "token" in Page(asked.text).values("name")
    assert "Provider 100" in known.text


def test_the_pages_allow_themselves_nothing_but_what_is_in_them(serve: Serve, vapi: Vapi) -> None:
    answer = page(serve())
    found = Page(answer.text)

    assert answer.headers["content-security-policy"] == policy()
    assert "unsafe" not in policy()
    assert not [value for value in found.values("src") if value]
    assert all(str(value).startswith(("/", "#", "data:,")) for value in found.values("href"))
    assert not [name for name, _ in found.attributes if name.startswith("on") or name == "style"]


def test_nothing_of_a_file_becomes_markup(serve: Serve, vapi: Vapi) -> None:
    server = serve()
    file = {
        "fileName": f"{HOSTILE.replace('/', '')}.csv",
        "contentBase64": encoded(f"name,phone,service\n{HOSTILE},+18645550100,{HOSTILE}\n"),
    }
    run = str(server.post("/runs", file).json()["runId"])
    server.finished(run)

    for answer in (page(server), page(server, f"?run={run}")):
        assert Page(answer.text).tags.count("script") == 1
        assert "img" not in Page(answer.text).tags
        assert "alert(1)" in words(answer)


def test_a_long_run_is_shown_a_hundred_rows_at_a_time(serve: Serve, vapi: Vapi) -> None:
    vapi.options.stuck = {f"+1864555{line:04}": "in-progress" for line in range(100, 200)}
    server = serve()
    lines = [*range(100, 200)]
    run = server.begin(
        {**batch(*lines), "providers": batch(*lines)["providers"] + batch(*lines, area=803)["providers"]}
    )
    first, second = page(server, f"?run={run}"), page(server, f"?run={run}&from=100")

    assert f"/?run={run}&from=100#calls" in Page(first.text).values("href")
    assert f"/?run={run}&from=0#calls" in Page(second.text).values("href")
    assert (Page(first.text).tags.count("details"), Page(second.text).tags.count("details")) == (100, 100)


def test_who_follows_a_link_to_a_run_that_is_not_there_is_told_so_on_a_page(serve: Serve, vapi: Vapi) -> None:
    answer = page(serve(), "?run=20260101-abcdefgh")

    assert (answer.status_code, answer.headers["content-security-policy"]) == (404, policy())
    assert "There is no such run Nothing of it is in this server's journal. All runs" in words(answer)
