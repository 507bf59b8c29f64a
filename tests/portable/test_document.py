"""The portable document: however it is spread over files, and what is no document."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from tidings.base.jid import Jid
from tidings.portable.account import PortableAccount
from tidings.portable.errors import PortableError
from tidings.portable.xep0227.reading import Xep0227
from tidings.ports.roster import Subscription

JULIET, ROMEO = Jid("juliet@capulet.com"), Jid("romeo@montague.net")

ARCHIVE = """<archive xmlns='urn:xmpp:pie:0#mam'>
<result xmlns='urn:xmpp:mam:2' id='28482'><forwarded xmlns='urn:xmpp:forward:0'>
<delay xmlns='urn:xmpp:delay' stamp='2010-07-10T23:08:25Z'/>
<message xmlns='jabber:client' to='juliet@capulet.com/balcony' from='romeo@montague.net/orchard' type='chat'>
<body>Call me but love</body></message></forwarded></result>
<p:result xmlns:p='urn:xmpp:mam:2' id='5d398'><forwarded xmlns='urn:xmpp:forward:0'>
<d:delay stamp='2010-07-10T23:09:32Z'/>
<message xmlns='jabber:client' to='romeo@montague.net/orchard' from='juliet@capulet.com/balcony' type='chat'
 id='8a54s'><body>What man art thou?</body></message></forwarded></p:result>
</archive>"""

JULIETS = """
<scram-credentials xmlns='urn:xmpp:pie:0#scram' mechanism='SCRAM-SHA-1'>
 <iter-count>100000</iter-count><salt>TmFDbA==</salt>
 <server-key>0pXWGK0GZJ6TR73AIUN3ITYtA1g=</server-key><stored-key>Q6qT/SbybblGCZz8e8eSfCJOQic=</stored-key>
</scram-credentials>
<query xmlns='jabber:iq:roster'>
 <item jid='romeo@montague.net' name='Romeo' subscription='both'><group>Friends</group></item>
 <item jid='@@' subscription='to'/>
</query>
<presence xmlns='jabber:client' from='paris@capulet.com' type='subscribe'><status>Please</status></presence>
<vCard xmlns='vcard-temp'><FN>Juliet Capulet</FN></vCard>
<query xmlns='jabber:iq:private'><exodus xmlns='exodus:prefs'><defaultnick>J</defaultnick></exodus></query>
<query xmlns='jabber:iq:privacy'><default name='public'/>
 <list name='public'><item type='jid' value='tybalt@example.com' action='deny' order='1'/>
 <item action='allow' order='2'/></list></query>
<offline-messages>
 <message xmlns='jabber:client' from='romeo@montague.net/orchard' to='juliet@capulet.com/balcony' type='chat'>
 <body>Neither, fair saint</body>
 <delay xmlns='urn:xmpp:delay' from='capulet.com' stamp='1969-07-21T00:32:29Z'>Offline</delay></message>
</offline-messages>
<pubsub xmlns='http://jabber.org/protocol/pubsub'>
 <items node='urn:example:notes'><item id='one'><note xmlns='urn:example:note'/></item></items>
</pubsub>
<scores xmlns='urn:example:games'/>
"""

WHOLE = f"""<?xml version='1.0' encoding='UTF-8'?>
<server-data xmlns='urn:xmpp:pie:0' xmlns:d='urn:xmpp:delay'>
 <host jid='capulet.com'><user name='juliet'>{JULIETS}{ARCHIVE}</user><user name='nurse'/></host>
 <host jid='montague.net'><user name='romeo' password='orchard'/></host>
