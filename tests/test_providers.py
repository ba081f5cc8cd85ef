"""A providers file, whoever exported it, gives rows one by one, or an error that says where and what to do."""

from __future__ import annotations

import io
import json
import os
import threading
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from concierge_calls.errors import ProvidersFileError
from concierge_calls.providers import ProvidersFile, Row, read
from concierge_calls.providers.headers import ALIASES, key

EXPORTS = Path(__file__).parent / "exports"

# file, where its headers are documented, the column of the names, the column of the numbers
KNOWN_EXPORTS = [
    ("outscraper.csv", "outscraper.com, Google Maps data dictionary", "name", "phone"),
    ("apify-google-maps.json", "apify.com/compass/crawler-google-places, output", "title", "phone"),
    (
        "google-places-new.json",
        "developers.google.com, Places API (New), Text Search",
        "displayName.text",
        "internationalPhoneNumber",
    ),
    ("serpapi-google-maps.json", "serpapi.com/maps-local-results", "title", "phone"),
    ("yelp-scraper.jsonl", "apify.com/tortuga/yelp-scraper, output", "name", "phone"),
    ("yelp-fusion.json", "docs.developer.yelp.com, Business Search", "name", "phone"),
    ("hubspot-companies.csv", "HubSpot, export of the companies view", "Company name", "Phone Number"),
    ("salesforce-accounts.csv", "developer.salesforce.com, object Account", "Name", "Phone"),
    ("vapi-campaign.csv", "docs.vapi.ai/outbound-campaigns/contact-data", "name", "number"),
    ("retell-batch-call.csv", "docs.retellai.com/deploy/make-batch-call", "first_name", "phone number"),
    ("excel-semicolon.csv", "Excel, CSV in a region whose decimal sign is a comma", "Firma", "Telefon"),
    ("excel-unicode-text.txt", "Excel, Unicode Text", "Business Name", "Phone Number"),
]


