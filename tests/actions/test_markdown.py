"""Nothing that a log says becomes markup: held against a CommonMark parser with tables."""

import pytest
from markdown_it import MarkdownIt

from actions.markdown import LONGEST, escaped, table

NASTY = [
    "[click](http://evil.example)",
    "![x](http://evil.example/pixel.png)",
    "[ref]: http://evil.example",
    "[x][ref]",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<https://evil.example>",
    "<a@evil.example>",
    "&lt;b&gt; &#60;b&#62; &amp;",
    "a | b | c",
    "a \\| b",
    "\\",
    "`code` ``more``",
    "```\nfence\n```",
    "~~~\nfence",
    "~~gone~~",
    "*em* **strong** _em_ __strong__",
    "# heading",
    "## heading ##",
    "heading\n===",
    "heading\n---",
    "---",
    "***",
    "- item",
    "+ item",
    "1. item",
    "2) item",
    "> quote",
    "    indented code",
    "\tindented",
    "line\r\nbreak\u2028and\x85more",
    "two  \nspaces",
    "hard\\\nbreak",
    "$x$ $$y$$",
    "<!-- comment -->",
    "<?php ?>",
    "@channel @here",
    ":smile:",
    "| a |\n|---|\n| b |",
]
INLINE = {"text", "softbreak", "text_special"}
"""What a paragraph of nothing but text is made of."""


def tokens(text: str) -> list[str]:
    """The kinds of all tokens of a page."""
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    found = []
    for token in parser.parse(text):
        found.append(token.type)
        found += [child.type for child in token.children or []]
    return found


def shown(text: str) -> str:
    """What a reader sees of one paragraph."""
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    return "".join(c.content for t in parser.parse(text) for c in t.children or [])


@pytest.mark.parametrize("text", NASTY)
def test_a_text_is_a_paragraph_of_text_and_reads_as_it_was(text: str) -> None:
    found = escaped(text)
    assert set(tokens(found)) - {"paragraph_open", "inline", "paragraph_close"} <= INLINE, found
    assert "\n" not in found and "\r" not in found
    flat = "".join(" " if c in "\r\n\t\u2028\x85" else c for c in text).lstrip(" ")
    assert shown(found) == flat.rstrip(" ")


@pytest.mark.parametrize("text", NASTY)
def test_a_cell_is_one_cell(text: str) -> None:
    page = "\n".join(table(("A", "B"), [(text, "after"), ("x", text)]))
    kinds = tokens(page)
    assert kinds.count("tr_open") == 3 and kinds.count("td_open") == 4
    assert not {
        "link_open",
        "image",
        "html_inline",
        "html_block",
        "code_inline",
        "em_open",
        "strong_open",
    } & {*kinds}


@pytest.mark.parametrize(
    "text", ["http://evil.example", "HTTPS://EVIL.example", "www.evil.example", "WwW.evil.example", "a@b.example",
             "mailto:a", "javascript:alert(1)", "xmpp:x@y", "ftp://x"],
)  # fmt: skip
def test_what_readers_make_links_of_is_broken(text: str) -> None:
    found = escaped(text).lower()
    for sign in ("://", "www.", "@", "mailto:", "javascript:", "xmpp:"):
        assert sign not in found
    assert shown(escaped(text)) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        (None, "None"),
        (401, "401"),
        ("/api/v1/posts", "/api/v1/posts"),
        ("2001:db8:1:2::/64", "2001:db8:1:2::/64"),
        ("a\x1b[31mred", "a\ufffd&#91;31mred"),
        ("a\u202eb\u200bc", "a\ufffdb\ufffdc"),
        ("x" * (LONGEST + 1), "x" * LONGEST + "..."),
        ("x" * LONGEST, "x" * LONGEST),
        ("1. item", "1&#46; item"),
        ("203.0.113.9", "203.0.113.9"),
    ],
)
def test_ordinary_text_stays_readable(text: object, expected: str) -> None:
    assert escaped(text) == expected
