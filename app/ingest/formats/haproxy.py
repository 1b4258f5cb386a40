"""HAProxy's HTTP log (`option httplog`, and `httpslog`, which adds to its end), with or without a syslog header.

The address comes first. HAProxy writes quotes, braces and bars of captured headers and of the request as `#22` and the
like, so that none of them can end early. The zone of the date is that of the machine; it is taken for UTC.
Source: https://docs.haproxy.org/3.0/configuration.html, 8.2.3 (HTTP log format), 8.2.4 (HTTPS), 8.6 (escaping).
"""

from app.ingest.formats.access_format import access_format

FORMAT = access_format(
    "haproxy",
    title="HAProxy's HTTP log (`option httplog`), by itself or in syslog lines",
    source="HAProxy configuration manual 8.2.3",
    programs=("haproxy",),
    expression=(
        r"(?P<client_ip>[0-9A-Fa-f.:]{2,45}):[0-9]{1,5}+ "
        r"\[(?P<timestamp>[0-9]{2}/[A-Z][a-z]{2}/[0-9]{4}:[0-9:]{8}(?:\.[0-9]{1,6}+)?+)\] "
        r"[^ ]++ [^ /]++/[^ ]++ -?[0-9]++/-?[0-9]++/-?[0-9]++/-?[0-9]++/\+?(?P<duration_ms>-?[0-9]++) "
        r"(?P<status>-?[0-9]{1,3}+) \+?(?P<bytes>[0-9]++) [^ ]++ [^ ]++ [^ ]{4} [0-9/+-]++ [0-9/]++ "
        r'(?:\{[^{}"]*+\} ){0,2}+"(?P<request>[^"]*+)(?:"(?: .*)?)?'
    ),
    marks=("] ",),
)