class Files:
    """Writes small files into a folder of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, content: str | bytes, name: str = "providers.csv") -> Path:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path


@pytest.fixture
def write(tmp_path: Path) -> Files:
    return Files(tmp_path)


def rows(source: str | Path, **options: object) -> list[Row]:
    return list(read(source, **options))  # type: ignore[arg-type]


def named(source: str | Path) -> list[tuple[int, str, str]]:
    return [(row.line, row.values["name"], row.values["phone"]) for row in read(source)]


def refusal(source: str | Path, map_: dict[str, str] | None = None) -> str:
    with pytest.raises(ProvidersFileError) as refused:
        list(read(source, map_=map_ or {}))
    return refused.value.message


@pytest.mark.parametrize(("file", "documented", "name", "phone"), KNOWN_EXPORTS)
def test_an_export_is_recognised_without_any_option(file: str, documented: str, name: str, phone: str) -> None:
    opened = read(EXPORTS / file)
    found = list(opened)

    assert (opened.fields["name"], opened.fields["phone"]) == (name, phone), documented
    assert len(found) == 2
    assert all(row.fault is None for row in found)
    assert found[1].values["name"] in ("Rodríguez Drains", 'Rodríguez "24/7" Drains')
    assert "555" in found[1].values["phone"]


def test_every_alias_belongs_to_one_field_and_is_written_as_keys_are() -> None:
    aliases = [alias for names in ALIASES.values() for alias in names]

    assert len(aliases) == len(set(aliases))
    assert [key(alias) for alias in aliases] == aliases


@pytest.mark.parametrize("header", ["Phone Number", "phone_number", "PHONE-NUMBER", " phoneNumber ", "Phone  number:"])
def test_a_header_is_recognised_whatever_its_case_and_spacing(write: Files, header: str) -> None:
    path = write(f"Name,{header}\nBlue Ridge,8645550101\n")

    assert read(path).fields["phone"] == header.strip()


def test_of_several_phone_columns_the_better_known_wins_and_the_others_are_kept(write: Files) -> None:
    path = write("name,mobile,phone\nBlue Ridge,8645550102,8645550101\n")
    (row,) = rows(path)

    assert row.values["phone"] == "8645550101"
    assert row.extra == {"mobile": "8645550102"}


def test_every_other_column_comes_back_as_it_was_even_when_two_have_one_header(write: Files) -> None:
    path = write('name,phone,Note,Note,\nBlue Ridge,8645550101," a ",b,c\n')
    opened = read(path)

    assert opened.columns == ("name", "phone", "Note", "Note (2)", "column 5")
    assert next(iter(opened)).extra == {"Note": " a ", "Note (2)": "b", "column 5": "c"}


def test_json_values_of_other_columns_keep_their_types(write: Files) -> None:
    item = {"name": "Blue Ridge", "phone": 8645550101, "rating": 4.8, "tags": ["a"], "open": True, "none": None}
    (row,) = rows(write(json.dumps([item]), "p.json"))

    assert row.values == {"name": "Blue Ridge", "phone": "8645550101"}
    assert row.extra == {"rating": 4.8, "tags": ["a"], "open": True, "none": None}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_one_of_the_header(write: Files, delimiter: str) -> None:
    lines = [["name", "phone", '"city, state; zip"'], ["Blue Ridge", "8645550101", "Greenville"]]
    path = write("\n".join(delimiter.join(cells) for cells in lines))

    assert named(path) == [(2, "Blue Ridge", "8645550101")]


def test_a_line_that_names_the_delimiter_for_excel_is_no_header(write: Files) -> None:
    assert named(write('sep=;\r\nname;phone\r\n"Ridge; Co";8645550101\r\n')) == [(3, "Ridge; Co", "8645550101")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_the_encoding_is_found_out_of_the_whole_file(write: Files, encoding: str) -> None:
    plain = "".join(f"Business {number},8645550101\n" for number in range(9000))
    path = write(f"name,phone\n{plain}Café Ünal,8645550102\n".encode(encoding))

    assert named(path)[-1] == (9002, "Café Ünal", "8645550102")


def test_utf_16_of_either_byte_order_is_read(write: Files) -> None:
    for mark, codec in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        assert named(write(mark + "name,phone\nCafé,8645550101\n".encode(codec))) == [(2, "Café", "8645550101")]


def test_blank_lines_are_no_rows_but_count_as_lines(write: Files) -> None:
    path = write("\n name , phone \n\nBlue Ridge,8645550101\n   \n,,\nReedy,8645550102\n\n")

    assert named(path) == [(4, "Blue Ridge", "8645550101"), (7, "Reedy", "8645550102")]


def test_a_row_with_a_cell_of_many_lines_is_where_it_begins(write: Files) -> None:
    path = write('name,phone,note\nBlue Ridge,8645550101,"one\ntwo\nthree"\nReedy,8645550102,x\n')

    assert [line for line, _, _ in named(path)] == [2, 5]
    assert rows(path)[0].extra == {"note": "one\ntwo\nthree"}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_as_any_system_ends_them(write: Files, end: str) -> None:
    assert named(write(end.join(["name,phone", "Blue Ridge,8645550101", ""]))) == [(2, "Blue Ridge", "8645550101")]


def test_a_row_of_a_wrong_width_is_at_fault_and_the_others_are_not(write: Files) -> None:
    path = write("name,phone,x\nBlue Ridge,8645550101\nReedy,8645550102,1,2\nPettigrew,8645550103,1,,\n")
    faults = [row.fault.code if row.fault else None for row in rows(path)]

    assert faults == ["too_few_cells", "too_many_cells", None]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", '[{"name": "A", "phone": "1"}, {"name": "B", "phone": "2"}]'),
        ("a.json", '{"providers": [{"name": "A", "phone": "1"}, {"name": "B", "phone": "2"}], "total": 2}'),
        ("a.json", '{"ok": true, "data": {"places": [{"name": "A", "phone": "1"}, {"name": "B", "phone": "2"}]}}'),
        ("a.json", '{"filters": [{"name": "x"}], "mine": [{"name": "A", "phone": "1"}, {"name": "B", "phone": "2"}]}'),
        ("a.json", '{"ads": [{"name": "x", "phone": "9"}],'
                   ' "places": [{"name": "A", "phone": 1}, {"name": "B", "phone": 2}]}'),
        ("a.jsonl", '{"name": "A", "phone": "1"}\n{"name": "B", "phone": "2"}\n'),
        ("a.ndjson", '{"name": "A", "phone": "1"}\r\n{"name": "B", "phone": "2"}'),
        ("a.json", '{"name": "A", "phone": "1"}\n{"name": "B", "phone": "2"}\n'),
        ("a.json", '{"results": [{"id": 1, "properties": {"name": "A", "phone": "1"}},'
                   ' {"id": 2, "properties": {"name": "B", "phone": "2"}}]}'),
        ("a", ' \n [{"name": "A", "phone": "1"}, {"name": "B", "phone": "2"}]'),
        ("a", "name,phone\nA,1\nB,2\n"),
    ],
)  # fmt: skip
def test_json_in_its_shapes_gives_the_same_rows(write: Files, name: str, content: str) -> None:
    assert [(name, phone) for _, name, phone in named(write(content, name))] == [("A", "1"), ("B", "2")]


def test_json_columns_are_those_of_all_items_not_of_the_first(write: Files) -> None:
    path = write('[{"name": "A"}, 7, {"phone": "8645550101", "name": "B"}]', "a.json")
    found = rows(path)

    assert [(row.where, row.values["phone"]) for row in found] == [
        ("item 1", ""),
        ("item 2", ""),
        ("item 3", "8645550101"),
    ]
    assert [row.fault.code if row.fault else None for row in found] == [None, "not_an_object", None]


def test_an_item_that_spans_many_pieces_of_the_file_is_read_whole(write: Files) -> None:
    items = [{"name": f"B{number}", "phone": "8645550101", "note": "é" * 90_000} for number in range(5)]
    found = rows(write(json.dumps({"places": items}, indent=1, ensure_ascii=False), "a.json"))

    assert [row.values["name"] for row in found] == ["B0", "B1", "B2", "B3", "B4"]
    assert all(row.extra == {"note": "é" * 90_000} for row in found)


def test_a_number_that_two_pieces_of_the_file_share_is_read_whole(write: Files) -> None:
    numbers = "123456789," * 20_000
    found = rows(write(f'[{numbers}{{"name": "A", "phone": "8645550101"}}]', "a.json"))

    assert len(found) == 20_001
    assert found[-1].values["name"] == "A"


def test_a_pipe_is_read_like_a_file(tmp_path: Path) -> None:
    pipe = tmp_path / "providers.csv"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"name,phone\nA,8645550101\n",))
    writer.start()
    found = named(pipe)
    writer.join()

    assert found == [(2, "A", "8645550101")]


def test_what_json_can_escape_but_no_text_can_hold_is_replaced(write: Files) -> None:
    (row,) = rows(write('[{"name": "A\\ud800B\\u0000", "phone": "1", "x": {"\\udfff": ["\\u0000"]}}]', "a.json"))

    assert row.values["name"] == "A\ufffdB\ufffd"
    assert row.extra == {"x": {"\ufffd": ["\ufffd"]}}


def test_the_name_is_the_files_own_and_standard_input_has_a_dash(write: Files) -> None:
    path = write("name,phone\nA,8645550101\n")

    assert read(path).name == "providers.csv"
    assert read("-", stdin=io.BytesIO(path.read_bytes())).name == "-"


@pytest.mark.parametrize(
    "content",
    [
        "name,phone\nA,1\n",
        '[{"name": "A", "phone": "1"}]',
        '{"name": "A", "phone": "1"}\n',
        '{"p": [{"name": "A", "phone": "1"}]}',
    ],
)
def test_standard_input_is_recognised_by_its_first_character(content: str) -> None:
    opened = read("-", stdin=io.BytesIO(content.encode()))

    assert [(row.values["name"], row.values["phone"]) for row in opened] == [("A", "1")]


def test_a_file_can_be_read_more_than_once() -> None:
    opened = read("-", stdin=io.BytesIO(b"name,phone\nA,8645550101\n"))

    assert len(list(opened)) == len(list(opened)) == 1


def test_a_column_that_is_not_recognised_is_named_by_map(write: Files) -> None:
    path = write("Wer,Nummer,Where\nA,8645550101,Greenville\n")
    opened = read(path, map_={"name": "Wer", "phone": "nummer", "location": "Where"})

    assert opened.fields == {"name": "Wer", "phone": "Nummer", "location": "Where"}


def test_a_column_asked_for_by_map_is_not_recognised_for_another_field_as_well(write: Files) -> None:
    path = write("name,phone,location\nA,8645550101,licensed\n")

    assert "location" not in read(path, map_={"criteria": "location"}).fields


def test_a_file_without_a_number_column_says_what_it_has_and_what_to_type(write: Files) -> None:
    message = refusal(write("name,nummer\nA,1\n"))

    assert "providers.csv" in message
    assert "name, nummer" in message
    assert "--map phone=COLUMN" in message


def test_a_file_without_a_header_says_so(write: Files) -> None:
    assert "name,phone" in refusal(write("Blue Ridge,8645550101\nReedy,8645550102\n"))


def test_a_map_to_a_column_that_is_not_there_lists_the_columns(write: Files) -> None:
    message = refusal(write("name,phone,Town\nA,1,B\n"), {"location": "Twon"})

    assert "--map location=Twon" in message
    assert "name, phone, Town" in message
    assert "'Town'" in message


def test_a_map_of_an_unknown_field_names_the_nearest_one(write: Files) -> None:
    assert "did you mean location?" in refusal(write("name,phone\nA,1\n"), {"locaton": "name"})


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xef\xbb\xbf", b"\xff\xfe"])
@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.jsonl", "a"])
def test_an_empty_file_is_refused(write: Files, name: str, content: bytes) -> None:
    assert name in refusal(write(content, name))


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    assert "is not there" in refusal(tmp_path / "nobody.csv")
    assert "is a folder" in refusal(tmp_path)
    assert "is no path" in refusal("a\0b")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.xlsx", b"PK\x03\x04rest"),
        ("a.csv", b"PK\x03\x04rest"),
        ("a.xls", b"\xd0\xcf\x11\xe0rest"),
        ("a.csv", b"%PDF-1.7 rest"),
        ("a.xls", b"<html><table></table></html>"),
        ("a.csv", "name,phone\nA,1\n".encode("utf-16-le")),
        ("a.json", b'[{"name": "\0"}]'),
    ],
)
def test_what_is_no_text_is_to_be_saved_as_csv(write: Files, name: str, content: bytes) -> None:
    assert "save it as CSV" in refusal(write(content, name))


def test_nul_bytes_are_named_by_their_line(write: Files) -> None:
    assert "line 3" in refusal(write(b"name,phone\nA,1\nB\0,2\n"))


def test_bytes_that_are_not_what_their_mark_says_are_refused(write: Files) -> None:
    assert "utf-16" in refusal(write(b"\xff\xfen\x00a"))


@pytest.mark.parametrize("row", ['"A,8645550101', '"A" B,8645550101'])
def test_quotation_marks_that_do_not_match_are_named_by_their_line(write: Files, row: str) -> None:
    message = refusal(write(f"name,phone\nReedy,8645550102\n{row}\nPettigrew,8645550103\n"))

    assert "line 3" in message
    assert "quotation marks" in message


def test_a_cell_of_more_than_a_megabyte_is_refused_and_one_of_less_is_not(write: Files) -> None:
    assert len(rows(write(f"name,phone,x\nA,1,{'y' * 500_000}\n"))) == 1
    assert "line 2" in refusal(write(f"name,phone,x\nA,1,{'y' * 1_100_000}\n"))
    assert "item 1" in refusal(write(json.dumps([{"name": "y" * 1_100_000, "phone": "1"}]), "a.json"))


def test_a_line_without_an_end_is_refused(write: Files) -> None:
    assert "line 2 is longer than 8 MB" in refusal(write("name,phone\n" + "a,b," * 2_200_000))


@pytest.mark.parametrize(
    ("name", "content", "place"),
    [
        ("a.json", '[\n  {"name": "A", "phone": "1"},\n  {"name": "B" "phone": "2"}\n]', "line 3, column 16"),
        ("a.json", '[{"name": "A", "phone": "1"}', "line 1, column 29"),
        ("a.json", '[{"name": "A", "phone": "1"}]\n x', "line 2, column 2"),
        ("a.json", '{"places": [{"name": "A"}], 7: 1}', "line 1, column 29"),
        ("a.json", '[{"name": NaN}]', "line 1, column 2"),
        ("a.json", "name,phone\n", "line 1, column 1"),
        ("a.jsonl", '{"name" "A"}\n{"name": "B", "phone" "2"}\n', "in line 1: This is not JSON (column 9"),
    ],
)
def test_wrong_json_is_named_by_its_line_and_column(write: Files, name: str, content: str, place: str) -> None:
    assert place in refusal(write(content, name))


def test_a_broken_line_of_json_lines_is_a_fault_of_its_own_and_stops_no_other(write: Files) -> None:
    found = rows(write('{"name": "A", "phone": "1"}\nbad\n{"name": "B", "phone": "2"}\n', "a.jsonl"))

    assert [row.values["name"] for row in found] == ["A", "", "B"]
    assert [row.fault and (row.fault.code, row.line) for row in found] == [None, ("not_json", 2), None]


def test_wrong_json_far_into_a_long_file_is_named_by_its_place(write: Files) -> None:
    good = ",\n".join('{"name": "A", "phone": "8645550101"}' for _ in range(20_000))

    assert "line 20002, column 2" in refusal(write(f"[\n{good},\n ?]", "a.json"))


@pytest.mark.parametrize("content", ["[]", "[1, 2]", '{"a": 1}', '{"a": []}', "[[[[1]]]]"])
def test_json_without_an_array_of_objects_says_so(write: Files, content: str) -> None:
    assert "a.json" in refusal(write(content, "a.json"))


def test_two_arrays_that_could_both_be_the_providers_are_named(write: Files) -> None:
    message = refusal(write('{"a": [{"name": "A", "phone": "1"}], "b": [{"name": "B", "phone": "2"}]}', "a.json"))

    assert "(a, b)" in message


def test_json_that_is_nested_without_end_is_refused(write: Files) -> None:
    refusal(write("[" * 100_000, "a.json"))
    refusal(write('{"a":' * 100_000, "a.jsonl"))


def test_an_item_that_is_nested_too_deeply_is_at_fault(write: Files) -> None:
    deep = "[" * 80 + "]" * 80
    (row,) = rows(write(f'[{{"name": "A", "phone": "1", "x": {deep}}}]', "a.json"))

    assert row.fault is not None
    assert row.fault.code == "too_deep"


@pytest.mark.parametrize(
    ("header", "row"),
    [
        (b"name,phone,note\n", b"A,8645550101," + b"x" * 500 + b"\n"),
        (b"[1", b',{"name": "A", "phone": "1", "x": "' + b"x" * 500 + b'"}'),
    ],
)
def test_memory_does_not_grow_with_the_number_of_rows(header: bytes, row: bytes) -> None:
    def peak(count: int) -> int:
        ending = b"]" if header.startswith(b"[") else b""
        body = io.BytesIO(b"".join([header, *([row] * count), ending]))
        opened: ProvidersFile = read("-", stdin=body)
        tracemalloc.start()
        try:
            assert sum(1 for _ in opened) >= count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(10)
    assert peak(8000) < 2 * peak(800)


FRAGMENTS = st.sampled_from(
    [
        *(b"name", b"phone", b"8645550101", b'"name"', b'"phone"', b"sep=;", b"1e999", b"null", b"\\ud800"),
        *(b",", b";", b"\t", b"|", b'"', b"\n", b"\r\n", b"[", b"]", b"{", b"}", b":", b" "),
        *(b"\xff\xfe", b"\xef\xbb\xbf", b"\0", b"\xe9", b"\xc3\xa9"),
    ]
)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    content=st.binary(max_size=200) | st.lists(FRAGMENTS, max_size=40).map(b"".join),
    suffix=st.sampled_from([".csv", ".tsv", ".json", ".jsonl", ".txt", ""]),
    headed=st.booleans(),
)
def test_any_bytes_are_rows_or_an_error_of_the_file(tmp_path: Path, content: bytes, suffix: str, headed: bool) -> None:
    path = tmp_path / f"any{suffix}"
    path.write_bytes((b"name,phone\n" if headed else b"") + content)
    message = str(path)
    try:
        for row in read(path):
            json.dumps([dict(row.values), row.extra], allow_nan=False, ensure_ascii=False).encode()
    except ProvidersFileError as refused:
        message = refused.message
    assert str(path) in message
