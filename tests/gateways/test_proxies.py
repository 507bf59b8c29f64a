"""Trusted proxies: what the log says of one that names nobody."""

from __future__ import annotations

from multidict import CIMultiDict
from structlog.testing import capture_logs

from tests.gateways.test_http_doors import standing
from tidings.base.seldom_told import MOST_TOLD
from tidings.gateways.proxies import TOLD_EVERY, Proxies

NOBODY = CIMultiDict[str]()


def test_a_proxy_that_names_nobody_is_told_once_an_hour() -> None:
    now = 0.0
    proxies = Proxies(["10.0.0.0/8"], now=lambda: now)
    with capture_logs() as logs:
        for _ in range(10):
            assert proxies.client_of("10.0.0.1", NOBODY) == "unknown"
            assert proxies.client_of("10.0.0.2", CIMultiDict({"x-forwarded-for": "many"})) == "unknown"
        assert [line["proxy"] for line in logs] == ["10.0.0.1", "10.0.0.2"]
        assert [line["named"] for line in logs] == ["no client", "an entry that is no address"]
        now += TOLD_EVERY
        proxies.client_of("10.0.0.1", NOBODY)
    assert [line["proxy"] for line in logs] == ["10.0.0.1", "10.0.0.2", "10.0.0.1"]


def test_what_is_remembered_of_proxies_is_bounded() -> None:
    proxies = Proxies(["10.0.0.0/8"], now=lambda: 0.0)
    with capture_logs():
        for number in range(2 * MOST_TOLD):
            proxies.client_of(f"10.0.{number // 256}.{number % 256}", NOBODY)
    assert len(proxies._told) == MOST_TOLD


async def test_clients_behind_it_are_told_of_and_its_own_questions_are_not() -> None:
    async with standing(trusted_proxies=("127.0.0.0/8",)) as stand:
        with capture_logs() as logs:
            for _ in range(2):
                await (await stand.websocket()).raw.close()
            async with stand.http.get(stand.url("/http-bind")) as response:
                await response.read()
        assert [line["proxy"] for line in logs if line["event"] == "proxy_names_nobody"] == ["127.0.0.1"]
