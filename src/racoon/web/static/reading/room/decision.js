// Deciding between two readings: both answers below each question, both masks in the readers' colours, agreement.
// @ts-check

import { make } from "./answers.js";
import { ask } from "./requests.js";

/** One colour for each reader, told apart by most colour-blind people; names stand in the legend too. */
const COLOURS = ["#4cc9f0", "#f8961e"];

/** @param {string} id @returns {any} */
const byId = (id) => document.getElementById(id);

export class Decision {
  /** @param {any} data what the page holds @param {any} report the form */
  constructor(data, report) {
    this.data = data;
    this.report = report;
    this.address = `/api/reading/worklists/${encodeURIComponent(data.list)}/cases/${data.study}`;
    this.numbers = new Intl.NumberFormat(data.language, { maximumFractionDigits: 2, minimumFractionDigits: 2 });
    /** @type {any} */
    this.both = null;
    /** Masks of the two readers in the shown series: what is seen first. @type {string[]} */
    this.keys = [];
    report.besides.push((/** @type {string} */ path, /** @type {any} */ control) => this.#beside(path, control));
  }

  async load() {
    this.both = await ask("GET", `${this.address}/readings`);
    const { readers, differing } = this.both;
    byId("differing").textContent = `${this.data.words["Differing answers"]}: ${differing.length}`;
    byId("differences").replaceChildren(...differing.map((/** @type {string} */ path) => this.#difference(path)));
    const begin = (/** @type {string} */ text, /** @type {string} */ reader) => {
      const button = make("button", "second", text);
      button.type = "button";
      button.addEventListener("click", () => this.report.replace(`${this.address}/begin?reader=${encodeURIComponent(reader)}`));
      return button;
    };
    byId("begin-ways").replaceChildren(begin(this.data.words["What both say"], ""),
      ...readers.map((/** @type {string} */ reader) => begin(`${this.data.words["Answers of"]} ${reader}`, reader)));
    byId("mask-readers").replaceChildren(...["first", "second"].map((name, at) => {
      const cell = make("span", "", readers[at]);
      cell.dataset.reader = name;
      return cell;
    }));
    this.#fill("mask-agreement", 1, this.both.masks.map((/** @type {any} */ row) => [
      row.name, this.numbers.format(row.dice), row.hd95_mm === null ? "–" : this.numbers.format(row.hd95_mm),
      row.volumes_ml.map((/** @type {number} */ ml) => this.numbers.format(ml)).join(" / "),
    ]), this.both.masks.map((/** @type {any} */ row) => this.#widest(row)));
    byId("no-masks").hidden = this.both.masks.length > 0;
    byId("mask-table").hidden = !this.both.masks.length;
    this.#fill("list-agreement", 2, this.both.agreement.map((/** @type {any} */ row) => [
      row.question, this.data.words[row.measure] ?? row.measure, row.value === null ? "–" : this.numbers.format(row.value), `${row.cases}`,
    ]));
  }

  /** The slice on which two masks differ most, with the case still open to be decided. @param {any} row */
  #widest(row) {
    const place = row.instance ? { instance: row.instance, frame: `${row.frame}` } : {};
    return `/reading/series/${encodeURIComponent(row.series)}?${new URLSearchParams({ list: this.data.list, ...place })}`;
  }

  /**
   * @param {string} id @param {number} words columns of words before the numbers @param {string[][]} rows
   * @param {string[]} [links] what the numbers of each row open
   */
  #fill(id, words, rows, links = []) {
    byId(id).replaceChildren(...rows.map((row, number) => {
      const line = make("tr");
      line.append(...row.map((text, at) => {
        const isNumber = at >= words;
        const cell = make(at ? "td" : "th", isNumber ? "number" : "", isNumber && links[number] ? "" : text);
        if (isNumber && links[number]) {
          const link = make("a", "", text);
          link.href = links[number];
          cell.append(link);
        }
        return cell;
      }));
      line.firstChild.scope = "row";
      return line;
    }));
  }

  /** @param {string} reader @param {any} given */
  #said(reader, given) {
    return `${reader}: ${given?.text ?? this.data.words["no answer"]}`;
  }

  /** A line of the list: what differs, and the way to its question. @param {string} path */
  #difference(path) {
    const given = this.both.answers[path];
    const item = make("li");
    const button = make("button", "plain", /** @type {any} */ (Object.values(given)[0]).question);
    button.type = "button";
    button.dataset.path = path;
    button.addEventListener("click", () => this.report.controls.get(path)?.focus());
    item.append(button, make("span", "quiet", this.both.readers.map((/** @type {string} */ reader) => this.#said(reader, given[reader])).join(" ≠ ")));
    return item;
  }

  /** Both answers below a question; each is one click. @param {string} path @param {any} control */
  #beside(path, control) {
    const given = this.both?.answers[path];
    if (!given) return [];
    const differs = this.both.differing.includes(path);
    const row = make("div", `readings${differs ? " differ" : ""}`);
    if (differs) row.append(make("span", "mark", "≠"));
    for (const reader of this.both.readers) {
      const text = this.#said(reader, given[reader]);
      if (!differs || !given[reader] || this.report.isSigned || control.item.readOnly) {
        row.append(make("span", "quiet", text));
        continue;
      }
      const take = make("button", "plain", text);
      take.type = "button";
      take.addEventListener("click", () => {
        control.write(given[reader].answer);
        this.report.save();
      });
      row.append(take);
    }
    return [row];
  }

  /** Give each reader's masks one colour and the reader's name. @param {any} series */
  mark(series) {
    const owners = new Map();
    this.keys = [];
    for (const { segments } of this.both?.masks ?? []) {
      segments.forEach((/** @type {string} */ key, /** @type {number} */ at) => { if (key) owners.set(key.split(":")[0], at); });
    }
    series.segments = series.segments.map((/** @type {any[]} */ [key, colour, name, ...more]) => {
      const at = owners.get(key.split(":")[0]);
      if (at !== undefined) this.keys.push(key);
      return at === undefined ? [key, colour, name, ...more] : [key, COLOURS[at], `${name} · ${this.both.readers[at]}`, ...more];
    });
  }
}
