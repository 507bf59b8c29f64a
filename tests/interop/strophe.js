// The common story with strophe.js: {service, domain, alice, bob} with {username, password} each.
import { Mailbox, perform, report, within } from "./report.js";
import xhr2 from "xhr2";

/** What a browser has, also the parsed answer, which xhr2 leaves out and Strophe reads. */
globalThis.XMLHttpRequest = class extends xhr2 {
  get responseXML() {
    return this.readyState === 4 && this.responseText
      ? new DOMParser().parseFromString(this.responseText, "text/xml")
      : null;
  }

  set responseXML(_ignored) {}
};

const { Strophe, $iq, $msg, $pres } = await import("strophe.js");
Strophe.setLogLevel(Strophe.LogLevel.FATAL);
const ROSTER = "jabber:iq:roster";
const STATUS = Object.fromEntries(Object.entries(Strophe.Status).map(([name, number]) => [number, name]));

/** One client that reports its mechanism and keeps what it receives. */
class Person {
  constructor(name, { service }) {
    this.name = name;
    this.mailbox = new Mailbox();
    this.statuses = [];
    this.connection = new Strophe.Connection(service, { keepalive: false });
    this.wire = [];
    this.connection.rawInput = (data) => this.#note("<", data);
    this.connection.rawOutput = (data) => this.#note(">", data);
  }

  #note(direction, data) {
    this.wire.push(`${direction} ${data}`);
    const mechanism = /<auth [^>]*mechanism=["']([^"']+)/.exec(data);
    if (mechanism) this.mechanism = mechanism[1];
  }

  #until(wanted, what, begin) {
    const arrival = new Promise((resolve, reject) => {
      this.onStatus = (status, reason) => {
        this.statuses.push(STATUS[status]);
        if (STATUS[status] === wanted) resolve();
        else if (["AUTHFAIL", "CONNFAIL", "ERROR"].includes(STATUS[status])) {
          reject(new Error(`${this.name}: ${STATUS[status]} ${reason}\n${this.wire.join("\n")}`));
        }
      };
      begin();
    });
    return within(arrival, what, () => ` (${this.statuses.join(", ")})\n${this.wire.join("\n")}`);
  }

  async start(domain, { username, password }) {
    await this.#until("CONNECTED", `${this.name} to log in`, () =>
      this.connection.connect(`${username}@${domain}`, password, (...event) => this.onStatus(...event)),
    );
    for (const kind of ["message", "presence", "iq"]) {
      const keep = (stanza) => {
        this.mailbox.put(new Letter(stanza));
        return true;
      };
      this.connection.addHandler(keep, null, kind);
    }
    this.jid = this.connection.jid;
    this.bare = Strophe.getBareJidFromJid(this.jid);
    const resource = Strophe.getResourceFromJid(this.jid) !== null;
    report("logged in", { who: this.name, bare: this.bare, resource, mechanism: this.mechanism });
  }

  iq(builder) {
    const answer = new Promise((resolve, reject) => {
      this.connection.sendIQ(
        builder,
        (stanza) => resolve(new Letter(stanza)),
        (stanza) => reject(new Error(`${this.name} got an error: ${new Letter(stanza)}`)),
      );
    });
    return within(answer, `an answer for ${this.name}`);
  }

  takes(what, name, attributes, test = () => true) {
    const wanted = (letter) =>
      letter.name === name &&
      Object.entries(attributes).every(([key, value]) => letter.get(key) === value) &&
      test(letter);
    return this.mailbox.take(`${this.name} to receive ${what}`, wanted);
  }

  async stop() {
    await this.#until("DISCONNECTED", `${this.name} to disconnect`, () => this.connection.disconnect("done"));
    report("disconnected", { who: this.name });
  }
}

/** A received stanza. */
class Letter {
  constructor(element) {
    this.element = element;
    this.name = element.nodeName;
  }

  get(attribute) {
    return this.element.getAttribute(attribute) || null;
  }

  all(name) {
    return Array.from(this.element.getElementsByTagName(name));
  }

  get body() {
    return this.all("body")[0]?.textContent ?? null;
  }

  toString() {
    return Strophe.serialize(this.element);
  }
}

async function roster(person) {
  const answer = await person.iq($iq({ type: "get" }).c("query", { xmlns: ROSTER }));
  return answer.all("item").map((item) => ({
    jid: item.getAttribute("jid"),
    name: item.getAttribute("name") || undefined,
    subscription: item.getAttribute("subscription"),
  }));
}

await perform(async (setting) => {
  const alice = new Person("alice", setting);
  const bob = new Person("bob", setting);
  await alice.start(setting.domain, setting.alice);
  await bob.start(setting.domain, setting.bob);

  report("roster", { who: "alice", items: await roster(alice) });
  await roster(bob);
  alice.connection.send($pres());
  bob.connection.send($pres());

  await alice.iq($iq({ type: "set" }).c("query", { xmlns: ROSTER }).c("item", { jid: bob.bare, name: "Bob" }));
  await alice.takes("a roster push", "iq", { type: "set" });
  alice.connection.send($pres({ to: bob.bare, type: "subscribe" }));
  await bob.takes("a subscription request", "presence", { type: "subscribe", from: alice.bare });
  bob.connection.send($pres({ to: alice.bare, type: "subscribed" }));
  await alice.takes("bob's consent", "presence", { type: "subscribed", from: bob.bare });
  await alice.takes("bob's presence", "presence", { from: bob.jid, type: null });
  report("presence", { who: "alice", of: "bob" });
  report("roster", { who: "alice", items: await roster(alice) });

  const spoken = "Wherefore art thou? <&> ☎ 🦦";
  alice.connection.send($msg({ to: bob.bare, type: "chat" }).c("body").t(spoken));
  const heard = await bob.takes("a message", "message", { type: "chat", from: alice.jid });
  report("message", { who: "bob", body: heard.body, intact: heard.body === spoken });
  bob.connection.send($msg({ to: alice.jid, type: "chat" }).c("body").t("Here"));
  const answer = await alice.takes("an answer", "message", { type: "chat", from: bob.jid });
  report("message", { who: "alice", body: answer.body });

  await bob.stop();
  await alice.takes("bob's farewell", "presence", { type: "unavailable", from: bob.jid });
  report("absence", { who: "alice", of: "bob" });
  await alice.stop();
});