</server-data>"""

XI = "xmlns:xi='http://www.w3.org/2001/XInclude' xmlns='urn:xmpp:pie:0'"


def spread(directory: Path) -> Path:
    """Write the same as several files, as the document names them, and the roster in one of its own."""
    (directory / "capulet.com").mkdir()
    files = {
        "main.xml": f"<server-data {XI}><xi:include href='capulet.com.xml'/>"
        "<host jid='montague.net'><user name='romeo' password='orchard'/></host></server-data>",
        "capulet.com.xml": f"<host {XI} jid='capulet.com'><xi:include href='capulet.com/juliet.xml'/>"
        "<user name='nurse'/></host>",
        "capulet.com/juliet.xml": f"<user {XI} name='juliet'>{JULIETS}"
        "<xi:include href='archive.xml'/></user>",
        "capulet.com/archive.xml": ARCHIVE.replace("<archive", "<archive xmlns:d='urn:xmpp:delay'"),
    }
    for name, text in files.items():
        (directory / name).write_text(text)
    return directory / "main.xml"


def whole(directory: Path) -> Path:
    file = directory / "all.xml"
    file.write_text(WHOLE)
    return file


@pytest.mark.parametrize("layout", [whole, spread])
def test_all_of_a_user_is_read(tmp_path: Path, layout) -> None:
    source = Xep0227(layout(tmp_path))
    juliet, nurse, romeo = source.accounts()
    assert [juliet.jid, nurse.jid, romeo.jid] == [JULIET, "nurse@capulet.com", ROMEO]
    assert nurse == PortableAccount(jid=Jid("nurse@capulet.com"))
    assert romeo.password == "orchard"

    [keys] = juliet.keys
    assert (keys.mechanism, keys.iterations, keys.salt) == ("SCRAM-SHA-1", 100_000, b"NaCl")
    friend, suitor = juliet.contacts
    assert (friend.jid, friend.name, friend.groups) == (ROMEO, "Romeo", {"Friends"})
    assert friend.subscription is Subscription.BOTH
    assert (suitor.jid, suitor.listed) == ("paris@capulet.com", False)
    assert b"<status>Please</status>" in (suitor.pending_in or b"")
    assert juliet.vcard == b'<vCard xmlns="vcard-temp"><FN>Juliet Capulet</FN></vCard>'
    assert [(each.namespace, each.name) for each in juliet.private] == [("exodus:prefs", "exodus")]
    assert juliet.blocked == {"tybalt@example.com"}
    [waiting] = juliet.undelivered
    assert (waiting.time, waiting.is_sent) == (-14167651_000_000, False)
    assert sorted(juliet.left_out) == ["<scores/> of urn:example:games", "contacts whose address is none"]
    (node,) = juliet.nodes
    assert (node.name, node.config.access_model) == ("urn:example:notes", "presence")
    (item,) = node.items
    assert (item.id, item.publisher, item.payload) == ("one", JULIET, b'<note xmlns="urn:example:note"/>')

    for _ in range(2):  # as often as it is asked for
        first, second = source.history(JULIET)
        assert (first.time, first.is_sent, first.message.sender) == (
            1278803305_000_000,
            False,
            "romeo@montague.net/orchard",
        )
        assert (second.time, second.is_sent, second.message.id) == (1278803372_000_000, True, "8a54s")
    assert list(source.history(ROMEO)) == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "is no well-formed XML"),
        ("<server-data xmlns='urn:xmpp:pie:0'><host jid='a.example'>", "is no well-formed XML"),
        ("<rss/>", "is no document of XEP-0227"),
        (
            "<!DOCTYPE x [<!ENTITY a 'aaaa'>]><server-data xmlns='urn:xmpp:pie:0'>&a;</server-data>",
            "entities",
        ),
        (
            "<server-data xmlns='urn:xmpp:pie:0'><host jid='a.example'><user name='@'/></host></server-data>",
            "@",
        ),
        (f"<server-data {XI}><xi:include href='main.xml'/></server-data>", "without end"),
        (f"<server-data {XI}><xi:include href='missing.xml'/></server-data>", "cannot be read"),
        (f"<server-data {XI}><xi:include href='http://example.org/'/></server-data>", "no file beside it"),
    ],
)
def test_what_is_no_document_is_told(tmp_path: Path, text: str, wrong: str) -> None:
    file = tmp_path / "main.xml"
    file.write_text(text)
    with pytest.raises(PortableError, match=wrong) as refused:
        list(Xep0227(file).accounts())
    assert str(tmp_path) in str(refused.value)


def test_an_archive_is_not_kept_in_memory(tmp_path: Path) -> None:
    """A document of which archives are the largest part is read in little memory."""
    message = ARCHIVE.split("\n<p:result")[0].split("\n", 1)[1].replace("Call me", "x" * 10_000)
    file = tmp_path / "large.xml"
    with file.open("w") as document:
        document.write("<server-data xmlns='urn:xmpp:pie:0'><host jid='capulet.com'><user name='juliet'>")
        document.write("<archive xmlns='urn:xmpp:pie:0#mam'>")
        for _ in range(500):
            document.write(message)
        document.write("</archive></user></host></server-data>")
    assert file.stat().st_size > 5_000_000
    tracemalloc.start()
    source = Xep0227(file)
    [account] = source.accounts()
    assert sum(1 for _ in source.history(account.jid)) == 500
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000
