// Drawing masks: pens on the slice, one history without end, every stroke saved; the node does what needs the volume.
// @ts-check

import { bitmapOf, runsOf } from "../masks.js";
import { alongLine, insideOutline } from "./pens.js";
import { showCursor } from "./pen-cursor.js";
import { ask } from "./requests.js";
import { listSegments } from "./segments-list.js";
import { Strokes } from "./strokes.js";

/** @typedef {{ segment: number, slice: number, before: number[], after: number[] }} Difference */
/** @typedef {[number, number]} Place row and column, counted from 0 at the centre of the first pixel */

const PENS = ["brush", "eraser", "threshold", "scissors", "grow"];
const REACH_MM = 80; // how far a region grows from its point
const SMOOTHING_MM = 1;

/** @param {string} id @returns {any} */
const byId = (id) => document.getElementById(id);

export class Drawing {
  /** @param {any} stage @param {any} data what the page holds @param {(text: string, isBad?: boolean) => void} say */
  constructor(stage, data, say) {
    this.stage = stage;
    this.data = data;
    this.say = say;
    this.numbers = new Intl.NumberFormat(data.language, { maximumFractionDigits: 2, minimumFractionDigits: 2 });
    this.pen = "";
    this.painting = false;
    this.finished = false;
    /** @type {[number, number] | undefined} */
    this.pointer = undefined;
    this.active = 0;
    /** @type {any[]} */
    this.segments = [];
    /** Key, name and colour of what a segment may mean. @type {[string, string, string][]} */
    this.labels = [];
    /** @type {string[]} */
    this.palette = [];
    /** Runs by segment and slice. @type {Map<number, Map<number, number[]>>} */
    this.runs = new Map();
    /** @type {Difference[][]} */
    this.past = [];
    /** @type {Difference[][]} */
    this.future = [];
    /** @type {null | { index: number, bits: Uint8Array, before: number[], last: Place, outline: Place[], erases: boolean, values: any }} */
    this.stroke = null;
    /** @type {Strokes | null} */
    this.strokes = null;
    /** @type {(pen: string) => void} */
    this.onPen = () => {};
    /** @type {() => Promise<void>} */
    this.onFinished = async () => {};
    /** @type {(segment: number) => void} */
    this.onTake = () => {};
    /** @type {() => void} the node has another state */
    this.onSaved = () => {};
  }

