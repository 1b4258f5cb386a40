"""Settings: every variable, and what each mistake is called."""

import re
import stat
from pathlib import Path

import pytest

from app.settings import Settings, fingerprint_key, load_settings, write_new_private
from detectors.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]


def test_nothing_need_be_set() -> None:
    settings = load_settings()
    assert (settings.redis_url, settings.data_dir, settings.policy) == (
        None,
        Path("data"),
        Path("policy.yaml"),
    )
    assert (settings.host, settings.port, settings.workers, settings.shards) == ("127.0.0.1", 8000, 1, 1)
    assert settings.trusted_proxies == ()
    assert not settings.policy_is_named


def test_an_empty_variable_is_an_absent_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BARTIZAN_REDIS_URL", "")
    monkeypatch.setenv("BARTIZAN_PORT", "")
    assert load_settings() == Settings()


def test_values_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BARTIZAN_PORT", "9000")
    monkeypatch.setenv("BARTIZAN_TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.1 2001:db8::/32")
    monkeypatch.setenv("BARTIZAN_DNS_SERVERS", "192.0.2.53, [2001:db8::53]:5353")
    monkeypatch.setenv("BARTIZAN_POLICY", "/etc/policy.yaml")
    monkeypatch.setenv("BARTIZAN_ADMIN_TOKEN", "a" * 30)
    settings = load_settings()
    assert settings.port == 9000
    assert settings.trusted_proxies == ("10.0.0.0/8", "192.0.2.1", "2001:db8::/32")
    assert settings.dns_servers == ("192.0.2.53", "[2001:db8::53]:5353")
    assert settings.policy_is_named
    assert "a" * 30 not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("BARTIZAN_PROT", "1", "BARTIZAN_PROT: unknown setting; did you mean BARTIZAN_PORT?"),
        ("bartizan_frobnicate", "1", "bartizan_frobnicate: unknown setting"),
        ("BARTIZAN_PORT", "70000", "BARTIZAN_PORT: Input should be less than or equal to 65535"),
        ("BARTIZAN_WORKERS", "many", "BARTIZAN_WORKERS: Input should be a valid integer"),
        ("BARTIZAN_REDIS_URL", "http://x", "BARTIZAN_REDIS_URL: must start with redis://"),
        (
            "BARTIZAN_TRUSTED_PROXIES",
            "10.0.0.0/8,nginx",
            "BARTIZAN_TRUSTED_PROXIES: 'nginx' is not an address",
        ),
        (
            "BARTIZAN_DNS_SERVERS",
            "192.0.2.53,ns.example",
            "BARTIZAN_DNS_SERVERS: 'ns.example' does not appear",
        ),
        ("BARTIZAN_DNS_SERVERS", "192.0.2.53:x", "BARTIZAN_DNS_SERVERS: Port could not be"),
        ("BARTIZAN_FINGERPRINT_KEY", "xyz", "BARTIZAN_FINGERPRINT_KEY: must be hexadecimal"),
        ("BARTIZAN_FINGERPRINT_KEY", "abcd", "BARTIZAN_FINGERPRINT_KEY: must be 64 hexadecimal digits"),
        ("BARTIZAN_GEOIP_CITY_DB", "/nowhere.mmdb", "BARTIZAN_GEOIP_CITY_DB: there is no file /nowhere.mmdb"),
        ("BARTIZAN_LOG_FORMAT", "xml", "BARTIZAN_LOG_FORMAT: Input should be 'auto', 'json' or 'text'"),
    ],
)
def test_a_wrong_setting_refuses_to_start_and_names_itself(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=re.escape(says)):
        load_settings()


def test_all_mistakes_are_named_at_once_and_no_value_of_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BARTIZAN_FINGERPRINT_KEY", "not-so-secret")
    monkeypatch.setenv("BARTIZAN_PORT", "-1")
    monkeypatch.setenv("BARTIZAN_INGEST", "x")
    with pytest.raises(ConfigError) as raised:
        load_settings()
    assert len(str(raised.value).splitlines()) == 3
    assert "not-so-secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("host", "url"),
    [("0.0.0.0", "http://127.0.0.1:8000"), ("::", "http://[::1]:8000"), ("2001:db8::1", "http://[2001:db8::1]:8000")],
)  # fmt: skip
def test_the_command_line_finds_a_service_that_listens_everywhere(host: str, url: str) -> None:
    assert Settings(host=host).own_url == url


def test_a_url_that_is_set_is_used_as_it_is() -> None:
    assert Settings(url="https://bartizan.example/").own_url == "https://bartizan.example"


def test_the_fingerprint_key_is_made_once_and_private(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    key = fingerprint_key(settings)
    assert len(key) == 32
    assert fingerprint_key(settings) == key
    file = tmp_path / "data" / "fingerprint.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_fingerprint_key_that_is_set_is_used_and_none_is_written(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", fingerprint_key="ab" * 32)
    assert fingerprint_key(settings) == b"\xab" * 32
    assert not (tmp_path / "data").exists()


def test_a_damaged_fingerprint_key_is_an_error_and_not_replaced(tmp_path: Path) -> None:
    file = tmp_path / "fingerprint.key"
    file.write_text("oops")
    with pytest.raises(ConfigError, match=r"fingerprint\.key"):
        fingerprint_key(Settings(data_dir=tmp_path))
    assert file.read_text() == "oops"


def test_a_private_file_is_written_whole_or_left_alone(tmp_path: Path) -> None:
    assert write_new_private(tmp_path / "secret", "one")
    assert not write_new_private(tmp_path / "secret", "two")
    assert (tmp_path / "secret").read_text() == "one"
    assert [file.name for file in tmp_path.iterdir()] == ["secret"]


def test_every_setting_is_in_the_docs_and_the_other_way_round() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    named = set(re.findall(r"^\| `(BARTIZAN_[A-Z_]+)`", page, re.MULTILINE))
    assert named == {f"BARTIZAN_{name.upper()}" for name in Settings.model_fields}
