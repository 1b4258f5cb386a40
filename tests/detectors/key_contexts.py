"""How credentials stand in logs: every way of writing one down that the tests try with every kind."""

import json
from collections.abc import Iterator
from urllib.parse import quote

from key_samples import Sample


def encoded(text: str) -> str:
    return quote(text, safe="")


def contexts(sample: Sample) -> Iterator[tuple[str, str]]:
    """The names of the contexts that can hold a sample, and the record of each.

    What is told by its shape is put under the name `v`, which says nothing; what is told by its name, under that name;
    what stands in a frame (a URL, a header line), with its frame.
    """
    secret, name = sample.secret, sample.name or "v"
    framed = not sample.bare and not sample.name
    value = sample.text if framed else secret
    pair = sample.text if framed else f"{name}={secret}"
    inside = secret if sample.bare else sample.text
    query_name, json_name = ("next", "message") if framed else (name, name)
    yield "query middle", f"GET /x?user=7&{query_name}={encoded(value)}&page=2 HTTP/1.1"
    yield "query end", f"GET /x?user=7&{query_name}={encoded(value)} HTTP/1.1"
    yield "percent-encoded", "GET /x?next=" + encoded(f"/y?{pair}&z=1")
    yield "percent-encoded twice", "GET /x?next=" + encoded(encoded(f"/y?{pair}&z=1"))
    yield "JSON", json.dumps({"a": 1, json_name: value, "b": 2})
    yield "JSON in JSON", json.dumps({"log": json.dumps({json_name: value, "b": 2})})
    yield (
        "JSON in JSON in JSON",
        json.dumps({"a": json.dumps({"log": json.dumps({json_name: value, "b": 2})})}),
    )
    yield (
        "JSON-escaped",
        json.dumps({"uri": f"/x?user=7&{query_name}={encoded(value)}&page=2"}).replace("&", "\\u0026"),
    )
    yield "JSON by PHP", json.dumps({json_name: value, "b": 2}).replace("/", "\\/")
    yield "lines in JSON", json.dumps({"message": f"first\n{pair}\nlast"})
    yield "brackets", f"[{inside}] done"
    yield "quotes", f"got '{inside}' here"
    yield "angle brackets", f"got <{inside}> here"
    yield "between commas", f"level=info, {pair}, ip=198.51.100.7"
    if framed:
        return
    yield "query as it is", f"GET /x?user=7&{name}={secret}&page=2 HTTP/1.1"
    yield "path segment", f"POST /{sample.name}/{secret}/send" if sample.name else f"POST /bot{secret}/send"
    yield "header dump", f"accept: */*\\r\\n{name}: {secret}\\r\\nhost: x"
    yield "header list", f"[('accept', '*/*'), ('{name}', '{secret}'), ('host', 'x')]"
    yield "header list of bytes", f"[(b'accept', b'*/*'), (b'{name}', b'{secret}')]"
    yield "userinfo", f"GET https://user:{encoded(secret)}@api.example.org/x"
