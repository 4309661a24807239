// What the node does not have yet, kept in the browser: a crash or a lost network must not lose it.
// @ts-check

import { Refusal } from "./requests.js";

/** Whether a request got lost on its way: nobody answered, or somebody in between did. @param {unknown} error */
export const isLost = (error) => !(error instanceof Refusal) || error.status >= 500;

export class Kept {
  /** @param {...string} names user, what and where: nobody else gets it */
  constructor(...names) {
    this.key = `racoon-kept:${names.join(":")}`;
  }

  /** @returns {any} null where nothing is kept */
  get() {
    try {
      return JSON.parse(localStorage.getItem(this.key) ?? "null");
    } catch {
      return null;
    }
  }

  /** @param {unknown} value */
  put(value) {
    try {
      localStorage.setItem(this.key, JSON.stringify(value));
    } catch { /* full or forbidden: the node still gets everything */ }
  }

  drop() {
    try {
      localStorage.removeItem(this.key);
    } catch { /* nothing is kept then */ }
  }
}
