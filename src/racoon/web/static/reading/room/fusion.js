// Fusion: uptake or a parametric map in colour over the image of the same frame of reference.
// @ts-check

import { Refusal, ask } from "./requests.js";

/** @typedef {{ rows: number, columns: number, values: Float32Array }} Sheet */
/** @typedef {{ series: string, name: string, lowest: number, highest: number, unit: string, unit_text: string }} Layer */

/** Colours from low to high: place, red, green, blue. */
const TABLES = /** @type {Record<string, number[][]>} */ ({
  hot: [[0, 0, 0, 0], [0.37, 230, 0, 0], [0.74, 255, 215, 0], [1, 255, 255, 255]],
  viridis: [[0, 68, 1, 84], [0.25, 59, 82, 139], [0.5, 33, 145, 140], [0.75, 94, 201, 98], [1, 253, 231, 37]],
  rainbow: [[0, 0, 0, 255], [0.25, 0, 255, 255], [0.5, 0, 255, 0], [0.75, 255, 255, 0], [1, 255, 0, 0]],
});
const LEVELS = 256;
const REMEMBERED = 200;
const STEP = 0.1;

/** @param {string} id @returns {any} */
const byId = (id) => document.getElementById(id);

/** @param {string} name @returns {Uint8ClampedArray} red, green, blue of each level */
const tableOf = (name) => {
  const stops = TABLES[name];
  const table = new Uint8ClampedArray(LEVELS * 3);
  for (let level = 0; level < LEVELS; level++) {
    const part = level / (LEVELS - 1);
    const after = Math.max(1, stops.findIndex(([place]) => place >= part));
    const [low, high] = [stops[after - 1], stops[after]];
    const share = (part - low[0]) / (high[0] - low[0]);
    for (let band = 1; band < 4; band++) table[level * 3 + band - 1] = low[band] + share * (high[band] - low[band]);
  }
  return table;
};

export class Fusion {
  /** @param {any} stage @param {any} data @param {(text: string, isBad?: boolean) => void} say */
  constructor(stage, data, say) {
    this.stage = stage;
    this.data = data;
    this.say = say;
    this.isOn = false;
    /** @type {Layer[]} */
    this.layers = [];
    this.below = "";
    this.opacity = 0.5;
    /** @type {Map<string, Promise<Sheet>>} */
    this.sheets = new Map();
    this.turn = 0;
    this.numbers = new Intl.NumberFormat(data.language, { maximumFractionDigits: 1 });
    /** @type {() => void} what is laid over the image, or how, changed */
    this.onChange = () => {};
    stage.onCover = () => this.#paintSoon();
    for (const id of ["layer", "layer-lowest", "layer-highest", "layer-colours"]) {
      byId(id).addEventListener("change", () => {
        if (id === "layer") this.#choose();
        this.#paintSoon();
        this.onChange();
      });
    }
    byId("layer-opacity").addEventListener("input", () => this.setOpacity(Number(byId("layer-opacity").value) / 100));
    byId("fuse").addEventListener("click", () => this.toggle());
  }

  /** Ask what can be laid over a series. @param {any} series */
  async load(series) {
    this.isOn = false;
    this.sheets.clear();
    this.stage.cover = null;
    const found = await ask("GET", `/api/reading/series/${series.series}/layers`);
    if (this.stage.series?.series !== series.series) return;
    this.layers = found.layers;
    this.below = found.below ?? "";
    byId("layer").replaceChildren(...this.layers.map(({ name, series: uid }) => new Option(name, uid)));
    byId("fusion-panel").hidden = !this.layers.length;
    this.#choose();
    this.#mark();
  }

  /** @returns {Layer | undefined} */
  get layer() {
    return this.layers.find(({ series }) => series === byId("layer").value);
  }

