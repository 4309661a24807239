// Strokes on their way to the node: at once, in order, and kept in the browser until the node has them.
// @ts-check

import { Refusal, ask } from "./requests.js";

/** @typedef {{ segment: number, slice: number, runs: number[], label?: string }} Change */

const AGAIN_MS = 1000;

export class Strokes {
  /** @param {string} user @param {string} series @param {string} list @param {(text: string, isBad?: boolean) => void} say
   * @param {Record<string, string>} words */
  constructor(user, series, list, say, words) {
    this.address = `/api/reading/series/${series}/drawing`;
    this.list = list;
    this.key = `racoon-drawing:${user}:${series}`;
    this.say = say;
    this.words = words;
    this.revision = 0;
    /** @type {Map<string, Change>} */
    this.pending = new Map();
    /** Segments that the node has not heard of yet, by number. @type {Map<number, any>} */
    this.begun = new Map();
    /** @type {Promise<void>} */
    this.turn = Promise.resolve();
    /** @type {(answer: any) => void} */
    this.onSaved = () => {};
    /** @type {() => void} */
    this.onRefused = () => {};
  }

  /** Take what the node has, and send what a crash or a lost network left behind here. @param {any} drawing
   * @returns {Change[]} what was left */
  open(drawing) {
    this.revision = drawing.revision;
    try {
      const kept = JSON.parse(localStorage.getItem(this.key) ?? "null");
      // One revision further: the node had taken them and the answer got lost; taking them again changes nothing.
      if (kept && drawing.revision - kept.revision <= 1) {
        for (const segment of kept.begun ?? []) this.begun.set(segment.number, segment);
        for (const change of kept.changes) this.pending.set(`${change.segment}:${change.slice}`, change);
        this.flush();
        return kept.changes;
      }
      localStorage.removeItem(this.key);
    } catch { /* no storage: the node has to do */ }
    return [];
  }

  /** Save changes. @param {Change[]} changes */
  save(changes) {
    for (const change of changes) this.pending.set(`${change.segment}:${change.slice}`, change);
    this.#keep();
    return this.flush();
  }

  /** Begin a segment without waiting for the node. @param {any} segment @param {number} slice any of the series */
  begin(segment, slice) {
    this.begun.set(segment.number, segment);
    return this.save([{ segment: segment.number, slice, runs: [] }]);
  }

  #keep() {
    try {
      if (this.pending.size) {
        localStorage.setItem(this.key, JSON.stringify({
          revision: this.revision, changes: [...this.pending.values()], begun: [...this.begun.values()],
        }));
      } else localStorage.removeItem(this.key);
    } catch { /* full or forbidden: the node still gets every stroke */ }
  }

  /** Send what is pending, and wait for it. */
  flush() {
    this.turn = this.turn.then(() => this.#send());
    return this.turn;
  }

  async #send() {
    while (this.pending.size) {
      const sent = [...this.pending.entries()];
      this.say(this.words["Saving …"]);
      try {
        const answer = await ask("PATCH", `${this.address}?based_on=${this.revision}&list=${encodeURIComponent(this.list)}`,
          sent.map(([, change]) => ({ ...change, label: this.begun.get(change.segment)?.key ?? "" })));
        this.revision = answer.revision;
        for (const { number } of answer.segments) this.begun.delete(number);
        for (const [name, change] of sent) if (this.pending.get(name) === change) this.pending.delete(name);
        this.#keep();
        this.say(this.words["Saved"]);
        this.onSaved(answer);
      } catch (error) {
        this.say(error instanceof Error ? error.message : `${error}`, true);
        if (error instanceof Refusal && error.status < 500) {
          this.pending.clear();
          this.begun.clear();
          this.#keep();
          this.onRefused();
          return;
        }
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      }
    }
  }

  /** Ask the node for something that needs everything saved before. @param {string} method @param {string} what
   * @param {unknown} [body] @param {boolean} [isChange] whether the drawing gets a new revision
   * @returns {Promise<any>} null when it was refused */
  async ask(method, what, body, isChange = true) {
    await this.flush();
    const mark = what.includes("?") ? "&" : "?";
    this.say(this.words["Saving …"]);
    try {
      const answer = await ask(method, `${this.address}${what}${mark}based_on=${this.revision}`, body);
      if (isChange) this.revision = answer.revision;
      this.say(this.words["Saved"]);
      return answer;
    } catch (error) {
      this.say(error instanceof Error ? error.message : `${error}`, true);
      return null;
    }
  }
}
