// A person who uses @xmpp/client, for the stories with it.
import { Mailbox, report, within } from "./report.js";
import { client, xml } from "@xmpp/client";

const SASL = "urn:ietf:params:xml:ns:xmpp-sasl";
const SASL2 = "urn:xmpp:sasl:2";

/** One client that reports how it logged in. */
export class Person {
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
