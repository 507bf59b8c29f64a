"""Asking an archive, for stories about it."""

from __future__ import annotations

from typing import NamedTuple

from tests.harness.world import WorldClient
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.archive import ArchiveFin, ArchiveQuery, ArchiveResult


class Pulled(NamedTuple):
    results: list[ArchiveResult]
    fin: ArchiveFin

    @property
    def texts(self) -> list[str | None]:
        return [text_of(result) for result in self.results]

    @property
    def ids(self) -> list[str]:
        return [result.id for result in self.results]


def text_of(result: ArchiveResult) -> str | None:
    stanza = result.forwarded.stanza()
    assert stanza is not None
    body = stanza.decode(ns.CLIENT, "body")
    return None if body is None else body.text


def iq(payload: Element, kind: str = "set", to: str = "") -> str:
    address = f"to='{to}'" if to else ""
    return f"<iq type='{kind}' id='q' {address}>{payload.to_bytes(ns.CLIENT).decode()}</iq>"


async def pull(client: WorldClient, query: ArchiveQuery | None = None, **wishes: object) -> Pulled:
    """Ask for a page, and give what came: the results, and then the end."""
    query = ArchiveQuery(**wishes) if query is None else query  # type: ignore[arg-type]
    client.take()
    await client.send(iq(query.encode()))
    *messages, answer = client.take()
    assert (answer.name, answer.get("type")) == ("iq", "result"), answer
    tag = "result", query.namespace
    results = [ArchiveResult.decode(message.find(*tag)) for message in messages]  # type: ignore[arg-type]
    fin = answer.find("fin", query.namespace)
    assert fin is not None
    return Pulled(results, ArchiveFin.decode(fin))


async def refusal(
    client: WorldClient, query: Element, to: str = "", kind: str = "set"
) -> tuple[str, Element]:
    """Ask for what is refused, and give the condition and the error."""
    answer = await client.request(iq(query, kind, to))
    assert answer.get("type") == "error", answer
    error = answer.find("error")
    assert error is not None
    return next(each.name for each in error.children if each.namespace == ns.STANZA_ERRORS), error


async def chat(sender: WorldClient, to: str, *texts: str, kind: str = "chat", more: str = "") -> None:
    for text in texts:
        await sender.send(f"<message type='{kind}' to='{to}' id='{text}'><body>{text}</body>{more}</message>")
