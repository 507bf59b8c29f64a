"""slixmpp lives through the common story over STARTTLS and over direct TLS."""

import ssl

import pytest

from tests.harness.server_process import ServerProcess
from tests.interop.conftest import Account
from tests.interop.slixmpp_client import SlixmppPerson, logged_in

SPOKEN = "Wherefore art thou? <&> ☎ 🦦"


@pytest.mark.parametrize("direct_tls", [False, True], ids=["starttls", "direct-tls"])
async def test_common_story(direct_tls: bool, server: ServerProcess, alice: Account, bob: Account) -> None:
    async with logged_in(alice, server, direct_tls=direct_tls) as she:
        async with logged_in(bob, server, direct_tls=direct_tls) as he:
            assert isinstance(she.socket, ssl.SSLObject)
            assert she.plugin["feature_mechanisms"].mech.name.startswith("SCRAM-SHA-")
            assert (await she.get_roster())["roster"]["items"] == {}
            await he.get_roster()
            she.auto_authorize = he.auto_authorize = None
            she.send_presence()
            he.send_presence()

            await she.update_roster(bob.bare, name="Bob")
            she.send_presence(pto=bob.bare, ptype="subscribe")
            await he.takes_presence("subscribe", alice.bare)
            he.send_presence(pto=alice.bare, ptype="subscribed")
            await she.takes_presence("subscribed", bob.bare)
            await she.takes_presence("available", he.boundjid.full)
            await she.get_roster()
            item = she.client_roster[bob.bare]
            assert (item["name"], item["subscription"]) == ("Bob", "to")

            she.send_message(mto=bob.bare, mbody=SPOKEN, mtype="chat")
            heard = await he.takes_message(alice.bare)
            assert heard["body"] == SPOKEN
            assert heard["from"] == she.boundjid.full
            he.send_message(mto=heard["from"], mbody="Here", mtype="chat")
            assert (await she.takes_message(bob.bare))["body"] == "Here"
        await she.takes_presence("unavailable", bob.bare)


async def test_wrong_password(server: ServerProcess, alice: Account) -> None:
    liar = SlixmppPerson(Account(alice.username, "not her password", alice.domain), server)
    liar.connect(server.host, server.tcp_port)
    await liar.wait_until("failed_all_auth", timeout=15)
    assert "failed_auth" in liar.reasons
    liar.abort()
