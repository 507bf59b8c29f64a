"""vCards and private storage: kept for their owners, shown to whom they may be shown."""

from collections.abc import AsyncIterator

import pytest

from tests.harness.world import World
from tidings.features.private_storage import PrivateStorage, PrivateStorageOptions
from tidings.features.vcard import VCardOptions, VCardTemp
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.private import PrivateData
from tidings.wire.xmpp.payloads.vcard import VCard

OPTIONS = {
    "vcard": VCardOptions(max_bytes=2_000),
    "private_storage": PrivateStorageOptions(
        fragment_bytes=2_000, request_fragments=2, max_fragments=5, max_octets=6_000
    ),
}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await World.start(features=(VCardTemp, PrivateStorage), options=OPTIONS)
    yield world
    await world.stop()


def condition(answer: Element) -> str:
    assert answer.get("type") == "error", answer
    error = answer.find("error", ns.CLIENT)
    assert error is not None
    return error.children[0].name


def iq(kind: str, content: str, to: str = "") -> str:
    address = f" to='{to}'" if to else ""
    return f"<iq type='{kind}' id='1'{address}>{content}</iq>"


CARD = "<vCard xmlns='vcard-temp'><FN>Juliet</FN><N><FAMILY>Capulet</FAMILY><MIDDLE/></N></vCard>"
NO_CARD = "<vCard xmlns='vcard-temp'/>"


async def test_a_vcard_is_published_and_seen_by_everybody(world: World) -> None:
    juliet = await world.login("juliet@localhost")
    assert (await juliet.request(iq("get", NO_CARD))).children[0] == Element("vCard", "vcard-temp")
    assert (await juliet.request(iq("set", CARD))).get("type") == "result"
    stranger = await world.login("stranger@other.test")
    for answer in (
        await juliet.request(iq("get", NO_CARD)),
        await juliet.request(iq("get", NO_CARD, "juliet@localhost")),
        await stranger.request(iq("get", NO_CARD, "juliet@localhost")),
    ):
        card = VCard.decode(answer.children[0])
        assert card.full_name == "Juliet"
        assert card.content.find("N") == Element(
            "N", ns.VCARD, None, Element("FAMILY", ns.VCARD, None, "Capulet"), Element("MIDDLE", ns.VCARD)
        )


async def test_no_vcard_and_no_account_look_alike(world: World) -> None:  # §3.3
    await world.register("juliet@localhost")
    stranger = await world.login("stranger@localhost")
    answers = [
        await stranger.request(iq("get", NO_CARD, to)) for to in ("juliet@localhost", "nobody@localhost")
    ]
    assert [condition(answer) for answer in answers] == ["service-unavailable"] * 2


async def test_nobody_writes_somebody_elses_vcard(world: World) -> None:  # §3.2
    await world.register("juliet@localhost")
    stranger = await world.login("stranger@localhost")
    for to in ("juliet@localhost", "nobody@localhost"):
        assert condition(await stranger.request(iq("set", CARD, to))) == "forbidden"


async def test_a_vcard_has_a_size(world: World) -> None:
    juliet = await world.login("juliet@localhost")
    large = f"<vCard xmlns='vcard-temp'><DESC>{'x' * 2_000}</DESC></vCard>"
    assert condition(await juliet.request(iq("set", large))) == "policy-violation"
    assert (await juliet.request(iq("get", NO_CARD))).children[0] == Element("vCard", "vcard-temp")


PREFERENCES = "<exodus xmlns='exodus:prefs'><defaultnick>Hamlet</defaultnick></exodus>"


def private(*content: str) -> str:
    return f"<query xmlns='jabber:iq:private'>{''.join(content)}</query>"


async def test_what_is_kept_comes_back(world: World) -> None:  # XEP-0049 §2.3
    hamlet = await world.login("hamlet@localhost")
    question = iq("get", private("<exodus xmlns='exodus:prefs'/>"))
    empty = PrivateData.decode((await hamlet.request(question)).children[0])
    assert empty.fragments == (Element("exodus", "exodus:prefs"),)
    assert (await hamlet.request(iq("set", private(PREFERENCES)))).get("type") == "result"
    (kept,) = PrivateData.decode((await hamlet.request(question)).children[0]).fragments
    assert kept.text_of("defaultnick") == "Hamlet"


async def test_fragments_are_known_by_namespace_and_name(world: World) -> None:
    hamlet = await world.login("hamlet@localhost")
    await hamlet.request(iq("set", private("<a xmlns='urn:a'>1</a>", "<b xmlns='urn:a'>2</b>")))
    await hamlet.request(iq("set", private("<a xmlns='urn:b'>3</a>")))
    for wanted, text in (
        ("<a xmlns='urn:a'/>", "1"),
        ("<b xmlns='urn:a'/>", "2"),
        ("<a xmlns='urn:b'/>", "3"),
    ):
        answer = await hamlet.request(iq("get", private(wanted)))
        assert PrivateData.decode(answer.children[0]).fragments[0].text == text


