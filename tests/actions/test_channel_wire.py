"""What each answer of a service means, and that no error shows where it came from."""

import asyncio
import logging
from collections.abc import Callable

import httpx
import pytest
from acting import NOON
from letters import HOOK_SECRET, KEY, TRICKS, a_group, a_hostile, a_letter, a_receiver
from wires import KINDS, a_channel, answering, client_of, reply

from actions.channels.plain import fitted, lines, one_line, width
from actions.channels.wire import LONGEST_WAIT_MS, RefusedError, make_client, retry_after_ms
from detectors.errors import DeliveryError

SECRETS = (KEY, HOOK_SECRET, "slack-token-0123", "discord-token-0123", "http://receiver")


async def failed(
    kind: str, answer: Callable[[httpx.Request], httpx.Response], **fields: float
) -> DeliveryError:
    async with answering(answer) as http:
        with pytest.raises(DeliveryError) as caught:
            await a_channel(kind, http, **fields).send(a_letter())
    assert not [secret for secret in SECRETS if secret in str(caught.value)], str(caught.value)
    return caught.value


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 529])
async def test_a_status_that_may_be_better_later_is_temporary(kind: str, status: int) -> None:
    error = await failed(kind, lambda _: reply(status, "no"))
    assert (error.permanent, f"status {status}" in str(error)) == (False, True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 413, 422, 300, 301, 302, 307, 308])
async def test_any_other_status_is_permanent_and_no_redirect_is_followed(kind: str, status: int) -> None:
    seen = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return reply(status, "invalid_token", headers={"Location": "http://elsewhere/"})

    error = await failed(kind, answer)
    assert error.permanent
    assert error.retry_after_ms is None
    assert len(seen) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError,
        httpx.ReadTimeout,
        httpx.ConnectTimeout,
        httpx.RemoteProtocolError,
        httpx.WriteError,
    ],
)
async def test_a_service_that_is_not_reached_is_tried_again(
    kind: str, error: type[httpx.TransportError]
) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise error(f"could not reach {request.url} with {SECRETS}")

    assert not (await failed(kind, fail)).permanent


@pytest.mark.parametrize("kind", KINDS)
async def test_a_service_that_repeats_our_secrets_does_not_get_them_into_the_error(kind: str) -> None:
    own = {"webhook": HOOK_SECRET, "pagerduty": KEY}.get(kind, "")

    def echo(request: httpx.Request) -> httpx.Response:
        return reply(400, f"{own} {request.url} {request.content.decode()}")

    await failed(kind, echo)
    await failed(kind, lambda request: reply(404, f"{request.url.path} {request.url} {own}"))


async def test_a_service_that_stalls_is_left_at_the_deadline() -> None:
    class Stall(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await asyncio.Event().wait()
            raise AssertionError

    async with httpx.AsyncClient(transport=Stall()) as http:
        with pytest.raises(DeliveryError, match="no answer in time") as caught:
            await a_channel("slack", http, deadline_s=0.01).send(a_letter())
    assert not caught.value.permanent


async def test_an_answer_without_end_is_read_as_far_as_the_bound() -> None:
    async def endless():  # type: ignore[no-untyped-def]
        while True:
            yield b"x" * 65_536

    error = await failed("slack", lambda _: httpx.Response(500, content=endless()))
    assert len(str(error)) < 300


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1", 1_000),
        ("0", 0),
        ("1.5", 1_500),
        ("0.0004", 1),
        (" 30 ", 30_000),
        ("86400", LONGEST_WAIT_MS),
        ("999999999", LONGEST_WAIT_MS),
        ("Wed, 18 Nov 2026 12:27:20 GMT", None),
        ("", None),
        ("-1", None),
        ("soon", None),
        ("1e9", None),
        ("nan", None),
        ("9" * 400, None),
        ("Wed, 99 Nov 2026 12:27:20 GMT", None),
    ],
)
def test_a_waiting_time_is_seconds_or_a_date_and_bounded(text: str, ms: int | None) -> None:
    found = retry_after_ms(httpx.Headers({"Retry-After": text}), NOON)
    assert found == ms if "GMT" not in text or "99" in text else isinstance(found, int)


