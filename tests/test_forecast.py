"""What is said of a run before anybody is dialled."""

from __future__ import annotations

import sys
import tracemalloc
import zoneinfo
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import phonenumbers
import pytest

from concierge_calls import phone
from concierge_calls.forecast import (
    Forecast,
    LateEnd,
    LocalTime,
    Outside,
    Skips,
    forecast,
    limits,
    local_clock,
    where,
    who,
)
from concierge_calls.models import CallResult, CallStatus, Provider, Reason, ServiceRequest

HERE = ZoneInfo("America/New_York")
NOON = datetime(2026, 5, 4, 12, 12, tzinfo=HERE)  # a Monday
NEW_YORK, TORONTO, CHICAGO, PHOENIX = "+12125550101", "+14165550101", "+13125550101", "+16025550101"
LOS_ANGELES, HONOLULU, GUAM, PUERTO_RICO = "+13105550101", "+18085550101", "+16715550101", "+17875550101"
ALASKA, NEWFOUNDLAND, TOLL_FREE = "+19075550101", "+17095550101", "+18005550101"
LONDON, SYDNEY, BRITISH_MOBILE = "+442079460123", "+61255501234", "+447700900123"
NOWHERE = "+15555550101"


def called(number: str | None, name: str = "Blue Ridge Pipe") -> CallResult:
    provider = Provider(name=name, phone=number)
    return CallResult(index=0, status=CallStatus.PENDING, provider=provider, request=ServiceRequest())


def skipped(code: str, message: str) -> CallResult:
    return replace(called(None), status=CallStatus.SKIPPED, error=Reason(code, message))


def foretold(results: Iterable[CallResult], now: datetime = NOON, **more: Any) -> Forecast:
    known: dict[str, Any] = {
        "max_concurrent": 5,
        "start_interval": 1.0,
        "call_timeout": 300,
        "longest_call": more.get("call_timeout", 300) + 90.0,
        "analysis_timeout": 120.0,
        "rate": None,
    }
    return forecast(results, now=now, **known | more)


def sentences(foreseen: Forecast) -> list[str]:
    return [*who(foreseen), *where(foreseen), *limits(foreseen)]


def times_said(*numbers: str, now: datetime = NOON) -> list[str]:
    return list(where(foretold(map(called, numbers), now)))


