"""What tests of the inbox ask for and how they read what comes: requests as text, answers as values."""

from tests.harness.world import WorldClient
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.conversation import ConversationUpdate
from tidings.wire.xmpp.payloads.inbox import InboxFin, InboxResult
from tidings.wire.xmpp.payloads.inbox_state import ConversationState
from tidings.wire.xmpp.payloads.standard_inbox import StandardInboxEntry, StandardInboxFin

BOB = "bob@localhost"


def field(name: str, *values: str) -> str:
    return f"<field var='{name}'>{''.join(f'<value>{value}</value>' for value in values)}</field>"


def fetch(*fields: str, page: str = "", query_id: str = "") -> str:
    form = f"<x xmlns='jabber:x:data' type='submit'>{''.join(fields)}</x>" if fields else ""
    rsm = f"<set xmlns='{ns.RSM}'>{page}</set>" if page else ""
    attribute = f" queryid='{query_id}'" if query_id else ""
    return f"<iq type='set' id='f1'><inbox xmlns='{ns.INBOX}'{attribute}>{form}{rsm}</inbox></iq>"


async def inbox(
    client: WorldClient, *fields: str, page: str = "", query_id: str = ""
) -> tuple[list[tuple[str, InboxResult]], InboxFin]:
    """Fetch, and give what came: address and result of each entry, and the end."""
    client.take("message")
    answer = await client.request(fetch(*fields, page=page, query_id=query_id))
    assert answer.get("type") == "result", answer
    fin = InboxFin.decode(answer.children[0])
    results = []
    for message in client.take("message"):
        assert (message.get("from"), message.get("to")) == (str(client.jid.bare), str(client.jid))
        result = InboxResult.decode(message.children[0])
        assert result.query_id == (query_id or "f1")
        last = result.forwarded.stanza()
        assert last is not None
        assert last.sender is not None
        assert last.to is not None
        peer = last.to.bare if last.sender.bare == client.jid.bare else last.sender.bare
        results.append((str(peer), result))
    return results, fin


async def unread(client: WorldClient) -> dict[str, int]:
    return {peer: result.unread for peer, result in (await inbox(client))[0]}


def conversation(content: str, peer: str = BOB, attributes: str = "", id_: str = "p2") -> str:
    jid = f" jid='{peer}'" if peer else ""
    query = f"<query xmlns='{ns.INBOX_CONVERSATION}'{jid}{attributes}>{content}</query>"
    return f"<iq type='set' id='{id_}'>{query}</iq>"


def updates(client: WorldClient) -> list[tuple[ConversationUpdate, ConversationState]]:
    """Give what the client was told of conversations, and forget all messages that it got."""
    told = []
    for message in client.take("message"):
        for element in message.find_all("x", ns.INBOX_CONVERSATION):
            state = element.find("state", ns.TIDINGS_INBOX)
            assert state is not None
            told.append((ConversationUpdate.decode(element), ConversationState.decode(state)))
    return told


async def say(client: WorldClient, to: str, *ids: str) -> None:
    for id_ in ids:
        await client.world.register(to)
        await client.world.advance(1)
        await client.send(f"<message to='{to}' type='chat' id='{id_}'><body>This is {id_}</body></message>")


async def mark(client: WorldClient, to: str, id_: str, kind: str = "displayed") -> None:
    await client.send(f"<message to='{to}'><{kind} xmlns='urn:xmpp:chat-markers:0' id='{id_}'/></message>")


def refusal(answer: Element) -> tuple[str, str, str]:
    error = answer.find("error", ns.CLIENT)
    assert error is not None, answer
    text = error.text_of("text", ns.STANZA_ERRORS) or ""
    names = [child.name for child in error.children if child.namespace == ns.STANZA_ERRORS]
    return error.get("type") or "", names[0], text


def standard(attributes: str = "", page: str = "") -> str:
    rsm = f"<set xmlns='{ns.RSM}'>{page}</set>" if page else ""
    return f"<iq type='get' id='i1'><inbox xmlns='{ns.INBOX1}' {attributes}>{rsm}</inbox></iq>"


async def entries(
    client: WorldClient, attributes: str = "", page: str = ""
) -> tuple[list[StandardInboxEntry], list[Element], StandardInboxFin]:
    client.take("message")
    answer = await client.request(standard(attributes, page))
    messages = client.take("message")
    found = [StandardInboxEntry.decode(message.children[0]) for message in messages]
    results = [result for message in messages for result in message.find_all("result", ns.MAM2)]
    return found, results, StandardInboxFin.decode(answer.children[0])
