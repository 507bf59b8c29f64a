"""Stanzas: reading, building, answering, changing."""

from __future__ import annotations

import pytest

from tests.wire.xml.reading import HEADER, fragments
from tidings.base.errors import STANZA_ERROR_KINDS, StanzaError
from tidings.base.jid import Jid
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.stanza import KINDS, Stanza, error_of

ALICE, BOB = Jid("alice@example.org/home"), Jid("bob@example.org")


def received(raw: str, lang: str | None = None) -> Stanza:
    (fragment,) = fragments(HEADER + raw.encode())
    return Stanza.received(fragment, lang)


def test_the_root_is_read_as_values():
    stanza = received(
        "<message to='Bob@EXAMPLE.org' from='alice@example.org/home' type='chat' id='&lt;1' xml:lang='de'/>"
    )
    assert (stanza.name, stanza.kind, stanza.id, stanza.lang) == ("message", "chat", "<1", "de")
    assert (stanza.to, stanza.sender, stanza.extra) == (BOB, ALICE, None)
    assert (stanza.children, stanza.payload(), stanza.payload_tag) == ((), None, None)


def test_what_is_missing_is_none_or_empty():
    stanza = received("<presence/>")
    assert (stanza.kind, stanza.id, stanza.to, stanza.sender, stanza.lang) == ("", None, None, None, None)
    assert stanza.to_bytes() == b"<presence/>"


@pytest.mark.parametrize(
    ("raw", "stream", "effective"),
    [
        ("<iq/>", None, None),
        ("<iq/>", "en", "en"),
        ("<iq xml:lang='de'/>", "en", "de"),
        ("<iq xml:lang=''/>", "en", ""),
        ("<iq xml:lang='de' id='1' type='get' to='b' from='a'/>", "en", "de"),
        ("<iq id='1' type='get' to='b' from='a'/>", "en", "en"),
    ],
)
def test_the_language_is_that_of_the_stanza_or_the_stream(raw, stream, effective):
    stanza = received(raw, stream)
    assert stanza.lang == effective
    again = decode(stanza.to_bytes(), ns.CLIENT)
    assert again.get("xml:lang") == effective


@pytest.mark.parametrize("address", ["", "@", "a@", "a@b/", "a&amp;b@c", "a@b@c"])
@pytest.mark.parametrize("attribute", ["to", "from"])
def test_a_malformed_address_can_be_answered(attribute, address):
    (fragment,) = fragments(HEADER + f"<iq type='get' id='1' {attribute}='{address}'><x/></iq>".encode())
    with pytest.raises(StanzaError) as caught:
        Stanza.received(fragment)
    assert caught.value.condition == "jid-malformed"
    broken = Stanza.received_broken(fragment)
    assert (broken.name, broken.kind, broken.id, broken.to, broken.sender) == ("iq", "get", "1", None, None)
    answer = broken.error(caught.value)
    assert error_of(received(answer.to_bytes().decode())).condition == "jid-malformed"


def test_children_are_slices():
    stanza = received("<message>\n <body>a</body> <x xmlns='urn:x'><body/></x>t<y xmlns=''/></message>")
    assert [(child.namespace, child.name) for child in stanza.children] == [
        (ns.CLIENT, "body"),
        ("urn:x", "x"),
        ("", "y"),
    ]
    assert stanza.children[0].raw == b"<body>a</body> "
    assert stanza.child("urn:x", "x") == stanza.children[1]
    assert stanza.has("", "y")
    assert not stanza.has("", "x")
    assert not stanza.has("urn:x", "body")
    assert stanza.decode("", "y") == Element("y", "")
    assert stanza.decode(ns.CLIENT, "missing") is None
    assert stanza.payload() == Element("body", ns.CLIENT, None, "a")
    assert stanza.payload_tag == (ns.CLIENT, "body")


def test_the_first_of_several_is_given():
    stanza = received("<message><body>1</body><body>2</body></message>")
    assert stanza.decode(ns.CLIENT, "body").text == "1"


def test_replace_changes_what_it_is_told_and_leaves_the_old_one_alone():
    old = received(
        "<message to='bob@example.org' type='chat' id='1' k='v' xml:lang='de'><body>a</body></message>"
    )
    before = old.to_bytes()
    new = old.replace(to=ALICE, sender=BOB, kind="normal", id="2", append=(Element("x", "urn:x"), b"<y/>"))
    assert (new.to, new.sender, new.kind, new.id, new.lang) == (ALICE, BOB, "normal", "2", "de")
    assert new.extra == {"k": "v"}
    assert [child.name for child in new.children] == ["body", "x", "y"]
    assert [child.name for child in old.children] == ["body"]
    assert old.to_bytes() == before
    bare = new.replace(to=None, sender=None, id=None)
    assert bare.to_bytes().startswith(b'<message type="normal" xml:lang="de" k="v"')
    assert new.replace().to_bytes() == new.to_bytes()


def test_dropping_takes_the_slice_and_keeps_the_offsets_right():
    stanza = received("<message>t<a/>1<b/>2<a/>3<c/>4</message>")
    less = stanza.replace(drop=lambda _, name: name == "a", append=(b"<d/>",))
    assert less.content == b"t<b/>2<c/>4<d/>"
    assert [child.raw for child in less.children] == [b"<b/>2", b"<c/>4", b"<d/>"]
    nothing = stanza.replace(drop=lambda *_: True)
    assert (nothing.index, nothing.content) == ([], b"t")
    assert stanza.replace(drop=lambda *_: False).content == stanza.content


