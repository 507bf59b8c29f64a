"""The wrapper of XEP-0124 §6: what is read, what is refused, what is written."""

from __future__ import annotations

import pytest

from tidings.base.limits import XmlLimits
from tidings.wire.xml.element import decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.bosh import BindingError, TerminalCondition, read_body, write_body

LIMITS = XmlLimits(stanza_bytes=4096, depth=8, attributes=16, children=16, elements=64)
BODY = "<body xmlns='http://jabber.org/protocol/httpbind' rid='7' sid='s'"


def read(text: str | bytes):
    return read_body(text.encode() if isinstance(text, str) else text, LIMITS)


def test_attributes_and_payloads_are_read():
    body = read(
        BODY + " xml:lang='cs' xmlns:xmpp='urn:xmpp:xbosh' xmpp:restart='1'>"
        "<message xmlns='jabber:client' to='a@example.org'><body>Hi &amp; bye</body></message>"
        " <presence/><auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AA==</auth></body>"
    )
    assert (body.sid, body.rid, body.attributes["xml:lang"], body.is_restart) == ("s", 7, "cs", True)
    assert [(payload.namespace, payload.name) for payload in body.payloads] == [
        (ns.CLIENT, "message"),
        (ns.CLIENT, "presence"),
        (ns.SASL, "auth"),
    ]
    assert body.payloads[0].attributes == {"to": "a@example.org"}
    assert body.payloads[0].content == b"<body>Hi &amp; bye</body>"


def test_a_stanza_without_a_namespace_of_its_own_is_a_client_stanza():
    """XEP-0206 §2: many clients leave the namespace out; what is inside must follow."""
    (message,) = read(BODY + "><message><body>Hi</body><x xmlns='urn:x'><y/></x></message></body>").payloads
    assert message.to_element() == decode(
        b"<message><body>Hi</body><x xmlns='urn:x'><y/></x></message>", ns.CLIENT
    )


@pytest.mark.parametrize(
    "start", ["<x xmlns='{}'/>", "<x a=\"xmlns='b'\" b='>' xmlns = \"{}\"/>", "<x\n\txmlns='{}' a=''></x>"]
)
def test_an_element_that_names_the_namespace_of_the_wrapper_itself_is_no_client_stanza(start):
    (element,) = read(BODY + ">" + start.format(ns.BOSH) + "</body>").payloads
    assert (element.namespace, element.name) == (ns.BOSH, "x")


def test_an_attribute_that_only_looks_like_a_namespace_is_none():
    (message,) = read(BODY + "><message a=\" xmlns='b'\" yxmlns='c'/></body>").payloads
    assert (message.namespace, message.name) == (ns.CLIENT, "message")


def test_prefixes_declared_on_the_wrapper_do_not_leak_out():
    raw = BODY + " xmlns:e='urn:e' xmlns:c='jabber:client'><c:message><e:x e:a='1'/></c:message></body>"
    (message,) = read(raw).payloads
    assert (message.namespace, message.name) == (ns.CLIENT, "message")
    expected = decode(
        b"<message xmlns='jabber:client'><x xmlns='urn:e' xmlns:e='urn:e' e:a='1'/></message>", ""
    )
    assert message.to_element() == expected


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "hello",
        "<body/>",
        "<iq xmlns='http://jabber.org/protocol/httpbind'/>",
        BODY,
        BODY + ">",
        BODY + "/><body xmlns='http://jabber.org/protocol/httpbind' rid='8'/>",
        BODY + "/>tail",
        BODY + ">text</body>",
        BODY + ">text<presence/></body>",
        BODY + "><presence/>text</body>",
        BODY + "><presence></body></presence>",
        "<!DOCTYPE body [<!ENTITY a 'b'>]>" + BODY + "/>",
        BODY + "><!-- c --></body>",
        BODY + "><presence><!-- c --></presence></body>",
        BODY + "><?php echo?></body>",
        BODY + "><message><body>&undefined;</body></message></body>",
        BODY + "><message><x a='&e;'/></message></body>",
        BODY + "><unknown:message/></body>",
        BODY + " rid='8'/>",
        BODY + "/>\0",
        (BODY + "><message><body>").encode() + b"\xc3\x28</body></message></body>",
        (BODY + "/>").encode("utf-16"),
        "<stream:stream xmlns:stream='http://etherx.jabber.org/streams'>",
    ],
)
def test_anything_but_one_clean_wrapper_is_refused(raw):
    with pytest.raises(BindingError) as caught:
        read(raw)
    assert caught.value.condition is TerminalCondition.BAD_REQUEST