  /** Listen to pen, mouse and finger, before the engine does. */
  open() {
    this.stage.drawn = (/** @type {number} */ index) => this.#shown(index);
    const stage = byId("stage");
    const owns = (/** @type {any} */ event) =>
      this.pen && event.button === 0 && event.target instanceof Element && Boolean(event.target.closest("#viewport"));
    for (const name of ["mousedown", "touchstart"]) {
      stage.addEventListener(name, (/** @type {Event} */ event) => {
        if (owns(event)) event.stopPropagation();
      }, { capture: true });
    }
    stage.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => {
      if (!owns(event)) return;
      stage.focus({ preventScroll: true });
      stage.setPointerCapture(event.pointerId);
      this.#begin(event);
    }, { capture: true });
    stage.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => {
      if (!this.pen) return;
      this.pointer = [event.clientX, event.clientY];
      // A fast pen reports several places at once; all of them belong to the stroke.
      for (const item of event.getCoalescedEvents?.() ?? [event]) this.#move(item);
      this.#cursor();
    });
    stage.addEventListener("pointerleave", () => {
      this.pointer = undefined;
      this.#cursor();
    });
    for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, () => this.#end());
    byId("add-segment").addEventListener("click", () => this.add());
    byId("finish").addEventListener("click", () => this.finish());
    byId("brush-size").addEventListener("input", () => this.#cursor());
    for (const button of document.querySelectorAll("#drawing-tools button[data-work]")) {
      button.addEventListener("click", () => this.work(/** @type {any} */ (button).dataset.work));
    }
  }

  /** Show the reader's drawing on a series. @param {any} series */
  async load(series) {
    byId("drawing-panel").hidden = !series.hasOverlays;
    this.segments = [];
    this.runs = new Map();
    this.past = [];
    this.future = [];
    this.active = 0;
    this.strokes = null;
    if (!series.hasOverlays) return this.use("");
    const strokes = new Strokes(this.data.user, series.series, this.data.list, this.say, this.data.words);
    const drawing = await ask("GET", `${strokes.address}?list=${encodeURIComponent(this.data.list)}`);
    if (this.stage.series?.series !== series.series) return;
    this.strokes = strokes;
    strokes.onSaved = (answer) => this.#describe(answer);
    strokes.onRefused = () => this.load(series);
    byId("label").replaceChildren(...drawing.labels.map((/** @type {[string, string]} */ [key, name]) => new Option(name, key)));
    this.labels = drawing.labels;
    this.palette = drawing.palette;
    for (const { segment, slice, runs } of drawing.slices) this.#set(segment, slice, runs);
    for (const { segment, slice, runs } of strokes.open(drawing)) this.#set(segment, slice, runs);
    this.#describe(drawing);
    this.active = this.segments[0]?.number ?? 0;
    this.#list();
    this.stage.refresh();
  }

  /** @param {any} drawing what the node answered */
  #describe(drawing) {
    const known = new Set(drawing.segments.map((/** @type {any} */ segment) => segment.number));
    const begun = [...(this.strokes?.begun.values() ?? [])].filter((segment) => !known.has(segment.number));
    this.segments = [...drawing.segments, ...begun];
    this.finished = drawing.finished;
    this.#list();
    this.onSaved();
  }

  /** @param {number} segment @param {number} slice @returns {number[]} */
  #get(segment, slice) {
    return this.runs.get(segment)?.get(slice) ?? [];
  }

  /** @param {number} segment @param {number} slice @param {number[]} runs */
  #set(segment, slice, runs) {
    if (!this.runs.has(segment)) this.runs.set(segment, new Map());
    const slices = /** @type {Map<number, number[]>} */ (this.runs.get(segment));
    if (runs.length) slices.set(slice, runs);
    else slices.delete(slice);
  }

  /** What is painted on a slice, the active segment last. @param {number} index @returns {[string, number[]][]} */
  #shown(index) {
    const order = [...this.segments].sort((a, b) => Number(a.number === this.active) - Number(b.number === this.active));
    return order.map((segment) => {
      const isWet = this.stroke && this.stroke.index === index && segment.number === this.active;
      return [segment.colour, isWet ? runsOf(/** @type {any} */ (this.stroke).bits) : this.#get(segment.number, index)];
    });
  }

  /** Take a pen into the hand, or put it down with an empty name. @param {string} pen */
  use(pen) {
    if (pen && !this.data.mayWrite) return this.say(this.data.words["Your roles do not allow this."], true);
    if (pen && !this.strokes) return this.say(this.data.words["This series cannot carry a mask."], true);
    this.pen = PENS.includes(pen) ? pen : "";
    byId("stage").classList.toggle("drawing", Boolean(this.pen));
    for (const button of document.querySelectorAll("#tools button[data-pen]")) {
      button.setAttribute("aria-pressed", `${/** @type {any} */ (button).dataset.pen === this.pen}`);
    }
    if (this.pen) byId("drawing-panel").open = true;
    this.onPen(this.pen);
    this.#cursor();
  }

  get radius() {
    return Number(byId("brush-size").value) / 2;
  }

  /** @param {number} factor */
  resize(factor) {
    const field = byId("brush-size");
    field.value = Math.min(Math.max(Number(field.value) * factor, Number(field.min)), Number(field.max)).toFixed(1);
    this.#cursor();
  }

  /** A segment to draw into, made of the chosen label when there is none yet. */
  #ready() {
    if (!this.segments.length) this.add();
    const found = this.segments.find((segment) => segment.number === this.active);
    if (found?.locked) this.say(this.data.words["The segment is locked. Unlock it to change it."], true);
    return found && !found.locked ? found : null;
  }

  get sheet() {
    const { rows, columns, pixelSpacing } = this.stage.series;
    return { rows, columns, spacing: pixelSpacing ?? [1, 1] };
  }

  /** @param {PointerEvent} event */
  #begin(event) {
    const place = this.stage.pixelAt(event.clientX, event.clientY);
    const index = this.stage.index;
    const erases = this.pen === "eraser" || event.shiftKey || event.buttons === 32; // 32: the back of a pen
    if (!place || !this.#ready()) return;
    if (this.pen === "grow") return void this.#grow(index, place);
    const before = this.#get(this.active, index);
    const { rows, columns } = this.sheet;
    this.stroke = {
      index, before, erases, last: place, outline: [place], bits: bitmapOf(before, rows * columns),
      values: this.pen === "threshold" && !erases ? this.stage.valuesOf(index) : null,
    };
    this.#apply(place);
  }

  /** @param {PointerEvent} event */
  #move(event) {
    const place = this.stroke && this.stage.pixelAt(event.clientX, event.clientY);
    if (place) this.#apply(place);
  }

  /** @param {Place} place */
  #apply(place) {
    const stroke = /** @type {NonNullable<typeof this.stroke>} */ (this.stroke);
    if (this.pen === "scissors") {
      stroke.outline.push(place);
    } else {
      const [low, high] = this.range;
      const ink = stroke.erases ? 0 : 1;
      alongLine(this.sheet, stroke.last, place, this.radius, (at) => {
        const value = stroke.values?.(at);
        if (value === undefined || (value >= low && value <= high)) stroke.bits[at] = ink;
      });
      this.#repaintSoon();
    }
    stroke.last = place;
  }

  #repaintSoon() {
    if (this.painting) return;
    this.painting = true;
    requestAnimationFrame(() => {
      this.painting = false;
      this.stage.refresh();
    });
  }

  #end() {
    const stroke = this.stroke;
    if (!stroke) return;
    this.stroke = null;
    if (this.pen === "scissors" && stroke.outline.length > 2) {
      const ink = stroke.erases ? 0 : 1;
      insideOutline(this.sheet, stroke.outline, (at) => { stroke.bits[at] = ink; });
    }
    this.#do([{ segment: this.active, slice: stroke.index, before: stroke.before, after: runsOf(stroke.bits) }]);
    this.#cursor();
  }

  /** Do something that can be undone. @param {Difference[]} step */
  #do(step) {
    const real = step.filter(({ before, after }) => `${before}` !== `${after}`);
    if (real.length) {
      this.past.push(real);
      this.future = [];
      this.#put(real, "after");
    }
    this.stage.refresh();
  }

  /** @param {Difference[]} step @param {"before" | "after"} side */
  #put(step, side) {
    for (const change of step) this.#set(change.segment, change.slice, change[side]);
    this.stage.refresh();
    return this.strokes?.save(step.map((change) => ({ segment: change.segment, slice: change.slice, runs: change[side] })));
  }

  undo() { this.#step(this.past, this.future, "before"); }
  redo() { this.#step(this.future, this.past, "after"); }

  /** @param {Difference[][]} from @param {Difference[][]} to @param {"before" | "after"} side */
  #step(from, to, side) {
    const step = from.pop();
    if (!step) return this.say(this.data.words["Nothing more to undo or redo."]);
    to.push(step);
    this.#put(step, side);
    if (!step.some((change) => change.slice === this.stage.index)) this.stage.go(step[0].slice);
  }

  /** Lowest and highest value that the threshold pen and growing take. @returns {[number, number]} */
  get range() {
    return [Number(byId("lowest").value), Number(byId("highest").value)];
  }

  /** @param {number} index @param {Place} place */
  async #grow(index, [row, column]) {
    await this.#work({
      operation: "grow", segment: this.active, seed: [index, Math.round(row), Math.round(column)],
      range: this.range, amount: REACH_MM,
    });
  }

  /** Let the node change the active segment. @param {string} operation */
  async work(operation) {
    if (!this.#ready()) return;
    const amounts = /** @type {Record<string, number>} */ ({
      smooth: SMOOTHING_MM, wider: Number(byId("margin").value), narrower: -Number(byId("margin").value),
    });
    await this.#work({
      operation: operation in { wider: 1, narrower: 1 } ? "margin" : operation,
      segment: this.active, amount: amounts[operation] ?? 0, other: Number(byId("other").value) || 0,
    });
  }

  /** @param {any} task */
  async #work(task) {
    const answer = await this.strokes?.ask("POST", "/work", task);
    if (!answer) return;
    this.#describe(answer);
    const step = answer.slices.map((/** @type {any} */ { segment, slice, runs }) =>
      ({ segment, slice, before: this.#get(segment, slice), after: runs }));
    if (!step.length) return this.say(this.data.words["Nothing changed."]);
    this.past.push(step);
    this.future = [];
    for (const change of step) this.#set(change.segment, change.slice, change.after);
    this.stage.refresh();
  }

  /** Lay the active segment of this slice on a neighbour, and go there. @param {number} by */
  async copy(by) {
    const [from, to] = [this.stage.index, this.stage.index + by];
    if (to < 0 || to >= this.stage.ids.length || !this.#ready()) return;
    this.#do([{ segment: this.active, slice: to, before: this.#get(this.active, to), after: this.#get(this.active, from) }]);
    await this.stage.go(to);
  }

  /** Make a segment of the chosen label; the node hears of it with its first stroke, now or when the network is back. */
  add() {
    const [key, name, wanted] = this.labels.find(([key]) => key === byId("label").value) ?? [""];
    if (!key || !this.strokes) return;
    const number = Math.max(0, ...this.segments.map((segment) => segment.number)) + 1;
    const isTaken = this.segments.some((segment) => segment.colour === wanted);
    const colour = wanted && !isTaken ? wanted : this.palette[(number + 4) % this.palette.length];
    const segment = { number, key, name, colour, locked: false, level: "manual", volume_ml: 0 };
    this.active = number;
    this.segments = [...this.segments, segment];
    this.finished = false;
    this.#list();
    this.strokes.begin(segment, this.stage.index);
  }

  /** Take a stored mask over to correct it. @param {string} segmentation */
  async adopt(segmentation) {
    const answer = await this.strokes?.ask("POST", `/adopt?segmentation=${segmentation}`);
    if (!answer) return;
    for (const { segment, slice, runs } of answer.slices) this.#set(segment, slice, runs);
    this.active = answer.slices[0]?.segment ?? this.active;
    this.#describe(answer);
    this.use("brush");
    this.stage.refresh();
  }

  /** Say that a machine's mask is not right. @param {string} segmentation */
  async reject(segmentation) {
    return this.strokes?.ask("POST", `/reject?segmentation=${segmentation}`, undefined, false);
  }

  /** Choose the next segment of the list. */
  next() {
    const at = this.segments.findIndex((segment) => segment.number === this.active);
    if (!this.segments.length) return;
    this.active = this.segments[(at + 1) % this.segments.length].number;
    this.#list();
    this.stage.refresh();
  }

  /** Store the drawing in the archive. */
  async finish() {
    const answer = await this.strokes?.ask("POST", "/finish");
    if (!answer) return;
    this.#describe(answer);
    this.say(this.data.words["Stored in the archive."]);
    await this.onFinished();
  }

  /** @param {number} number @param {string} method @param {string} [query] */
  async change(number, method, query = "") {
    const answer = await this.strokes?.ask(method, `/segments/${number}${query}`);
    if (!answer) return;
    if (method === "DELETE") {
      // What is gone cannot be drawn again: its strokes leave the history.
      this.runs.delete(number);
      for (const side of [this.past, this.future]) {
        side.splice(0, side.length, ...side.map((step) => step.filter((change) => change.segment !== number)).filter((step) => step.length));
      }
      if (this.active === number) this.active = answer.segments[0]?.number ?? 0;
    }
    this.#describe(answer);
    this.stage.refresh();
  }

  #list() { listSegments(this); }

  #cursor() { showCursor(this); }
}
