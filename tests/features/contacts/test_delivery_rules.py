"""The delivery rules of RFC 6121 §8.5 as tables: what becomes of each stanza, whoever is there.

Letters of the summary in §8.5.4, with the choices that it leaves:
  D  delivered to the resource that it is addressed to
  A  delivered to all resources whose priority is not negative; where the document lets it be the most
     available ones (M), too, so that every device gets every message
  O  stored for the devices of the account
  S  silently ignored
  E  answered with service-unavailable
"""

import pytest

from tests.features.contacts.people import condition
from tests.harness.world import World
from tidings.base.jid import Jid
from tidings.wire.xml.element import Element

ACCOUNT = "bob@localhost"

PRESENT = {
    # resource: its priority, None for one that is connected and has sent no presence
    "account does not exist": None,
    "no resource": {},
    "only connected": {"silent": None},
    "only negative": {"low": -1, "lower": -128},
    "one not negative": {"desk": 0, "low": -1, "silent": None},
    "one of two is higher": {"desk": 1, "phone": 5, "low": -1},
    "two are highest": {"desk": 0, "phone": 5, "tablet": 5, "low": -1},
}

MESSAGES = """
    there                  | address  | normal | chat | groupchat | headline | error
    account does not exist | bare     | E      | E    | E         | S        | S
    account does not exist | gone     | E      | E    | E         | S        | S
    no resource            | bare     | O      | O    | E         | S        | S
    no resource            | gone     | E      | O    | E         | S        | S
    only connected         | bare     | O      | O    | E         | S        | S
    only connected         | silent   | D      | D    | D         | D        | D
    only connected         | gone     | E      | O    | E         | S        | S
    only negative          | bare     | O      | O    | E         | S        | S
    only negative          | low      | D      | D    | D         | D        | D
    only negative          | gone     | E      | O    | E         | S        | S
    one not negative       | bare     | A      | A    | E         | A        | S
    one not negative       | desk     | D      | D    | D         | D        | D
    one not negative       | low      | D      | D    | D         | D        | D
    one not negative       | silent   | D      | D    | D         | D        | D
    one not negative       | gone     | E      | A    | E         | S        | S
    one of two is higher   | bare     | A      | A    | E         | A        | S
    one of two is higher   | desk     | D      | D    | D         | D        | D
    one of two is higher   | gone     | E      | A    | E         | S        | S
    two are highest        | bare     | A      | A    | E         | A        | S
    two are highest        | desk     | D      | D    | D         | D        | D
    two are highest        | gone     | E      | A    | E         | S        | S
"""
"""§8.5.4, one line for each condition and address; `gone` is a resource that is not there."""

PRESENCE = """
    there                  | address  | available | unavailable | error
    account does not exist | bare     | S         | S           | S
    account does not exist | gone     | S         | S           | S
    no resource            | bare     | S         | S           | S
    no resource            | gone     | S         | S           | S
    only connected         | bare     | S         | S           | S
    only connected         | silent   | D         | D           | D
    only negative          | bare     | all       | all         | S
    only negative          | low      | D         | D           | D
    only negative          | gone     | S         | S           | S
    one not negative       | bare     | all       | all         | S
    one not negative       | desk     | D         | D           | D
    one not negative       | gone     | S         | S           | S
    two are highest        | bare     | all       | all         | S
    two are highest        | phone    | D         | D           | D
    two are highest        | gone     | S         | S           | S
"""
"""§8.5.2.1.2, §8.5.3.1 and their negatives; `all` are the available resources, whatever their priority."""

IQS = """
    there                  | address  | get | set | result | error
    account does not exist | bare     | E   | E   | S      | S
    account does not exist | gone     | E   | E   | S      | S
    no resource            | bare     | E   | E   | S      | S
    no resource            | gone     | E   | E   | S      | S
    only connected         | bare     | E   | E   | S      | S
    only connected         | silent   | D   | D   | D      | D
    only negative          | low      | D   | D   | D      | D
    only negative          | gone     | E   | E   | S      | S
    one not negative       | bare     | E   | E   | S      | S
    one not negative       | desk     | D   | D   | D      | D
    one not negative       | gone     | E   | E   | S      | S
"""
"""§8.5.1, §8.5.2.1.3, §8.5.3: the account's server answers for a bare address and knows no such request."""


def rows(table: str) -> list:
    return list(cells(table))


def cells(table: str):
    head, *lines = ([cell.strip() for cell in line.split("|")] for line in table.strip().splitlines())
    for there, address, *rules in lines:
        for kind, rule in zip(head[2:], rules, strict=True):
            yield pytest.param(there, address, kind, rule, id=f"{there}, {address}, {kind}: {rule}")


