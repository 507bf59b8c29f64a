"""What holds for every operation."""

from dataclasses import replace

import msgspec
import pytest

from tests.harness.world import World
from tidings.app.rooms import MUC_LIGHT, ROOMS
from tidings.app.uploads import UPLOADS
from tidings.base.errors import BackendError
from tidings.base.jid import Jid
from tidings.features.rooms.entrance import EntranceOptions
from tidings.operations.all import CATALOGUE
from tidings.operations.catalogue import ADMINISTRATORS, EVERYBODY, OPERATORS, Catalogue, operation
from tidings.operations.characters import check_characters
from tidings.operations.context import OPERATOR, Caller, Context, Role
from tidings.operations.errors import CODES, OperationError
from tidings.operations.values import Domain, Scalar


class Nothing(msgspec.Struct, frozen=True):
    """Nothing."""


@operation("test", "peek", roles=ADMINISTRATORS, changes=False)
async def peek(context: Context, request: Nothing) -> Nothing:
    """Look at something without asking who looks."""
    return request


@operation("test", "fail", roles=ADMINISTRATORS, without_subject="own", changes=False)
async def fail_for_all(context: Context, request: Nothing) -> Nothing:
    """Fail as a database does."""
    raise BackendError("the database postgresql://tidings:***@db.internal/tidings: refused")


@operation("test", "fail", roles=OPERATORS, changes=False)
async def fail(context: Context, request: Nothing) -> Nothing:
    """Fail as a database does."""
    raise BackendError("the disk is full")


def test_every_operation_promises_something_and_describes_its_fields():
    for one in CATALOGUE:
        assert one.promise.endswith("."), one.name
        assert set(one.errors) <= set(CODES)
        schema = msgspec.json.schema(one.request, schema_hook=lambda _: {"type": "string"})
        for described in schema["$defs"].values():
            for name, field in described.get("properties", {}).items():
                assert field.get("description"), f"{one.category} {one.name}: {name}"


def test_the_first_categories_are_complete():
    names = {category: [one.name for one in found] for category, found in CATALOGUE.categories().items()}
    assert names == {
        "account": [
            "register", "remove", "restore", "count", "check", "check-password", "change-password", "ban",
            "unban", "list", "export", "import", "remove-inactive", "rename", "reset-link", "promote",
            "demote", "admins", "export-personal-data",
        ],
        "invitation": ["create", "list", "revoke"],
        "roster": ["list", "add", "remove"],
        "group": ["create", "change", "remove", "list", "show", "add", "drop"],
        "vcard": ["get", "set"],
        "private": ["list", "get", "remove"],
        "report": ["list", "remove"],
        "http-upload": ["get-url", "get-own-url", "usage", "domain-usage", "list", "remove"],
        "last": ["get"],
        "session": ["list", "count", "kick"],
        "stanza": ["send-message", "send-stanza", "announce"],
        "archive": ["size", "sync"],
        "inbox": ["list", "read", "empty-bin"],
        "offline": ["count"],
        "muc": [
            "list", "occupants", "affiliations", "messages", "create", "show", "configure", "destroy",
            "set-affiliation", "set-role", "kick", "invite", "enter", "exit", "send", "send-private",
            "receipts", "readers", "reactors", "retention", "set-retention",
        ],
        "muc-light": [
            "list", "rooms", "show", "members", "messages", "blocked", "create", "configure", "invite",
            "kick", "destroy", "send", "block",
        ],
        "explain": ["message"],
        "retention": ["erase-message", "erase-conversation", "erase-archive", "hold", "release", "trim"],
        "followers": ["list", "rewind", "dead-letters", "retry"],
        "domain": ["add", "enable", "disable", "remove", "list"],
        "server": ["export", "status", "reload", "statistics"],
        "config": ["diff", "preview", "rollback"],
        "log": ["show", "level", "trace"],
        "certificate": ["list", "renew"],
    }  # fmt: skip


async def refused(context, category, name, **arguments):
    with pytest.raises(OperationError) as caught:
        await answers_of(context, CATALOGUE.get(category, name), arguments)
    return caught.value.code, caught.value.text


async def answers_of(context, found, arguments, catalogue=CATALOGUE):
    """Call an operation in whichever way it answers."""
    if found.is_stream:
        return [one async for one in catalogue.stream(context, found.category, found.name, arguments)]
    return await catalogue.call(context, found.category, found.name, arguments)


