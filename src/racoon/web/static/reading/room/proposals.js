// Proposed answers: what a machine measured stands below its question until the reader accepts or rejects it.
// @ts-check

import { make } from "./answers.js";
import { ask } from "./requests.js";

export class Proposals {
  /** @param {any} data what the page holds @param {any} report the form @param {(text: string, isBad?: boolean) => void} say */
  constructor(data, report, say) {
    this.data = data;
    this.report = report;
    this.say = say;
    this.numbers = new Intl.NumberFormat(data.language, { maximumFractionDigits: 2 });
    /** @type {Map<string, any>} by path */
    this.found = new Map();
    report.besides.push((/** @type {string} */ path, /** @type {any} */ control) => this.#beside(path, control));
  }

  async load() {
    const { proposals } = await ask("GET", `${this.report.address("/proposals")}&list=${encodeURIComponent(this.data.list)}`);
    this.found = new Map(proposals.map((/** @type {any} */ item) => [item.path, item]));
  }

  /** @param {string} path @param {any} control */
  #beside(path, control) {
    const found = this.found.get(path);
    if (!found) return [];
    const box = make("div", "proposal");
    box.dataset.proposal = path;
    this.#fill(box, found, control);
    return [box];
  }

  /** @param {any} box @param {any} found @param {any} control */
  #fill(box, found, control) {
    const { words } = this.data;
    const { source, state } = found;
    box.dataset.state = state;
    const from = make("a", "quiet", `${source.biomarker} ${this.numbers.format(source.value)} ${source.unit}`);
    from.href = source.link;
    from.title = source.software;
    const said = { proposed: words["Proposed"], accepted: words["Proposal accepted"], rejected: words["Proposal rejected"] };
    box.replaceChildren(make("span", "mark", `${said[/** @type {"proposed"} */ (state)]}: ${found.text}`), from);
    if (state !== "proposed" || this.report.isSigned) return;
    box.append(this.#button(words["Accept"], () => this.#decide(box, found, control, true)),
      this.#button(words["Reject"], () => this.#decide(box, found, control, false)));
  }

  /** @param {string} text @param {() => void} act */
  #button(text, act) {
    const button = make("button", "second", text);
    button.type = "button";
    button.addEventListener("click", act);
    return button;
  }

  /** @param {any} box @param {any} found @param {any} control @param {boolean} accept */
  async #decide(box, found, control, accept) {
    try {
      await ask("POST", `${this.report.address("/proposals")}&path=${encodeURIComponent(found.path)}&accept=${accept}`);
    } catch (error) {
      return this.say(error instanceof Error ? error.message : `${error}`, true);
    }
    found.state = accept ? "accepted" : "rejected";
    if (accept) {
      control.write([found.answer]);
      this.report.save();
    }
    this.#fill(box, found, control);
    control.focus();
  }
}
