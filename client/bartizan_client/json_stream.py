"""Reads one JSON object while it arrives, so that a list of a million entries never stands in memory as text.

The arrays that have a sink are handed over entry by entry; everything else becomes a field.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

LONGEST_VALUE = 16 * 1024 * 1024
"""Characters of one entry or field; more is no answer of Bartizan's."""
_NUMBER_GOES_ON = re.compile(r"[-+.eE0-9]*")
_BLANK = re.compile(r"[ \t\r\n]*")

Sink = Callable[[Any], None]


class JsonObjectReader:
    """One JSON object, piece by piece."""

    def __init__(self, sinks: Mapping[str, Sink], hook: Callable[[dict[str, Any]], Any]) -> None:
        """`hook` gets each object inside, as `json.loads` has it."""
        self.fields: dict[str, Any] = {}
        self.arrays: set[str] = set()
        """The sinks whose arrays were there."""
        self._sinks = sinks
        self._decode = json.JSONDecoder(object_hook=hook).raw_decode
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._text = ""
        self._at = 0
        self._step: Callable[[], bool] | None = self._open
        self._key = ""
        self._sink: Sink | None = None

    def feed(self, piece: bytes) -> None:
        """Raises: ValueError where it is no JSON object; RecursionError where it is too deep."""
        self._text = self._text[self._at :] + self._utf8.decode(piece)
        self._at = 0
        if len(self._text) > LONGEST_VALUE + len(piece):
            raise ValueError("a value is too long")
        while self._step is not None and self._step():
            pass
        if self._step is None and self._next():
            raise ValueError("something follows the object")

    def close(self) -> None:
        """Nothing more comes. Raises: ValueError where the object is not complete."""
        if self._step is not None or self._utf8.decode(b"", final=True):
            raise ValueError("it ends too early, or is no JSON object")

    # Each step reads one thing and says whether it was all there.

    def _open(self) -> bool:
        return self._expect("{", lambda _: self._first_key)

    def _first_key(self) -> bool:
        if self._next() == "}":
            return self._expect("}", lambda _: None)
        return self._any_key()

    def _any_key(self) -> bool:
        if self._next() not in ('"', ""):
            raise ValueError("a key was expected")
        found, key = self._value()
        if found:
            self._key, self._step = key, self._colon
        return found

    def _colon(self) -> bool:
        return self._expect(":", lambda _: self._field)

    def _field(self) -> bool:
        self._sink = self._sinks.get(self._key)
        start = self._next()
        if start == "[" and self._sink is not None:
            self.arrays.add(self._key)
            return self._expect("[", lambda _: self._first_entry)
        found, value = self._value()
        if found:
            self.fields[self._key], self._step = value, self._after_field
        return found

    def _after_field(self) -> bool:
        return self._expect(",}", lambda sign: self._any_key if sign == "," else None)

    def _first_entry(self) -> bool:
        if self._next() == "]":
            return self._expect("]", lambda _: self._after_field)
        return self._entries()

    def _entries(self) -> bool:
        """As many as there are."""
        assert self._sink is not None  # noqa: S101 - set by _field
        while True:
            found, value = self._value()
            if not found:
                return False
            self._sink(value)
            if self._text.startswith(",", self._at) and self._at + 1 < len(self._text):
                self._at += 1
                continue
            self._step = self._after_entry
            return True

    def _after_entry(self) -> bool:
        return self._expect(",]", lambda sign: self._entries if sign == "," else self._after_field)

    def _next(self) -> str:
        """The next character that is no blank; "" where it has not come yet."""
        self._at = _BLANK.match(self._text, self._at).end()  # type: ignore[union-attr]
        return self._text[self._at : self._at + 1]

    def _expect(self, signs: str, then: Callable[[str], Callable[[], bool] | None]) -> bool:
        sign = self._next()
        if not sign:
            return False
        if sign not in signs:
            raise ValueError(f"{sign!r} where one of {signs!r} was expected")
        self._at += 1
        self._step = then(sign)
        return True

    def _value(self) -> tuple[bool, Any]:
        """Whether the next value was all there, and the value. It moves on only then."""
        if not self._next():
            return False, None
        try:
            value, end = self._decode(self._text, self._at)
        except json.JSONDecodeError as error:
            if error.pos >= len(self._text) - 12 or "Unterminated" in error.msg:
                return False, None  # it may be all right once the rest is there
            raise
        if self._text[end - 1] not in '"]}' and _NUMBER_GOES_ON.fullmatch(self._text, end):
            return False, None  # its rest may not be there yet
        self._at = end
        return True, value
