"""Entity Capabilities: the documents' own vectors, and what the hashes must and must not tell apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.xmpp.payloads.strategies import infos, through_bytes
from tidings.base.errors import StanzaError
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.caps import (
    Capabilities,
    CapabilityHash,
    CapabilityHashSet,
    capabilities,
    capability_hash_set,
    hash_input,
    is_well_formed,
    matches,
    read_hash_node,
    verification_input,
    verification_string,
)
from tidings.wire.xmpp.payloads.data_form import DataForm, Field, FieldKind, FormKind
from tidings.wire.xmpp.payloads.disco import Identity, Info


def info_of(text: str) -> Info:
    return Info.decode(decode(text.encode(), ""))


EXODUS = Info(
    identities=(Identity("client", "pc", "Exodus 0.9.1"),),
    features=(
        "http://jabber.org/protocol/muc",
        "http://jabber.org/protocol/disco#items",
        "http://jabber.org/protocol/disco#info",
        "http://jabber.org/protocol/caps",
    ),
)

PSI = info_of("""<query xmlns='http://jabber.org/protocol/disco#info'
         node='http://psi-im.org#q07IKJEyjvHSyhy//CH0CxmKi8w='>
    <identity xml:lang='en' category='client' name='Psi 0.11' type='pc'/>
    <identity xml:lang='el' category='client' name='Ψ 0.11' type='pc'/>
    <feature var='http://jabber.org/protocol/caps'/>
    <feature var='http://jabber.org/protocol/disco#info'/>
    <feature var='http://jabber.org/protocol/disco#items'/>
    <feature var='http://jabber.org/protocol/muc'/>
    <x xmlns='jabber:x:data' type='result'>
      <field var='FORM_TYPE' type='hidden'>
        <value>urn:xmpp:dataforms:softwareinfo</value>
      </field>
      <field var='ip_version' type='text-multi' >
        <value>ipv4</value>
        <value>ipv6</value>
      </field>
      <field var='os'>
        <value>Mac</value>
      </field>
      <field var='os_version'>
        <value>10.5.1</value>
      </field>
      <field var='software'>
        <value>Psi</value>
      </field>
      <field var='software_version'>
        <value>0.11</value>
      </field>
    </x>
  </query>""")

BOMBUS = info_of("""<query xmlns="http://jabber.org/protocol/disco#info">
  <identity category="client" name="BombusMod" type="mobile"/>
  <feature var="http://jabber.org/protocol/si"/>
  <feature var="http://jabber.org/protocol/bytestreams"/>
  <feature var="http://jabber.org/protocol/chatstates"/>
  <feature var="http://jabber.org/protocol/disco#info"/>
  <feature var="http://jabber.org/protocol/disco#items"/>
  <feature var="urn:xmpp:ping"/>
  <feature var="jabber:iq:time"/>
  <feature var="jabber:iq:privacy"/>
  <feature var="jabber:iq:version"/>
  <feature var="http://jabber.org/protocol/rosterx"/>
  <feature var="urn:xmpp:time"/>
  <feature var="jabber:x:oob"/>
  <feature var="http://jabber.org/protocol/ibb"/>
  <feature var="http://jabber.org/protocol/si/profile/file-transfer"/>
  <feature var="urn:xmpp:receipts"/>
  <feature var="jabber:iq:roster"/>
  <feature var="jabber:iq:last"/>