def test_a_date_is_waited_for_from_now_and_one_of_the_past_is_now() -> None:
    at = 1_795_000_000_000  # 2026-11-18T11:06:40Z
    headers = httpx.Headers({"Retry-After": "Wed, 18 Nov 2026 11:07:40 GMT"})
    assert retry_after_ms(headers, at) == 60_000
    assert retry_after_ms(headers, at + 3_600_000) == 0
    assert retry_after_ms(headers, at - 86_400_000) == LONGEST_WAIT_MS


@pytest.mark.parametrize("kind", KINDS)
async def test_429_hands_on_how_long_to_wait(kind: str) -> None:
    error = await failed(kind, lambda _: reply(429, headers={"Retry-After": "2"}))
    assert (error.permanent, error.retry_after_ms) == (False, 2_000)


async def test_discord_says_how_long_in_fractions_and_the_longer_one_holds() -> None:
    def answer(body: str, header: str) -> Callable[[httpx.Request], httpx.Response]:
        return lambda _: reply(429, body, headers={"Retry-After": header})

    assert (
        await failed("discord", answer('{"retry_after": 1.337, "global": false}', "1"))
    ).retry_after_ms == 1_337
    assert (await failed("discord", answer('{"retry_after": 0.5}', "0.65"))).retry_after_ms == 650
    assert (await failed("discord", answer("<html>", "65.5"))).retry_after_ms == 65_500
    assert (await failed("discord", answer('{"retry_after": "x"}', ""))).retry_after_ms is None
    assert (await failed("discord", answer('{"retry_after": 1e300}', ""))).retry_after_ms == LONGEST_WAIT_MS


async def test_the_shared_client_follows_nothing_and_takes_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    async with make_client() as http:
        assert not http.follow_redirects
        assert not http.trust_env
        assert all(transport is None for transport in http._mounts.values())


async def test_a_delivery_leaves_no_secret_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("httpx").setLevel(logging.WARNING)  # as app/log.py does
    with caplog.at_level(logging.INFO):
        for kind in KINDS:
            async with client_of(a_receiver()) as http:
                await a_channel(kind, http).send(a_letter())
    assert not [secret for secret in SECRETS if secret in caplog.text]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", TRICKS)
async def test_whatever_the_text_a_strict_receiver_takes_it(kind: str, text: str) -> None:
    receiver = a_receiver()
    async with client_of(receiver) as http:
        await a_channel(kind, http).send(a_hostile(text))
        await a_channel(kind, http).send(a_hostile(text, incident=None, id="18-0"))
    assert len(receiver.received) == 2
    assert not receiver.violations


@pytest.mark.parametrize("kind", KINDS)
async def test_a_group_is_one_message(kind: str) -> None:
    receiver = a_receiver()
    async with client_of(receiver) as http:
        await a_channel(kind, http).send(a_group())
    [got] = receiver.received
    assert got.ok
    assert "auth_failures: 37 subjects in 2 min" in got.summary.replace("\\", "")


def test_one_line_is_visible_and_bounded() -> None:
    assert one_line("a\r\nb\tc\u2028d", 50) == "a b c d"
    assert one_line("\u202e\u200b\x1b", 50) == "\N{REPLACEMENT CHARACTER}" * 3
    assert one_line("http://x www.y mailto:z", 50) == "http[:]//x www[.]y mailto[:]z"
    assert lines("a\n\n b \r\nc", 50) == "a\nb\nc"
    assert fitted("a<<<<", 6, lambda c: {"<": "&lt;"}.get(c, c)) == "a&lt;…"
    for text in TRICKS:
        assert width(one_line(text, 100)) <= 100
        assert width(lines(text, 100)) <= 100


def test_a_refusal_is_a_delivery_error_with_its_status() -> None:
    error = RefusedError(404, "status 404", True, None, b"{}")
    assert isinstance(error, DeliveryError)
    assert (error.status, error.permanent) == (404, True)
