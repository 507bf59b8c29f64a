"""Publish-Subscribe for owners: making a node behave, and saying who may do what (XEP-0060 1.30.0 §8).

Limits: 1,000 affiliations or subscriptions of a request.
"""

from collections.abc import Iterable, Mapping
from typing import ClassVar, Final, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.data_form import DataForm
from tidings.wire.xmpp.payloads.pubsub import read_form, read_node
from tidings.wire.xmpp.payloads.strict import present, read_jid

PEOPLE: Final = 1_000

_LISTS: Final = {"affiliations": "affiliation", "subscriptions": "subscription"}
"""Which attribute of an entry has what is said of somebody, by the action."""


class OwnerRequest(msgspec.Struct, frozen=True):
    """What an owner asks of a node: the first child, and what that says.

    `people` are the affiliations (§8.9.2) or states of subscriptions (§8.8.2) that somebody is to have, as
    they are written; `redirect` is where to turn when the node is deleted (§8.4.2).
    """

    TAG: ClassVar[tuple[str, str]] = (ns.PUBSUB_OWNER, "pubsub")

    action: str
    node: str = ""
    form: DataForm | None = None
    people: tuple[tuple[Jid, str], ...] = ()
    redirect: str = ""

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the request; raise `bad-request` for none, and for what it says and is broken."""
        action = next((child for child in element.children if child.namespace == ns.PUBSUB_OWNER), None)
        if action is None:
            raise StanzaError("bad-request", "nothing is asked of the node")
        redirect = action.find("redirect")
        return cls(
            action.name,
            read_node(action),
            read_form(action),
            _read_people(action),
            "" if redirect is None else redirect.get("uri") or "",
        )

    def encode(self) -> Element:
        """Return `<pubsub/>`."""
        action = Element(self.action, ns.PUBSUB_OWNER, present(node=self.node))
        if self.form is not None:
            action.append(self.form.encode())
        if self.redirect:
            action.append(Element("redirect", ns.PUBSUB_OWNER, {"uri": self.redirect}))
        attribute = _LISTS.get(self.action, "")
        for jid, word in self.people:
            action.append(Element(attribute, ns.PUBSUB_OWNER, {"jid": jid.text, attribute: word}))
        return Element("pubsub", ns.PUBSUB_OWNER, None, action)


def people_answer(action: str, node: str, people: Iterable[tuple[Jid, str]]) -> Element:
    """Return the list that an owner has asked for (§8.8.1, §8.9.1)."""
    return OwnerRequest(action, node, people=tuple(people)).encode()


def form_answer(action: str, node: str, form: DataForm) -> Element:
    """Return the form that an owner has asked for: `configure` or `default` (§8.2, §8.3)."""
    return OwnerRequest(action, node, form).encode()


def own_affiliations_answer(affiliations: Mapping[str, str], node: str = "") -> Element:
    """Return what somebody may do with the nodes of a service (§5.7)."""
    listed = Element("affiliations", ns.PUBSUB, present(node=node))
    for name, word in affiliations.items():
        listed.append(Element("affiliation", ns.PUBSUB, {"node": name, "affiliation": word}))
    return Element("pubsub", ns.PUBSUB, None, listed)


def affiliation_changed(node: str, jid: Jid, word: str) -> Element:
    """Return what somebody is told whose affiliation has changed (§8.9.4)."""
    listed = Element("affiliations", ns.PUBSUB, {"node": node})
    listed.append(Element("affiliation", ns.PUBSUB, {"jid": jid.text, "affiliation": word}))
    return Element("pubsub", ns.PUBSUB, None, listed)


def _read_people(action: Element) -> tuple[tuple[Jid, str], ...]:
    attribute = _LISTS.get(action.name)
    if attribute is None:
        return ()
    entries = list(action.find_all(attribute))
    if len(entries) > PEOPLE:
        raise StanzaError("bad-request", f"a request names at most {PEOPLE} people")
    return tuple((read_jid(each.get("jid"), "jid"), each.get(attribute) or "") for each in entries)
