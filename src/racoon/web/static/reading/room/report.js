// The form of a structured report.  It shows what the node says: which questions are asked, what is computed and
// what is wrong; it decides nothing itself and saves after every change.
// @ts-check

import { SOURCE, asChips, asField, choicesOf, make, shapeOf } from "./answers.js";
import { isLost } from "./kept.js";
import { KeptDraft } from "./kept-draft.js";
import { ask } from "./requests.js";

/** @typedef {any} Item */

const PAUSE_MS = 300;

/** @param {string} id @returns {any} */
const byId = (id) => document.getElementById(id);

export class Report {
  /** @param {any} data what the page holds @param {(text: string, isBad?: boolean) => void} say
   * @param {() => any} chosenFinding */
  constructor(data, say, chosenFinding) {
    this.data = data;
    this.say = say;
    this.chosenFinding = chosenFinding;
    this.root = byId("report");
    this.language = data.language;
    /** What stands below a question besides its answer. @type {((path: string, control: any) => HTMLElement[])[]} */
    this.besides = [];
    /** What follows when the node has taken the answers. @type {(() => Promise<void>)[]} */
    this.afterSaving = [];
    /** What has to be done for a signature to be possible. @type {() => Promise<void>} */
    this.beforeSigning = async () => {};
    /** @type {any} */
    this.state = null;
    /** @type {Map<string, any>} control of each question by its path */
    this.controls = new Map();
    /** Paths whose answers the hand changed and no request has taken along yet. @type {Set<string>} */
    this.ahead = new Set();
    this.timer = 0;
    this.queue = Promise.resolve();
    this.showsProblems = false;
    this.kept = new KeptDraft(data);
  }

