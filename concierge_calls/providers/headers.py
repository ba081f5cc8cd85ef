"""Which column of a file is which of our fields, whatever the program that exported it calls it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

from concierge_calls.errors import ProvidersFileError

# Every name by which a field is known, as `key` writes it; where a file has several, the first of the list wins.
# Sources: Outscraper's data dictionary (name, phone, place_id), Apify's compass/crawler-google-places (title, phone,
# phoneUnformatted, placeId), Google Places API (New) (displayName.text beside `name`, which is a resource path there;
# internationalPhoneNumber before nationalPhoneNumber, since it needs no region), its legacy API
# (formatted_phone_number), SerpApi local_results (title, phone, place_id), Yelp Fusion (name, phone, display_phone),
# HubSpot (Company name, Phone Number, Record ID), Salesforce (Account Name or Name, Phone, Account ID), Google
# Contacts (Organization 1 - Name, Phone 1 - Value), Vapi campaigns (number, name), Retell batch calls (phone number,
# first_name; to_number in its API), and the names of the document (providerName, providerPhone, serviceNeeded …).
ALIASES: Mapping[str, tuple[str, ...]] = {
    "name": (
        *("displaynametext", "name", "businessname", "companyname", "company", "accountname", "providername"),
        *("title", "displayname", "bizname", "placename", "organizationname", "organisationname"),
        *("organization1name", "organizationtitle", "organization", "organisation", "vendorname", "contractorname"),
        *("dbaname", "storename", "shopname", "business", "provider", "vendor", "contractor"),
        *("firmenname", "firma", "unternehmen", "nombre", "nom", "nome", "fullname", "contactname", "firstname"),
    ),
    "phone": (
        *("phone", "internationalphonenumber", "nationalphonenumber", "phonenumber", "phoneunformatted"),
        *("formattedphonenumber", "displayphone", "telephone", "telephonenumber", "businessphone"),
        *(
            "businessphonenumber",
            "companyphone",
            "companyphonenumber",
            "providerphone",
            "accountphone",
            "mainphone",
            "primaryphone",
        ),
        *("workphone", "officephone", "phone1", "phone1value", "phones", "phonenumbers", "tel", "contactphone"),
        *("contactnumber", "tonumber", "telefon", "telefonnummer", "telefono", "telefone", "mobilephone"),
        *("mobilephonenumber", "mobile", "cellphone", "cell", "number"),
    ),
    "id": (
        *("id", "providerid", "placeid", "googleplaceid", "recordid", "accountid", "companyid", "businessid"),
        *("bizid", "leadid", "externalid"),
    ),
    "service": ("service", "serviceneeded", "servicerequired", "servicerequested", "requestedservice"),
    "criteria": ("criteria", "usercriteria", "requirements"),
    "location": ("location", "joblocation", "jobaddress", "servicelocation", "serviceaddress"),
    "urgency": ("urgency",),
    "problem": ("problem", "problemdescription"),
    "client_name": ("clientname", "client"),
    "expected_duration": ("expectedduration", "expecteddurationseconds", "expectedcallduration", "expectedseconds"),
    "extension": ("extension", "ext", "phoneextension", "phoneext", "phonenumberextension", "telephoneextension"),
}
FIELDS = tuple(ALIASES)
NEEDED = ("name", "phone")

# What HubSpot's API, Airtable, JSON:API, GeoJSON and OpenStreetMap wrap around an item's own columns.
_WRAPPER = re.compile(r"^(?:properties|fields|attributes|tags)[./]", re.IGNORECASE)


def key(header: str) -> str:
    """Write a header as ALIASES does: letters and digits only, without case, accents and wrappers."""
    folded = unicodedata.normalize("NFKD", _WRAPPER.sub("", header.strip())).casefold()
    return "".join(filter(str.isalnum, folded))


def recognised(columns: Iterable[str]) -> dict[str, str]:
    """Find the column of each field by its name, the best-known name first."""
    known: dict[str, str] = {}
    for column in columns:
        known.setdefault(key(column), column)
    found = ((field, next((known[name] for name in names if name in known), None)) for field, names in ALIASES.items())
    return {field: column for field, column in found if column is not None}


def match(columns: Sequence[str], asked: Mapping[str, str], label: str) -> dict[str, str]:
    """Give each field its column: the one that was asked for by --map, else the one recognised by its name.

    Raises ProvidersFileError for an unknown field or column in `asked`, and for a file without name or phone.
    """
    fields = {field: _asked_column(field, column, columns, label) for field, column in asked.items()}
    taken = set(fields.values())
    for field, column in recognised(column for column in columns if column not in taken).items():
        fields.setdefault(field, column)
    missing = [field for field in NEEDED if field not in fields]
    if missing:
        raise ProvidersFileError(_missing(missing, columns, label))
    return {field: fields[field] for field in FIELDS if field in fields}


def listed(columns: Sequence[str], limit: int = 30) -> str:
    """Name the columns for a message, the first `limit` of them."""
    names = ", ".join(column if len(column) <= 40 else column[:39] + "…" for column in columns[:limit])
    return names + (f" and {len(columns) - limit} more" if len(columns) > limit else "")


def _asked_column(field: str, column: str, columns: Sequence[str], label: str) -> str:
    if field not in FIELDS:
        near = get_close_matches(field, FIELDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"the fields are {', '.join(FIELDS)}."
        raise ProvidersFileError(f"--map {field}={column}: there is no field {field!r}; {hint}")
    if column in columns:
        return column
    alike = next((each for each in columns if key(each) == key(column)), None)
    if alike is None:
        near = get_close_matches(column, columns, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ProvidersFileError(
            f"--map {field}={column}: {label} has no column {column!r}; its columns are: {listed(columns)}.{hint}"
        )
    return alike


def _missing(missing: Sequence[str], columns: Sequence[str], label: str) -> str:
    if len(missing) == len(NEEDED) and any(sum(map(str.isdigit, column)) >= 7 for column in columns):
        return f"{label} begins with data, not with a header; put a first line above it, such as: name,phone"
    wanted = " and no ".join({"name": "column of names", "phone": "column of phone numbers"}[each] for each in missing)
    hints = " ".join(f"--map {each}=COLUMN" for each in missing)
    return f"{label} has no {wanted} that is recognised; its columns are: {listed(columns)}. Say which it is: {hints}"
