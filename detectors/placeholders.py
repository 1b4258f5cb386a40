"""Values that stand where a credential would: masks, templates, examples of documentation. None opens anything."""

import re2

LONGEST = 256
"""Nobody writes a longer example by hand, and any word turns up by chance in a long enough key."""
FEWEST_CHARACTERS = 4
"""Different ones: `xxxxxxxx-xxxx`, `********` and `00000000` have fewer."""

_PLACEHOLDER = re2.compile(
    # What a program left out, or a person is to fill in.
    r"(?i)redacted|\bmasked|filtered\]|removed|omitted|\bhidden|scrubbed|sanitized|"
    r"example|placeholder|change[_-]?(?:me|this|it)|replace[_-]?(?:me|this|with)|insert[_-]?(?:your|here)|"
    r"(?:^|[^a-z])your[_-]?(?:[a-z]+[_-]?)*(?:key|token|secret|password|pass)|"
    r"(?:key|token|secret|password|value)[_-]?here|dummy|\bfake|not[_-]a[_-]real|undefined|"
    # Runs that nobody draws at random.
    r"x{5}|\*{3}|\.{4}|0{7}|12345678|abcdefgh|deadbeef|0123456|"
    # Templates: {{x}}, ${X}, #{x}, <x>, %(x)s, %s, [X], {x}, :x, $X, $(x) and their percent-escapes.
    r"^(?:\{|%7b|\$\{|%24%7b|\$\(|#\{|<|%3c|%\(|\[\[|\{%)|^%[sdv]$|^\[[^\]]*\]$|^\$[a-z_][a-z0-9_]*$|^%[a-z_]+%$|"
    r"^:[a-z_]+$|\$\{|\{\{|<%|^(?:null|none|nil|true|false|empty|unknown)$"
)
_EXAMPLES = (
    "4eC39HqLyjWD", "BQokikJOvBiI",  # Stripe docs
    "Eby8vdM02xNOcqFlqUwJ",  # Azure docs, storage emulator
    "110201543:AAHdqTcv",  # Telegram Bot API
    "SflKxwRJSMeKKF2QT4fw", "TJVA95OrM7E2cBab30RM", "dBjftJeZ4CVP-mB92K27",  # jwt.io; RFC 7515, A.1
    "mF_9.B5f-4.1JqM",  # RFC 6750
    "QWxhZGRpbjpvcGVu", "dXNlcm5hbWU6cGFzc3dvcmQ", "dXNlcjpwYXNz",  # RFC 7617; `username:password`; `user:pass...`
)  # fmt: skip
"""Pieces of examples that everybody copies out of the documentation."""


def is_placeholder(text: str) -> bool:
    """Whether a value was never meant as a secret, as far as its looks tell."""
    if any(example in text for example in _EXAMPLES):
        return True
    if len(text) > LONGEST:
        return False
    return len(set(text.lower())) < FEWEST_CHARACTERS or bool(_PLACEHOLDER.search(text))
