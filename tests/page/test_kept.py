"""The page of one run that is kept as a file: whole, safe whatever anybody said, and in need of nothing else."""

import base64
import hashlib
import re
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

from concierge_calls.journal import LineSpan
from concierge_calls.models import (
    Analysis,
    AnalysisStatus,
    CallResult,
    CallStatus,
    Message,
    Provider,
    Reason,
    RunResult,
    RunStats,
)
from concierge_calls.page import kept_page
from tests.report.samples import RUN, START, result

HOSTILE = "</summary><script>alert(1)</script><img src=x onerror=alert(2)> {{ 7 * 6 }} \u202egnp.\x1b[2J"


class Page(HTMLParser):
    """What a browser finds in a page."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += f"{data} "

    def values(self, name: str) -> list[str | None]:
        return [value for known, value in self.attributes if known == name]


def available(index: int = 0, **more: Any) -> CallResult:
    known: dict[str, Any] = {
        "status": CallStatus.COMPLETED,
        "analysis": Analysis(
            status=AnalysisStatus.COMPLETE,
            structured_data={
                "availability": "available",
                "earliest_availability": "tomorrow at 9",
                "notes": "$90",
            },
        ),
        "messages": (Message(role="assistant", message="Hello.", seconds_from_start=0.4),),
    }
    return result(index, **known | more)


def written(*results: CallResult, finished: bool = True, spans: tuple[LineSpan, ...] = ()) -> str:
    stats = RunStats(total=len(results))
    run = RunResult(run=replace(RUN, finished=finished), stats=stats, results=results)
    return "".join(kept_page(run, spans, ["2 providers: 1 completed, 1 busy."]))


def test_a_page_says_who_can_come_and_why_the_others_cannot() -> None:
    page = Page(written(available(), result(1, error=Reason("busy", "The line was busy."))))
    words = " ".join(page.text.split())
    assert "2 providers: 1 completed, 1 busy." in words
    assert "Blue Ridge …0106 available tomorrow at 9 $90" in words
    assert "The line was busy." in words
    assert "Hello." in words


def test_whatever_somebody_said_stays_text() -> None:
    provider = Provider(name=HOSTILE, phone="+18645550106", phone_given=HOSTILE, extension=HOSTILE)
    said = {"availability": "available", "notes": HOSTILE, HOSTILE: HOSTILE, "deep": [{HOSTILE: [HOSTILE]}]}
    hostile = available(
        provider=provider,
        analysis=Analysis(status=AnalysisStatus.COMPLETE, summary=HOSTILE, structured_data=said),
        messages=(Message(role=HOSTILE, message=HOSTILE),),
        error=Reason("x", HOSTILE),
        call_id=HOSTILE,
        ended_reason=HOSTILE,
    )
    text = written(hostile, replace(hostile, index=1, status=CallStatus.ERROR, messages=(), transcript=HOSTILE))
    page = Page(text)
    assert not {"script", "img"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on") or name == "style"]
    assert page.tags.count("summary") == 2
    assert "{{ 7 * 6 }}" in page.text
    assert not re.search("[\u202e\x1b]", text)


def test_a_page_needs_nothing_from_elsewhere() -> None:
    page = Page(written(available(recording_url="https://api.vapi.ai/call/1/recording")))
    assert all(str(value).startswith("#") for value in page.values("href"))
    assert not page.values("src")
    assert "script" not in page.tags


def test_the_policy_allows_exactly_the_pages_own_style() -> None:
    text = written(available())
    styles = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    digest = base64.b64encode(hashlib.sha256(styles[0].encode()).digest()).decode()
    wanted = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert Page(text).values("content")[0] == wanted
    assert len(styles) == 1


def test_every_link_leads_to_a_call_on_the_page() -> None:
    page = Page(written(available(0), available(1), result(2)))
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert {str(value).removeprefix("#") for value in page.values("href")} <= set(ids)
    assert {"call-0", "call-1", "call-2"} <= set(ids)


def test_a_transcript_without_messages_is_shown_as_turns() -> None:
    page = Page(written(available(messages=(), transcript="AI: Hello.\nUser: Yes: speaking.\n")))
    words = " ".join(page.text.split())
    assert "Assistant Hello. Provider Yes: speaking." in words


def test_a_run_that_goes_on_says_so_and_rules_nobody_out() -> None:
    words = " ".join(Page(written(result(0, status=CallStatus.IN_PROGRESS), finished=False)).text.split())
    assert "not finished" in words
    assert "Nobody so far." in words


def test_each_call_that_had_a_line_has_a_bar() -> None:
    spans = tuple(
        LineSpan(index=index, begun=START, ended=START + timedelta(seconds=5), status=CallStatus.BUSY)
        for index in range(2)
    )
    page = Page(written(result(0), result(1), spans=spans))
    assert page.tags.count("rect") == 2
    assert "the 2 lines were in use 100 % of the time" in " ".join(page.text.split())