</query>""")

TKABBER = info_of("""<query xmlns="http://jabber.org/protocol/disco#info">
  <identity category="client" name="Tkabber" type="pc" xml:lang="en"/>
  <identity category="client" name="Ткаббер" type="pc" xml:lang="ru"/>
  <feature var="games:board"/>
  <feature var="http://jabber.org/protocol/activity"/>
  <feature var="http://jabber.org/protocol/activity+notify"/>
  <feature var="http://jabber.org/protocol/bytestreams"/>
  <feature var="http://jabber.org/protocol/chatstates"/>
  <feature var="http://jabber.org/protocol/commands"/>
  <feature var="http://jabber.org/protocol/disco#info"/>
  <feature var="http://jabber.org/protocol/disco#items"/>
  <feature var="http://jabber.org/protocol/evil"/>
  <feature var="http://jabber.org/protocol/feature-neg"/>
  <feature var="http://jabber.org/protocol/geoloc"/>
  <feature var="http://jabber.org/protocol/geoloc+notify"/>
  <feature var="http://jabber.org/protocol/ibb"/>
  <feature var="http://jabber.org/protocol/iqibb"/>
  <feature var="http://jabber.org/protocol/mood"/>
  <feature var="http://jabber.org/protocol/mood+notify"/>
  <feature var="http://jabber.org/protocol/rosterx"/>
  <feature var="http://jabber.org/protocol/si"/>
  <feature var="http://jabber.org/protocol/si/profile/file-transfer"/>
  <feature var="http://jabber.org/protocol/tune"/>
  <feature var="http://www.facebook.com/xmpp/messages"/>
  <feature var="http://www.xmpp.org/extensions/xep-0084.html#ns-metadata+notify"/>
  <feature var="jabber:iq:avatar"/>
  <feature var="jabber:iq:browse"/>
  <feature var="jabber:iq:dtcp"/>
  <feature var="jabber:iq:filexfer"/>
  <feature var="jabber:iq:ibb"/>
  <feature var="jabber:iq:inband"/>
  <feature var="jabber:iq:jidlink"/>
  <feature var="jabber:iq:last"/>
  <feature var="jabber:iq:oob"/>
  <feature var="jabber:iq:privacy"/>
  <feature var="jabber:iq:roster"/>
  <feature var="jabber:iq:time"/>
  <feature var="jabber:iq:version"/>
  <feature var="jabber:x:data"/>
  <feature var="jabber:x:event"/>
  <feature var="jabber:x:oob"/>
  <feature var="urn:xmpp:avatar:metadata+notify"/>
  <feature var="urn:xmpp:ping"/>
  <feature var="urn:xmpp:receipts"/>
  <feature var="urn:xmpp:time"/>
  <x xmlns="jabber:x:data" type="result">
    <field type="hidden" var="FORM_TYPE">
      <value>urn:xmpp:dataforms:softwareinfo</value>
    </field>
    <field var="software">
      <value>Tkabber</value>
    </field>
    <field var="software_version">
      <value>0.11.1-svn-20111216-mod (Tcl/Tk 8.6b2)</value>
    </field>
    <field var="os">
      <value>Windows</value>
    </field>
    <field var="os_version">
      <value>XP</value>
    </field>
  </x>
