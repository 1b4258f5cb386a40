"""A bouncer of a service with several processes: whichever answers, nothing is missed and nothing comes back."""

import httpx
from real import Api, eventually

from benchmarks.service import TOKENS, running_service


def test_a_bouncer_misses_nothing_whichever_process_answers():
    with running_service(workers="2") as service:
        api, seen, gone = Api(service), [], []

        def pull(startup: str = "false") -> bool:
            # A connection of its own each time: any process may take it.
            headers = {"X-Api-Key": TOKENS["lookup"], "User-Agent": "crowdsec-nginx-bouncer/v1"}
            url = f"{service.url}/v1/decisions/stream?startup={startup}"
            body = httpx.get(url, headers=headers, timeout=30).json()
            seen.extend(item["value"] for item in body["new"])
            gone.extend(item["value"] for item in body["deleted"])
            return True

        pull("true")
        values = [f"203.0.113.{n}" for n in range(25)]
        for value in values:
            api.block(value)
            pull()
        assert eventually(lambda: pull() and set(seen) == set(values)) is not None
        assert len(seen) < 2 * len(values), "told once, and now and then twice"
        for value in values[:5]:
            api.lift(value)
            pull()
        assert eventually(lambda: pull() and set(gone) == set(values[:5])) is not None
        rows = api.call("GET", "/v1/admin/bouncers", role="viewer")["items"]
        assert [row["mode"] for row in rows] == ["stream"]