# --- what is declared is enforced, for every operation

LOCAL, OTHER = "localhost", "other.test"
CALLERS = {
    Role.OPERATOR: OPERATOR,
    Role.DOMAIN_ADMINISTRATOR: Caller.administrator(Jid(f"boss@{LOCAL}"), LOCAL),
    Role.USER: Caller.user(Jid(f"alice@{LOCAL}")),
    Role.SERVICE: Caller.service("robot", {one.category for one in CATALOGUE}, [LOCAL]),
}
NAMED = {"domain", "user", "users"}
"""The subjects that may be several in one request, and of which none goes without the other."""
EVERY = [pytest.param(one, id=f"{one.category} {one.name}") for one in CATALOGUE]


ARGUMENTS_OF_ROOMS = {
    "create": lambda domain: {
        "room": f"new@conference.{domain}",
        "id": "new",
        "name": "New",
        "domain": domain,
    },
    "enter": lambda domain: {"user": f"alice@{domain}/x", "nick": "Alice"},
    "configure": lambda _: {"name": "Tea"},
    "affiliations": lambda _: {"affiliation": None},
    "block": lambda _: {"users": [f"bob@{LOCAL}"]},
}


def arguments_about(domain, found):
    """Give a request of an operation that is right in every field, about `alice` of a domain."""
    given = {
        "user": f"alice@{domain}",
        "sender": f"alice@{domain}",
        "domain": domain,
        "to": f"bob@{LOCAL}",
        "peer": f"bob@{LOCAL}",
        "password": "secret",
        "body": "text",
        "follower": "text_index",
        "cursor": "start",
        "id": "0k3f9-1",
        "keep_messages": 1_000,
        "idle_days": 1_000,
        "level": "info",
        "accounts": [{"user": f"new@{domain}"}],
        "contact": f"bob@{LOCAL}",
        "name": "storage",
        "group": "sales",
        "users": [f"alice@{domain}"],
        "namespace": "storage:bookmarks",
        "stanza": f"<message from='alice@{domain}' to='bob@{LOCAL}'/>",
        "owner": f"alice@{domain}",
        "by": f"alice@{domain}",
        "room": f"{'ward7@muclight' if found.category == 'muc-light' else 'tea@conference'}.{domain}",
        "target": f"bob@{LOCAL}",
        "recipient": f"carol@{LOCAL}",
        "affiliation": "member",
        "role": "participant",
        "nick": "Bob",
        "filename": "cat.png",
        "size": 1_000,
    }
    if found.category in {"muc", "muc-light"}:
        given |= ARGUMENTS_OF_ROOMS.get(found.name, lambda _: {})(domain)
    fields = {field.name: field for field in msgspec.structs.fields(found.request)}
    # One subject at a time where there are two: a user is no domain.
    without = {"domain"} if {"domain", "user"} <= fields.keys() else set()
    return {name: value for name, value in given.items() if name in fields and name not in without}


@pytest.fixture
async def everything():
    """A server on which every operation has something to do."""
    world = await World.start(
        services=(ROOMS, MUC_LIGHT, UPLOADS), options={"muc": EntranceOptions(locks_new=False)}
    )
    entering = "<x xmlns='http://jabber.org/protocol/muc'/>"
    for name in ("alice@localhost", "bob@localhost", "alice@other.test"):
        client = await world.login(f"{name}/x")
        if name.endswith(LOCAL):
            nick = name.partition("@")[0].title()
            await client.send(f"<presence to='tea@conference.{LOCAL}/{nick}'>{entering}</presence>")
    members = {"owner": f"alice@{LOCAL}", "id": "ward7", "members": [f"bob@{LOCAL}"]}
    await CATALOGUE.call(world.context, "muc-light", "create", members)
    yield world.context
    await world.stop()


async def code_of(context, found, arguments):
    """Give the code with which an operation refuses, or nothing."""
    try:
        await answers_of(context, found, arguments)
    except OperationError as error:
        return error.code
    return ""


