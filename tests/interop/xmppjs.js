// The common story with @xmpp/client: {service, domain, alice, bob} with {username, password} each.
import { Mailbox, perform, report, within } from "./report.js";
import { client, xml } from "@xmpp/client";

const SASL = "urn:ietf:params:xml:ns:xmpp-sasl";
const SASL2 = "urn:xmpp:sasl:2";

/** One client that reports how it logged in. */
class Person {
  constructor(name, { service, domain }, credentials, token) {
    this.name = name;
    this.mailbox = new Mailbox();
    this.login = {};
    this.xmpp = client({ service, domain, resource: `${name}-device`, ...credentials });
    this.xmpp.reconnect.stop();
    this.xmpp.streamManagement.preferredMaximum = null;
    if (token) this.xmpp.fast.saveToken(token);
    this.xmpp.on("error", (error) => report("client error", { who: name, reason: String(error) }));
    this.xmpp.on("send", (element) => this.#note(element));
    this.xmpp.on("element", (element) => this.#note(element));
    this.xmpp.on("stanza", (stanza) => this.mailbox.put(stanza));
  }

  #note(element) {
    if (element.is("auth", SASL)) this.login = { door: "sasl", mechanism: element.attrs.mechanism };
    if (element.is("authenticate", SASL2)) {
      this.login = {
        door: "sasl2",
        mechanism: element.attrs.mechanism,
        bind2: Boolean(element.getChild("bind", "urn:xmpp:bind:0")),
        asksToken: Boolean(element.getChild("request-token", "urn:xmpp:fast:0")),
      };
    }
    if (element.is("success", SASL2)) {
      this.login.getsToken = Boolean(element.getChild("token", "urn:xmpp:fast:0"));
      this.login.bound = Boolean(element.getChild("bound", "urn:xmpp:bind:0"));
    }
  }

  async start() {
    const jid = await within(this.xmpp.start(), `${this.name} to log in`);
    this.jid = jid.toString();
    this.bare = jid.bare().toString();
    const resource = jid.resource !== "";
    const secure = this.xmpp.isSecure();
    report("logged in", { who: this.name, bare: this.bare, resource, secure, ...this.login });
  }

  send(...arguments_) {
    return this.xmpp.send(xml(...arguments_));
  }

  iq(kind, payload) {
    const request = this.xmpp.iqCaller.request(xml("iq", { type: kind }, payload));
    return within(request, `the answer to ${payload}`);
  }

  takes(what, name, attributes, test = () => true) {
    const wanted = (stanza) =>
      stanza.is(name) &&
      Object.entries(attributes).every(([key, value]) => stanza.attrs[key] === value) &&
      test(stanza);
    return this.mailbox.take(`${this.name} to receive ${what}`, wanted);
  }

  async stop() {
    await within(this.xmpp.stop(), `${this.name} to disconnect`);
    report("disconnected", { who: this.name, status: this.xmpp.status });
  }
}

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
