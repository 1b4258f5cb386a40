"""What of ordinary traffic is looked at a second time."""

import pytest

from detectors.scanner import Scanner, load_patterns


@pytest.mark.parametrize(
    "record",
    [
        b'{"client.address":"203.0.113.9","http.response.status_code":200,"http.request.id":"612e7696a6cecc1b"}',
        b'{"http":{"request":{"method":"GET"},"response":{"status_code":200,"body":{"bytes":512}}}}',
        b'{"req":{"method":"GET","url":"/a"},"res":{"statusCode":200},"responseTime":12,"msg":"done"}',
        b'{"ClientIP":"203.0.113.9","EdgeResponseStatus":200,"RayID":"612e7696a6cecc1b","country_code":"de"}',
    ],
    ids=["OpenTelemetry", "ECS", "pino", "Cloudflare"],
)
def test_an_ordinary_record_is_not_looked_at_again(record: bytes) -> None:
    """Looking costs eight times as much as all the rest."""
    assert Scanner(load_patterns("keys") + load_patterns("attacks")).scan([record]) == {}
