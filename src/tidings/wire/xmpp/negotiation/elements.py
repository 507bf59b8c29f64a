"""The elements of negotiation: how SASL, SASL2 and Bind data stands in XML, in both directions.

Implements the syntax of RFC 6120 §4.9, §6.4 and XEP-0388 §2.
"""

import base64
import binascii

from tidings.base.errors import StanzaError, StreamError
from tidings.wire.xml.element import Element
from tidings.wire.xml.writer import strip_characters
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.sasl.steps import Condition, Failure
from tidings.wire.xmpp.stanza import error_element

MAX_DATA = 16_384
"""Octets of one SASL message that are accepted at most."""


class LoginRefusedError(Exception):
    """The request to log in is refused before a mechanism has seen it."""

    def __init__(self, condition: Condition, text: str = "") -> None:
        super().__init__(text or condition)
        self.failure = Failure(condition, text)


def read_data(text: str) -> bytes:
    """Read SASL data; an equals sign or nothing at all is the empty string (RFC 6120 §6.4.2)."""
    text = text.strip()
    if len(text) > MAX_DATA * 4 // 3 + 4:
        raise LoginRefusedError(Condition.MALFORMED_REQUEST, "the message is too long")
    if text in {"", "="}:
        return b""
    try:
        return binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError):
        raise LoginRefusedError(Condition.INCORRECT_ENCODING, "not base64") from None


def write_data(data: bytes) -> str:
    """Write SASL data as it stands in SASL2."""
    return base64.b64encode(data).decode("ascii")


def initial_data(data: bytes) -> str:
    """Write SASL data where SASL must tell an empty string from none."""
    return write_data(data) or "="


def challenge_element(profile: str, data: bytes) -> Element:
    """Build a challenge."""
    return Element("challenge", profile, None, write_data(data))


def response_element(profile: str, data: bytes) -> Element:
    """Build a response."""
    return Element("response", profile, None, write_data(data))


def failure_element(profile: str, failure: Failure) -> Element:
    """Build a failure (RFC 6120 §6.4.5, XEP-0388 §2.6.2)."""
    element = Element("failure", profile, None, Element(failure.condition, ns.SASL))
    if failure.text:
        element.append(Element("text", profile, {"xml:lang": "en"}, strip_characters(failure.text)))
    return element


def read_failure(element: Element) -> tuple[str, str]:
    """Read the condition and text of a failure."""
    conditions = [
        child.name for child in element.children if child.namespace == ns.SASL and child.name != "text"
    ]
    text = element.text_of("text") or element.text_of("text", ns.SASL) or ""
    return (conditions[0] if conditions else "not-authorized"), text


def iq_result(request: Element, *content: Element) -> Element:
    """Answer an iq."""
    return Element("iq", ns.CLIENT, _answer_to(request, "result"), *content)


def iq_error(request: Element, error: StanzaError) -> Element:
    """Answer an iq with an error (RFC 6120 §8.3)."""
    return Element("iq", ns.CLIENT, _answer_to(request, "error"), error_element(error))


def _answer_to(request: Element, kind: str) -> dict[str, str]:
    number = request.get("id")
    return {"type": kind} if number is None else {"type": kind, "id": number}


def read_stream_error(element: Element) -> StreamError:
    """Read a stream error (RFC 6120 §4.9.2)."""
    text = element.text_of("text", ns.STREAM_ERRORS) or ""
    others = (child.to_bytes() for child in element.children if child.namespace != ns.STREAM_ERRORS)
    payload = next(others, b"")
    for child in element.children:
        if child.namespace == ns.STREAM_ERRORS and child.name != "text":
            return StreamError(child.name, text, content=child.text, payload=payload)
    return StreamError("undefined-condition", text, payload=payload)
