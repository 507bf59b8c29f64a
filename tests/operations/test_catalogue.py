"""What holds for every operation."""

import msgspec
import pytest

from tidings.base.errors import BackendError
from tidings.operations.all import CATALOGUE
from tidings.operations.catalogue import Catalogue, Permission, operation
from tidings.operations.context import Caller, Context
from tidings.operations.errors import CODES, OperationError


class Nothing(msgspec.Struct, frozen=True):
    """Nothing."""


@operation("test", "peek", permission=Permission.ADMIN, errors=())
async def peek(context: Context, request: Nothing) -> Nothing:
    """Look at something without asking who looks."""
    return request


@operation("test", "fail", permission=Permission.ADMIN, errors=())
async def fail(context: Context, request: Nothing) -> Nothing:
    """Fail as a database does."""
    raise BackendError("the disk is full")


def test_every_operation_promises_something_and_describes_its_fields():
    for one in CATALOGUE:
        assert one.promise.endswith("."), one.name
        assert set(one.errors) <= set(CODES)
        schema = msgspec.json.schema(one.request)
        for described in schema["$defs"].values():
            for name, field in described.get("properties", {}).items():
                assert field.get("description"), f"{one.category} {one.name}: {name}"


def test_the_first_categories_are_complete():
    names = {category: [one.name for one in found] for category, found in CATALOGUE.categories().items()}
    assert names == {
        "account": [
            "register", "remove", "list", "count", "check",
            "check-password", "change-password", "ban", "unban",
        ],
        "session": ["list", "count", "kick"],
        "stanza": ["send-message", "send-stanza"],
        "archive": ["sync"],
        "retention": ["erase-message", "erase-conversation", "erase-archive", "hold", "release", "trim"],
        "server": ["status"],
    }  # fmt: skip


async def refused(context, category, name, **arguments):
    with pytest.raises(OperationError) as caught:
        await CATALOGUE.call(context, category, name, arguments)
    return caught.value.code, caught.value.text


async def test_a_wrong_request_names_the_field(context):
    assert await refused(context, "account", "list", limit=0) == (
        "invalid",
        "`limit` is wrong: Expected `int` >= 1",
    )
    assert await refused(context, "account", "register", user="alice@localhost") == (
        "invalid",
        "the request is wrong: Object missing required field `password`",
    )


async def test_what_does_not_exist_is_not_found(context):
    assert (await refused(context, "account", "lst"))[0] == "not-found"


async def test_what_needs_the_server_says_so_without_it(context):
    for one in CATALOGUE:
        if one.needs_server:
            told = await refused(
                context, one.category, one.name, user="a@localhost", to="a@localhost", body="x", stanza="<x/>"
            )
            assert told == ("unavailable", "the server is not running")


async def test_a_backend_in_trouble_makes_an_operation_unavailable(context):
    with pytest.raises(OperationError) as caught:
        await Catalogue([fail]).call(context, "test", "fail", {})
    assert (caught.value.code, caught.value.text) == ("unavailable", "the disk is full")


async def test_an_administrator_of_one_domain_has_no_power_over_another(context):
    mine = context.acting_for(Caller("admin@other.test", frozenset({"other.test"})))
    await CATALOGUE.call(context, "account", "register", {"user": "alice@localhost", "password": "x"})
    await CATALOGUE.call(mine, "account", "register", {"user": "bob@other.test", "password": "x"})
    for name in ("remove", "check", "check-password", "change-password", "ban", "unban", "register"):
        code, text = await refused(mine, "account", name, user="alice@localhost", password="y")
        assert (code, text) == ("not-allowed", "admin@other.test may not administer localhost")
    assert (await refused(mine, "account", "list", domain="localhost"))[0] == "not-allowed"
    assert (await CATALOGUE.call(mine, "account", "list", {})).users == ("bob@other.test",)
    assert (await CATALOGUE.call(mine, "account", "count", {})).count == 1
    status = await CATALOGUE.call(mine, "server", "status", {})
    assert (status.domains, status.accounts) == (("other.test",), 1)


async def test_which_domains_exist_is_not_told_to_an_administrator_of_another(context):
    mine = context.acting_for(Caller("admin@other.test", frozenset({"other.test"})))
    for domain in ("localhost", "nowhere.test"):
        assert (await refused(mine, "account", "count", domain=domain))[0] == "not-allowed"


NOBODY = Caller("mallory@localhost", frozenset())
ARGUMENTS = {
    "user": "alice@localhost",
    "password": "x",
    "sender": "alice@localhost",
    "to": "alice@localhost",
    "body": "x",
    "stanza": "<message to='alice@localhost' from='alice@localhost'/>",
    "id": "0k3f9-1",
    "peer": "bob@localhost",
    "keep_days": 1,
}


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="What an operation declares of who may call it is only told, not enforced.",
)
@pytest.mark.parametrize("arguments", [{}, ARGUMENTS], ids=["least", "most"])
async def test_who_administers_no_domain_runs_nothing_that_is_for_administrators(world, live, arguments):
    alice = await world.online("alice@localhost/phone")
    answers = {}
    for one in CATALOGUE:
        if one.permission is Permission.ADMIN:
            required = {field.encode_name for field in msgspec.structs.fields(one.request) if field.required}
            given = {name: ARGUMENTS[name] for name in required} | arguments
            try:
                await CATALOGUE.call(live.acting_for(NOBODY), one.category, one.name, given)
                answers[one.category, one.name] = "done"
            except OperationError as error:
                answers[one.category, one.name] = error.code
            except Exception as error:  # noqa: BLE001  # a bug is an answer, too
                answers[one.category, one.name] = repr(error)
    assert len(answers) > 20
    assert {name: answer for name, answer in answers.items() if answer != "not-allowed"} == {}
    assert not alice.closed
    assert alice.take() == []


@pytest.mark.xfail(
    strict=True,
    raises=pytest.fail.Exception,
    reason="What an operation declares of who may call it is only told, not enforced.",
)
async def test_an_operation_need_not_ask_by_itself_who_calls_it(context):
    with pytest.raises(OperationError) as caught:
        await Catalogue([peek]).call(context.acting_for(NOBODY), "test", "peek", {})
    assert caught.value.code == "not-allowed"
