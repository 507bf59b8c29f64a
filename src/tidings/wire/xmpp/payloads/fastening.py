"""Message Fastening: payloads that belong to an earlier message (XEP-0422 0.2.0)."""

from typing import ClassVar, Self

import msgspec

from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.strict import read_boolean, read_id


class Fastening(msgspec.Struct, frozen=True):
    """What is fastened to the message with this origin-id.

    `payloads` are all children but the `external` ones (§3.2), whose names are (namespace, name); an empty
    namespace is the stanza's. A shell stands for payloads that are encrypted beside it (§3.5).
    """

    TAG: ClassVar[tuple[str, str]] = (ns.FASTENING, "apply-to")

    id: str
    payloads: tuple[Element, ...] = ()
    external: tuple[tuple[str, str], ...] = ()
    is_cleared: bool = False
    is_shell: bool = False

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the fastening; raise `bad-request` if it does not say to what."""
        externals = element.find_all("external")
        return cls(
            read_id(element.get("id"), "id"),
            tuple(child for child in element.children if child.namespace != ns.FASTENING),
            tuple(
                (item.get("element-namespace") or "", read_id(item.get("name"), "name")) for item in externals
            ),
            read_boolean(element.get("clear"), "clear"),
            read_boolean(element.get("shell"), "shell"),
        )

    def encode(self) -> Element:
        """Return `<apply-to/>`."""
        flags = {"clear": self.is_cleared, "shell": self.is_shell}
        attributes = {"id": self.id, **{name: "true" for name, is_set in flags.items() if is_set}}
        element = Element("apply-to", ns.FASTENING, attributes, *self.payloads)
        for namespace, name in self.external:
            where = {"element-namespace": namespace} if namespace else {}
            element.append(Element("external", ns.FASTENING, {"name": name, **where}))
        return element
