"""The audit log: who has changed what, who was refused, and never a secret."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from tests.harness.world import World
from tidings.base.jid import Jid
from tidings.operations.all import CATALOGUE
from tidings.operations.audit import _told_fields
from tidings.operations.context import OPERATOR, Caller, Context
from tidings.operations.errors import OperationError

BOSS = Caller.administrator(
    Jid("boss@localhost"), "localhost", session=Jid("boss@localhost/desk"), address="192.0.2.1"
)


@pytest.fixture
def logs() -> Iterator[list[EventDict]]:
    with capture_logs() as told:
        yield told


def lines(logs: list[EventDict]) -> list[EventDict]:
    return [line for line in logs if line["event"] == "operation"]


async def call(context: Context, operation: str, **arguments: object) -> Any:
    category, name = operation.split()
    return await CATALOGUE.call(context, category, name, arguments)


async def refused(context: Context, operation: str, **arguments: object) -> str:
    with pytest.raises(OperationError) as error:
        await call(context, operation, **arguments)
    return error.value.code


async def test_a_change_tells_who_what_about_whom_and_how_it_ended(
    live: Context, logs: list[EventDict]
) -> None:
    await call(live, "account register", user="alice@localhost", password="wonderland")
    await call(live.acting_for(BOSS), "account ban", user="alice@localhost", reason="spam")
    made, banned = lines(logs)
    assert made["log_level"] == banned["log_level"] == "info"
    assert (made["operation"], made["outcome"], made["by"]) == ("account register", "done", "operator")
    assert made["subjects"] == ["alice@localhost"]
    assert "wonderland" not in str(logs)
    assert (banned["by"], banned["role"]) == ("boss@localhost", "domain administrator")
    assert (banned["session"], banned["address"]) == ("boss@localhost/desk", "192.0.2.1")
    assert banned["arguments"] == {"reason": "spam"}


async def test_what_does_not_change_anything_is_not_told(live: Context, logs: list[EventDict]) -> None:
    await call(live, "account count")
    assert await refused(live, "account check-password", user="a@localhost", password="x") == "not-found"
    assert lines(logs) == []


async def test_a_change_that_failed_says_so(live: Context, logs: list[EventDict]) -> None:
    assert await refused(live, "account remove", user="nobody@localhost") == "not-found"
    assert await refused(live, "account remove", user="no address @@") == "invalid"
    first, second = lines(logs)
    assert (first["outcome"], first["subjects"]) == ("not-found", ["nobody@localhost"])
    assert second["outcome"] == "invalid"
    assert "subjects" not in second


async def test_who_may_not_is_told_whatever_it_was_for(live: Context, logs: list[EventDict]) -> None:
    boss = live.acting_for(BOSS)
    assert await refused(boss, "account remove", user="bob@other.test") == "not-allowed"
    assert await refused(boss, "server reload") == "not-allowed"
    service = live.acting_for(Caller.service("shop", ["account:read"]))
    assert await refused(service, "session list") == "not-allowed"
    first, second, third = lines(logs)
    assert (first["outcome"], first["subjects"]) == ("not-allowed", ["bob@other.test"])
    assert first["reason"] == "boss@localhost may not administer other.test"
    assert second["operation"] == "server reload"
    assert (third["by"], third["role"], third["operation"]) == ("shop", "service", "session list")


async def test_who_is_refused_again_and_again_does_not_fill_the_log(
    live: Context, world: World, logs: list[EventDict]
) -> None:
    user = live.acting_for(Caller.user(Jid("eve@localhost")))
    for _ in range(50):
        assert await refused(user, "account remove", user="eve@localhost") == "not-allowed"
    assert len(lines(logs)) == 10
    await world.advance(61)
    assert await refused(user, "account remove", user="eve@localhost") == "not-allowed"
    assert lines(logs)[-1]["more"] == 40


async def test_nothing_that_is_said_is_told(live: Context, world: World, logs: list[EventDict]) -> None:
    await world.login("alice@localhost/x")
    await call(
        live, "stanza send-message", to="alice@localhost/x", body="wonderland", subject="tea at wonderland"
    )
    text = "<message to='alice@localhost/x' from='localhost'><body>wonderland</body></message>"
    await call(live, "stanza send-stanza", stanza=text)
    first, second = lines(logs)
    assert first["arguments"] == {"to": "alice@localhost/x", "kind": "chat"}
    assert second["operation"] == "stanza send-stanza"
    assert "wonderland" not in str([first, second])


async def test_on_the_database_alone_nothing_is_told(context: Context, logs: list[EventDict]) -> None:
    await call(context, "account register", user="alice@localhost", password="x")
    assert logs == []


async def test_a_bug_is_told_as_a_failure(live: Context, logs: list[EventDict]) -> None:
    class Broken:
        def __getattr__(self, name: str) -> object:
            raise ZeroDivisionError

    context = Context(domains=live.domains, stores=Broken(), clock=live.clock, live=live.live)  # type: ignore[arg-type]
    with pytest.raises(ZeroDivisionError):
        await call(context, "account register", user="alice@localhost", password="x")
    assert [line["outcome"] for line in lines(logs)] == ["failed"]


def test_no_secret_and_no_free_text_is_told_unless_it_is_declared() -> None:
    free = {
        name
        for operation in CATALOGUE
        for name in _told_fields(operation.request)
        if "str" in str(operation.request.__annotations__.get(name, ""))
    }
    assert not free & {"password", "body", "subject", "stanza", "idempotency_key"}
    assert OPERATOR.uid is None
