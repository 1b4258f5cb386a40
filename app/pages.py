"""Pages for people: templates whose every value is escaped, with headers that let nothing but our own style in."""

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from starlette.responses import Response

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;"
    "background:#fff}"
    "h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}"
    "table{border-collapse:collapse;width:100%;font-size:.9rem}"
    "td,th{border:1px solid #ccc;padding:.3rem .5rem;text-align:left;vertical-align:top;overflow-wrap:anywhere}"
    "th{background:#f2f2f2}ul{list-style:none;padding:0}"
    ".state{font-weight:600}.update{margin:.5rem 0 .5rem 1rem}time{color:#555}"
    "@media print{body{margin:0;max-width:none;font-size:11px}}"
)


def page(name: str, /, headers: dict[str, str] | None = None, **values: Any) -> Response:
    """The page of a template in app/templates, its values escaped."""
    text = _environment().from_string(_source(name)).render(style=STYLE, **values)
    return Response(text, media_type="text/html", headers={**safe_headers(), **(headers or {})})


def safe_headers() -> dict[str, str]:
    """No script, no remote content, no frame, and no address of ours in somebody's referrer."""
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; frame-ancestors 'none'; base-uri 'none'"
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }


def visible(text: str) -> str:
    """Text with its line ends; what cannot be printed, or turns the direction of what follows, is shown as U+FFFD."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


def _shown(value: Any) -> Any:
    return visible(value) if isinstance(value, str) else value


@cache
def _environment() -> Environment:
    return Environment(
        autoescape=True, undefined=StrictUndefined, finalize=_shown, trim_blocks=True, lstrip_blocks=True
    )


@cache
def _source(name: str) -> str:
    return files("app").joinpath("templates", name).read_text("utf-8")
