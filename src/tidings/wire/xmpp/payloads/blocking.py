"""Blocking Command: the list of blocked addresses and the commands that change it (XEP-0191 1.3).

An item of a block command may say why, in a report (XEP-0377 0.4.1 §6).
"""

from collections.abc import Iterable, Iterator
from typing import ClassVar, Final, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid, JidError
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.reporting import Report

_ITEM_OCTETS: Final = len('<item jid=""/>')


class BlockList(msgspec.Struct, frozen=True):
    """The blocked addresses of an account; empty in a request (§3.2)."""

    TAG: ClassVar[tuple[str, str]] = (ns.BLOCKING, "blocklist")

    jids: tuple[Jid, ...] = ()

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the list without repetitions; raise `jid-malformed` for an item that is no address."""
        return cls(_read_items(element))

    def encode(self) -> Element:
        """Return `<blocklist/>` with an item per address."""
        return _with_items("blocklist", self.jids)


class Block(msgspec.Struct, frozen=True):
    """The addresses to block: at least one (§3.3)."""

    TAG: ClassVar[tuple[str, str]] = (ns.BLOCKING, "block")

    jids: tuple[Jid, ...]
    reports: tuple[tuple[Jid, Report], ...] = ()
    """Why some of them are blocked; the people who run the server read it, and nobody else."""

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the command; raise `bad-request` if it names nobody.

        A report that cannot be read is none: the address is blocked as if there were no report.
        """
        jids = _read_items(element)
        if not jids:
            raise StanzaError("bad-request", "a block command needs at least one item")
        return cls(jids, tuple(_read_reports(element)))

    def encode(self) -> Element:
        """Return `<block/>` with an item per address, without reports."""
        return _with_items("block", self.jids)


class Unblock(msgspec.Struct, frozen=True):
    """The addresses to unblock (§3.4); none at all means every one of them (§3.5)."""

    TAG: ClassVar[tuple[str, str]] = (ns.BLOCKING, "unblock")

    jids: tuple[Jid, ...] = ()

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the command; raise `jid-malformed` for an item that is no address."""
        return cls(_read_items(element))

    def encode(self) -> Element:
        """Return `<unblock/>` with an item per address."""
        return _with_items("unblock", self.jids)


def block_list_octets(jids: Iterable[Jid]) -> int:
    """Give how long the items of a block list with these addresses are."""
    return sum(_ITEM_OCTETS + len(jid.xml) for jid in jids)


def blocked_condition() -> Element:
    """Return `<blocked/>`, which tells a user that the stanza met the user's own block list (§3.3)."""
    return Element("blocked", ns.BLOCKING_ERRORS)


def _read_items(element: Element) -> tuple[Jid, ...]:
    """Return the addresses in the order given, each once."""
    jids: dict[Jid, None] = {}
    for item in element.find_all("item"):
        text = item.get("jid")
        if not text:
            raise StanzaError("bad-request", "an item needs a jid")
        try:
            jids[Jid(text)] = None
        except JidError as error:
            raise StanzaError("jid-malformed", str(error)) from error
    return tuple(jids)


def _read_reports(element: Element) -> Iterator[tuple[Jid, Report]]:
    for item in element.find_all("item"):
        report = item.find("report", ns.REPORTING)
        if report is None:
            continue
        try:
            yield Jid(item.get("jid") or ""), Report.decode(report)
        except StanzaError:
            continue


def _with_items(name: str, jids: tuple[Jid, ...]) -> Element:
    return Element(
        name, ns.BLOCKING, None, *(Element("item", ns.BLOCKING, {"jid": str(jid)}) for jid in jids)
    )
