"""What a message is to archive, counts and devices: one table of messages as clients send them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.xmpp.payloads.messages import received
from tidings.base.jid import Jid
from tidings.base.limits import XmlLimits
from tidings.wire.xml.frames import FrameParser
from tidings.wire.xmpp.classification import Classification, Rule, Storage, classify, is_copied, why_copied
from tidings.wire.xmpp.content_namespaces import as_client
from tidings.wire.xmpp.payloads.carbons import CarbonDirection
from tidings.wire.xmpp.payloads.references import ReferenceKind
from tidings.wire.xmpp.stanza import Stanza

BODY = "<body>hi</body>"
STORE, NO_STORE, NO_PERMANENT_STORE, NO_COPY = (
    f"<{name} xmlns='urn:xmpp:hints'/>" for name in ("store", "no-store", "no-permanent-store", "no-copy")
)
PRIVATE = "<private xmlns='urn:xmpp:carbons:2'/>"
COMPOSING = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"
ACTIVE = "<active xmlns='http://jabber.org/protocol/chatstates'/>"
GONE = "<gone xmlns='http://jabber.org/protocol/chatstates'/>"
RECEIPT = "<received xmlns='urn:xmpp:receipts' id='1'/>"
REQUEST = "<request xmlns='urn:xmpp:receipts'/>"
DISPLAYED = "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>"
MARKABLE = "<markable xmlns='urn:xmpp:chat-markers:0'/>"
CORRECTION = "<replace xmlns='urn:xmpp:message-correct:0' id='1'/>"
REACTION = "<reactions xmlns='urn:xmpp:reactions:0' id='1'><reaction>👋</reaction></reactions>"
RETRACT = "<retract xmlns='urn:xmpp:message-retract:1' id='1'/>"
RETRACT0 = (
    "<apply-to xmlns='urn:xmpp:fasten:0' id='1'><retract xmlns='urn:xmpp:message-retract:0'/></apply-to>"
)
FASTENED = (
    "<apply-to xmlns='urn:xmpp:fasten:0' id='1'><like xmlns='urn:l'/><external name='body'/></apply-to>"
)
FALLBACK = "<fallback xmlns='urn:xmpp:fallback:0' for='urn:x'/>"
PART = "<fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'><body start='0' end='1'/></fallback>"
REPLY = "<reply xmlns='urn:xmpp:reply:0' id='1' to='a@b'/>"
KEYS = "<header sid='1'><key rid='2'>AAAA</key><iv>AAAA</iv></header>"
OMEMO = f"<encrypted xmlns='eu.siacs.conversations.axolotl'>{KEYS}<payload>AAAA</payload></encrypted>"
OMEMO2 = "<encrypted xmlns='urn:xmpp:omemo:2'><header sid='1'/><payload>AAAA</payload></encrypted>"
OMEMO_KEYS = f"<encrypted xmlns='eu.siacs.conversations.axolotl'>{KEYS}</encrypted>"
EME = "<encryption xmlns='urn:xmpp:eme:0' namespace='eu.siacs.conversations.axolotl' name='OMEMO'/>"
OPENPGP = "<openpgp xmlns='urn:xmpp:openpgp:0'>AAAA</openpgp>"
SUBJECT = "<subject>tea</subject>"
DIRECT = "<x xmlns='jabber:x:conference' jid='room@muc.example'/>"
MEDIATED = "<x xmlns='http://jabber.org/protocol/muc#user'><invite to='hecate@shakespeare.lit'/></x>"
DECLINED = "<x xmlns='http://jabber.org/protocol/muc#user'><decline to='crone1@shakespeare.lit'/></x>"
OCCUPANT = "<x xmlns='http://jabber.org/protocol/muc#user'/>"
DELAY = "<delay xmlns='urn:xmpp:delay' stamp='2002-09-10T23:08:25Z'/>"
INNER = "<message xmlns='jabber:client'><body>x</body></message>"
FORWARDED = f"<forwarded xmlns='urn:xmpp:forward:0'>{INNER}</forwarded>"
PROPOSE = "<propose xmlns='urn:xmpp:jingle-message:0' id='1'/>"
GEOLOC = "<geoloc xmlns='http://jabber.org/protocol/geoloc'><lat>1</lat></geoloc>"
OOB = "<x xmlns='jabber:x:oob'><url>https://example.org/a.jpg</url></x>"
FORM = "<x xmlns='jabber:x:data' type='form'/>"
CONTACTS = "<x xmlns='http://jabber.org/protocol/rosterx'><item action='add' jid='a@b'/></x>"
EVENT = "<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='n'/></event>"

CHAT, NORMAL, ROOM, HEADLINE, ERROR = "chat", "normal", "groupchat", "headline", "error"

# Letters: S stored, T kept until delivered, c counted, > copied when sent, < copied when received.
TABLE = [
    # bodies
    (CHAT, BODY, "Sc><", None),
    (NORMAL, BODY, "Sc><", None),
    ("", BODY, "Sc><", None),
    ("unheard-of", BODY, "Sc><", None),  # RFC 6121 §5.2.2: as normal
    (CHAT, BODY + ACTIVE + REQUEST + MARKABLE, "Sc><", None),
    (CHAT, "<body xml:lang='de'>hallo</body>" + BODY, "Sc><", None),
    (CHAT, "<body/>", "S><", None),
    (CHAT, "<body></body>", "S><", None),
    (CHAT, "<body xml:lang='de'/> \n", "S><", None),
    (CHAT, "<body/>" + BODY, "Sc><", None),
    (CHAT, BODY + DELAY, "Sc><", None),  # XEP-0198 §4: what is sent again
    (CHAT, BODY + REPLY, "Sc><", None),
    (CHAT, BODY + REPLY + PART, "Sc><", None),
    (NORMAL, "<body xmlns='urn:other'>hi</body>", "S", None),
    # nothing but payloads
    (CHAT, "", "><", None),
    (NORMAL, "", "", None),
    (NORMAL, "<thread>t</thread>", "", None),
    (NORMAL, GEOLOC, "S", None),  # XEP-0160 §3
    (CHAT, GEOLOC, "S><", None),
    (CHAT, GEOLOC + NO_STORE, "><", None),
    (CHAT, GEOLOC + NO_PERMANENT_STORE, "T><", None),
    (CHAT, GEOLOC + COMPOSING, "S><", None),
    (ROOM, GEOLOC, "", None),
    (HEADLINE, GEOLOC, "", None),
    (ERROR, GEOLOC, "", None),
    ("unheard-of", GEOLOC, "S", None),
    (CHAT, OOB, "Sc><", None),
    (NORMAL, OOB, "Sc><", None),
    (NORMAL, FORM, "S", None),
    (NORMAL, CONTACTS, "S", None),
    (CHAT, PROPOSE, "S><", None),
    (NORMAL, EVENT, "", None),
    (NORMAL, "<data xmlns='http://jabber.org/protocol/ibb' sid='1' seq='0'>AAAA</data>", "", None),
    (CHAT, "<x xmlns='jabber:x:event'><composing/><id/></x>", "><", None),
    (CHAT, ACTIVE + "<nick xmlns='http://jabber.org/protocol/nick'>i</nick>", "><", None),
    (HEADLINE, EVENT, "", None),
    # chat states
    (CHAT, COMPOSING, "><", None),
    (CHAT, GONE + "<thread>t</thread>", "><", None),
    (NORMAL, ACTIVE, "><", None),
    (CHAT, COMPOSING + NO_STORE, "><", None),
    (CHAT, COMPOSING + STORE, "S><", None),
    # subjects
    (CHAT, SUBJECT, "S><", None),
    (NORMAL, SUBJECT, "S", None),
    (NORMAL, SUBJECT + BODY, "Sc><", None),
    (ROOM, SUBJECT, "S", None),
    # receipts and markers
    (CHAT, RECEIPT, "S><", ReferenceKind.RECEIPT),
    (NORMAL, RECEIPT, "S><", ReferenceKind.RECEIPT),
    (CHAT, REQUEST, "><", None),
    (NORMAL, REQUEST, "><", None),
    (CHAT, DISPLAYED, "S><", ReferenceKind.DISPLAYED),
    (NORMAL, DISPLAYED, "S><", ReferenceKind.DISPLAYED),
    (CHAT, DISPLAYED + STORE, "S><", ReferenceKind.DISPLAYED),
    (CHAT, DISPLAYED + NO_STORE, "><", ReferenceKind.DISPLAYED),
    (CHAT, DISPLAYED + RECEIPT, "S><", ReferenceKind.DISPLAYED),
    (CHAT, DISPLAYED + BODY, "Sc><", ReferenceKind.DISPLAYED),
    (CHAT, DISPLAYED + BODY + FALLBACK, "S><", ReferenceKind.DISPLAYED),
    (CHAT, DISPLAYED + BODY + PART, "Sc><", ReferenceKind.DISPLAYED),
    (CHAT, DISPLAYED + BODY + PART.replace("end", "x"), "Sc><", ReferenceKind.DISPLAYED),  # no fallback
    (CHAT, RECEIPT + BODY, "Sc><", ReferenceKind.RECEIPT),
    (NORMAL, MARKABLE, "><", None),
    (ROOM, DISPLAYED, "S", ReferenceKind.DISPLAYED),
    # corrections, retractions, reactions, fastenings
    (CHAT, BODY + CORRECTION, "S><", ReferenceKind.CORRECTION),
    (NORMAL, BODY + CORRECTION, "S><", ReferenceKind.CORRECTION),
    (CHAT, "<replace xmlns='urn:xmpp:message-correct:0'/>" + BODY, "Sc><", None),
    (CHAT, REACTION + STORE, "S><", ReferenceKind.REACTIONS),
    (CHAT, REACTION, "S><", ReferenceKind.REACTIONS),
    (NORMAL, REACTION, "S><", ReferenceKind.REACTIONS),
    (CHAT, REACTION + BODY + FALLBACK, "S><", ReferenceKind.REACTIONS),
    (ROOM, REACTION + STORE, "S", ReferenceKind.REACTIONS),
    (CHAT, RETRACT + FALLBACK + BODY + STORE, "S><", ReferenceKind.RETRACTION),
    (NORMAL, RETRACT, "S><", ReferenceKind.RETRACTION),
    (CHAT, RETRACT + NO_STORE, "S><", ReferenceKind.RETRACTION),  # XEP-0424 §5
    (CHAT, RETRACT0, "S><", ReferenceKind.RETRACTION),
    (ROOM, RETRACT, "S", ReferenceKind.RETRACTION),
    (NORMAL, FASTENED + BODY, "S><", ReferenceKind.FASTENING),
    (
        CHAT,
        "<apply-to xmlns='urn:xmpp:fasten:0' id='1' shell='true'/>" + OMEMO2,
        "S><",
        ReferenceKind.FASTENING,
    ),
    # encrypted
    (CHAT, OMEMO + STORE, "Sc><", None),
    (CHAT, OMEMO + STORE + EME + BODY, "Sc><", None),
    (CHAT, OMEMO, "Sc><", None),
    (NORMAL, OMEMO2 + STORE, "Sc><", None),
    (NORMAL, OMEMO2, "Sc><", None),
    (CHAT, OMEMO_KEYS + STORE, "S><", None),
    (CHAT, OMEMO_KEYS + STORE + EME, "S><", None),
    (CHAT, OMEMO + NO_STORE, "><", None),
    (CHAT, OPENPGP + EME, "Sc><", None),
    (CHAT, EME, "Sc><", None),
    (CHAT, "<body>?OTR?v23?...</body>" + EME, "Sc><", None),
    (CHAT, OMEMO + CORRECTION, "S><", ReferenceKind.CORRECTION),
    (ROOM, OMEMO2 + STORE, "Sc", None),
    # hints
    (CHAT, BODY + NO_STORE, "><", None),
    (CHAT, BODY + NO_PERMANENT_STORE, "Tc><", None),
    (CHAT, BODY + NO_PERMANENT_STORE + STORE, "Tc><", None),
    (CHAT, BODY + STORE + NO_STORE, "><", None),
    (CHAT, COMPOSING + NO_PERMANENT_STORE, "><", None),
    (CHAT, BODY + NO_COPY, "Sc", None),
    (CHAT, BODY + PRIVATE + NO_COPY, "Sc", None),
    (CHAT, BODY + PRIVATE, "Sc", None),
    (CHAT, BODY + PRIVATE + NO_COPY + NO_STORE, "", None),
    (NORMAL, STORE, "S", None),
    (NORMAL, GEOLOC + STORE, "Sc", None),
    (CHAT, GEOLOC + STORE, "Sc><", None),
    (CHAT, PROPOSE + STORE, "S><", None),
    # errors and headlines
    (ERROR, BODY + "<error type='cancel'/>", "", None),
    (ERROR, BODY + STORE, "", None),
    (ERROR, RETRACT, "", None),
    (HEADLINE, BODY, "", None),
    (HEADLINE, BODY + STORE, "S", None),
    (HEADLINE, DISPLAYED, "><", ReferenceKind.DISPLAYED),
    # rooms
    (ROOM, BODY, "Sc", None),
    (ROOM, "<body/><x xmlns='urn:xmpp:muclight:0#affiliations'/>", "S", None),  # MUC Light's own
    (ROOM, BODY + NO_STORE, "", None),
    (ROOM, COMPOSING, "", None),
    (NORMAL, DIRECT, "S><", None),
    (NORMAL, DIRECT + BODY, "Sc><", None),
    (NORMAL, MEDIATED, "S><", None),
    (NORMAL, MEDIATED + BODY, "Sc><", None),
    (NORMAL, DECLINED, "", None),
    # copies
    (CHAT, f"<received xmlns='urn:xmpp:carbons:2'>{FORWARDED}</received>", "", None),
    (CHAT, f"<sent xmlns='urn:xmpp:carbons:2'>{FORWARDED}</sent>" + BODY + STORE, "", None),
    (CHAT, f"<result xmlns='urn:xmpp:mam:2' id='1'>{FORWARDED}</result>" + BODY, "", None),
    (CHAT, f"<result xmlns='urn:xmpp:mam:1' id='1'>{FORWARDED}</result>" + STORE, "", None),
    (CHAT, f"<result xmlns='erlang-solutions.com:xmpp:inbox:0'>{FORWARDED}</result>", "", None),
    (CHAT, "<x xmlns='erlang-solutions.com:xmpp:inbox:0#conversation' jid='a@b'/>" + BODY, "", None),
    (CHAT, "<entry xmlns='urn:xmpp:inbox:1'/>" + BODY, "", None),
    (CHAT, BODY + FORWARDED, "Sc><", None),  # forwarded by a person
]


def letters(classification: Classification) -> str:
    stored = {Storage.NONE: "", Storage.UNTIL_DELIVERED: "T", Storage.PERMANENT: "S"}[classification.storage]
    return (
        stored
        + "c" * classification.is_counted
        + ">" * classification.is_copied_sent
        + "<" * classification.is_copied_received
    )


def message(kind: str, content: str, sender: str = "a@b/c", to: str = "d@e"):
    wire = f"type='{kind}'" if kind else ""
    return received(f"<message {wire} id='m' from='{sender}' to='{to}'>{content}</message>")


@pytest.mark.parametrize(("kind", "content", "expected", "reference"), TABLE)
def test_table(kind: str, content: str, expected: str, reference: ReferenceKind | None) -> None:
    classification = classify(message(kind, content))
    assert letters(classification) == expected
    assert (classification.reference and classification.reference.kind) is reference
    assert (classification.storage is Storage.PERMANENT) is ("S" in expected)


@pytest.mark.parametrize(("kind", "content", "expected", "_reference"), TABLE)
def test_the_predicate_of_carbons_agrees(kind: str, content: str, expected: str, _reference) -> None:
    assert is_copied(message(kind, content), CarbonDirection.SENT) is (">" in expected)
    assert is_copied(message(kind, content), CarbonDirection.RECEIVED) is ("<" in expected)


@given(st.permutations(range(5)), st.sampled_from(TABLE))
def test_the_order_of_children_does_not_matter(order: list[int], row) -> None:
    kind, content, expected, _ = row
    extra = [f"<x{number} xmlns='urn:x'/>" for number in order[:2]]
    # An unknown child beside the hint is something to read, and one alone is something to keep.
    if STORE not in content and ("S" in expected or kind in {ROOM, HEADLINE, ERROR}):
        parts = [*extra, content, *(f"<y{number} xmlns='urn:y'/>" for number in order[2:])]
        assert letters(classify(message(kind, "".join(parts)))) == expected


@pytest.mark.parametrize(("kind", "content", "_expected", "_reference"), TABLE)
def test_only_what_is_stored_is_counted(kind: str, content: str, _expected, _reference) -> None:
    classification = classify(message(kind, content))
    assert classification.storage is not Storage.NONE or not classification.is_counted


@pytest.mark.parametrize(
    ("sender", "to", "sent", "was_received"),
    [
        ("a@b/c", "room@muc/nick", True, False),  # XEP-0280 §6.1: to an occupant
        ("room@muc/nick", "a@b", True, False),  # the room gives it to every device itself
        ("room@muc", "a@b", True, True),
    ],
)
def test_private_messages_in_rooms(sender: str, to: str, sent: bool, was_received: bool) -> None:
    private = message(CHAT, BODY + OCCUPANT, sender, to)
    classification = classify(private)
    assert classification.storage is Storage.PERMANENT
    assert classification.is_counted
    assert classification.is_copied_received is was_received
    assert classification.is_copied_sent is sent
    # Without the room's element it is a message as any other.
    assert classify(message(CHAT, BODY, sender, to)).is_copied_received


def test_a_private_message_in_a_room_is_copied_whatever_is_in_it() -> None:
    assert is_copied(message(NORMAL, OCCUPANT, "a@b/c", "room@muc/nick"), CarbonDirection.SENT)
    assert not is_copied(message(NORMAL, OCCUPANT, "a@b/c", "room@muc"), CarbonDirection.SENT)
    assert not is_copied(message(NORMAL, OCCUPANT, "room@muc/nick"), CarbonDirection.RECEIVED)
    nothing = classify(received(f"<message>{OCCUPANT}</message>"))
    assert nothing == Classification(rule=Rule.NOTHING_TO_KEEP)


def test_an_occupants_invitation_is_copied() -> None:
    invitation = message(NORMAL, OCCUPANT + DIRECT, "room@muc/nick")
    assert is_copied(invitation, CarbonDirection.RECEIVED)


def test_an_error_follows_the_message_it_answers() -> None:
    bounce = message(ERROR, BODY + "<error type='cancel'/>")
    for direction in CarbonDirection:
        assert is_copied(bounce, direction, answers_copied=True)
        assert not is_copied(bounce, direction)
    copy = message(ERROR, f"<received xmlns='urn:xmpp:carbons:2'>{FORWARDED}</received>")
    assert not is_copied(copy, CarbonDirection.RECEIVED, answers_copied=True)  # §10.3


def test_nothing_about_the_addresses_matters_otherwise() -> None:
    assert classify(received("<message type='chat'><body>hi</body></message>")) == classify(
        message(CHAT, BODY)
    )
    assert classify(message(CHAT, BODY, "a@b", "a@b").replace(to=Jid("a@b/c"))) == classify(
        message(CHAT, BODY)
    )


@pytest.mark.parametrize("namespace", ["jabber:server", "jabber:component:accept"])
def test_a_text_is_stored_and_counted_on_whatever_kind_of_stream_it_came(namespace):
    raw = f"<message xmlns='{namespace}' type='chat' from='a@far.test/x' to='b@localhost'>{BODY}</message>"
    message = Stanza.received(as_client(FrameParser(XmlLimits()).parse(raw.encode()), namespace))
    assert classify(message) == classify(received(f"<message type='chat'>{BODY}</message>"))
    assert classify(message).storage is Storage.PERMANENT
    assert classify(message).is_counted


STORED_BY = [
    (CHAT, BODY, Rule.CONTENT),
    (CHAT, BODY + NO_STORE, Rule.NO_STORE),
    (CHAT, BODY + NO_PERMANENT_STORE, Rule.OFFLINE_ONLY),
    (CHAT, COMPOSING + STORE, Rule.STORE),
    (CHAT, GEOLOC, Rule.PAYLOAD),
    (CHAT, COMPOSING, Rule.NOTHING_TO_KEEP),
    (CHAT, RETRACT + NO_STORE, Rule.RETRACTION),
    (CHAT, DISPLAYED, Rule.REFERENCE),
    (NORMAL, DIRECT, Rule.INVITATION),
    (HEADLINE, BODY, Rule.HEADLINE),
    (ERROR, BODY, Rule.ERROR),
    (CHAT, f"<received xmlns='urn:xmpp:carbons:2'>{FORWARDED}</received>", Rule.COPY),
]
COPIED_BY = [
    (CHAT, BODY, Rule.CONVERSATION),
    (CHAT, BODY + PRIVATE, Rule.UNCOPIED),
    (NORMAL, DIRECT, Rule.INVITATION),
    (ROOM, BODY, Rule.GROUPCHAT),
    (CHAT, BODY + OCCUPANT, Rule.FROM_OCCUPANT),
    (HEADLINE, BODY, Rule.NO_CONVERSATION),
    (ERROR, BODY, Rule.ANSWERS_NOTHING),
    (CHAT, f"<received xmlns='urn:xmpp:carbons:2'>{FORWARDED}</received>", Rule.COPY),
]


@pytest.mark.parametrize(("kind", "content", "rule"), STORED_BY)
def test_it_says_by_which_rule_a_message_is_stored_or_not(kind, content, rule):
    assert classify(message(kind, content)).rule is rule


@pytest.mark.parametrize(("kind", "content", "rule"), COPIED_BY)
def test_it_says_by_which_rule_a_message_is_copied_or_not(kind, content, rule):
    assert why_copied(message(kind, content, "room@muc/nick"), CarbonDirection.RECEIVED) is rule


def test_an_error_is_copied_because_it_answers_what_was_copied():
    error = message(ERROR, BODY)
    assert why_copied(error, CarbonDirection.RECEIVED, answers_copied=True) is Rule.ANSWERS_COPIED


def test_every_rule_is_told_of_some_message_in_words_of_its_own():
    told = {rule for _, _, rule in (*STORED_BY, *COPIED_BY)} | {Rule.UNASKED, Rule.ANSWERS_COPIED}
    assert told == set(Rule)
    assert len({rule.value for rule in Rule}) == len(Rule)
    assert all(len(rule.value.split()) > 3 for rule in Rule)
