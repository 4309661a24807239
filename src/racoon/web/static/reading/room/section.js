// Sections across a line: places marked on slices, or the middle of a mask; the node cuts, two diameters are drawn.
// @ts-check

import { ask } from "./requests.js";

/** @typedef {[number, number, number]} Place LPS in mm */

const REACH_MM = 30;

/** @param {string} id @returns {any} */
const byId = (id) => document.getElementById(id);

const minus = (/** @type {number[]} */ a, /** @type {number[]} */ b) => a.map((value, axis) => value - b[axis]);
const dot = (/** @type {number[]} */ a, /** @type {number[]} */ b) => a.reduce((sum, value, axis) => sum + value * b[axis], 0);
const unit = (/** @type {number[]} */ a) => a.map((value) => value / Math.hypot(...a));

export class Sections {
  /** @param {any} stage @param {any} data @param {any} findings @param {(text: string, isBad?: boolean) => void} say */
  constructor(stage, data, findings, say) {
    this.stage = stage;
    this.data = data;
    this.findings = findings;
    this.say = say;
    this.isOpen = false;
    this.isMarking = false;
    this.numbers = new Intl.NumberFormat(data.language, { maximumFractionDigits: 1, minimumFractionDigits: 1 });
    /** @type {Place[]} */
    this.marks = [];
    /** @type {{ points_mm: Place[], tangents: Place[] }} */
    this.line = { points_mm: [], tangents: [] };
    this.at = 0;
    this.segment = "";
    /** @type {any} what the node cut */
    this.cut = null;
    /** Ends of two diameters. @type {Place[]} */
    this.ends = [];
    this.turn = 0;
    /** @type {Place | null} */
    this.start = null;
    const canvas = byId("section-picture");
    canvas.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => {
      if (event.button || !this.cut) return;
      canvas.setPointerCapture(event.pointerId);
      this.start = this.#placeAt(event);
      if (this.ends.length === 4) this.ends = [];
    });
    canvas.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => {
      if (this.start) this.#paint([...this.ends, this.start, this.#placeAt(event)]);
    });
    canvas.addEventListener("pointerup", (/** @type {PointerEvent} */ event) => {
      const { start } = this;
      this.start = null;
      if (!start) return;
      const end = this.#placeAt(event);
      if (Math.hypot(...minus(start, end)) >= (this.cut?.step_mm ?? 0)) this.ends.push(start, end);
      this.#paint();
    });
    byId("section-place").addEventListener("input", () => this.go(Number(byId("section-place").value)));
    byId("section-store").addEventListener("click", () => this.store());
    byId("section-mask").addEventListener("click", () => this.#takeMask());
    byId("section-close").addEventListener("click", () => this.close());
    stage.element.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => {
      if (!this.isMarking || event.button) return;
      const place = stage.worldAt(event.clientX, event.clientY);
      if (!place) return;
      this.marks.push(place);
      this.say(this.data.words["Places marked: {count}. The same key shows the sections."].replace("{count}", `${this.marks.length}`));
      stage.uncover();
    });
    stage.marks = () => (this.isMarking ? this.marks : []);
  }

  /** Begin to mark places, or show the sections through those that are marked. */
  async mark() {
    if (!this.stage.series?.hasOverlays) return this.say(this.data.words["These pictures are no volume, so there are no other planes."], true);
    if (this.isMarking && this.marks.length > 1) {
      const points = this.marks;
      this.#stop();
      return this.#open(() => ask("POST", `${this.#root}/centreline`, { points_mm: points }), "");
    }
    if (this.isMarking) return this.#stop();
    this.close();
    this.marks = [];
    this.isMarking = true;
    byId("stage").dataset.marking = "on";
    this.say(this.data.words["Click at least two places that the line goes through, on any slices."]);
  }

  #stop() {
    this.isMarking = false;
    delete byId("stage").dataset.marking;
    this.stage.uncover();
  }

  /** Sections along the middle of a stored mask. @param {string} key */
  through(key) {
    return this.#open(() => ask("GET", `${this.#root}/centreline?segment=${key}`), key);
  }

  get #root() { return `/api/reading/series/${this.stage.series.series}`; }

  /** @param {() => Promise<any>} find @param {string} segment */
  async #open(find, segment) {
    this.say(this.data.words["Loading …"]);
    try {
      this.line = await find();
      this.segment = segment;
      this.ends = [];
      await this.#show(Math.floor(this.line.points_mm.length / 2));
      this.say("");
    } catch (error) {
      this.say(error instanceof Error ? error.message : `${error}`, true);
    }
  }

  /** Show a stored section again, with its diameters. @param {any} finding */
  async reopen(finding) {
    const [middle, tip, ...ends] = finding.points_mm;
    this.line = { points_mm: [middle], tangents: [/** @type {Place} */ (unit(minus(tip, middle)))] };
    this.segment = "";
    this.ends = ends;
    await this.#show(0);
  }

  /** @param {number} at */
  async #show(at) {
    this.isOpen = true;
    byId("section").hidden = false;
    byId("section-place").max = this.line.points_mm.length - 1;
    byId("section-along").hidden = this.line.points_mm.length < 2;
    byId("section-mask").hidden = !this.segment;
    await this.#load(at);
  }

  /** @param {number} at */
  go(at) {
    const next = Math.min(Math.max(at, 0), this.line.points_mm.length - 1);
    if (next === this.at) return;
    this.ends = [];
    return this.#load(next);
  }

  /** @param {number} by */
  step(by) { return this.go(this.at + by); }

  /** @param {number} at */
  async #load(at) {
    this.at = at;
    byId("section-place").value = at;
    const turn = ++this.turn;
    const [middle, normal] = [this.line.points_mm[at], this.line.tangents[at]];
    const query = new URLSearchParams({ middle: middle.join(","), normal: normal.join(","), reach: `${REACH_MM}`, segment: this.segment });
    const cut = await ask("GET", `${this.#root}/section?${query}`);
    if (turn !== this.turn || !this.isOpen) return;
    const bytes = Uint8Array.from(atob(cut.values), (letter) => letter.charCodeAt(0));
    this.cut = { ...cut, normal, pixels: new Float32Array(bytes.buffer) };
    this.#paint();
    byId("stage").dataset.section = `${at}`;
  }

  /** The window of the slices holds here too. */
  repaint() { if (this.isOpen && this.cut) this.#paint(); }

  /** @param {Place[]} [ends] */
  #paint(ends = this.ends) {
    const { samples, pixels, measured, step_mm: step } = this.cut;
    const canvas = byId("section-picture");
    canvas.width = canvas.height = samples;
    const context = canvas.getContext("2d");
    const picture = new ImageData(samples, samples);
    const [centre, width] = this.stage.window ?? [40, 400];
    const { lower, upper } = this.stage.rangeOf(centre, width);
    for (let at = 0; at < pixels.length; at++) {
      const grey = Number.isNaN(pixels[at]) ? 0 : 255 * Math.min(Math.max((pixels[at] - lower) / (upper - lower), 0), 1);
      picture.data.set([grey, grey, grey, 255], at * 4);
    }
    context.putImageData(picture, 0, 0);
    context.lineWidth = 1.5;
    for (let pair = 0; pair + 1 < ends.length; pair += 2) {
      context.strokeStyle = pair ? "#7bdff2" : "#ffe066";
      context.beginPath();
      context.moveTo(...this.#pixelOf(ends[pair]));
      context.lineTo(...this.#pixelOf(ends[pair + 1]));
      context.stroke();
    }
    const said = [];
    for (let pair = 0; pair + 1 < ends.length; pair += 2) said.push(`${this.numbers.format(Math.hypot(...minus(ends[pair], ends[pair + 1])))} mm`);
    byId("section-sizes").textContent = said.join(" × ");
    byId("section-measured").textContent = measured ? `${this.data.words["Mask"]}: ${this.numbers.format(measured.largest_mm)} × ${this.numbers.format(measured.smallest_mm)} mm, ${this.numbers.format(measured.area_mm2)} mm²` : "";
    byId("section-mask").disabled = !measured;
    byId("section-store").disabled = ends.length !== 4 || !this.data.mayWrite;
    byId("section-ruler").textContent = "1 cm";
    byId("section-ruler").style.width = `${10 / step / samples * 100}%`;
  }

  #takeMask() {
    if (!this.cut?.measured) return;
    this.ends = this.cut.measured.ends_mm;
    this.#paint();
  }

  /** @param {PointerEvent} event @returns {Place} */
  #placeAt(event) {
    const box = byId("section-picture").getBoundingClientRect();
    const { samples, step_mm: step, middle_mm: middle, across, down } = this.cut;
    const x = ((event.clientX - box.left) / box.width * samples - samples / 2) * step;
    const y = ((event.clientY - box.top) / box.height * samples - samples / 2) * step;
    return middle.map((/** @type {number} */ value, /** @type {number} */ axis) => value + x * across[axis] + y * down[axis]);
  }

  /** @param {Place} place @returns {[number, number]} */
  #pixelOf(place) {
    const { samples, step_mm: step, middle_mm: middle, across, down } = this.cut;
    const off = minus(place, middle);
    return [dot(off, across) / step + samples / 2, dot(off, down) / step + samples / 2];
  }

  /** Keep the two diameters as a finding; the node computes its numbers. */
  async store() {
    if (this.ends.length !== 4 || !this.cut) return;
    const { middle_mm: middle, normal, instance, frame } = this.cut;
    const tip = middle.map((/** @type {number} */ value, /** @type {number} */ axis) => value + 10 * normal[axis]);
    await this.findings.add({ kind: "section", instance, frame, points_mm: [middle, tip, ...this.ends] });
  }

  close() {
    if (this.isMarking) this.#stop();
    if (!this.isOpen) return;
    this.isOpen = false;
    this.turn++;
    byId("section").hidden = true;
    delete byId("stage").dataset.section;
  }
}