async def deliver(world: World, there: str, address: str, stanza: str) -> tuple[set[str], list[Element]]:
    """Give the resources that got the stanza, and what the sender got."""
    clients = {}
    present = PRESENT[there]
    if present is not None:
        await world.register(ACCOUNT)
        for resource, priority in present.items():
            clients[resource] = await world.login(f"{ACCOUNT}/{resource}")
            if priority is not None:
                await clients[resource].send(f"<presence><priority>{priority}</priority></presence>")
    alice = await world.online("alice@localhost/phone")
    for client in clients.values():
        client.take()
    await alice.send(stanza.format(to=ACCOUNT if address == "bare" else f"{ACCOUNT}/{address}"))
    for client in clients.values():
        for element in client.received:
            assert element.get("from") == alice.jid
    return {resource for resource, client in clients.items() if client.take()}, alice.take()


def expected(there: str, address: str, rule: str) -> set[str]:
    available = {name: p for name, p in (PRESENT[there] or {}).items() if p is not None}
    willing = {name: p for name, p in available.items() if p >= 0}
    match rule:
        case "D":
            return {address}
        case "A":
            return set(willing)
        case "all":
            return set(available)
        case _:
            return set()


def check(there: str, address: str, rule: str, got: set[str], answers: list[Element]) -> None:
    assert got == expected(there, address, rule)
    assert bool(got) == (rule not in {"S", "E", "O"})
    assert [condition(answer) for answer in answers] == (["service-unavailable"] if rule == "E" else [])


ERROR = "<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"


@pytest.mark.parametrize(("there", "address", "kind", "rule"), rows(MESSAGES))
async def test_messages(world, there, address, kind, rule):
    inside = ERROR if kind == "error" else "<body>Hello</body>"
    stanza = f"<message to='{{to}}' type='{kind}' id='m'>{inside}</message>"
    check(there, address, rule, *await deliver(world, there, address, stanza))
    head = await world.stores.ledger.head(Jid(ACCOUNT))
    is_chat = kind in {"normal", "chat"}
    assert head.position == (1 if rule == "O" or (is_chat and rule in {"A", "D"}) else 0)


@pytest.mark.parametrize(
    ("there", "address", "rule"),
    [(*row.values[:2], row.values[3]) for row in rows(MESSAGES) if row.values[2] == "normal"],
)
async def test_a_message_without_a_type_is_a_normal_one(world, there, address, rule):
    stanza = "<message to='{to}'><body>Hello</body></message>"
    check(there, address, rule, *await deliver(world, there, address, stanza))


@pytest.mark.parametrize(("there", "address", "kind", "rule"), rows(PRESENCE))
async def test_presence(world, there, address, kind, rule):
    attribute = "" if kind == "available" else f" type='{kind}'"
    inside = ERROR if kind == "error" else "<status>Here</status>"
    check(
        there,
        address,
        rule,
        *await deliver(world, there, address, f"<presence to='{{to}}'{attribute}>{inside}</presence>"),
    )


@pytest.mark.parametrize(("there", "address", "kind", "rule"), rows(IQS))
async def test_requests_and_answers(world, there, address, kind, rule):
    inside = ERROR if kind == "error" else "<nonsense xmlns='urn:example:nobody-knows'/>"
    check(
        there,
        address,
        rule,
        *await deliver(world, there, address, f"<iq to='{{to}}' type='{kind}' id='q'>{inside}</iq>"),
    )


async def test_a_message_without_an_address_is_for_the_own_account(world):
    """RFC 6120 §10.3.1: as if it were addressed to the sender's bare JID."""
    phone = await world.online("alice@localhost/phone", "<presence><priority>1</priority></presence>")
    laptop = await world.online("alice@localhost/laptop", "<presence><priority>2</priority></presence>")
    phone.take()
    await phone.send("<message type='chat'><body>Note</body></message>")
    assert [element.text_of("body") for element in laptop.take("message")] == ["Note"]
    assert [element.text_of("body") for element in phone.take("message")] == ["Note"]


async def test_a_device_that_goes_away_leaves_the_rest_to_the_others(world):
    """§8.5.3.2.1: a chat goes on with whoever is there, once the resource it was tied to is gone."""
    desk = await world.online("bob@localhost/desk")
    phone = await world.online("bob@localhost/phone")
    alice = await world.online("alice@localhost/x")
    chat = "<message to='bob@localhost/desk' type='chat'><body>{}</body></message>"
    await alice.send(chat.format("1"))
    await desk.lose()
    phone.take()
    await alice.send(chat.format("2"))
    assert [element.text_of("body") for element in desk.take("message")] == ["1"]
    assert [element.text_of("body") for element in phone.take("message")] == ["2"]
    await phone.send("<presence type='unavailable'/>")
    await alice.send(chat.format("3"))
    assert alice.take("message") == []  # kept for the devices
    assert phone.take("message") == []
