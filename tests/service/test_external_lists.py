"""External lists in the real service: two hosts with policies of their own, and a list whose source is gone."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from test_crashes import eventually
from test_restart_without_redis import call, lookup

from app.embedded_redis import embedded
from app.policies.policy import default_text
from benchmarks.service import Service, running_service

PARTNERS, DROP = "192.0.2.77", "192.0.2.88"


class Host:
    """A service with a policy and a data folder of its own."""

    def __init__(self, stack: ExitStack, folder: Path, url: str, name: str, address: str) -> None:
        folder.mkdir()
        self.list, self.policy = folder / f"{name}.txt", folder / "policy.yaml"
        self.list.write_text(f"{address}\n")
        self.want(f"{{{name}: {{file: {name}.txt, every: 10s, expires: 10s}}}}")
        self.service: Service = stack.enter_context(running_service(redis_url=url, policy=str(self.policy)))

    def want(self, lists: str) -> None:
        """Change the policy's lists."""
        self.policy.write_text(f"{default_text()}\nblocklists: {lists}\n")

    def blocks(self, address: str) -> bool:
        return lookup(self.service, address).get("blocked") is True

    def incidents(self) -> list[tuple[str, str, str]]:
        found: Any = call(self.service, "admin", "GET", "/v1/admin/incidents").json()
        return [(one["rule"], one["subject"], one["status"]) for one in found["items"]]


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[tuple[Host, Host]]:
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        url = stack.enter_context(embedded(Path(folder))).url
        yield (
            Host(stack, tmp_path / "first", url, "partners", PARTNERS),
            Host(stack, tmp_path / "second", url, "drop", DROP),
        )


@pytest.mark.slow
def test_two_hosts_keep_their_lists_and_one_that_is_gone_is_told_of(hosts: tuple[Host, Host]) -> None:
    first, second = hosts
    for host in hosts:
        assert eventually(lambda host=host: host.blocks(PARTNERS) and host.blocks(DROP))  # type: ignore[misc]
    second.list.unlink()
    stale = ("blocklist_stale", "lists:drop")
    assert eventually(lambda: (*stale, "triggered") in first.incidents(), 60)
    assert eventually(lambda: not first.blocks(DROP) and not second.blocks(DROP))
    assert first.blocks(PARTNERS)
    second.list.write_text(f"{DROP}\n")
    assert eventually(lambda: (*stale, "resolved") in first.incidents(), 60)
    assert eventually(lambda: first.blocks(DROP))
    assert len(first.incidents()) == 1
    second.want("{}")
    assert eventually(lambda: not first.blocks(DROP))
    assert first.blocks(PARTNERS)
    assert second.blocks(PARTNERS)