  async load() {
    this.state = await ask("GET", this.address());
    this.form = this.state.form;
    this.before = this.state.before;
    byId("read-report").href = this.address("/document");
    byId("template")?.addEventListener("change", () => this.#chooseTemplate(byId("template").value));
    byId("amend").addEventListener("click", () => this.#askWords("amend", "reason"));
    byId("addendum").addEventListener("click", () => this.#askWords("addendum", "text"));
    this.state = await this.kept.restore(this.state, (items) => ask("PUT", this.address("", true), items), this.say);
    this.draw();
    this.root.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.#digit(event));
  }

  /** @param {string} [way] @param {boolean} [isChange] */
  address(way = "", isChange = false) {
    const query = new URLSearchParams({ template: this.data.template });
    if (isChange) query.set("based_on", this.state.revision);
    return `/api/reading/imaging-studies/${this.data.study}/report${way}?${query}`;
  }

  get isSigned() { return Boolean(this.state?.signed_at); }

  // Drawing: once, and again when an instance of a group is added or removed.

  draw() {
    // What was typed while the node answered is ahead of the answer, and so is the place of the hand.
    const typed = [...this.ahead].map((path) => [path, this.controls.get(path)?.read() ?? []]);
    const place = this.root.contains(document.activeElement)
      ? /** @type {any} */ (document.activeElement?.closest(".question"))?.dataset.path : "";
    this.controls.clear();
    const items = this.form.items.map((/** @type {Item} */ item) => this.#item(item, this.state.items, ""));
    byId("report-title").textContent = this.form.title;
    byId("template-level").textContent = `${this.data.words["Template"]} ${this.form.version} · ${this.form.level}`;
    this.root.replaceChildren(...this.#previous(), ...items.flat());
    for (const [path, answers] of typed) this.controls.get(path)?.write(answers);
    this.#apply();
    if (place) this.controls.get(place)?.focus();
  }

  /** A line that says which earlier report stands below the questions, and opens it beside this one. */
  #previous() {
    if (!this.before) return [];
    const { examined_on: day, link, author } = this.before;
    const line = make("p", "quiet previous", `${this.data.words["Before"]}: `);
    const shown = day ? new Date(`${day.slice(0, 4)}-${day.slice(4, 6)}-${day.slice(6)}T12:00`).toLocaleDateString(this.language) : "";
    const open = make("a", "", [this.data.words["Report on the examination before"], shown, author].filter(Boolean).join(", "));
    open.href = link;
    open.target = "_blank";
    line.append(open);
    return [line];
  }

  /** @param {Item} item @param {any[]} answers of this level @param {string} above @returns {HTMLElement[]} */
  #item(item, answers, above) {
    const path = `${above}${item.linkId}`;
    const nodes = answers.filter((node) => node.linkId === item.linkId);
    if (item.kind === "group") {
      if (!item.repeats) return [this.#group(item, nodes[0]?.item ?? [], path, item.text)];
      const box = make("div", "repeats");
      box.dataset.path = path;
      nodes.forEach((node, at) => {
        const group = this.#group(item, node.item ?? [], `${path}[${at}]`, `${item.text} ${at + 1}`);
        const remove = make("button", "plain", `${this.data.words["Remove"]}: ${item.text} ${at + 1}`);
        remove.type = "button";
        remove.addEventListener("click", () => this.#repeat(path, at));
        group.append(remove);
        box.append(group);
      });
      const add = make("button", "second", `+ ${item.text}`);
      add.type = "button";
      add.addEventListener("click", () => this.#repeat(path, -1));
      box.append(add, this.#problem(path));
      return [box];
    }
    return [item.kind === "display" ? make("p", "quiet", item.text) : this.#question(item, nodes[0]?.answer ?? [], path)];
  }

  /** @param {Item} item @param {any[]} answers @param {string} path @param {string} title */
  #group(item, answers, path, title) {
    const group = make("fieldset", "group");
    group.dataset.path = path;
    group.dataset.link = item.linkId;
    group.append(make("legend", "", title));
    for (const child of item.items ?? []) group.append(...this.#item(child, answers, `${path}/`));
    return group;
  }

  /** @param {Item} item @param {any[]} answers @param {string} path */
  #question(item, answers, path) {
    const chips = choicesOf(item, this.data.words);
    const box = make(chips ? "fieldset" : "div", `question${item.required ? " required" : ""}`);
    box.dataset.path = path;
    box.dataset.link = item.linkId;
    const control = { item, box, source: "", read: () => /** @type {any[]} */ ([]), write: (/** @type {any[]} */ _) => {} };
    if (chips) asChips(control, chips, path, this);
    else asField(control, path, this);
    const source = make("a", "source quiet");
    source.hidden = true;
    const problem = this.#problem(path);
    box.append(source, problem);
    if (item.fromFinding.length && !this.isSigned) {
      const take = make("button", "plain take", this.data.words["Take from the chosen finding"]);
      take.type = "button";
      take.addEventListener("click", () => this.#take(control));
      box.append(take);
    }
    const before = this.before?.answers[path];
    if (before) {
      const line = make("p", "quiet before", `${this.data.words["Before"]}: ${before}`);
      box.append(line);
    }
    for (const more of this.besides) box.append(...more(path, control));
    control.write(answers);
    this.controls.set(path, control);
    return box;
  }

  /** @param {string} path */
  #problem(path) {
    const problem = make("p", "problem");
    problem.id = `problem-${path}`;
    problem.hidden = true;
    return problem;
  }

  // Saving: everything after every change, one request at a time.

  /** Items of a QuestionnaireResponse from what the form holds. @param {Item[]} items @param {string} above */
  #collect(items, above) {
    /** @type {any[]} */
    const found = [];
    for (const item of items) {
      const path = `${above}${item.linkId}`;
      if (item.kind === "group" && item.repeats) {
        for (let at = 0; this.root.querySelector(`fieldset.group[data-path="${CSS.escape(`${path}[${at}]`)}"]`); at++) {
          found.push({ linkId: item.linkId, item: this.#collect(item.items, `${path}[${at}]/`) });
        }
      } else if (item.kind === "group") {
        const inside = this.#collect(item.items, `${path}/`);
        if (inside.length) found.push({ linkId: item.linkId, item: inside });
      } else if (!item.readOnly) {
        const answer = this.controls.get(path)?.read() ?? [];
        if (answer.length) found.push({ linkId: item.linkId, answer });
      }
    }
    return found;
  }

  /** @param {any} control */
  changed(control) {
    this.ahead.add(control.box.dataset.path);
    this.kept.put(this.state, this.#collect(this.form.items, ""));
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.save(), PAUSE_MS);
  }

  /** Save what the form holds now, after what is on its way. */
  save() {
    clearTimeout(this.timer);
    this.timer = 0;
    return this.#send(() => ask("PUT", this.address("", true), this.#takeAlong()));
  }

  /** What the form holds now; from here on the hand is level with what is sent. */
  #takeAlong() {
    const items = this.#collect(this.form.items, "");
    this.ahead.clear();
    this.kept.put(this.state, items, true);
    return items;
  }

  /** @param {() => Promise<any>} request */
  #send(request) {
    this.queue = this.queue.then(async () => {
      const ahead = [...this.ahead];
      this.say(this.data.words["Saving …"]);
      try {
        const before = this.#shape;
        this.state = await request();
        this.kept.drop();
        if (this.ahead.size) this.kept.put(this.state, this.#collect(this.form.items, ""));
        if (this.#redraws || this.#shape !== before) this.draw();
        else this.#apply();
        for (const follow of this.afterSaving) await follow();
        this.say(this.data.words["Saved"]);
      } catch (error) {
        for (const path of ahead) this.ahead.add(path);
        this.say(error instanceof Error ? error.message : `${error}`, true);
        if (!isLost(error)) this.kept.drop();
        // A lost network keeps what was typed and tries again.
        if (isLost(error)) this.timer = window.setTimeout(() => this.save(), 2000);
      } finally {
        this.#redraws = false;
      }
    });
    return this.queue;
  }

  #redraws = false;

  get #shape() { return JSON.stringify(shapeOf(this.state.items, this.form.items)); }

  /** Show hidden questions, computed answers and problems as the node says. */
  #apply() {
    const hidden = new Set(this.state.hidden);
    for (const box of this.root.querySelectorAll("[data-path]")) box.hidden = hidden.has(box.dataset.path);
    this.#write(this.form.items, this.state.items, "");
    const problems = new Map(this.state.problems.map((/** @type {any} */ problem) => [problem.path, problem]));
    for (const note of this.root.querySelectorAll(".problem")) {
      const problem = /** @type {any} */ (problems.get(note.id.slice("problem-".length)));
      // What is merely open is said only after someone wanted to sign.
      const isShown = problem && (this.showsProblems || problem.code !== "required");
      note.hidden = !isShown;
      note.textContent = isShown ? problem.message : "";
    }
    const open = this.state.problems.length;
    byId("report-open").textContent = this.isSigned
      ? `${this.data.words["Signed"]} · ${new Date(this.state.signed_at).toLocaleString(this.data.language)} · ${this.state.signed_hash.slice(0, 12)}`
      : open ? `${this.data.words["Open questions"]}: ${open}` : this.data.words["Complete: it can be signed."];
    byId("report-panel").classList.toggle("signed", this.isSigned);
    for (const id of ["normal", "sign"]) byId(id).hidden = this.isSigned;
    byId("signed-ways").hidden = !this.isSigned;
    byId("amending").textContent = !this.isSigned && this.state.amending
      ? `${this.data.words["Being amended"]}: ${this.state.amending}` : "";
  }

  /** @param {Item[]} items @param {any[]} answers @param {string} above */
  #write(items, answers, above) {
    for (const item of items) {
      const path = `${above}${item.linkId}`;
      const nodes = answers.filter((node) => node.linkId === item.linkId);
      if (item.kind === "group" && item.repeats) {
        nodes.forEach((node, at) => this.#write(item.items, node.item ?? [], `${path}[${at}]/`));
      } else if (item.kind === "group") this.#write(item.items, nodes[0]?.item ?? [], `${path}/`);
      else {
        const control = this.controls.get(path);
        if (control && !this.ahead.has(path)) control.write(nodes[0]?.answer ?? []);
        if (control) this.#showSource(control);
      }
    }
  }

  /** @param {any} control */
  #showSource(control) {
    const link = control.box.querySelector(".source");
    link.hidden = !control.source;
    link.href = control.source ? `/reading/findings/${control.source}` : "#";
    link.textContent = control.source ? this.data.words["from the image"] : "";
  }

  /** Add an instance of a group at the end, or remove one. @param {string} path @param {number} at -1 adds */
  #repeat(path, at) {
    const items = this.#takeAlong();
    const names = path.split("/");
    const last = names.pop();
    let level = items;
    for (const name of names) {
      let node = level.find((found) => found.linkId === name);
      if (!node) level.push((node = { linkId: name, item: [] }));
      level = node.item;
    }
    if (at < 0) level.push({ linkId: last, item: [] });
    else level.splice(level.indexOf(level.filter((node) => node.linkId === last)[at]), 1);
    this.#redraws = true;
    this.#send(() => ask("PUT", this.address("", true), items)).then(() => {
      const boxes = this.root.querySelectorAll(`fieldset.group[data-link="${last}"]`);
      if (at < 0 && boxes.length) boxes[boxes.length - 1].querySelector("input, select, textarea")?.focus();
    });
  }

  /** @param {any} control */
  #take(control) {
    const finding = this.chosenFinding();
    const names = finding?.numbers.map((/** @type {any} */ number) => number.name) ?? [];
    const name = control.item.fromFinding.find((/** @type {string} */ wanted) => names.includes(wanted));
    if (!name) return this.say(this.data.words["Choose a finding that has such a number first."], true);
    const { value } = finding.numbers.find((/** @type {any} */ number) => number.name === name);
    control.write([{ valueDecimal: value, extension: [{ url: SOURCE, valueString: finding.id }] }]);
    control.source = finding.id;
    this.save();
  }

  /** Replace the draft by what the node makes of it. @param {string} address without the revision */
  async replace(address) {
    if (this.timer) await this.save();
    this.#redraws = true;
    await this.#send(() => ask("POST", `${address}${address.includes("?") ? "&" : "?"}based_on=${this.state.revision}`));
  }

  // Keys: digits choose in the question that has the focus.

  /** @param {KeyboardEvent} event */
  #digit(event) {
    if (!/^[0-9]$/.test(event.key) || event.ctrlKey || event.altKey || event.metaKey) return;
    const box = event.target instanceof Element && event.target.matches("input[type=radio], input[type=checkbox]")
      ? /** @type {any} */ (event.target.closest(".question")) : null;
    const control = box ? this.controls.get(box.dataset.path) : null;
    if (control?.digit?.(Number(event.key))) {
      event.preventDefault();
      event.stopPropagation();
    }
  }

  /** Put the focus on the first open question, else on the first one. */
  focus() {
    const open = this.state?.problems.map((/** @type {any} */ problem) => this.controls.get(problem.path)).find(Boolean);
    (open ?? [...this.controls.values()].find((control) => !control.box.hidden))?.focus();
  }

  async normal() {
    if (this.isSigned) return;
    await this.replace(this.address("/normal"));
    if (this.state.problems.length) this.focus();
    else byId("sign").focus();
  }

  /** Ask for words, then amend or add. @param {"amend" | "addendum"} way @param {string} name */
  #askWords(way, name) {
    const dialog = byId("words-dialog");
    byId("words-title").textContent = this.data.words[way === "amend" ? "Why is the report amended?" : "Addendum"];
    byId("words-text").value = "";
    dialog.returnValue = "";
    dialog.showModal();
    dialog.addEventListener("close", async () => {
      if (dialog.returnValue !== "send") return;
      this.#redraws = true;
      await this.#send(() => ask("POST", this.address(`/${way}`), { [name]: byId("words-text").value }));
    }, { once: true });
  }

  /** Write with another template: what stands in this form is stored first, and stays its own report. @param {string} url */
  async #chooseTemplate(url) {
    if (this.timer) await this.save();
    await this.queue;
    const address = new URL(location.href);
    address.searchParams.set("template", url);
    location.assign(address);
  }

  /** Ask once more, then sign. */
  async sign() {
    if (this.isSigned || !this.state) return;
    if (this.timer) await this.save();
    await this.queue;
    this.showsProblems = true;
    this.#apply();
    if (this.state.problems.length) {
      this.say(this.data.words["The report is not complete."], true);
      return this.focus();
    }
    const dialog = byId("sign-dialog");
    dialog.returnValue = "";
    dialog.showModal();
    dialog.addEventListener("close", async () => {
      if (dialog.returnValue !== "sign") return;
      await this.beforeSigning();
      await this.queue;
      this.#redraws = true;
      await this.#send(() => ask("POST", this.address("/sign", true)));
      // An attempt at a reference set goes on with its result.
      if (this.state.practice) location.assign(this.state.practice);
    }, { once: true });
  }
}
