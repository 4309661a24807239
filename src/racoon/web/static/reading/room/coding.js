// Codes for words of a free text: offered below the field while somebody writes or dictates, taken by a key, a click or
// a spoken name.  Nothing opens over the text and no key of it is taken away.
// @ts-check

import { make } from "./answers.js";
import { ask } from "./requests.js";

const PAUSE_MS = 200;
const LOOKED_AT = 200; // characters before the hand

export class Coding {
  /** @param {any} data what the page holds @param {any} report the form @param {(text: string, isBad?: boolean) => void} say */
  constructor(data, report, say) {
    this.data = data;
    this.report = report;
    this.say = say;
    report.besides.push((/** @type {string} */ _path, /** @type {any} */ control) => this.#beside(control));
  }

  /** @param {any} control */
  #beside(control) {
    const { field } = control;
    if (!field) return [];
    const taken = make("ul", "codes");
    taken.setAttribute("aria-label", `${this.data.words["Codes"]}: ${control.item.text}`);
    const offered = make("div", "offered");
    offered.setAttribute("role", "group");
    offered.setAttribute("aria-label", `${this.data.words["Codes to take"]}: ${control.item.text}`);
    offered.hidden = true;
    control.showCodes = () => this.#show(control, taken);
    control.offered = offered;
    if (!this.report.isSigned) {
      let timer = 0;
      field.addEventListener("input", () => {
        clearTimeout(timer);
        timer = window.setTimeout(() => this.#offer(control), PAUSE_MS);
      });
      offered.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.#key(event, control));
    }
    return [taken, offered];
  }

  /** Ask for codes of the words before the hand. @param {any} control */
  async #offer(control) {
    const { field, offered } = control;
    const end = field.selectionEnd ?? field.value.length;
    const text = field.value.slice(Math.max(0, end - LOOKED_AT), end);
    const address = `${this.report.address("/codes")}&list=${encodeURIComponent(this.data.list)}`;
    /** @type {any[]} */
    let codes = [];
    try {
      if (text.trim()) ({ codes } = await ask("POST", address, { text }));
    } catch {
      // Help that does not come is no obstacle to writing.
    }
    if (!field.value.slice(0, end).endsWith(text)) return;
    const known = new Set(control.codes.map((/** @type {any} */ found) => `${found.words}|${found.system}|${found.code}`));
    const fresh = codes.filter((found) => !known.has(`${found.written}|${found.system}|${found.code}`));
    offered.replaceChildren(...fresh.map((found, at) => {
      const button = make("button", "second");
      button.type = "button";
      button.append(make("kbd", "", `${at + 1}`), ` ${found.written} `, make("span", "mono quiet", `${found.display === found.written ? "" : `${found.display} `}${found.code}`));
      button.addEventListener("click", () => this.#take(control, found, end - text.length + found.start, end));
      return button;
    }));
    offered.hidden = !fresh.length;
  }

  /** Code words, and write the whole name where only its beginning stands.
   * @param {any} control @param {any} found @param {number} start @param {number} end */
  #take(control, found, start, end) {
    const { field, offered } = control;
    const { system, code, display, written } = found;
    if (field.value.slice(start, end).trim() !== written) field.setRangeText(written, start, end, "end");
    control.codes = [...control.codes, { words: written, system, code, display }];
    offered.replaceChildren();
    offered.hidden = true;
    field.focus();
    this.#changed(control);
    this.say(`${this.data.words["Code taken"]}: ${written} = ${display} ${code}`);
  }

  /** @param {any} control */
  #changed(control) {
    control.showCodes();
    this.report.changed(control);
  }

  /** @param {any} control @param {any} list */
  #show(control, list) {
    list.replaceChildren(...control.codes.map((/** @type {any} */ found, /** @type {number} */ at) => {
      const item = make("li");
      item.append(make("span", "", found.words), " = ", make("span", "quiet", found.display), " ", make("span", "mono quiet", found.code));
      if (!this.report.isSigned) {
        const remove = make("button", "plain", this.data.words["Remove"]);
        remove.type = "button";
        remove.setAttribute("aria-label", `${this.data.words["Remove"]}: ${found.words} = ${found.display}`);
        remove.addEventListener("click", () => {
          control.codes = control.codes.filter((/** @type {any} */ _, /** @type {number} */ other) => other !== at);
          control.field.focus();
          this.#changed(control);
        });
        item.append(remove);
      }
      return item;
    }));
  }

  /** Digits take a code, arrows go along, backspace goes back to the text. @param {KeyboardEvent} event @param {any} control */
  #key(event, control) {
    const buttons = [...control.offered.querySelectorAll("button")];
    const at = buttons.indexOf(/** @type {any} */ (document.activeElement));
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (/^[1-9]$/.test(event.key)) buttons[Number(event.key) - 1]?.click();
    else if (step) buttons[(at + step + buttons.length) % buttons.length]?.focus();
    else if (event.key === "Backspace") control.field.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** Go from the text to the codes below it. */
  go() {
    const box = /** @type {any} */ (document.activeElement?.closest(".question"));
    const button = box?.querySelector(".offered:not([hidden]) button");
    if (button) button.focus();
    else this.say(this.data.words["No code is offered for the words before the hand."]);
  }
}
