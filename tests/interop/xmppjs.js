// The common story with @xmpp/client: {service, domain, alice, bob} with {username, password} each.
import { perform, report } from "./report.js";
import { Person } from "./xmppjs-person.js";
import { xml } from "@xmpp/client";

async function roster(person) {
  const answer = await person.iq("get", xml("query", "jabber:iq:roster"));
  const items = answer.getChild("query", "jabber:iq:roster").getChildren("item");
  return items.map(({ attrs }) => ({ jid: attrs.jid, name: attrs.name, subscription: attrs.subscription }));
}

await perform(async (setting) => {
  const alice = new Person("alice", setting, setting.alice);
  const bob = new Person("bob", setting, setting.bob);
  await alice.start();
  await bob.start();

  report("roster", { who: "alice", items: await roster(alice) });
  await bob.iq("get", xml("query", "jabber:iq:roster"));
  await alice.send("presence");
  await bob.send("presence");

  const item = xml("item", { jid: bob.bare, name: "Bob" });
  await alice.iq("set", xml("query", "jabber:iq:roster", item));
  await alice.takes("a roster push", "iq", { type: "set" }, (iq) => iq.getChild("query", "jabber:iq:roster"));
  await alice.send("presence", { to: bob.bare, type: "subscribe" });
  await bob.takes("a subscription request", "presence", { type: "subscribe", from: alice.bare });
  await bob.send("presence", { to: alice.bare, type: "subscribed" });
  await alice.takes("bob's consent", "presence", { type: "subscribed", from: bob.bare });
  await alice.takes("bob's presence", "presence", { from: bob.jid }, ({ attrs }) => attrs.type === undefined);
  report("presence", { who: "alice", of: "bob" });
  report("roster", { who: "alice", items: await roster(alice) });

  const spoken = "Wherefore art thou? <&> ☎ 🦦";
  await alice.send("message", { to: bob.bare, type: "chat" }, xml("body", {}, spoken));
  const heard = await bob.takes("a message", "message", { type: "chat", from: alice.jid });
  report("message", { who: "bob", body: heard.getChildText("body"), intact: heard.getChildText("body") === spoken });
  await bob.send("message", { to: alice.jid, type: "chat" }, xml("body", {}, "Here"));
  const answer = await alice.takes("an answer", "message", { type: "chat", from: bob.jid });
  report("message", { who: "alice", body: answer.getChildText("body") });

  await bob.stop();
  await alice.takes("bob's farewell", "presence", { type: "unavailable", from: bob.jid });
  report("absence", { who: "alice", of: "bob" });

  // A second log-in with the same client uses the token of FAST when it was given one.
  const token = await alice.xmpp.fast.fetchToken();
  await alice.stop();
  if (token) {
    report("token", { mechanism: token.mechanism, lasts: new Date(token.expiry) > new Date() });
    await alice.start();
    await alice.send("message", { to: alice.jid, type: "chat" }, xml("body", {}, "to myself"));
    await alice.takes("her own message", "message", { from: alice.jid });
    report("message", { who: "alice", body: "to myself" });
    await alice.stop();
  }
});