</query>""")


def test_simple_generation_example() -> None:  # XEP-0115 §5.2
    assert verification_input(EXODUS) == (
        b"client/pc//Exodus 0.9.1<http://jabber.org/protocol/caps<http://jabber.org/protocol/disco#info<"
        b"http://jabber.org/protocol/disco#items<http://jabber.org/protocol/muc<"
    )
    assert verification_string(EXODUS) == "QgayPKawpkPSDYmwT/WM94uAlu0="


def test_complex_generation_example() -> None:  # XEP-0115 §5.3
    assert verification_string(PSI) == "q07IKJEyjvHSyhy//CH0CxmKi8w="


def test_query_node_of_the_complex_example() -> None:  # XEP-0115 §6.2
    assert capabilities(PSI, "http://psi-im.org").query_node == PSI.node


def test_forms_without_a_hidden_form_type_do_not_count() -> None:  # XEP-0115 §5.4, point 3.6
    stray = DataForm(FormKind.RESULT, (Field("FORM_TYPE", ("x",), FieldKind.TEXT_SINGLE),))
    assert verification_string(Info("", EXODUS.identities, EXODUS.features, (stray,))) == verification_string(
        EXODUS
    )


@pytest.mark.parametrize(
    "info",
    [
        Info(identities=(Identity("a", "b"), Identity("a", "b"))),
        Info(features=("a", "a")),
        Info(forms=(DataForm.of(FormKind.RESULT, "a"), DataForm.of(FormKind.RESULT, "a"))),
        Info(forms=(DataForm(FormKind.RESULT, (Field("FORM_TYPE", ("a", "b"), FieldKind.HIDDEN),)),)),
        Info(features=("a<b",)),
    ],
)
def test_ill_formed_answers(info: Info) -> None:  # XEP-0115 §5.4
    assert not is_well_formed(info)


def test_well_formed_answers() -> None:
    assert is_well_formed(PSI)
    assert is_well_formed(TKABBER)


def test_poisoned_answers_have_another_hash() -> None:  # XEP-0390 §1: the flaw of XEP-0115
    honest = Info(identities=(Identity("client", "pc", "a"),), features=("b", "c"))
    forged = Info(identities=(Identity("client", "pc", "a<b"),), features=("c",))
    assert verification_input(honest) == verification_input(forged)
    assert hash_input(honest) != hash_input(forged)


SIMPLE_HASHES = {
    "sha-256": "kzBZbkqJ3ADrj7v08reD1qcWUwNGHaidNUgD7nHpiw8=",
    "sha3-256": "79mdYAfU9rEdTOcWDO7UEAt6E56SUzk/g6TnqUeuD9Q=",
}
COMPLEX_HASHES = {
    "sha-256": "u79ZroNJbdSWhdSp311mddz44oHHPsEBntQ5b1jqBSY=",
    "sha3-256": "XpUJzLAc93258sMECZ3FJpebkzuyNXDzRNwQog8eycg=",
}


@pytest.mark.parametrize(("info", "hashes"), [(BOMBUS, SIMPLE_HASHES), (TKABBER, COMPLEX_HASHES)])
def test_examples_of_the_hash_set(info: Info, hashes: dict[str, str]) -> None:  # XEP-0390 §4.5
    assert {each.algorithm: each.value for each in capability_hash_set(info).hashes} == hashes
    assert all(matches(info, CapabilityHash(*pair)) for pair in hashes.items())


def test_a_claim_by_an_unknown_function_does_not_match() -> None:
    assert not matches(BOMBUS, CapabilityHash("md5", "x"))


@pytest.mark.parametrize(
    "form",
    [
        DataForm(FormKind.RESULT, (Field("a", ("b",)),)),
        DataForm(FormKind.RESULT, (), reported=(Field("a"),)),
        DataForm(FormKind.RESULT, (), items=((Field("a"),),)),
    ],
)
def test_forms_that_capabilities_cannot_cover(form: DataForm) -> None:  # XEP-0390 §4.1, points 2 and 3
    with pytest.raises(StanzaError, match="FORM_TYPE"):
        hash_input(Info(forms=(form,)))
    assert not matches(Info(forms=(form,)), CapabilityHash("sha-256", "x"))


@given(infos(), st.randoms(use_true_random=False))
def test_hashes_do_not_depend_on_order(info: Info, random) -> None:
    def shuffled(values: tuple) -> tuple:
        return tuple(random.sample(values, len(values)))

    other = Info(info.node, shuffled(info.identities), shuffled(info.features), shuffled(info.forms))
    assert verification_string(other) == verification_string(info)
    assert capability_hash_set(other) == capability_hash_set(info)


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ("urn:xmpp:caps#sha-256.abc=", CapabilityHash("sha-256", "abc=")),
        ("urn:xmpp:caps#a.b.c", CapabilityHash("a.b", "c")),
        ("urn:xmpp:caps#sha-256", None),
        ("urn:xmpp:caps#.abc", None),
        ("urn:xmpp:caps#sha-256.", None),
        ("http://psi-im.org#x", None),
    ],
)
def test_hash_nodes(node: str, expected: CapabilityHash | None) -> None:  # XEP-0390 §4.3
    assert read_hash_node(node) == expected
    assert expected is None or expected.query_node == node


@pytest.mark.parametrize(
    "value",
    [
        Capabilities("http://jabberd.org", "ItBTI0XLDFvVxZ72NQElAzKS9sU="),
        Capabilities("http://old.example", "1.0", ""),
        CapabilityHashSet((CapabilityHash("sha-256", "abc"), CapabilityHash("sha3-256", "def"))),
    ],
)
def test_round_trips(value) -> None:
    assert type(value).decode(through_bytes(value.encode())) == value


@pytest.mark.parametrize(
    ("kind", "element"),
    [
        (Capabilities, Element("c", ns.CAPS, {"node": "a"})),
        (Capabilities, Element("c", ns.CAPS, {"ver": "a"})),
        (CapabilityHashSet, Element("c", ns.CAPS2)),
        (CapabilityHashSet, Element("c", ns.CAPS2, None, Element("hash", "urn:xmpp:hashes:2", None, "x"))),
    ],
)
def test_nonsense(kind, element: Element) -> None:
    with pytest.raises(StanzaError):
        kind.decode(element)
