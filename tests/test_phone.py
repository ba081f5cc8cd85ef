"""What people and spreadsheets write for a phone number, and what becomes of it."""

from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from concierge_calls import phone
from concierge_calls.errors import PhoneError, UsageError


@pytest.mark.parametrize(
    "written",
    [
        "8645550101",
        "(864) 555-0101",
        "864.555.0101",
        "1-864-555-0101",
        "+1 864 555 0101",
        " 864\u00a0555\u00a00101 ",
        "864\u2011555\u20110101",
        "８６４５５５０１０１",
        "\u202a+1 864-555-0101\u202c",
        "'8645550101",
        '="8645550101"',
        "tel:+1-864-555-0101",
        "tel:864-555-0101;phone-context=+1",
        "Phone: (864) 555-0101",
        "8645550101.0",
        "+18645550101.00",
        "1.8645550101E+10",
        "8.645550101e9",
    ],
)
def test_one_number_is_recognised_however_it_is_written(written: str) -> None:
    number = phone.parse(written)

    assert (number.e164, number.extension, number.region, number.warning) == ("+18645550101", None, "US", None)


@pytest.mark.parametrize(
    ("written", "extension"),
    [
        ("(864) 555-0101 x12", "12"),
        ("864-555-0101 ext. 12", "12"),
        ("864-555-0101 Extension 7", "7"),
        ("+1-864-555-0101;ext=12", "12"),
        ("tel:+1-864-555-0101;ext=0012", "0012"),
        ("8645550101 #12", "12"),
        ("864-555-0101 (x5)", "5"),
        ("864-555-0101,,12", "12"),
        ("864-555-0101 x1234567890", "1234567890"),
    ],
)
def test_an_extension_is_kept_apart_from_the_number(written: str, extension: str) -> None:
    number = phone.parse(written)

    assert (number.e164, number.extension) == ("+18645550101", extension)


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("", "no_phone"),
        (" \u00a0'", "no_phone"),
        ("n/a", "not_a_number"),
        ("-", "not_a_number"),
        ("call me", "not_a_number"),
        ("555-0101", "too_short"),
        ("864 555 01", "too_short"),
        ("+1 864 555 01011", "too_long"),
        ("1" * 400, "too_long"),
        ("+999 123456", "bad_country_code"),
        ("911", "emergency"),
        ("112", "emergency"),
        ("911-555-0101", "emergency"),
        ("+1 911 555 0101", "emergency"),
        ("411", "short_number"),
        ("900 555 0101", "premium_rate"),
        ("864-555-0101 x98765432109", "bad_extension"),
        ("1.86456E+10", "spreadsheet"),
        ("1E+999", "spreadsheet"),
    ],
)
def test_what_cannot_be_called_is_refused_with_its_reason(written: str, code: str) -> None:
    with pytest.raises(PhoneError) as refused:
        phone.parse(written)

    assert refused.value.code == code
    assert refused.value.message.endswith(".")


@pytest.mark.parametrize("written", ["555-0101 Joe", "864-555-0101 ask for Bob", "1-800-FLEX 12"])
def test_words_beside_a_number_are_never_dialled_as_digits(written: str) -> None:
    with pytest.raises(PhoneError):
        phone.parse(written)


def test_a_number_in_letters_is_dialled_by_its_keys() -> None:
    assert phone.parse("864-JJJ-0101").e164 == "+18645550101"


@pytest.mark.parametrize(
    "written",
    [
        "864-555-0101 / 864-555-0102",
        "864-555-0101; 864-555-0102",
        "864-555-0101, (864) 555-0102",
        "864-555-0101\n864-555-0102",
        "864-555-0101 or 864-555-0102",
    ],
)
def test_of_two_numbers_in_a_cell_the_first_is_taken_with_a_warning(written: str) -> None:
    number = phone.parse(written)

    assert number.e164 == "+18645550101"
    assert number.warning is not None
    assert "2 numbers" in number.warning


def test_a_number_that_is_possible_but_not_valid_is_usable_with_a_warning() -> None:
    number = phone.parse("555 555 0101")

    assert number.e164 == "+15555550101"
    assert number.warning is not None


@pytest.mark.parametrize(
    ("written", "region", "e164"),
    [
        ("001 864 555 0101", "GB", "+18645550101"),
        ("00 1 (864) 555-0101", "DE", "+18645550101"),
        ("011 1 864 555 0101", "US", "+18645550101"),
        ("864 555 0101", "ca", "+18645550101"),
    ],
)
def test_a_number_without_a_plus_is_read_as_its_region_dials(written: str, region: str, e164: str) -> None:
    assert phone.parse(written, region).e164 == e164


@pytest.mark.parametrize("region", ["ZZ", "USA", "", "001"])
def test_an_unknown_region_is_named(region: str) -> None:
    with pytest.raises(UsageError, match=repr(region)):
        phone.parse("8645550101", region)


def test_a_number_knows_its_time_zones() -> None:
    assert phone.parse("8645550101").time_zones == ("America/New_York",)


@pytest.mark.parametrize(
    ("number", "zones"),
    [
        ("+19075550101", ("America/Adak", "America/Anchorage")),
        ("+442079460123", ("Europe/London",)),
        ("+15555550101", ()),
        ("+80012345678", ()),
        ("+999123456", ()),
        ("", ()),
    ],
)
def test_the_time_zones_of_a_number_are_those_it_can_be_in_and_none_where_nobody_knows(
    number: str, zones: tuple[str, ...]
) -> None:
    assert phone.time_zones(number) == zones


def test_time_zones_have_the_names_that_every_system_has() -> None:
    examples = [phonenumbers.example_number(region) for region in ("AR", "ER", "IN", "MM", "NP")]
    numbers = [phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164) for number in examples if number]

    assert [phone.time_zones(number) for number in numbers] == [
        ("America/Argentina/Buenos_Aires",),
        ("Africa/Asmara",),
        ("Asia/Kolkata",),
        ("Asia/Yangon",),
        ("Asia/Kathmandu",),
    ]


def test_a_number_is_not_shown_by_its_repr() -> None:
    assert "0101" not in repr(phone.parse("8645550101 x0101"))


@pytest.mark.parametrize(
    ("written", "extension"),
    [("12", "12"), ("x12", "12"), ("ext. 12", "12"), ("12.0", "12"), ("#12", "12"), (" ", None)],
)
def test_an_extension_can_stand_by_itself(written: str, extension: str | None) -> None:
    assert phone.checked_extension(written) == extension


@pytest.mark.parametrize("written", ["front desk", "98765432109", "1-2"])
def test_what_is_no_extension_is_refused(written: str) -> None:
    with pytest.raises(PhoneError) as refused:
        phone.checked_extension(written)

    assert refused.value.code == "bad_extension"


@given(st.text(max_size=60) | st.text(alphabet="+0123456789 ()-./,;:#xext=E'", max_size=30))
def test_any_text_is_a_number_or_a_phone_error(written: str) -> None:
    try:
        number = phone.parse(written)
    except PhoneError:
        return
    assert number.e164.startswith("+")
    assert number.e164[1:].isdigit()
