"""Reading, listing, renaming, deleting and hanging up."""

import operator
import uuid
from datetime import datetime
from typing import Any

import pytest

from tests.simulator.conftest import SLOW

NUMBERS = [f"+131255501{tens}5" for tens in range(5)]


def test_an_unknown_call_is_a_404_and_a_bad_id_a_400(vapi: Any) -> None:
    unknown = vapi.client.get(f"/call/{uuid.uuid4()}")
    assert (unknown.status_code, unknown.json()["error"]) == (404, "Not Found")
    bad = vapi.client.get("/call/7")
    assert (bad.status_code, bad.json()["message"]) == (400, "Validation failed (uuid is expected)")


def test_the_list_is_a_bare_array_of_whole_calls_newest_first(vapi: Any) -> None:
    placed = [vapi.placed(number)["id"] for number in NUMBERS]
    for identifier in placed:
        vapi.ended(identifier)
    listed = vapi.list()
    assert [each["id"] for each in listed] == placed[::-1]
    assert listed[0] == vapi.get(placed[-1])


def test_the_list_is_cut_at_its_limit_which_is_100_by_default(vapi: Any) -> None:
    placed = [vapi.placed(f"+1{area}5550105")["id"] for area in range(200, 301)]
    assert [each["id"] for each in vapi.list()] == placed[:0:-1]
    assert [each["id"] for each in vapi.list(limit=2)] == placed[:-3:-1]
    assert vapi.list(limit=0) == []
    assert len(vapi.list(limit=1000)) == 101


def test_the_list_filters_by_id_number_and_assistant(vapi: Any) -> None:
    placed = [
        vapi.placed(NUMBERS[0])["id"],
        vapi.placed(NUMBERS[1], assistantId="other")["id"],
        vapi.placed(NUMBERS[2], phoneNumberId="other")["id"],
    ]
    assert [each["id"] for each in vapi.list(id=placed[0])] == [placed[0]]
    assert [each["id"] for each in vapi.list(assistantId="other")] == [placed[1]]
    assert [each["id"] for each in vapi.list(phoneNumberId="other", assistantId="an-assistant")] == [placed[2]]


def test_the_list_filters_by_creation_on_both_sides(vapi: Any) -> None:
    placed = [vapi.placed(number) for number in NUMBERS]
    times = [each["createdAt"] for each in placed]
    middle = times[2]
    for name, fits in {"Ge": operator.ge, "Gt": operator.gt, "Le": operator.le, "Lt": operator.lt}.items():
        found = [each["createdAt"] for each in vapi.list(**{f"createdAt{name}": middle})]
        assert found == [at for at in reversed(times) if fits(at, middle)]


def test_the_list_filters_by_the_last_change(vapi: Any) -> None:
    old = vapi.ended(vapi.placed(NUMBERS[0])["id"])
    new = vapi.ended(vapi.placed(NUMBERS[1])["id"])
    assert [each["id"] for each in vapi.list(updatedAtGe=old["updatedAt"])] == [new["id"], old["id"]]
    assert [each["id"] for each in vapi.list(updatedAtGt=old["updatedAt"])] == [new["id"]]
    assert [each["id"] for each in vapi.list(updatedAtLe=old["updatedAt"])] == [old["id"]]
    assert vapi.list(updatedAtLt=old["updatedAt"]) == []
    assert vapi.list(updatedAtGt=old["updatedAt"], createdAtLe=old["createdAt"]) == []


def test_a_time_may_be_written_with_an_offset(vapi: Any) -> None:
    call = vapi.placed()
    elsewhere = datetime.fromisoformat(call["createdAt"]).isoformat()
    assert [each["id"] for each in vapi.list(createdAtGe=elsewhere)] == [call["id"]]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"status": "ended"}, "property status should not exist"),
        ({"page": "2"}, "property page should not exist"),
        ({"sortOrder": "ASC"}, "property sortOrder should not exist"),
        ({"limit": "1001"}, "limit must not be greater than 1000"),
        ({"limit": "-1"}, "limit must not be less than 0"),
        ({"limit": "many"}, "limit must be a number conforming to the specified constraints"),
        ({"createdAtGe": "yesterday"}, "createdAtGe must be a valid ISO 8601 date string"),
        ({"id": "7"}, "id must be a UUID"),
    ],
)
def test_the_list_has_no_other_filter(vapi: Any, parameters: dict[str, str], message: str) -> None:
    reply = vapi.client.get("/call", params=parameters)
    assert (reply.status_code, reply.json()["message"]) == (400, [message])


def test_the_list_may_lag_behind_what_a_read_by_id_shows(start: Any) -> None:
    vapi = start(list_lag=3600)
    call = vapi.ended(vapi.placed(NUMBERS[0])["id"])
    assert vapi.list() == vapi.list(updatedAtGe=call["createdAt"]) == []
    vapi.options.list_lag = 0.0
    assert [each["status"] for each in vapi.list()] == ["ended"]


