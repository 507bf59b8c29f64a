"""What all wires of the raw client need: reading and writing elements, ends of streams, trust."""

import re
import ssl

from lxml import etree

from tests.harness.dialog import StreamEnd
from tests.harness.server_process import ServerProcess

CLIENT = "jabber:client"
STREAMS = "http://etherx.jabber.org/streams"
STREAM_ERRORS = "urn:ietf:params:xml:ns:xmpp-streams"
PATIENCE = 10.0  # seconds; only a failing test waits that long


def text(element: etree._Element) -> str:
    """The element as text."""
    return etree.tostring(element, encoding="unicode", with_tail=False)


def end_or_stanza(element: etree._Element) -> etree._Element:
    """The element, unless it is a stream error."""
    if element.tag == f"{{{STREAMS}}}error":
        conditions = (etree.QName(child) for child in element)
        raise StreamEnd(next(name.localname for name in conditions if name.namespace == STREAM_ERRORS))
    return element


def with_namespace(xml: str, namespace: str) -> str:
    """The element with a default namespace, which on TCP its stream declares."""
    tag = re.match(r"<[^\s/>]+", xml)
    assert tag, f"no element: {xml}"
    first_tag = xml[: xml.index(">")]
    return xml if re.search(r"\sxmlns=", first_tag) else f'{tag[0]} xmlns="{namespace}"{xml[tag.end() :]}'


def trust(server: ServerProcess) -> ssl.SSLContext:
    """Trust in nothing but the server's certificate."""
    return ssl.create_default_context(cafile=str(server.authority))
