// Shared by the client scripts: they print what happened as JSON lines, which the Python test reads.
import { webcrypto } from "node:crypto";
import WebSocket from "ws";

// What browsers and newer versions of Node have.
globalThis.crypto ??= webcrypto;
globalThis.WebSocket ??= WebSocket;

const PATIENCE = 10_000; // milliseconds

export function report(event, details = {}) {
  process.stdout.write(`${JSON.stringify({ event, ...details })}\n`);
}

/** Resolves like the promise, or fails saying what did not come in time. */
export async function within(promise, what, context = () => "") {
  let timer;
  const late = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`waited in vain for ${what}${context()}`)), PATIENCE);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Keeps what one client receives until the story asks for it. */
export class Mailbox {
  #letters = [];
  #waiting = [];

  put(stanza) {
    const index = this.#waiting.findIndex(({ wanted }) => wanted(stanza));
    if (index === -1) this.#letters.push(stanza);
    else this.#waiting.splice(index, 1)[0].resolve(stanza);
  }

  /** The texts of the messages that nobody took. */
  bodies() {
    return this.#letters.map((letter) => letter.getChildText?.("body")).filter(Boolean);
  }

  take(what, wanted) {
    const index = this.#letters.findIndex(wanted);
    if (index !== -1) return Promise.resolve(this.#letters.splice(index, 1)[0]);
    const arrival = new Promise((resolve) => this.#waiting.push({ wanted, resolve }));
    return within(arrival, what, () => `; received instead: ${this.#letters.map(String).join(" ") || "nothing"}`);
  }
}

/** Runs the story with its configuration, the first argument as JSON, and ends the process. */
export async function perform(story) {
  try {
    await story(JSON.parse(process.argv[2]));
    report("end");
    process.exit(0);
  } catch (error) {
    report("failure", { reason: error.stack ?? String(error) });
    process.exit(1);
  }
}