def test_another_address_for_each_recipient():
    stanza = Stanza.build("presence", sender=ALICE)
    assert stanza.to_bytes() == b'<presence from="alice@example.org/home"/>'
    assert stanza.to_bytes(BOB) == b'<presence from="alice@example.org/home" to="bob@example.org"/>'
    special = Jid('a@b/<it\'s & "x">')
    assert Jid(decode(stanza.to_bytes(special), ns.CLIENT).get("to")) == special


def test_attributes_without_a_meaning_are_kept_with_their_namespaces():
    raw = "<iq xmlns:p='urn:p' p:a='1' xml:space='preserve' a='2' id='3' to='b'/>"
    stanza = received(raw).replace(id="4")
    assert decode(stanza.to_bytes(), ns.CLIENT).attributes == {
        "{urn:p}a": "1",
        "{http://www.w3.org/XML/1998/namespace}space": "preserve",
        "a": "2",
        "id": "4",
        "to": "b",
    }


def test_built_stanzas_are_read_again():
    built = Stanza.build(
        "iq",
        kind="set",
        to=BOB,
        sender=ALICE,
        id="<'1'>",
        lang="de",
        content=(Element("query", "urn:q", {"a": '"'}, "<&>"), b"<raw xmlns='urn:r'/>", Element("z", "")),
    )
    again = received(built.to_bytes().decode())
    for attribute in ("name", "kind", "to", "sender", "id", "lang", "index", "content", "children", "extra"):
        assert getattr(again, attribute) == getattr(built, attribute)
    assert built.has("", "z")
    assert built.payload() == Element("query", "urn:q", {"a": '"'}, "<&>")


@pytest.mark.parametrize("values", [{"id": "\0"}, {"kind": "\x0b"}, {"lang": "\uffff"}])
def test_what_xml_cannot_carry_is_not_built(values):
    with pytest.raises(ValueError, match="U\\+"):
        Stanza.build("message", **values)


def test_a_result_goes_back():
    request = received("<iq type='get' id='7' to='bob@example.org' from='alice@example.org/home'><q/></iq>")
    answer = request.result(Element("q", "urn:q"))
    assert (answer.name, answer.kind, answer.id, answer.to, answer.sender) == (
        "iq",
        "result",
        "7",
        ALICE,
        BOB,
    )
    assert answer.payload() == Element("q", "urn:q")
    assert request.result().content == b""


def test_an_error_goes_back_with_all_that_it_says():
    message = received(
        "<message id='7' to='bob@example.org' from='alice@example.org/home'><body>x</body></message>"
    )
    error = StanzaError("gone", "moved\0 <here>", kind="modify", payload=b"<to xmlns='urn:to'>&amp;</to>")
    answer = message.error(error)
    assert (answer.name, answer.kind, answer.id, answer.to, answer.sender) == (
        "message",
        "error",
        "7",
        ALICE,
        BOB,
    )
    assert not answer.has(ns.CLIENT, "body")
    element = answer.decode(ns.CLIENT, "error")
    assert element.get("type") == "modify"
    assert element.text_of("text", ns.STANZA_ERRORS) == "moved <here>"
    assert element.find("to", "urn:to").text == "&"
    back = error_of(answer)
    assert (back.condition, back.kind, back.text) == ("gone", "modify", "moved <here>")


def test_a_refused_entry_is_known_by_its_element_and_repeats_no_password():
    presence = received(
        f"<presence id='7' to='bob@example.org' from='alice@example.org/home'>"
        f"<x xmlns='{ns.MUC}'><password>secret</password></x></presence>"
    )
    refused = presence.error(StanzaError("not-authorized"))
    assert refused.decode(ns.MUC, "x") == Element("x", ns.MUC)
    assert error_of(refused).condition == "not-authorized"


@pytest.mark.parametrize("condition", STANZA_ERROR_KINDS)
def test_every_condition_comes_back(condition):
    back = error_of(Stanza.build("iq", id="1").error(StanzaError(condition)))
    assert (back.condition, back.kind) == (condition, STANZA_ERROR_KINDS[condition])


@pytest.mark.parametrize(
    ("content", "condition", "kind"),
    [
        ("", "undefined-condition", "cancel"),
        ("<error/>", "undefined-condition", "cancel"),
        ("<error type='cancel'><made-up xmlns='%s'/></error>", "undefined-condition", "cancel"),
        ("<error type='evil'><gone xmlns='%s'/></error>", "gone", "cancel"),
        ("<error><text xmlns='%s'>x</text><conflict xmlns='%s'/></error>", "conflict", "cancel"),
        ("<error type='wait'><gone xmlns='urn:x'/></error>", "undefined-condition", "cancel"),
    ],
)
def test_errors_of_foreigners(content, condition, kind):
    error = error_of(received(f"<iq type='error'>{content.replace('%s', ns.STANZA_ERRORS)}</iq>"))
    assert (error.condition, error.kind) == (condition, kind)


def test_known_types():
    assert all("error" in kinds for kinds in KINDS.values())
    assert "" not in KINDS["iq"]
    assert "" in KINDS["message"]
    assert "available" not in KINDS["presence"]


@pytest.mark.parametrize("kind", ["chat", "odd & \"quoted' <type>"])
def test_any_type_is_written_as_it_came(kind):
    stanza = Stanza.build("message", kind=kind)
    assert decode(stanza.to_bytes(), ns.CLIENT).get("type") == kind
