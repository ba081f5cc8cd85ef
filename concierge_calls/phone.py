"""What people type, and what spreadsheets make of it, becomes an E.164 number with its region, or a reason why not."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from concierge_calls.errors import PhoneError, UsageError

if TYPE_CHECKING:
    import phonenumbers

# Vapi, OpenAPI CreateCustomerDTO.extension: maxLength 10.
EXTENSION_LIMIT = 10

_LABEL = re.compile(r"^(?:telephone|tel|phone|ph|mobile|cell|office|t|p|m)\b[.:\s]*", re.IGNORECASE)
_EXTENSION = re.compile(
    r"(?:;\s*ext=|[\s,;(]*(?:(?<![^\W\d_])(?:extension|extn|ext|x)|\#)[\s.:]*)(?P<digits>\d+)\s*\)?$",
    re.IGNORECASE,
)
_BETWEEN_NUMBERS = re.compile(
    r"[/|\n]|;(?!\s*(?:ext|phone-context|isub)=)|,(?=\s*[+(\d])|\s(?:or|and)\s", re.IGNORECASE
)
_FRACTION_OF_A_SPREADSHEET = re.compile(r"^(\+?\d+)[.,]0+$")
_SCIENTIFIC = re.compile(r"^\+?(?P<lead>\d)(?:[.,](?P<decimals>\d+))?E\+?(?P<exponent>\d{1,3})$", re.IGNORECASE)
_VANITY = re.compile(r"^(?:\+?1[-.\s]*)?\(?\d{3}\)?[-.\s]*[A-Z\d][A-Z\d-]{6,}$", re.IGNORECASE)
_LETTER = re.compile(r"[^\W\d_]")
# Seven digits are the shortest subscriber number that somebody would write beside another one.
_DIGITS_OF_A_NUMBER = 7
_SHOWN = 60

# libphonenumber still says some zones by names that a system may keep in a package of their own (tzdata-legacy).
_RENAMED: Mapping[str, str] = {
    "Africa/Asmera": "Africa/Asmara",
    "America/Buenos_Aires": "America/Argentina/Buenos_Aires",
    "America/Godthab": "America/Nuuk",
    "Asia/Calcutta": "Asia/Kolkata",
    "Asia/Choibalsan": "Asia/Ulaanbaatar",
    "Asia/Katmandu": "Asia/Kathmandu",
    "Asia/Rangoon": "Asia/Yangon",
    "Atlantic/Faeroe": "Atlantic/Faroe",
    "Pacific/Enderbury": "Pacific/Kanton",
    "Pacific/Ponape": "Pacific/Pohnpei",
    "Pacific/Truk": "Pacific/Chuuk",
}


@dataclass(frozen=True, slots=True)
class PhoneNumber:
    """A number that can be called."""

    e164: str = field(repr=False)
    extension: str | None = field(default=None, repr=False)
    region: str | None = None  # ISO 3166-1 alpha-2; None where the number belongs to no single country
    warning: str | None = field(default=None, repr=False)  # worth a look, but callable

    @property
    def time_zones(self) -> tuple[str, ...]:
        """The IANA time zones in which this number can be; looked up when asked for, since the table is large."""
        return time_zones(self.e164)


def parse(text: str, region: str = "US") -> PhoneNumber:
    """Read a phone number as a person or a spreadsheet wrote it.

    `region` (ISO 3166-1 alpha-2) is how a number without a country code is read. Raises PhoneError with the
    code `no_phone`, `not_a_number`, `bad_country_code`, `too_short`, `too_long`, `emergency`, `short_number`,
    `premium_rate`, `bad_extension` or `spreadsheet`, and UsageError for a region that does not exist.
    """
    region = checked_region(region)
    cleaned = _cleaned(text)
    if not cleaned:
        raise PhoneError("There is no phone number; fill it in, or take the row out.", "no_phone")
    given = text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
    first, warning = _first_of(cleaned)
    body, extension = _split_extension(_undo_spreadsheet(first, given))
    return _judged(given, body, region, extension, warning)


def checked_region(region: str) -> str:
    """Give the region back in capitals; raises UsageError when phone numbers have no such region."""
    import phonenumbers

    code = region.strip().upper()
    if code not in phonenumbers.SUPPORTED_REGIONS:
        raise UsageError(f"There is no region {region!r}; use the two letters of a country, such as US, CA or GB.")
    return code


def checked_extension(text: str) -> str | None:
    """Read an extension that stands by itself ("12", "x12", "ext. 12", "12.0"); None when there is none.

    Raises PhoneError with the code `bad_extension`.
    """
    cleaned = _FRACTION_OF_A_SPREADSHEET.sub(r"\1", _cleaned(text))
    if not cleaned:
        return None
    found = _EXTENSION.fullmatch(cleaned)
    digits = found["digits"] if found else cleaned
    if not digits.isascii() or not digits.isdigit():
        raise PhoneError(f"{text!r} is not an extension; write its digits only.", "bad_extension")
    if len(digits) > EXTENSION_LIMIT:
        raise PhoneError(f"The extension {text!r} has more than {EXTENSION_LIMIT} digits; correct it.", "bad_extension")
    return digits


def time_zones(e164: str) -> tuple[str, ...]:
    """Return the IANA time zones in which a number can be, by their current names; none where that is not known."""
    import phonenumbers
    from phonenumbers import timezone

    try:
        zones = timezone.time_zones_for_number(phonenumbers.parse(e164))
    except phonenumbers.NumberParseException:
        return ()
    return tuple(dict.fromkeys(_RENAMED.get(zone, zone) for zone in zones if zone != timezone.UNKNOWN_TIMEZONE))


def _cleaned(text: str) -> str:
    """Plain digits, plain spaces, and none of the marks that programs put around a number to keep it a text."""
    plain = unicodedata.normalize("NFKC", text)
    if not plain.isascii():
        plain = "".join(character for character in plain if unicodedata.category(character) != "Cf")
    return plain.strip().removeprefix("=").strip("\"'`‘’ \t")


def _first_of(cleaned: str) -> tuple[str, str | None]:
    numbers = [part for part in _BETWEEN_NUMBERS.split(cleaned) if sum(map(str.isdigit, part)) >= _DIGITS_OF_A_NUMBER]
    if len(numbers) < 2:
        return cleaned, None
    return numbers[0].strip(), f"The cell holds {len(numbers)} numbers; the first of them is called."


def _undo_spreadsheet(cleaned: str, given: str) -> str:
    whole = _FRACTION_OF_A_SPREADSHEET.sub(r"\1", cleaned)
    found = _SCIENTIFIC.match(whole)
    if not found:
        return whole
    decimals = found["decimals"] or ""
    exponent = int(found["exponent"])
    if len(decimals) < exponent or decimals[exponent:].strip("0"):
        raise PhoneError(
            f"A spreadsheet has replaced the last digits of {given!r}; format the column as text and export it again.",
            "spreadsheet",
        )
    return found["lead"] + decimals[:exponent]


def _split_extension(text: str) -> tuple[str, str | None]:
    found = _EXTENSION.search(text)
    if not found or found.start() == 0:
        return text, None
    return text[: found.start()], checked_extension(found["digits"])


def _judged(given: str, body: str, region: str, extension: str | None, warning: str | None) -> PhoneNumber:
    import phonenumbers

    number = _numbered(given, body, region)
    _refuse_special(given, number)
    _refuse_impossible(given, number)
    country = phonenumbers.region_code_for_number(number)  # which takes longest of all, so only once
    if country is None or not phonenumbers.is_valid_number_for_region(number, country):
        unassigned = "No such number is known to be assigned, but it is possible, so it is called."
        warning = f"{warning} {unassigned}" if warning else unassigned
    return PhoneNumber(
        phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164),
        extension or checked_extension(number.extension or ""),
        country if country in phonenumbers.SUPPORTED_REGIONS else None,
        warning,
    )


def _numbered(given: str, body: str, region: str) -> phonenumbers.PhoneNumber:
    """Parse; words are only taken for a number where they have the shape of one, such as 1-800-FLOWERS.

    Otherwise libphonenumber would read "555-0101 Joe" as the number 555-010-1563 and a stranger would be rung.
    """
    import phonenumbers

    bare = _LABEL.sub("", body)
    not_a_number = PhoneError(f"{given!r} is not a phone number; correct it.", "not_a_number")
    if _LETTER.search(bare.split(";")[0]) and not _VANITY.match(bare):
        raise not_a_number
    try:
        return phonenumbers.parse(bare, region)
    except phonenumbers.NumberParseException as error:
        kind = error.error_type
    if kind == phonenumbers.NumberParseException.INVALID_COUNTRY_CODE:
        raise PhoneError(f"{given!r} has a country code that does not exist; correct it.", "bad_country_code")
    if kind == phonenumbers.NumberParseException.TOO_LONG:
        raise PhoneError(f"{given!r} has too many digits for a phone number; correct it.", "too_long")
    raise not_a_number


def _refuse_special(given: str, number: phonenumbers.PhoneNumber) -> None:
    import phonenumbers

    home = phonenumbers.region_code_for_country_code(number.country_code or 0)
    national = phonenumbers.national_significant_number(number)
    # A switch may act on the leading digits alone, so 911-555-0101 is refused like 911; a number that is
    # known to be assigned is not (a subscriber's number in Hong Kong may begin with 999).
    if phonenumbers.is_emergency_number(national, home) or (
        phonenumbers.connects_to_emergency_number(national, home) and not phonenumbers.is_valid_number(number)
    ):
        raise PhoneError(f"{given!r} is an emergency number; it is never called.", "emergency")
    if phonenumbers.is_valid_short_number(number):
        raise PhoneError(f"{given!r} is a short number of a network; it is never called.", "short_number")
    if phonenumbers.number_type(number) == phonenumbers.PhoneNumberType.PREMIUM_RATE:
        raise PhoneError(f"{given!r} is a premium-rate number, which costs extra; it is never called.", "premium_rate")


def _refuse_impossible(given: str, number: phonenumbers.PhoneNumber) -> None:
    import phonenumbers

    verdict = phonenumbers.is_possible_number_with_reason(number)
    if verdict == phonenumbers.ValidationResult.IS_POSSIBLE:
        return
    if verdict == phonenumbers.ValidationResult.IS_POSSIBLE_LOCAL_ONLY:
        raise PhoneError(f"{given!r} lacks its area code; write the whole number.", "too_short")
    if verdict == phonenumbers.ValidationResult.TOO_SHORT:
        raise PhoneError(f"{given!r} has too few digits for a phone number; write the whole number.", "too_short")
    if verdict == phonenumbers.ValidationResult.TOO_LONG:
        raise PhoneError(f"{given!r} has too many digits for a phone number; correct it.", "too_long")
    raise PhoneError(f"{given!r} has a wrong number of digits for its country; correct it.", "not_a_number")
