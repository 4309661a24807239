// A draft of a report that the node does not have yet, kept in the browser.
// @ts-check

import { Kept, isLost } from "./kept.js";

/** Answers of a form by the path of their question. @param {any[]} items @param {Map<string, string[]>} [found] @param {string} [above] */
const answersOf = (items, found = new Map(), above = "") => {
  for (const { linkId, answer, item } of items) {
    const path = `${above}/${linkId}`;
    for (const given of answer ?? []) {
      const [, value] = Object.entries(given).find(([name]) => name.startsWith("value")) ?? [];
      found.set(path, [...(found.get(path) ?? []), JSON.stringify(value?.code ?? value?.value ?? value)]);
    }
    answersOf(item ?? [], found, path);
  }
  return found;
};

/** Whether the answers that the node has may be those that were sent. @param {any[]} items @param {any[]} sent */
const mayBe = (items, sent) => {
  const there = answersOf(items);
  return [...answersOf(sent)].every(([path, given]) => !there.has(path) || `${there.get(path)}` === `${given}`);
};

/** Whether what was kept goes on from what the node has, and nobody else went on meanwhile.
 * @param {{ id: string, revision: number, sent: any[] | null }} kept @param {any} state */
const goesOn = (kept, { id, revision, items }) => {
  if (kept.revision && kept.id !== id) return false;
  // One revision further: the node took what was sent, and its answer got lost.
  return revision === kept.revision || Boolean(kept.sent && revision === kept.revision + 1 && mayBe(items, kept.sent));
};

export class KeptDraft {
  /** @param {any} data what the page holds */
  constructor(data) {
    this.kept = new Kept(data.user, "report", data.study, data.template);
    /** What was sent and not answered yet. @type {any[] | null} */
    this.sent = null;
  }

  /** @param {any} state what the node has @param {any[]} items what the form holds @param {boolean} [isSent] whether they are sent now */
  put({ id, revision }, items, isSent = false) {
    if (isSent) this.sent = items;
    this.kept.put({ id, revision, items, sent: this.sent });
  }

  /** The node answered. */
  drop() {
    this.sent = null;
    this.kept.drop();
  }

  /** Save what a crash left behind here, unless the report went on elsewhere meanwhile.
   * @param {any} state @param {(items: any[]) => Promise<any>} save @param {(text: string, isBad?: boolean) => void} say */
  async restore(state, save, say) {
    const kept = this.kept.get();
    if (!kept) return state;
    try {
      const found = goesOn(kept, state) && !state.signed_at ? { ...state, ...await save(kept.items) } : state;
      this.drop();
      return found;
    } catch (error) {
      say(error instanceof Error ? error.message : `${error}`, true);
      if (!isLost(error)) this.drop();
      return state;
    }
  }
}