@pytest.fixture
def no_time_zone_data(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without time zone data, in its system or as a Python package."""
    monkeypatch.setitem(sys.modules, "tzdata", None)
    zoneinfo.reset_tzpath(to=[])
    ZoneInfo.clear_cache()
    yield
    zoneinfo.reset_tzpath()
    ZoneInfo.clear_cache()


def test_a_run_is_foretold_in_sentences() -> None:
    results = [
        called(NEW_YORK),
        called(LOS_ANGELES, "Upstate\x1b[31m Plumbing\n"),
        skipped("duplicate", "duplicate of line 2"),
        called(NEW_YORK),
        skipped("duplicate", "duplicate of line 3"),
        skipped("too_short", "providers.csv, line 7: '555-0101' lacks its area code; write the whole number."),
    ]
    morning = datetime(2026, 5, 4, 9, 12, tzinfo=HERE)

    assert sentences(foretold(results, morning, rate=0.11)) == [
        "3 providers will be called, at most 3 at once; 3 of 6 will not, each with its reason in the document.",
        "Not called: 2 (duplicate), such as: duplicate of line 2.",
        "Not called: 1 (too short): providers.csv, line 7: '555-0101' lacks its area code; write the whole number.",
        "In New York it is 09:12: 2 numbers.",
        "In Los Angeles it is 06:12: 1 number.",
        "It is outside 08:00-20:00 for 1 provider: Upstate[31m Plumbing …0101 (06:12 in Los Angeles).",
        "This is a warning, and nobody is held back for it; to call at a better time, begin the run later.",
        "It takes 9 minutes at the longest, if every call lasts as long as it may.",
        "It costs about $1.65 at most, at $0.11 a minute, as earlier calls did on average.",
    ]


def test_a_run_is_foretold_in_figures() -> None:
    results = [called(NEW_YORK, "Ace"), called(ALASKA), called(NOWHERE), skipped("duplicate", "duplicate of line 2")]
    evening = datetime(2026, 5, 4, 20, 12, tzinfo=HERE)

    assert foretold(results, evening, rate=0.25, max_concurrent=1) == Forecast(
        called=3,
        skipped=1,
        reasons=(Skips(code="duplicate", count=1, example="duplicate of line 2."),),
        max_concurrent=1,
        longest=3 * 390.0 + 120.0,
        rate=0.25,
        most_cost=3.75,
        local=(
            LocalTime(place="Adak or Anchorage", clock="15:12-16:12", weekday="", count=1),
            LocalTime(place="New York", clock="20:12", weekday="", count=1),
        ),
        outside=(Outside(name="Ace", last_four="0101", clock="20:12", place="New York"),),
        outside_count=1,
        perhaps_outside=0,
        unknown=1,
        untimed=0,
        late=None,
    )


def test_one_provider_is_spoken_of_as_one() -> None:
    assert sentences(foretold([called(NEW_YORK)])) == [
        "1 provider will be called.",
        "In New York it is 12:12: 1 number.",
        "It takes 9 minutes at the longest, if every call lasts as long as it may.",
    ]


def test_where_nobody_is_called_there_is_no_time_and_no_cost_to_speak_of() -> None:
    nobody = foretold([skipped("do_not_call", "They asked on 2026-04-30 not to be called.")], rate=0.11)

    assert (nobody.longest, nobody.most_cost, nobody.late) == (0.0, 0.0, None)
    assert list(who(nobody)) == [
        "Nobody will be called: 1 provider, each with its reason in the document.",
        "Not called: 1 (do not call): They asked on 2026-04-30 not to be called.",
    ]


def test_calls_that_were_made_before_count_for_nothing() -> None:
    assert foretold([replace(called(NEW_YORK), status=CallStatus.COMPLETED)]) == foretold([])


def test_the_most_frequent_reasons_are_named_and_the_rest_counted() -> None:
    results = [skipped(f"reason_{n}", f"Reason {n}.") for n in range(8) for _ in range(8 - n)]

    assert list(who(foretold([called(NEW_YORK), *results]))) == [
        "1 provider will be called; 36 of 37 will not, each with its reason in the document.",
        "Not called: 8 (reason 0), such as: Reason 0.",
        "Not called: 7 (reason 1), such as: Reason 1.",
        "Not called: 6 (reason 2), such as: Reason 2.",
        "Not called: 5 (reason 3), such as: Reason 3.",
        "Not called: 4 (reason 4), such as: Reason 4.",
        "Not called: 3 (reason 5), such as: Reason 5.",
        "Not called: 3 for other reasons.",
    ]


def test_a_number_in_a_name_or_in_a_reason_is_cut_to_its_last_four_digits() -> None:
    results = [
        called(LONDON, "Ace (864) 555-0106 [b]"),
        skipped("premium_rate", "p.csv, line 2: '900-555-0100' is a premium-rate number."),
    ]
    late = datetime(2026, 5, 4, 16, 12, tzinfo=HERE)

    known = foretold(results, late)

    assert known.outside[0].name == "Ace …0106 [b]"
    assert known.reasons[0].example == "p.csv, line 2: '…0100' is a premium-rate number."


def test_a_skipped_result_without_a_reason_is_counted_all_the_same() -> None:
    unexplained = replace(skipped("", ""), error=None)

    assert foretold([unexplained]).reasons == (Skips(code="no_reason", count=1, example="No reason is known."),)


def test_places_where_it_is_the_same_time_share_a_sentence() -> None:
    assert times_said(TORONTO, PUERTO_RICO, NEW_YORK, NEW_YORK, LOS_ANGELES, PHOENIX) == [
        "In New York, Puerto Rico and 1 more place it is 12:12: 4 numbers.",
        "In Los Angeles and Phoenix it is 09:12: 2 numbers.",
    ]


def test_places_that_share_a_time_in_summer_are_told_apart_in_winter() -> None:
    assert times_said(LOS_ANGELES, PHOENIX, now=datetime(2026, 1, 5, 12, 12, tzinfo=HERE)) == [
        "In Los Angeles it is 09:12: 1 number.",
        "In Phoenix it is 10:12: 1 number.",
    ]


def test_four_local_times_are_said_and_the_rest_counted() -> None:
    assert times_said(HONOLULU, LONDON, NEW_YORK, NEW_YORK, CHICAGO, LOS_ANGELES, GUAM)[:5] == [
        "In New York it is 12:12: 2 numbers.",
        "In Honolulu it is 06:12: 1 number.",
        "In Los Angeles it is 09:12: 1 number.",
        "In Chicago it is 11:12: 1 number.",
        "Elsewhere: 2 numbers.",
    ]


@pytest.mark.parametrize(
    ("number", "now", "sentence"),
    [
        (GUAM, datetime(2026, 5, 4, 20, 12, tzinfo=HERE), "In Guam it is 10:12 (Tuesday): 1 number."),
        (LONDON, datetime(2026, 5, 4, 4, 12, tzinfo=HERE), "In London it is 09:12: 1 number."),
        (NEW_YORK, datetime(2026, 5, 3, 12, 12, tzinfo=HERE), "In New York it is 12:12 (Sunday): 1 number."),
        (NEW_YORK, datetime(2026, 5, 2, 12, 12, tzinfo=HERE), "In New York it is 12:12 (Saturday): 1 number."),
        (SYDNEY, datetime(2026, 5, 1, 20, 12, tzinfo=HERE), "In Sydney it is 10:12 (Saturday): 1 number."),
        (HONOLULU, datetime(2026, 5, 4, 18, 12, tzinfo=ZoneInfo("Asia/Tokyo")), ""),
    ],
)
def test_the_day_is_said_at_a_weekend_and_where_it_is_not_the_day_here(
    number: str, now: datetime, sentence: str
) -> None:
    first = times_said(number, now=now)[0]

    assert first == (sentence or "In Honolulu it is 23:12 (Sunday): 1 number.")


@pytest.mark.parametrize(
    ("now", "clock"),
    [
        (datetime(2026, 3, 8, 6, 59, tzinfo=UTC), "01:59 Sun !"),
        (datetime(2026, 3, 8, 7, 0, tzinfo=UTC), "03:00 Sun !"),
        (datetime(2026, 11, 1, 5, 30, tzinfo=UTC), "01:30 Sun !"),
        (datetime(2026, 11, 1, 6, 30, tzinfo=UTC), "01:30 Sun !"),
        (datetime(2026, 11, 1, 12, 59, tzinfo=UTC), "07:59 Sun !"),
        (datetime(2026, 11, 1, 13, 0, tzinfo=UTC), "08:00 Sun"),
    ],
)
def test_the_time_is_right_where_clocks_have_just_been_changed(now: datetime, clock: str) -> None:
    assert local_clock(NEW_YORK, now) == clock


def test_the_hour_that_comes_twice_here_is_told_apart_there() -> None:
    first = datetime(2026, 11, 1, 1, 30, tzinfo=HERE)

    clocks = [local_clock(LOS_ANGELES, now) for now in (first, first.replace(fold=1))]

    assert clocks == ["22:30 Sat !", "23:30 Sat !"]


@pytest.mark.parametrize(
    ("hour", "minute", "clock"),
    [(7, 59, "07:59 !"), (8, 0, "08:00"), (19, 59, "19:59"), (20, 0, "20:00 !"), (0, 0, "00:00 !")],
)
def test_the_hours_begin_at_eight_and_are_over_at_twenty(hour: int, minute: int, clock: str) -> None:
    assert local_clock(NEW_YORK, datetime(2026, 5, 4, hour, minute, tzinfo=HERE)) == clock


@pytest.mark.parametrize(
    ("number", "clock"),
    [
        (NEW_YORK, "12:12"),
        (ALASKA, "07:12-08:12 ?"),
        (NEWFOUNDLAND, "13:12-13:42"),
        (TOLL_FREE, None),
        (SYDNEY, "02:12 Tue !"),
        (NOWHERE, None),
    ],
)
def test_a_row_of_the_dry_run_has_the_time_in_short(number: str, clock: str | None) -> None:
    assert local_clock(number, NOON) == clock


def test_a_number_in_several_zones_has_the_range_of_their_times() -> None:
    assert times_said(TOLL_FREE, TOLL_FREE, ALASKA, NEWFOUNDLAND) == [
        "In Adak or Anchorage it is 07:12-08:12: 1 number.",
        "In Halifax or St Johns it is 13:12-13:42: 1 number.",
        "The local time of 2 numbers is not known: it cannot be told where such a number is.",
        "It may be outside 08:00-20:00 for 1 number that can be in several time zones.",
    ]


def test_a_number_is_outside_the_hours_when_it_is_so_in_each_of_its_zones() -> None:
    assert times_said(ALASKA, now=datetime(2026, 5, 4, 11, 12, tzinfo=HERE)) == [
        "In Adak or Anchorage it is 06:12-07:12: 1 number.",
        "It is outside 08:00-20:00 for 1 provider: Blue Ridge Pipe …0101 (06:12-07:12 in Adak or Anchorage).",
        "This is a warning, and nobody is held back for it; to call at a better time, begin the run later.",
    ]


def test_zones_half_an_hour_apart_and_places_that_were_renamed_are_told_right() -> None:
    example = phonenumbers.example_number("IN")  # India has no numbers that are reserved for fiction
    assert example is not None

    number = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)

    assert times_said(number)[0] == "In Kolkata it is 21:42: 1 number."


def test_five_who_would_be_called_outside_the_hours_are_named_and_the_rest_counted() -> None:
    results = [called(f"+1310555010{n}", f"Provider {n}") for n in range(8)]

    assert list(where(foretold(results, datetime(2026, 5, 4, 9, 12, tzinfo=HERE))))[1] == (
        "It is outside 08:00-20:00 for 8 providers: Provider 0 …0100 (06:12 in Los Angeles), "
        "Provider 1 …0101 (06:12 in Los Angeles), Provider 2 …0102 (06:12 in Los Angeles), "
        "Provider 3 …0103 (06:12 in Los Angeles), Provider 4 …0104 (06:12 in Los Angeles) and 3 more."
    )


@pytest.mark.parametrize("number", [NOWHERE, BRITISH_MOBILE, "+80012345678", "+88212345678", "+999123456", ""])
def test_where_a_number_is_nowhere_the_time_is_said_to_be_unknown(number: str) -> None:
    assert times_said(number) == ["The local time of 1 number is not known: it cannot be told where such a number is."]


@pytest.mark.usefixtures("no_time_zone_data")
def test_broken_time_zone_data_is_as_good_as_none(tmp_path: Path) -> None:
    (tmp_path / "America").mkdir()
    (tmp_path / "America" / "New_York").write_bytes(b"broken")
    zoneinfo.reset_tzpath(to=[str(tmp_path)])

    assert local_clock(NEW_YORK, datetime(2026, 5, 4, 12, 14, tzinfo=UTC)) is None


@pytest.mark.usefixtures("no_time_zone_data")
def test_a_machine_without_time_zone_data_says_so_and_goes_on() -> None:
    now = datetime(2026, 5, 4, 12, 13, tzinfo=UTC)  # a minute that no other test asks for, and nothing remembers

    assert times_said(NEW_YORK, TOLL_FREE, NOWHERE, now=now) == [
        "The local time of 2 numbers is not known: it cannot be told where such a number is.",
        "The local time of 1 number is not known: this machine has no time zone data for it;"
        " pip install tzdata adds it.",
    ]
    assert local_clock(NEW_YORK, now) is None


@pytest.mark.parametrize(
    ("number", "max_concurrent", "start_interval", "longest"),
    [
        (1, 5, 1.0, 390.0),
        (5, 5, 1.0, 394.0),  # the fifth is dialled four seconds after the first
        (6, 5, 1.0, 780.0),
        (12, 5, 0.0, 1170.0),
        (12, 1, 1.0, 12 * 390.0),
        (3, 5, 3600.0, 2 * 3600.0 + 390.0),  # the dials are further apart than a call is long
        (7, 2, 300.0, 6 * 300.0 + 390.0),
    ],
)
def test_the_longest_is_that_of_lines_that_are_each_dialled_as_late_as_they_can_be(
    number: int, max_concurrent: int, start_interval: float, longest: float
) -> None:
    results = [called(NEW_YORK)] * number

    known = foretold(results, max_concurrent=max_concurrent, start_interval=start_interval)

    assert known.longest == longest + 120.0


@pytest.mark.parametrize(
    ("number", "call_timeout", "analysis_timeout", "said"),
    [
        (1, 30, 0.0, "2 minutes"),
        (1, 10, 0.0, "2 minutes"),
        (1, 3510, 0.0, "1 hour"),
        (1, 3510, 1.0, "1 hour 1 minute"),
        (20, 43200, 0.0, "240 hours 30 minutes"),
    ],
)
def test_the_longest_is_said_in_whole_minutes_rounded_up(
    number: int, call_timeout: int, analysis_timeout: float, said: str
) -> None:
    known = foretold(
        [called(NOWHERE)] * number,
        max_concurrent=1,
        start_interval=0.0,
        call_timeout=call_timeout,
        analysis_timeout=analysis_timeout,
    )

    assert list(limits(known)) == [f"It takes {said} at the longest, if every call lasts as long as it may."]


@pytest.mark.parametrize(
    ("number", "rate", "said"),
    [
        (10, 0.11, "$5.50 at most, at $0.11 a minute"),
        (1, 0.1, "$0.50 at most, at $0.10 a minute"),
        (1, 0.0702, "$0.36 at most, at $0.07 a minute"),
        (60, 2.7001, "$811 at most, at $2.70 a minute"),
        (400, 3.0, "$6,000 at most, at $3.00 a minute"),
        (1, 0.0, "$0.00 at most, at $0.00 a minute"),
    ],
)
def test_the_most_a_run_can_cost_is_said_where_a_rate_is_known_and_never_rounded_down(
    number: int, rate: float, said: str
) -> None:
    known = foretold([called(NOWHERE)] * number, rate=rate)

    assert list(limits(known))[1:] == [f"It costs about {said}, as earlier calls did on average."]


@pytest.mark.parametrize(
    ("now", "number", "late"),
    [
        (datetime(2026, 5, 4, 19, 53, tzinfo=HERE), NEW_YORK, None),
        (datetime(2026, 5, 4, 19, 53, 30, tzinfo=HERE), NEW_YORK, None),  # at 20:00 sharp, and not after it
        (datetime(2026, 5, 4, 19, 54, tzinfo=HERE), NEW_YORK, LateEnd(place="New York", clock="20:00", days=0)),
        (datetime(2026, 5, 4, 20, 0, tzinfo=HERE), NEW_YORK, None),  # it is late already
        (datetime(2026, 5, 4, 22, 54, tzinfo=HERE), TOLL_FREE, None),  # not in all of its zones
        (datetime(2026, 5, 4, 18, 56, tzinfo=HERE), NEWFOUNDLAND, None),
    ],
)
def test_a_run_gets_late_where_it_is_not_twenty_yet_and_may_be_before_its_last_call_ends(
    now: datetime, number: str, late: LateEnd | None
) -> None:
    assert foretold([called(number)], now).late == late


@pytest.mark.parametrize(
    ("numbers", "seconds", "end"),
    [
        ([NEW_YORK, CHICAGO], 3600, "21:51 in New York"),
        ([NEW_YORK, TORONTO, NEW_YORK], 3600, "22:52 in New York"),  # where most of them are
        ([CHICAGO, LOS_ANGELES], 9000, "23:51 in Chicago"),
        ([ALASKA], 21600, "21:49 in Adak or Anchorage"),
        ([NEW_YORK], 43200 - 90, "07:48 the next day in New York"),
        ([NEW_YORK] * 7, 43200 - 90, "07:48 4 days later in New York"),
    ],
)
def test_the_latest_end_is_said_for_the_place_where_it_is_latest(numbers: list[str], seconds: int, end: str) -> None:
    now = datetime(2026, 5, 4, 19, 48, tzinfo=HERE)

    known = foretold(map(called, numbers), now, call_timeout=seconds, max_concurrent=1, start_interval=0.0)

    assert list(limits(known))[1:] == [f"The last call may go on until {end}, after 20:00 there."]


def test_the_latest_end_reckons_with_clocks_that_are_changed_in_between() -> None:
    before = datetime(2026, 3, 7, 19, 0, tzinfo=HERE)

    assert foretold([called(NEW_YORK)], before, call_timeout=43200 - 90).late == LateEnd(
        place="New York", clock="08:00", days=1
    )


def test_ten_thousand_results_are_gone_through_once_and_none_is_kept() -> None:
    areas = ("212", "312", "310", "602")
    phone.time_zones(NEW_YORK)  # the tables are loaded, and are none of the forecast's memory
    results = (called(f"+1{areas[n % 4]}5550{100 + n % 100}", f"Provider {n} {'x' * 200}") for n in range(10_000))
    tracemalloc.start()
    try:
        known = foretold(results)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert list(who(known)) == ["10,000 providers will be called, at most 5 at once."]
    assert known.local == (
        LocalTime(place="Los Angeles and Phoenix", clock="09:12", weekday="", count=5_000),
        LocalTime(place="Chicago", clock="11:12", weekday="", count=2_500),
        LocalTime(place="New York", clock="12:12", weekday="", count=2_500),
    )
    assert most < 1_000_000
