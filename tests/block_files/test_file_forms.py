"""Files of addresses to block: every form, what is wrong with an entry, and that what is written is read again."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actions.blocks.decision import Decision
from actions.blocks.subjects import Scope
from app.block_files import reading
from app.block_files.entry import Contents
from app.block_files.reading import Form, form_of, read_file
from app.block_files.writing import write_file
from detectors.finding import DecisionType

NOW = 1_764_000_000_000
HOUR = 3_600_000


def read(text: str, form: Form | None = None) -> Contents:
    return read_file(text.encode(), form, NOW)


def test_plain_lines_with_every_sort_of_comment() -> None:
    text = "\ufeff# a list\n203.0.113.9\n\n198.51.100.0/24 ; SBL1234\n;gone\n 2001:db8::1\t# seen\r\nCountry:FR\n"
    found = read(text)
    assert found.form == "plain"
    assert [(e.line, e.value) for e in found.entries] == [
        (2, "203.0.113.9"),
        (4, "198.51.100.0/24"),
        (6, "2001:db8::1"),
        (7, "Country:FR"),
    ]


def test_csv_as_people_write_it_and_as_cscli_imports_it() -> None:
    text = (
        "duration,scope,value,type,reason\n24h,Ip,203.0.113.9,ban,scanner\n,country,fr,captcha,\n"
        '4h0m0s,Range,198.51.100.0/24,,"a ""quoted"", reason"\n'
    )
    first, second, third = read(text).entries
    assert (first.until, first.type, first.reason) == (NOW + 24 * HOUR, DecisionType.BAN, "scanner")
    assert (second.scope, second.value, second.until) == (Scope.COUNTRY, "fr", None)
    assert second.type is DecisionType.CAPTCHA
    assert (third.until, third.scope, third.reason) == (NOW + 4 * HOUR, None, 'a "quoted", reason')


@pytest.mark.parametrize(
    "text",
    [
        '[{"value": "203.0.113.9", "duration": "3h59m58.64s", "scenario": "ssh-bf", "scope": "Ip", "type": "ban"}]',
        '{"items": [{"value": "203.0.113.9", "until": "2025-11-24T19:59:58.640Z", "reason": "ssh-bf"}]}',
        '{"value": "203.0.113.9", "duration": "3h59m58.64s", "reason": "ssh-bf"}\n',
        '[{"id": 4, "source": {}, "decisions": [{"value": "203.0.113.9", "duration": "3h59m58.64s",'
        ' "scenario": "ssh-bf"}]}]',
        '{"ip": "203.0.113.9", "duration": "3h59m58.64s", "reason": "ssh-bf"}\n'
        '{"ip": "203.0.113.10", "duration": "1h"}\n',
    ],
)
def test_json_in_its_shapes(text: str) -> None:
    found = read(text)
    entry = found.entries[0]
    assert found.form == "json"
    assert found.wrong == []
    assert (entry.line, entry.value, entry.until, entry.reason) == (
        1,
        "203.0.113.9",
        NOW + 4 * HOUR - 1360,
        "ssh-bf",
    )


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("value,duration\n203.0.113.9,yesterday\n", 2, "not a duration"),
        ("value,until\n203.0.113.9,yesterday\n", 2, "until: 'yesterday' is not a time"),
        ("value,until\n203.0.113.9,2020-01-01T00:00:00Z\n", 2, "over already"),
        ("value,type\n203.0.113.9,tarpit\n", 2, "not a type of decision; known are ban"),
        ("value,scope\n203.0.113.9,planet\n", 2, "not a scope"),
        ("value,reason\n,nobody\n", 2, "no value"),
        ('[{"scope": "Ip"}]', 1, "no value"),
        ("[4]", 1, "no value"),
        (
            "value,reason\n203.0.113.8,fine\n203.0.113.9," + "x" * 1_000_000 + "\n203.0.113.10,fine\n",
            3,
            "no CSV",
        ),
        ("203.0.113.8\n" + "x" * 100_000 + "\n", 2, "more than 4096 characters"),
    ],
)
def test_an_entry_that_cannot_be_read_is_named_and_the_others_are_taken(
    text: str, line: int, why: str
) -> None:
    found = read(text)
    assert [wrong.line for wrong in found.wrong] == [line]
    assert why in found.wrong[0].error


@pytest.mark.parametrize(
    ("text", "form", "why"),
    [
        ("[1, 2", None, "not JSON"),
        ("203.0.113.9", Form.CSV, "no column is called value"),
        ("203.0.113.9", Form.CROWDSEC, "not JSON"),
        ('"text"', Form.JSON, "neither an array"),
        ('{"items": 3}', Form.JSON, "neither an array"),
    ],
)
def test_a_file_that_is_not_of_its_form_is_refused(text: str, form: Form | None, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read(text, form)


def test_a_file_has_at_most_a_million_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_ENTRIES", 3)
    assert len(read("203.0.113.1\n" * 3).entries) == 3
    with pytest.raises(ValueError, match="more than 3 entries"):
        read("203.0.113.1\n" * 4)


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=300),
        st.text(max_size=200).map(str.encode),
        st.lists(st.sampled_from(["value", ",", '"', "\n", "203.0.113.9", "[", "{", "}", "]", ":", "\0", "4h"])).map(
            lambda parts: "".join(parts).encode()
        ),
    ),
    st.sampled_from([None, *Form]),
)  # fmt: skip
def test_whatever_a_file_holds_it_is_read_or_refused(data: bytes, form: Form | None) -> None:
    try:
        found = read_file(data, form, NOW)
    except ValueError as error:
        assert str(error)
    else:
        assert all(wrong.error for wrong in found.wrong)


def decisions() -> list[Decision]:
    made = [
        Decision("1", "203.0.113.9", NOW + HOUR, reason='a "quoted", reason'),
        Decision("2", "198.51.100.0/24", None, Scope.RANGE, origin="admin"),
        Decision("3", "2001:db8::/32", NOW + 2 * HOUR, Scope.RANGE, DecisionType.THROTTLE),
        Decision("4", "FR", NOW + HOUR, Scope.COUNTRY, DecisionType.CAPTCHA, reason="=1+1"),
        Decision("5", "64500", None, Scope.AS, reason="bad\nneighbours"),
        Decision("6", "alice, the first", None, Scope.USER),
    ]
    return made * 400  # more than one piece


@pytest.mark.parametrize("form", [Form.JSON, Form.CSV, Form.CROWDSEC])
def test_what_is_written_is_read_again(form: Form) -> None:
    found = read_file(b"".join(write_file(decisions(), form, NOW)), form, NOW)
    assert found.wrong == []
    for decision, entry in zip(decisions(), found.entries, strict=True):
        assert (entry.value, entry.type) == (decision.value, decision.type)
        assert entry.scope == (None if decision.scope in (Scope.IP, Scope.RANGE) else decision.scope)
        if form is not Form.CROWDSEC:
            assert (entry.until, entry.is_for_good) == (decision.until, decision.until is None)
            assert entry.reason.lstrip("'") == decision.reason


def test_a_plain_file_is_read_again_too() -> None:
    found = read_file(b"".join(write_file(decisions()[:5], Form.PLAIN, NOW)), None, NOW)
    assert [e.value for e in found.entries] == [
        *("203.0.113.9", "198.51.100.0/24", "2001:db8::/32", "Country:FR", "AS:64500")
    ]


def test_nothing_is_an_empty_file_of_each_form() -> None:
    assert [b"".join(write_file([], form, NOW)) for form in (Form.PLAIN, Form.JSON)] == [b"", b"[]\n"]
    assert json.loads(b"".join(write_file([], Form.CROWDSEC, NOW))) == []
    assert b"".join(write_file([], Form.CSV, NOW)).count(b"\n") == 1


def test_a_form_is_told_by_its_looks() -> None:
    assert form_of(b'  [{"value"') is Form.JSON
    assert form_of(b"Value,Reason\n") is Form.CSV
    assert form_of(b"203.0.113.9, 203.0.113.10\n") is Form.PLAIN
    assert form_of(b"") is Form.PLAIN


def test_a_spreadsheet_runs_no_reason() -> None:
    body = b"".join(write_file(decisions()[3:4], Form.CSV, NOW)).decode()
    assert ",'=1+1," in body