async def test_storage_is_private(world: World) -> None:
    hamlet, mallory = await world.login("hamlet@localhost"), await world.login("mallory@localhost")
    await hamlet.request(iq("set", private(PREFERENCES)))
    for to in ("hamlet@localhost", "nobody@localhost"):
        for kind in ("get", "set"):
            answer = await mallory.request(iq(kind, private("<exodus xmlns='exodus:prefs'/>"), to))
            assert condition(answer) == "service-unavailable"
    own = await mallory.request(iq("get", private("<exodus xmlns='exodus:prefs'/>")))
    assert own.children[0].children == [Element("exodus", "exodus:prefs")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (iq("get", private()), "not-acceptable"),
        (iq("set", private()), "not-acceptable"),
        (iq("set", private("<a/>")), "bad-request"),
        (iq("get", private("<a xmlns='urn:a'/>", "<b xmlns='urn:a'/>")), "bad-request"),
        (iq("set", private(*[f"<a{n} xmlns='urn:a'/>" for n in range(3)])), "policy-violation"),
        (iq("set", private(f"<a xmlns='urn:a'>{'x' * 2_000}</a>")), "policy-violation"),
    ],
)
async def test_what_is_not_kept(world: World, text: str, expected: str) -> None:
    assert condition(await (await world.login("hamlet@localhost")).request(text)) == expected


def text_of(answer: Element) -> str:
    return answer.find("error").text_of("text", ns.STANZA_ERRORS) or ""


async def test_private_storage_has_a_share_of_octets(world: World) -> None:
    hamlet, juliet = [await world.login(f"{name}@localhost") for name in ("hamlet", "juliet")]
    large = [f"<a{number} xmlns='urn:a'>{'x' * 1_900}</a{number}>" for number in range(4)]
    for each in large[:3]:
        assert (await hamlet.request(iq("set", private(each)))).get("type") == "result"
    refused = await hamlet.request(iq("set", private("<b xmlns='urn:b'>2</b>", large[3])))
    assert condition(refused) == "resource-constraint"
    assert "private storage would have" in text_of(refused)
    assert text_of(refused).endswith(" octets; 6000 are allowed")
    # Nothing of it was kept; others keep theirs; the same again fits, and less makes room.
    empty = await hamlet.request(iq("get", private("<b xmlns='urn:b'/>")))
    assert empty.children[0].children[0].text == ""
    assert (await juliet.request(iq("set", private(large[3])))).get("type") == "result"
    assert (await hamlet.request(iq("set", private(large[0])))).get("type") == "result"
    assert (await hamlet.request(iq("set", private("<a0 xmlns='urn:a'/>", large[3])))).get("type") == "result"
    gone = await hamlet.request(iq("get", private("<a0 xmlns='urn:a'/>")))
    assert gone.children[0].children == [Element("a0", "urn:a")]


async def test_private_storage_has_a_share_of_fragments(world: World) -> None:
    hamlet, juliet = [await world.login(f"{name}@localhost") for name in ("hamlet", "juliet")]
    answers = [await hamlet.request(iq("set", private(f"<a{n} xmlns='u'>1</a{n}>"))) for n in range(6)]
    assert [answer.get("type") for answer in answers] == ["result"] * 5 + ["error"]
    assert condition(answers[5]) == "resource-constraint"
    assert text_of(answers[5]) == "private storage would have 6 fragments; 5 are allowed"
    assert (await juliet.request(iq("set", private("<a xmlns='u'>1</a>")))).get("type") == "result"
    assert (await hamlet.request(iq("set", private("<a1 xmlns='u'/>")))).get("type") == "result"
    assert (await hamlet.request(iq("set", private("<a5 xmlns='u'>1</a5>")))).get("type") == "result"


async def test_long_names_count_as_well(world: World) -> None:
    hamlet = await world.login("hamlet@localhost")
    answers = [
        await hamlet.request(iq("set", private(f"<a xmlns='urn:{str(n) * 700}'>1</a>"))) for n in range(5)
    ]
    assert [answer.get("type") for answer in answers] == ["result"] * 4 + ["error"]


async def test_requests_at_once_do_not_pass_the_share_together(world: World) -> None:
    phone, desk = [await world.login(f"hamlet@localhost/{name}") for name in ("phone", "desk")]
    for n, client in enumerate((phone, desk) * 4):
        client.push(iq("set", private(f"<a{n} xmlns='u'>1</a{n}>")))
    await world.settle()
    kinds = [answer.get("type") for client in (phone, desk) for answer in client.take("iq")]
    assert sorted(kinds) == ["error"] * 3 + ["result"] * 5