def test_a_lagging_list_shows_an_earlier_state(start: Any) -> None:
    vapi = start(speed=SLOW)
    vapi.placed(NUMBERS[0])
    vapi.later(40 / SLOW)
    assert vapi.entry(NUMBERS[0])["status"] == "ended"
    seen = []
    for ago in (0, 20, 39.5, 50):  # of a call that was created 40 ago, rang 39 ago and ended 9 to 14 ago
        vapi.options.list_lag = ago / SLOW
        seen.append([each["status"] for each in vapi.list()])
    assert seen == [["ended"], ["ringing"], ["queued"], []]


def test_a_young_call_may_not_be_found_yet(start: Any) -> None:
    vapi = start(get_lag=3600)
    identifier = vapi.placed()["id"]
    assert vapi.client.get(f"/call/{identifier}").status_code == 404
    vapi.options.get_lag = 0.0
    assert vapi.client.get(f"/call/{identifier}").status_code == 200


def test_only_the_name_can_be_changed(vapi: Any) -> None:
    identifier = vapi.placed()["id"]
    assert vapi.client.patch(f"/call/{identifier}", json={"name": "new"}).json()["name"] == "new"
    assert vapi.get(identifier)["name"] == "new"
    refused = vapi.client.patch(f"/call/{identifier}", json={"status": "ended"})
    assert (refused.status_code, refused.json()["message"]) == (400, ["property status should not exist"])
    assert vapi.client.patch(f"/call/{identifier}", json={"name": "x" * 41}).status_code == 400


def test_deleting_a_live_call_erases_it_and_does_not_hang_up(start: Any) -> None:
    vapi = start(speed=100)
    identifier = vapi.placed(NUMBERS[0])["id"]
    assert vapi.client.delete(f"/call/{identifier}").status_code == 200
    assert vapi.client.get(f"/call/{identifier}").status_code == 404
    assert vapi.list() == []
    while vapi.entry(NUMBERS[0])["endedAt"] is None:
        assert vapi.client.get(f"/call/{identifier}").status_code == 404
    entry = vapi.entry(NUMBERS[0])
    assert (entry["endedReason"], entry["erased"], entry["rangAt"] is None) == ("customer-did-not-answer", True, False)


def test_the_control_url_hangs_up_a_call_that_is_in_progress(start: Any) -> None:
    vapi = start(stuck={"+13125550100": "in-progress"})
    call = vapi.placed()
    live = vapi.until(call["id"], lambda call: call["status"] == "in-progress")
    assert vapi.client.post(live["monitor"]["controlUrl"], json={"type": "end-call"}).status_code == 200
    ended = vapi.ended(call["id"])
    assert ended["endedReason"] == "manually-canceled"
    again = vapi.client.post(live["monitor"]["controlUrl"], json={"type": "end-call"})
    assert again.status_code == 404


@pytest.mark.parametrize("status", ["queued", "ringing"])
def test_the_control_url_refuses_before_the_call_is_live(start: Any, status: str) -> None:
    vapi = start(stuck={"+13125550100": status})
    call = vapi.placed()
    vapi.until(call["id"], lambda call: call["status"] == status)
    assert vapi.client.post(call["monitor"]["controlUrl"], json={"type": "end-call"}).status_code == 400
    assert vapi.get(call["id"])["status"] == status


def test_other_messages_do_not_hang_up_and_unknown_ones_are_refused(start: Any) -> None:
    vapi = start(stuck={"+13125550100": "in-progress"})
    address = vapi.placed()["monitor"]["controlUrl"]
    identifier = address.split("/")[-2]
    vapi.until(identifier, lambda call: call["status"] == "in-progress")
    assert vapi.client.post(address, json={"type": "say", "content": "hi"}).status_code == 200
    assert vapi.client.post(address, json={"type": "hang-up"}).status_code == 400
    assert vapi.client.post(address, content=b"x").status_code == 400
    assert vapi.get(identifier)["status"] == "in-progress"


def test_a_deaf_control_url_answers_and_does_nothing(start: Any) -> None:
    vapi = start(stuck={"+13125550100": "in-progress"}, deaf=True, speed=5000)
    call = vapi.placed()
    vapi.until(call["id"], lambda call: call["status"] == "in-progress")
    assert vapi.client.post(call["monitor"]["controlUrl"], json={"type": "end-call"}).status_code == 200
    vapi.ended(vapi.placed(NUMBERS[0])["id"])
    assert vapi.get(call["id"])["status"] == "in-progress"


def test_a_call_without_control_has_no_control_url(vapi: Any) -> None:
    call = vapi.placed(assistantOverrides={"monitorPlan": {"controlEnabled": False}})
    assert call["monitor"].keys() == {"listenUrl"}