@pytest.mark.parametrize(
    "prologue",
    [
        "<?xml version='1.0'?>",
        '<?xml version="1.0" encoding="UTF-8"?>\n',
        "<?xml version='1.0' encoding='utf-8' standalone='yes' ?>\r\n",
        "\ufeff",
        '\ufeff<?xml version="1.0" encoding="us-ascii"?>',
        " \n",
    ],
)
def test_a_document_may_begin_as_documents_do(prologue):  # XML 1.0 §2.8
    body = read(prologue + BODY + "><presence/></body>")
    assert (body.rid, [payload.name for payload in body.payloads]) == (7, ["presence"])
    with pytest.raises(BindingError):
        read(prologue + BODY + ">text</body>")


@pytest.mark.parametrize(
    "prologue",
    [
        "<?xml version='1.0' encoding='iso-8859-1'?>",
        " <?xml version='1.0'?>",
        "<?xml version='1.0'?><?xml version='1.0'?>",
        "<?xml?>",
        "<?xml version='1.0'?><?php x?>",
        "<?xml version='1.0'?><!DOCTYPE body>",
        "\ufeff\ufeff",
    ],
)
def test_no_other_prologue_is_read(prologue):
    with pytest.raises(BindingError) as caught:
        read(prologue + BODY + "/>")
    assert caught.value.condition is TerminalCondition.BAD_REQUEST


@pytest.mark.parametrize(
    "content",
    [
        "<message><body>" + "x" * 5000 + "</body></message>",
        "<message>" + "<a>" * 40 + "</a>" * 40 + "</message>",
        "<presence/>" * 40,
        "<message " + " ".join(f"a{number}='1'" for number in range(40)) + "/>",
    ],
    ids=["octets", "depth", "children", "attributes"],
)
def test_what_is_too_big_breaks_a_policy(content):
    with pytest.raises(BindingError) as caught:
        read(BODY + ">" + content + "</body>")
    assert caught.value.condition is TerminalCondition.POLICY_VIOLATION


@pytest.mark.parametrize(
    "rid",
    ["", "-1", "0", "1.5", "1e3", "+5", " 5", "0x10", "9007199254740992", "9" * 5000, "٣", "nan"],
)
def test_a_rid_is_a_number_that_a_double_can_count(rid):
    body = read_body(f"<body xmlns='http://jabber.org/protocol/httpbind' rid='{rid}'/>".encode(), XmlLimits())
    with pytest.raises(BindingError) as caught:
        body.rid  # noqa: B018
    assert caught.value.condition is TerminalCondition.BAD_REQUEST


def test_the_highest_rid_is_read():
    assert read("<body xmlns='http://jabber.org/protocol/httpbind' rid='9007199254740991'/>").rid == 2**53 - 1


def test_an_answer_declares_what_it_uses():
    raw = write_body(
        {"sid": "a'<&", "xmpp:version": "1.0"}, [b"<stream:features/>", b"<presence xmlns='jabber:client'/>"]
    )
    element = decode(raw, "")
    assert (element.namespace, element.name) == (ns.BOSH, "body")
    assert element.attributes == {"sid": "a'<&", "{urn:xmpp:xbosh}version": "1.0"}
    assert [(child.namespace, child.name) for child in element.children] == [
        (ns.STREAMS, "features"),
        (ns.CLIENT, "presence"),
    ]
    assert write_body({}) == b"<body xmlns='http://jabber.org/protocol/httpbind'/>"