@pytest.mark.parametrize("found", EVERY)
@pytest.mark.parametrize("role", Role)
async def test_only_declared_roles_may_call(everything, found, role):
    context = everything.acting_for(CALLERS[role])
    code = await code_of(context, found, arguments_about(LOCAL, found))
    is_for_the_whole_server = not found.subjects and found.without_subject == "operator"
    if role in found.roles and (role is Role.OPERATOR or not is_for_the_whole_server):
        assert code != "not-allowed"
    else:
        assert code == "not-allowed"


@pytest.mark.parametrize("found", [each for each in EVERY if each.values[0].subjects])
@pytest.mark.parametrize("role", Role)
async def test_nobody_acts_for_somebody_elses(everything, found, role):
    context = everything.acting_for(CALLERS[role])
    for subject in (OTHER, "nowhere.test"):
        code = await code_of(context, found, arguments_about(subject, found))
        if role is Role.OPERATOR:
            assert code == ("not-found" if subject == "nowhere.test" else code)
            assert code != "not-allowed"
        else:
            assert code == "not-allowed"
    assert await everything.stores.accounts.exists(Jid(f"alice@{OTHER}")) or role is Role.OPERATOR


@pytest.mark.parametrize(
    "found", [each for each in EVERY if len(NAMED.intersection(each.values[0].subjects)) > 1]
)
@pytest.mark.parametrize("role", [Role.DOMAIN_ADMINISTRATOR, Role.SERVICE])
async def test_all_subjects_must_be_allowed(everything, found, role):
    context = everything.acting_for(CALLERS[role])
    arguments = arguments_about(LOCAL, found)
    for domain, user in ((LOCAL, OTHER), (OTHER, LOCAL)):
        named = {"domain": domain, "user": f"alice@{user}", "users": [f"alice@{user}"], "to": f"al@{domain}"}
        both = arguments | {name: value for name, value in named.items() if name in found.subjects}
        assert await code_of(context, found, both) == "not-allowed"


@pytest.mark.parametrize("found", [each for each in EVERY if each.values[0].without_subject == "own"])
@pytest.mark.parametrize("role", [Role.DOMAIN_ADMINISTRATOR, Role.SERVICE, Role.USER])
async def test_without_a_subject_nothing_foreign_is_told(everything, found, role):
    if role not in found.roles:
        return
    context = everything.acting_for(CALLERS[role])
    required = {field.name for field in msgspec.structs.fields(found.request) if field.required}
    arguments = {name: value for name, value in arguments_about(LOCAL, found).items() if name in required}
    if "stanza" in arguments:
        arguments["stanza"] = f"<message to='bob@{LOCAL}'><body>x</body></message>"
    if found.name == "trim":
        arguments["keep_messages"] = 1_000
    if found.category == "explain":  # of a message that nobody has sent
        with pytest.raises(OperationError) as caught:
            await answers_of(context, found, arguments)
        assert (caught.value.code, OTHER in caught.value.text) == ("not-found", False)
        return
    assert OTHER not in repr(await answers_of(context, found, arguments))


@pytest.mark.parametrize("found", [each for each in EVERY if each.values[0].addresses])
async def test_malformed_addresses_do_not_reach_the_function(everything, found):
    for field in found.addresses:
        for wrong in ("a b@c", "@", "", 7):
            arguments = {**arguments_about(LOCAL, found), field.name: wrong}
            assert await code_of(everything, found, arguments) == "invalid", (field, wrong)


@pytest.mark.parametrize("found", EVERY)
async def test_text_that_no_stream_can_carry_is_refused_in_every_field(everything, found):
    """Whatever a script pastes: the operation says what is wrong and where, and nothing fails."""
    for field in msgspec.structs.fields(found.request):
        arguments = arguments_about(LOCAL, found)
        for wrong in ("a\x0bb", "\x00", "a\ufffe", ["ok", "a\x1f"], {"key": "\x08"}, "\ud800"):
            with pytest.raises(OperationError) as caught:
                await answers_of(everything, found, {**arguments, field.name: wrong})
            assert caught.value.code == "invalid"
            assert field.name in str(caught.value)


def test_every_account_that_a_request_names_is_a_subject():
    for one in CATALOGUE:
        for field in one.addresses:
            if field.scalar in {Scalar.ACCOUNT, Scalar.SESSION}:
                is_for_operators = not one.subjects and one.without_subject == "operator"
                assert is_for_operators or field.name in one.subjects, (one.category, one.name, field.name)


