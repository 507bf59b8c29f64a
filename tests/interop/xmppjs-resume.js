// Alice's connection is cut and @xmpp/client resumes her session (XEP-0198); the same setting as xmppjs.js.
import { perform, report, within } from "./report.js";
import { Person } from "./xmppjs-person.js";
import { xml } from "@xmpp/client";

/** Ends the connection without a word, as a train in a tunnel does. */
function cut(xmpp) {
  const socket = xmpp.socket.socket ?? xmpp.socket; // all but plain TCP sockets are wrapped
  if (socket.terminate) socket.terminate();
  else socket.destroy();
}

function once(emitter, event, what) {
  return within(new Promise((resolve) => emitter.once(event, resolve)), what);
}

await perform(async (setting) => {
  const alice = new Person("alice", setting, setting.alice);
  const bob = new Person("bob", setting, setting.bob);
  await alice.start();
  await bob.start();
  await alice.send("presence");
  await bob.send("presence");
  const management = alice.xmpp.streamManagement;
  report("management", { who: "alice", enabled: management.enabled, resumable: Boolean(management.id) });
  management.on("fail", (stanza) => report("lost", { who: "alice", stanza: String(stanza) }));

  const say = (from, to, text) => from.send("message", { to: to.bare, type: "chat" }, xml("body", {}, text));
  const heard = async (who, text) => {
    const message = await who.takes(text, "message", { type: "chat" }, (each) => each.getChildText("body") === text);
    report("message", { who: who.name, body: text, archived: Boolean(message.getChild("stanza-id", "urn:xmpp:sid:0")) });
  };
  await say(bob, alice, "before");
  await heard(alice, "before");

  const gone = once(alice.xmpp, "disconnect", "the connection to break");
  await say(alice, bob, "with the last breath");
  cut(alice.xmpp);
  await gone;
  await say(bob, alice, "while you were away");
  const resumed = once(management, "resumed", "the session to be resumed");
  alice.xmpp.reconnect.delay = 50;
  alice.xmpp.reconnect.start();
  alice.xmpp.reconnect.scheduleReconnect();
  await resumed;
  report("resumed", { who: "alice", sameAddress: alice.xmpp.jid.toString() === alice.jid });

  await heard(alice, "while you were away");
  await say(alice, bob, "after");
  await say(bob, alice, "after");
  await heard(alice, "after");
  await heard(bob, "with the last breath");
  await heard(bob, "after");
  report("left over", {
    alice: alice.mailbox.bodies(),
    bob: bob.mailbox.bodies(),
  });
  while (management.outbound_q.length > 0) await once(management, "ack", "the server to acknowledge");
  report("acknowledged", { who: "alice" });
  alice.xmpp.reconnect.stop();
  await alice.stop();
  await bob.stop();
});
