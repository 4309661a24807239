// Queries: what an edit check or a monitor asks at a question, and the reader's answer.
// @ts-check

import { make } from "./answers.js";
import { ask } from "./requests.js";

export class Queries {
  /** @param {any} data what the page holds @param {any} report the form @param {(text: string, isBad?: boolean) => void} say */
  constructor(data, report, say) {
    this.data = data;
    this.report = report;
    this.say = say;
    /** @type {any[]} */
    this.found = [];
    this.seen = "";
    report.besides.push((/** @type {string} */ path) => this.#beside(path));
    report.afterSaving.push(() => this.follow());
  }

  async load() {
    this.found = (await ask("GET", this.report.address("/queries"))).queries;
  }

  /** Ask again when the doubts of the form have changed, and draw what is asked now. */
  async follow() {
    const doubts = JSON.stringify(this.report.state.doubts);
    if (doubts === this.seen) return;
    this.seen = doubts;
    await this.load();
    for (const box of this.report.root.querySelectorAll("[data-queries]")) this.#fill(box, box.dataset.queries);
  }

  /** @param {string} path */
  #beside(path) {
    const box = make("div", "queries");
    box.dataset.queries = path;
    this.#fill(box, path);
    return [box];
  }

  /** @param {any} box @param {string} path */
  #fill(box, path) {
    const { words } = this.data;
    box.replaceChildren(...this.found.filter((query) => query.path === path).map((query) => {
      const one = make("div", `query ${query.state}`);
      one.append(make("span", "mark", `${words["Query"]}: ${query.text}`));
      if (query.state === "answered") {
        one.append(make("span", "quiet", `${words["Answer"]}: ${query.answer}`));
        return one;
      }
      const field = make("input");
      field.maxLength = 500;
      field.setAttribute("aria-label", `${words["Answer"]}: ${query.text}`);
      const send = make("button", "second", words["Answer"]);
      send.type = "button";
      const answer = () => this.#answer(query, field.value);
      send.addEventListener("click", answer);
      field.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
        event.stopPropagation();
        if (event.key === "Enter") answer();
      });
      one.append(field, send);
      return one;
    }));
  }

  /** @param {any} query @param {string} text */
  async #answer(query, text) {
    try {
      Object.assign(query, await ask("POST", `/api/reading/queries/${query.id}/answer`, { text }));
    } catch (error) {
      return this.say(error instanceof Error ? error.message : `${error}`, true);
    }
    for (const box of this.report.root.querySelectorAll("[data-queries]")) {
      if (box.dataset.queries === query.path) this.#fill(box, query.path);
    }
  }
}