class Named(msgspec.Struct, frozen=True):
    """A domain, if any."""

    domain: Domain | None = None


CALLED = []


@operation("test", "forgetful", roles=EVERYBODY, changes=True, subjects=("domain",))
async def forgetful(context: Context, request: Named) -> Nothing:
    """Check nothing by itself."""
    CALLED.append(request)
    return Nothing()


async def test_an_operation_that_checks_nothing_is_safe_all_the_same(context):
    CALLED.clear()
    catalogue = Catalogue([forgetful])
    nobody = Caller.service("nobody", {"test"}, [])
    for caller in (*CALLERS.values(), nobody):
        if caller is OPERATOR:
            continue
        for arguments in ({}, {"domain": OTHER}):
            assert await code_of_other(catalogue, context.acting_for(caller), arguments) == "not-allowed"
    assert CALLED == []
    assert await code_of_other(catalogue, context, {"domain": OTHER}) == ""
    assert [Named(Jid(OTHER))] == CALLED


async def code_of_other(catalogue, context, arguments):
    try:
        await catalogue.call(context, "test", "forgetful", arguments)
    except OperationError as error:
        return error.code
    return ""


@pytest.mark.parametrize(
    ("scopes", "may"),
    [
        ({"account"}, {"list", "count", "register"}),
        ({"account:read"}, {"list", "count"}),
        ({"account:count"}, {"count"}),
        ({"session"}, set()),
        (set(), set()),
    ],
)
async def test_a_service_does_what_its_scopes_say(context, scopes, may):
    robot = context.acting_for(Caller.service("robot", scopes))
    given = {"register": {"user": "new@localhost", "password": "x"}}
    for name in ("list", "count", "register"):
        code = await code_of(robot, CATALOGUE.get("account", name), given.get(name, {}))
        assert (code == "") == (name in may), (name, code)


async def test_what_an_operation_changes_is_declared(everything):
    reading = {
        "list", "export", "count", "check", "check-password", "size", "sync", "status", "dead-letters",
        "message", "show", "diff", "preview", "statistics", "admins", "get", "export-personal-data",
        "occupants", "affiliations", "messages", "rooms", "members", "blocked",
        "receipts", "readers", "reactors", "retention", "usage", "domain-usage",
    }  # fmt: skip
    assert {one.name for one in CATALOGUE if not one.changes} == reading


# --- errors


async def test_a_wrong_request_names_the_field(context):
    assert await refused(context, "account", "list", limit=0) == (
        "invalid",
        "`limit` must be a whole number from 1 to 1000, not 0",
    )
    assert await refused(context, "account", "register", user="alice@localhost") == (
        "invalid",
        "`password` is missing",
    )


async def test_what_does_not_exist_is_not_found(context):
    assert (await refused(context, "account", "lst"))[0] == "not-found"


async def test_what_needs_the_server_says_so_without_it(context):
    for one in CATALOGUE:
        if one.needs_server:
            given = {
                "user": "a@localhost",
                "to": "a@localhost",
                "body": "x",
                "stanza": "<x/>",
                "level": "info",
                "domain": "localhost",
                "room": "tea@conference.localhost",
                "owner": "a@localhost",
                "sender": "a@localhost",
                "target": "b@localhost",
                "recipient": "b@localhost",
                "nick": "Bob",
                "affiliation": "member",
                "role": "visitor",
                "id": "0k3f9-1",
                "filename": "cat.png",
                "size": 1_000,
            }
            told = await refused(context, one.category, one.name, **given)
            assert told == ("unavailable", "the server is not running")


async def test_a_backend_in_trouble_makes_an_operation_unavailable(context):
    with pytest.raises(OperationError) as caught:
        await Catalogue([fail]).call(context, "test", "fail", {})
    assert (caught.value.code, caught.value.text) == ("unavailable", "the disk is full")


async def test_what_a_backend_says_is_for_the_operator_alone(context):
    """It may name the database's host and user, and an administrator of one domain is a guest there."""
    guest = replace(context, caller=Caller.administrator(Jid("admin@other.test"), "other.test"))
    with pytest.raises(OperationError) as caught:
        await Catalogue([fail_for_all]).call(guest, "test", "fail", {})
    assert caught.value.text == "the database does not answer; try again later"
    named = replace(guest, database="postgresql://tidings@db.internal/tidings")
    assert (await CATALOGUE.call(named, "server", "status", {})).database == "postgresql"


