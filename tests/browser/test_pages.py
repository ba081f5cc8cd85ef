"""The pages in a real browser: a file is chosen, a run is started and watched to its end, and a call is read."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import Served, Vapi, batch, encoded, serve, standing, until, vapi

__all__ = ["serve", "standing", "vapi"]

CHROMIUM = shutil.which("chromium")
TOKEN = "sesame-and-more"  # noqa: S105 -- it opens nothing
PROVIDERS = Path(__file__).resolve().parents[2] / "examples" / "providers.csv"
LONGEST = 60_000.0  # milliseconds until anything counts as hung

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here; Debian's package has one")

Serve = Callable[..., Served]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def tab(browser: Any) -> Iterator[Any]:
    """A page of the browser that must not complain."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(LONGEST)
    page.complaints = []
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    yield page
    assert page.complaints == []
    page.close()


def enter(tab: Any, server: Served) -> None:
    """Show the token once."""
    tab.goto(server.url)
    tab.fill("input[name=token]", TOKEN)
    tab.get_by_role("button", name="Enter").click()
    tab.wait_for_selector("#order")


def test_a_file_is_chosen_a_run_is_watched_to_its_end_and_a_call_is_read(tab: Any, serve: Serve, vapi: Vapi) -> None:
    vapi.options.stuck = {"+18645550100": "in-progress"}
    enter(tab, serve(CONCIERGE_API_TOKEN=TOKEN))
    tab.set_input_files("#file", PROVIDERS)
    tab.get_by_role("button", name="Show who would be called").click()
    tab.get_by_text("10 of 10 would be called.").wait_for()
    tab.get_by_role("button", name="Call these 10 providers").click()
    tab.get_by_role("heading", name="On the line now").wait_for()
    tab.get_by_text("9 of").or_(tab.get_by_text("1 on the line")).first.wait_for()
    until(lambda: (len(vapi.calls()), vapi.live) == (10, 1))
    vapi.end("+18645550100")
    tab.get_by_text("not finished").wait_for(state="detached")
    assert tab.get_by_role("heading", name="On the line now").count() == 0
    assert tab.locator("svg.lines rect").count() == 10
    tab.locator("#who a").first.click()
    tab.locator("details[open] .turns li").first.wait_for()


@pytest.mark.parametrize("where", [".drop", "h1"])
def test_a_file_may_be_dropped_anywhere_and_all_that_is_worth_a_look_in_it_is_said(
    tab: Any, serve: Serve, vapi: Vapi, where: str
) -> None:
    tab.goto(serve().url)
    dropped(tab, where, "name,phone,location\nBlue Ridge,+1 864 555 0100,Greer SC\nOdd,+1 864 055 0102,Greer SC\n")
    tab.get_by_text("Chosen: dropped.csv").wait_for()
    tab.fill("input[name=serviceNeeded]", "plumbing")
    tab.get_by_role("button", name="Show who would be called").click()
    tab.get_by_role("button", name="Call these 2 providers").wait_for()

    assert tab.locator("#preview-said p").all_inner_texts()[:2] == [
        "2 of 2 would be called.",
        "From columns of the file: location from 'location'.",
    ]
    assert tab.locator("#preview-rows tr").all_inner_texts() == [
        "Blue Ridge\t+18645550100\tyes\tplumbing\tGreer SC",
        "Odd\t+18640550102\tyes: No such number is known to be assigned, but it is possible, so it is called."
        "\tplumbing\tGreer SC",
    ]


def test_a_file_that_is_too_large_for_a_request_is_said_before_it_is_sent(tab: Any, serve: Serve, vapi: Vapi) -> None:
    tab.goto(serve().url)
    dropped(tab, "h1", "name,phone\n" + " " * 4_000_000)
    tab.get_by_role("button", name="Show who would be called").click()
    tab.get_by_role("alert").get_by_text("dropped.csv has more than 3.9 MB; split it, or use").wait_for()


