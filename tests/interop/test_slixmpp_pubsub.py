"""slixmpp makes a node at the service, subscribes to it, and hears of what is published there."""

from xml.etree import ElementTree as ET

from tests.harness.server_process import ServerProcess
from tests.interop.conftest import Account
from tests.interop.slixmpp_client import logged_in

SERVICE = "pubsub.localhost"


async def test_a_node_and_its_subscriber(server: ServerProcess, alice: Account, bob: Account) -> None:
    async with logged_in(alice, server) as she, logged_in(bob, server) as he:
        for each in (she, he):
            each.register_plugin("xep_0060")
            each.send_presence()
        owner, reader = she.plugin["xep_0060"], he.plugin["xep_0060"]
        he.add_event_handler("pubsub_publish", he.keep)
        await he.takes_presence("available", he.boundjid.full)
        node = (await owner.create_node(SERVICE, None))["pubsub"]["create"]["node"]
        subscribed = await reader.subscribe(SERVICE, node)
        assert subscribed["pubsub"]["subscription"]["subscription"] == "subscribed"
        options = await reader.get_subscription_options(SERVICE, node, he.boundjid.bare)
        assert options["pubsub"]["options"]["options"]["values"]["pubsub#deliver"] is True
        payload = ET.fromstring("<price xmlns='urn:example:prices'>9512</price>")
        await owner.publish(SERVICE, node, id="copper", payload=payload)
        heard = await he.takes("message", lambda stanza: stanza["from"] == SERVICE)
        assert [item["id"] for item in heard["pubsub_event"]["items"]] == ["copper"]
        found = await reader.get_items(SERVICE, node)
        assert [item["payload"].text for item in found["pubsub"]["items"]] == ["9512"]
        listed = await owner.get_node_subscriptions(SERVICE, node)
        assert [each["jid"] for each in listed["pubsub_owner"]["subscriptions"]] == [he.boundjid.bare]
        await reader.unsubscribe(SERVICE, node)
        await owner.delete_node(SERVICE, node)