  #choose() {
    const { layer } = this;
    if (!layer) return;
    const round = (/** @type {number} */ value) => Number(value.toPrecision(4));
    byId("layer-lowest").value = round(layer.lowest);
    byId("layer-highest").value = round(layer.highest);
    for (const name of ["layer-lowest", "layer-highest"]) byId(name).step = "any";
  }

  /** Lay it over the image, or take it away; from an uptake series, go to the image it belongs over.
   * @param {(series: string) => Promise<void>} [change] */
  async toggle(change = this.change) {
    if (!this.layers.length && this.below) {
      const wanted = this.stage.series.series;
      await change(this.below);
      if (!this.layers.some(({ series }) => series === wanted)) return;
      byId("layer").value = wanted;
      this.#choose();
      this.isOn = false;
    }
    if (!this.layers.length) return this.say(this.data.words["Nothing lies in the frame of reference of this image."], true);
    this.isOn = !this.isOn;
    this.#mark();
    this.#paintSoon();
    this.onChange();
  }

  /** @type {(series: string) => Promise<void>} */
  change = async () => {};

  /** @param {number} opacity from 0 to 1 */
  setOpacity(opacity) {
    this.opacity = Math.min(Math.max(Math.round(opacity * 100) / 100, 0), 1);
    byId("layer-opacity").value = Math.round(this.opacity * 100);
    this.#paintSoon();
    this.onChange();
  }

  stronger() { this.setOpacity(this.opacity + STEP); }
  weaker() { this.setOpacity(this.opacity - STEP); }

  #mark() {
    byId("fuse").setAttribute("aria-pressed", `${this.isOn}`);
    byId("layer-scale").hidden = !this.isOn;
    if (!this.isOn) {
      delete byId("stage").dataset.layer;
      this.stage.cover = null;
      this.stage.uncover();
    }
  }

  async #paintSoon() {
    const { layer, stage } = this;
    if (!this.isOn || !layer || !stage.series) return;
    const turn = ++this.turn;
    const index = stage.index;
    try {
      const sheet = await this.#sheet(stage.series.series, layer.series, index);
      if (turn !== this.turn || !this.isOn) return;
      stage.cover = { index, canvas: this.#colour(sheet) };
      stage.uncover();
      byId("stage").dataset.layer = `${index}`;
      if (index + 1 < stage.ids.length) this.#sheet(stage.series.series, layer.series, index + 1).catch(() => {});
    } catch (error) {
      this.say(error instanceof Error ? error.message : `${error}`, true);
    }
  }

  /** @param {string} series @param {string} layer @param {number} index @returns {Promise<Sheet>} */
  #sheet(series, layer, index) {
    const address = `/reading/series/${series}/layers/${layer}/${index}`;
    let found = this.sheets.get(address);
    if (!found) {
      found = fetch(address).then(async (answer) => {
        if (!answer.ok) throw new Refusal((await answer.json()).detail, "", answer.status);
        const bytes = await answer.arrayBuffer();
        const [rows, columns] = new Uint32Array(bytes, 0, 2);
        return { rows, columns, values: new Float32Array(bytes, 8) };
      });
      found.catch(() => this.sheets.delete(address));
      this.sheets.set(address, found);
      for (const old of this.sheets.keys()) {
        if (this.sheets.size <= REMEMBERED) break;
        this.sheets.delete(old);
      }
    }
    return found;
  }

  /** @param {Sheet} sheet */
  #colour({ rows, columns, values }) {
    const canvas = new OffscreenCanvas(columns, rows);
    /** @type {any} */ (canvas.getContext("2d")).putImageData(this.picture(values, columns, rows), 0, 0);
    const [low, high] = this.range;
    this.#scale(byId("layer-colours").value, low, high);
    return canvas;
  }

  /** Values of the first and the last colour. @returns {[number, number]} */
  get range() {
    return [Number(byId("layer-lowest").value), Number(byId("layer-highest").value)];
  }

  /** Values in the chosen colours; what is not a number stays clear.
   * @param {Float32Array} values @param {number} width @param {number} height */
  picture(values, width, height) {
    const [low, high] = this.range;
    const table = tableOf(byId("layer-colours").value);
    const picture = new ImageData(width, height);
    const span = high - low || 1;
    values.forEach((value, at) => {
      if (Number.isNaN(value)) return;
      const part = Math.min(Math.max((value - low) / span, 0), 1);
      const level = Math.round(part * (LEVELS - 1)) * 3;
      picture.data.set(table.subarray(level, level + 3), at * 4);
      // What is not there does not cover: the lowest third fades in.
      picture.data[at * 4 + 3] = Math.round(255 * this.opacity * Math.min(1, part * 3));
    });
    return picture;
  }

  /** The bar beside the image: which colour is which value. @param {string} name @param {number} low @param {number} high */
  #scale(name, low, high) {
    const stops = TABLES[name].map(([place, ...colour]) => `rgb(${colour.join(" ")}) ${place * 100}%`);
    byId("layer-bar").style.background = `linear-gradient(to right, ${stops.join(", ")})`;
    const [before, after] = this.layer?.unit === "g/mL" ? ["SUV", ""] : ["", this.layer?.unit_text ?? ""];
    byId("layer-label").textContent = `${before} ${this.numbers.format(low)} – ${this.numbers.format(high)} ${after}`.trim();
  }
}