async def test_an_administrator_of_one_domain_has_no_power_over_another(context):
    mine = context.acting_for(Caller.administrator(Jid("admin@other.test"), "other.test"))
    await CATALOGUE.call(context, "account", "register", {"user": "alice@localhost", "password": "x"})
    await CATALOGUE.call(mine, "account", "register", {"user": "bob@other.test", "password": "x"})
    for name in ("remove", "check", "check-password", "change-password", "ban", "unban", "register"):
        code, text = await refused(mine, "account", name, user="alice@localhost", password="y")
        assert (code, text) == ("not-allowed", "admin@other.test may not administer localhost")
    assert (await refused(mine, "account", "list", domain="localhost"))[0] == "not-allowed"
    listed = (await CATALOGUE.call(mine, "account", "list", {})).items
    assert [each.user for each in listed] == ["bob@other.test"]
    assert (await CATALOGUE.call(mine, "account", "count", {})).count == 1
    status = await CATALOGUE.call(mine, "server", "status", {})
    assert (status.domains, status.accounts) == (("other.test",), 1)


async def test_which_domains_exist_is_not_told_to_an_administrator_of_another(context):
    mine = context.acting_for(Caller.administrator(Jid("admin@other.test"), "other.test"))
    for domain in ("localhost", "nowhere.test"):
        assert (await refused(mine, "account", "count", domain=domain))[0] == "not-allowed"


NOBODY = Caller.administrator(Jid("mallory@localhost"))
ARGUMENTS = {
    "room": "tea@conference.localhost",
    "owner": "alice@localhost",
    "target": "bob@localhost",
    "recipient": "bob@localhost",
    "nick": "Bob",
    "affiliation": "member",
    "role": "visitor",
    "domain": "localhost",
    "follower": "text_index",
    "cursor": "start",
    "user": "alice@localhost",
    "password": "x",
    "sender": "alice@localhost",
    "to": "alice@localhost",
    "body": "x",
    "stanza": "<message to='alice@localhost' from='alice@localhost'/>",
    "id": "0k3f9-1",
    "peer": "bob@localhost",
    "keep_days": 1,
    "idle_days": 1_000,
    "accounts": [{"user": "new@localhost"}],
    "contact": "bob@localhost",
    "name": "storage",
    "group": "sales",
    "users": ["alice@localhost"],
    "namespace": "storage:bookmarks",
    "filename": "cat.png",
    "size": 1_000,
}


@pytest.mark.parametrize("arguments", [{}, ARGUMENTS], ids=["least", "most"])
async def test_who_administers_no_domain_runs_nothing_that_is_for_administrators(world, live, arguments):
    alice = await world.online("alice@localhost/phone")
    answers = {}
    for one in CATALOGUE:
        if Role.DOMAIN_ADMINISTRATOR in one.roles:
            required = {field.encode_name for field in msgspec.structs.fields(one.request) if field.required}
            given = {name: ARGUMENTS[name] for name in required} | arguments
            try:
                await answers_of(live.acting_for(NOBODY), one, given)
                answers[one.category, one.name] = "done"
            except OperationError as error:
                answers[one.category, one.name] = error.code
            except Exception as error:  # noqa: BLE001  # a bug is an answer, too
                answers[one.category, one.name] = repr(error)
    assert len(answers) > 20
    assert {name: answer for name, answer in answers.items() if answer != "not-allowed"} == {}
    assert not alice.closed
    assert alice.take() == []


async def test_an_operation_need_not_ask_by_itself_who_calls_it(context):
    with pytest.raises(OperationError) as caught:
        await Catalogue([peek]).call(context.acting_for(NOBODY), "test", "peek", {})
    assert caught.value.code == "not-allowed"


def test_what_is_not_utf8_on_a_command_line_is_told_before_it_is_sent():
    with pytest.raises(OperationError, match=r"^`body`: the octet 0xFF is not UTF-8$") as caught:
        check_characters({"to": "bob@localhost", "body": "a\udcffb"})
    assert caught.value.code == "invalid"
    check_characters({"body": "tabs\tand\r\nlines \U0001f600", "of": ["any", 1, None, True]})