def dropped(tab: Any, where: str, text: str) -> None:
    """Drop a file there, as whoever drags it out of a folder does."""
    tab.evaluate(
        """([where, text]) => {
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([text], "dropped.csv", { type: "text/csv" }));
            for (const kind of ["dragover", "drop"]) {
                const event = new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true });
                document.querySelector(where).dispatchEvent(event);
                if (!event.defaultPrevented) throw new Error("the browser opens the file instead of the page");
            }
        }""",
        [where, text],
    )


def test_a_wrong_token_is_said_and_lets_nobody_in(tab: Any, serve: Serve, vapi: Vapi) -> None:
    tab.goto(serve(CONCIERGE_API_TOKEN=TOKEN).url)
    tab.fill("input[name=token]", "wrong")
    tab.get_by_role("button", name="Enter").click()
    tab.get_by_role("alert").get_by_text("This is not the server's CONCIERGE_API_TOKEN.").wait_for()
    assert tab.locator("#order").count() == 0


def test_a_file_that_cannot_be_used_is_said(tab: Any, serve: Serve, vapi: Vapi, tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("name,phone\n")
    tab.goto(serve().url)
    tab.set_input_files("#file", tmp_path / "empty.csv")
    tab.fill("input[name=serviceNeeded]", "plumbing")
    tab.get_by_role("button", name="Show who would be called").click()
    tab.get_by_role("alert").get_by_text("has no rows").wait_for()
    assert tab.locator("#preview").is_hidden()


def test_a_run_is_stopped_for_good_with_a_click(tab: Any, serve: Serve, vapi: Vapi) -> None:
    vapi.options.stuck = {f"+1864555{line:04}": "in-progress" for line in range(100, 200)}
    server = serve()
    tab.on("dialog", lambda dialog: dialog.accept())
    tab.goto(server.url)
    tab.set_input_files("#file", PROVIDERS)
    tab.get_by_role("button", name="Show who would be called").click()
    tab.get_by_role("button", name="Call these 10 providers").click()
    tab.get_by_role("button", name="Dial nobody else and hang up").click()
    tab.locator("#stopping").wait_for(state="detached")
    [run] = server.client.get("/runs").json()
    assert run["run"]["finished"]
    assert run["stats"]["notCalled"] > 0


def test_a_run_that_is_watched_shows_that_time_goes_by_and_whether_its_server_is_there(
    tab: Any, serve: Serve, vapi: Vapi
) -> None:
    vapi.options.stuck = {"+18645550100": "in-progress"}
    server = serve()
    tab.goto(f"{server.url}/?run={server.begin(batch(100))}")
    tab.locator("#now-table").get_by_text("talking").wait_for()
    since = tab.locator("#now-table td[data-label='Since the dial']")
    shown = since.inner_text()
    since.filter(has_not_text=shown).wait_for()

    server.process.kill()
    server.process.wait()
    tab.get_by_role("alert").get_by_text("The server does not answer").wait_for()
    serve("--port", server.url.rpartition(":")[2])
    tab.get_by_role("alert").wait_for(state="hidden")
    vapi.end()
    tab.get_by_text("not finished").wait_for(state="detached")


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_serious_is_in_the_way_of_a_screen_reader_and_nothing_is_wider_than_the_page(
    browser: Any, serve: Serve, vapi: Vapi, width: int
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    server = serve()
    file = {
        "fileName": f"{'google_maps_export_' * 5}.csv",
        "contentBase64": encoded(_table()),
        "serviceNeeded": "plumbing",
    }
    run = str(server.post("/runs", file).json()["runId"])
    server.finished(run)
    context = browser.new_context(viewport={"width": width, "height": 844}, bypass_csp=True)
    page = context.new_page()
    for address in (server.url, f"{server.url}/?run={run}", f"{server.url}/docs"):
        page.goto(address)
        found = axe.run(page).response["violations"]
        serious = [each["id"] for each in found if each["impact"] in ("serious", "critical")]
        assert (address, serious) == (address, [])
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        captions = page.locator("caption").evaluate_all("all => all.map((one) => one.getBoundingClientRect().width)")
        assert [each for each in captions if each < width / 2] == []
    context.close()


def _table() -> str:
    ends = (100, 111, 122, 133, 155, 166, 177)
    return "name,phone\n" + "".join(f"{'Provider' * 10}{end},+1864555{end:04}\n" for end in ends)
