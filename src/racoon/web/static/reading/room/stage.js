// The stage: Cornerstone3D shows a series of our DICOMweb; texts, edges, ruler and masks lie above it.
// @ts-check

import { paint, wordOf } from "../masks.js";
import { drawCover, drawPlaces, showRuler } from "./above.js";
import { ask } from "./requests.js";
import { drawTraces } from "./traces.js";

/**
 * @typedef {object} Series
 * @property {string} series
 * @property {string} study
 * @property {number} rows
 * @property {number} columns
 * @property {[number, number] | null} pixelSpacing  between rows, between columns, in mm
 * @property {[string, number, number | null][]} planes  SOP Instance UID, frame, position in mm
 * @property {[string, number, number][]} presets  name, centre, width
 * @property {[string, string, string, string, boolean][]} segments  key, colour, name, code, whether a machine drew it
 * @property {string[]} [rejected]  segmentations that the reader rejected
 * @property {string} [segment]  key of the only one to show at first
 * @property {boolean} hasOverlays
 * @property {[string, string, string, string] | null} edges  left, right, top, bottom
 * @property {string} pseudonym
 * @property {string} modality
 * @property {string} description
 * @property {string} bodyPart
 * @property {[number, string, string]} scale  from output values to what is read, its unit, why there is none
 */

const VIEWPORT = "stack";
const CACHE_BYTES = 1 << 30;

/** @param {string} id @returns {any} */
const byId = (id) => document.getElementById(id);

export class Stage {
  /** @param {any} cornerstone the bundled module @param {Record<string, string>} words @param {string} language */
  constructor(cornerstone, words, language) {
    this.core = cornerstone.core;
    this.tools = cornerstone.tools;
    this.loader = cornerstone.dicomImageLoader;
    this.wadors = cornerstone.wadors;
    this.words = words;
    this.numbers = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });
    this.element = byId("viewport");
    this.overlay = byId("overlay");
    this.masks = { hidden: false, opacity: 0.4, shown: new Set(), cache: new Map(), turn: 0, picture: null, index: -1, found: {} };
    this.index = 0;
    this.window = /** @type {[number, number] | null} */ (null);
    /** @type {Series | null} */
    this.series = null;
    /** @type {string[]} */
    this.ids = [];
    this.pixelsPerMm = 1;
    /** @type {() => void} */
    this.onWindow = () => {};
    /** @type {() => void} what is shown of the masks changed */
    this.onMasks = () => {};
    /** @type {(index: number) => void} */
    this.onSlice = () => {};
    /** Something in colour that covers a slice edge to edge, below the masks. @type {{ index: number, canvas: OffscreenCanvas } | null} */
    this.cover = null;
    /** @type {() => void} another slice wants another cover */
    this.onCover = () => {};
    /** Places of a line being marked. @type {() => number[][]} */
    this.marks = () => [];
    /** Where stored sections cut the shown slice. @type {() => any[]} */
    this.traces = () => [];
    /** From output values to SUV, by image. @type {Map<string, number>} */
    this.factors = new Map();
    /** Colours and runs that a reader draws on a slice, painted above the stored masks.
     * @type {(index: number) => [string, number[]][]} */
    this.drawn = () => [];
  }

  /** Start the engine; throws where there is no WebGL. */
  open() {
    const { core, tools } = this;
    core.init();
    tools.init();
    this.loader.init({ maxWebWorkers: Math.max(1, Math.min(4, (navigator.hardwareConcurrency || 2) - 1)) });
    core.cache.setMaxCacheSize(CACHE_BYTES);
    // The engine multiplies pixels of PET by this; the factor comes from the node.
    core.metaData.addProvider((/** @type {string} */ type, /** @type {string} */ id) =>
      type === "scalingModule" && this.factors.has(id) ? { suvbw: this.factors.get(id) } : undefined, 10_000);
    this.engine = new core.RenderingEngine("room");
    this.engine.enableElement({ viewportId: VIEWPORT, type: core.Enums.ViewportType.STACK, element: this.element });
    this.viewport = this.engine.getViewport(VIEWPORT);
    const on = (/** @type {string} */ name, /** @type {(event: any) => void} */ act) =>
      this.element.addEventListener(core.Enums.Events[name], act);
    on("STACK_NEW_IMAGE", (event) => this.#arrived(event.detail.imageIdIndex));
    on("IMAGE_RENDERED", () => this.#decorate());
    on("VOI_MODIFIED", (event) => this.#windowed(event.detail.range));
    new ResizeObserver(() => {
      const { width, height } = this.element.getBoundingClientRect();
      if (width && height) this.engine.resize(true, true);
    }).observe(this.element);
  }

  /** Show a series at a slice. @param {Series} series @param {number} start */
  async show(series, start) {
    const ids = await this.register(series);
    this.series = series;
    this.ids = ids;
    this.masks.cache.clear();
    this.masks.picture = null;
    // An address may name the one mask that a number was measured in.
    const rejected = new Set(series.rejected ?? []);
    const usual = series.segments.map(([key]) => key).filter((key) => !rejected.has(key.split(":")[0]));
    this.masks.shown = new Set(series.segment ? [series.segment] : usual);
    this.index = start;
    this.#label();
    await this.viewport.setStack(this.ids, start);
    if (series.presets.length) this.setWindow(series.presets[0][1], series.presets[0][2]);
    else this.window = null;
    this.viewport.resetCamera();
    this.viewport.render();
    this.#arrived(this.viewport.getCurrentImageIdIndex());
    this.tools.utilities.stackContextPrefetch.enable(this.element);
  }

  /** Tell the engine of a series, and name its slices. @param {Series} series @returns {Promise<string[]>} */
  async register(series) {
    const root = `/dicom-web/studies/${series.study}/series/${series.series}`;
    const metadata = new Map((await ask("GET", `${root}/metadata`)).map(
      (/** @type {any} */ item) => [item["00080018"].Value[0], item]));
    return series.planes.map(([sop, frame]) => {
      const id = `wadors:${location.origin}${root}/instances/${sop}/frames/${frame}`;
      this.wadors.metaDataManager.add(id, metadata.get(sop));
      if (series.scale[1]) this.factors.set(id, series.scale[0]);
      return id;
    });
  }

  /** The slice nearest to a place in the patient. @param {number[]} point LPS in mm */
  nearest(point) {
    const plane = this.#plane;
    const [row, column] = [plane.rowCosines, plane.columnCosines];
    const normal = [
      row[1] * column[2] - row[2] * column[1], row[2] * column[0] - row[0] * column[2], row[0] * column[1] - row[1] * column[0],
    ];
    const height = point.reduce((sum, value, axis) => sum + value * normal[axis], 0);
    const heights = this.series?.planes.map(([, , position]) => Math.abs((position ?? 0) - height)) ?? [];
    return heights.indexOf(Math.min(...heights));
  }

  /** @param {number} index */
  go(index) {
    const next = Math.min(Math.max(index, 0), this.ids.length - 1);
    // Later keys win: the engine skips what was asked for in between.
    if (next !== this.viewport.getTargetImageIdIndex()) return this.viewport.setImageIdIndex(next);
    return Promise.resolve();
  }

  /** The slice that was asked for last, whether or not it is there yet. */
  get target() {
    return this.viewport.getTargetImageIdIndex();
  }

  /** @param {number} centre @param {number} width */
  setWindow(centre, width) {
    if (!Number.isFinite(centre) || !(width >= (this.isSuv ? 0.01 : 1))) return;
    this.viewport.setProperties({ voiRange: this.rangeOf(centre, width) });
    this.viewport.render();
  }

  get isSuv() { return Boolean(this.series?.scale[1]); }

  /** Values that are black and white; a window in SUV is exact, one of whole numbers as PS3.3 C.11.2.1.2 has it.
   * @param {number} centre @param {number} width @returns {{lower: number, upper: number}} */
  rangeOf(centre, width) {
    if (this.isSuv) return { lower: centre - width / 2, upper: centre + width / 2 };
    return this.core.utilities.windowLevel.toLowHighRange(width, centre);
  }

  get isInverted() { return Boolean(this.viewport.getProperties().invert); }

  /** High values dark, or bright. @param {boolean} [wanted] */
  invert(wanted = !this.isInverted) {
    this.viewport.setProperties({ invert: wanted });
    this.viewport.render();
    byId("stage").dataset.inverted = `${wanted}`;
    this.onWindow();
  }

  /** @param {number} factor 0 fits the image to the window */
  enlarge(factor) {
    if (factor) this.viewport.setZoom(Math.min(Math.max(this.viewport.getZoom() * factor, 0.2), 30));
    else this.viewport.resetCamera();
    this.viewport.render();
  }

  /** Place and frame of an image of this series. @param {string} id */
  placeOf(id) {
    const at = this.ids.indexOf(id);
    return at < 0 || !this.series ? null : { instance: this.series.planes[at][0], frame: this.series.planes[at][1] };
  }

  /** @param {string} instance @param {number} frame */
  indexOf(instance, frame) {
    return this.series?.planes.findIndex(([sop, number]) => sop === instance && number === frame) ?? -1;
  }

  /** @param {number} index */
  #arrived(index) {
    this.index = index;
    this.#label();
    this.#loadMasks(index);
    this.onCover();
    this.onSlice(index);
  }

  /** @param {{lower: number, upper: number}} range */
  #windowed({ lower, upper }) {
    const { windowWidth, windowCenter } = this.isSuv ? { windowWidth: upper - lower, windowCenter: (upper + lower) / 2 } :
      this.core.utilities.windowLevel.toWindowLevel(lower, upper);
    this.window = [Math.round(windowCenter * 1000) / 1000, Math.round(windowWidth * 1000) / 1000];
    const format = (/** @type {number} */ value) => this.numbers.format(value);
    byId("window-label").textContent = this.isSuv ? `SUV ${format(lower)} – ${format(upper)}` :
      `C ${format(this.window[0])}  W ${format(this.window[1])}`;
    this.lightPreset();
    this.onWindow();
  }

  /** Show which preset is in use; two may be the same window, then the first one lights up. */
  lightPreset() {
    const chosen = this.series?.presets.findIndex(
      ([, centre, width]) => centre === this.window?.[0] && width === this.window?.[1]);
    document.querySelectorAll("#presets button").forEach((button, at) => {
      button.setAttribute("aria-pressed", `${at === chosen}`);
    });
  }

  #label() {
    if (!this.series) return;
    const [sop, frame, position] = this.series.planes[this.index];
    byId("slice-label").textContent = `${this.index + 1} / ${this.ids.length}`;
    byId("position-label").textContent = position === null ? "" : `${this.numbers.format(position)} mm`;
    byId("instance-label").textContent = frame > 1 ? `${sop} #${frame}` : sop;
    const slider = byId("slice");
    slider.max = this.ids.length - 1;
    slider.value = this.index;
  }

  /** Where a pixel (column, row) of the shown image lies on the canvas, in CSS pixels.
   * @param {any} plane @param {number} column @param {number} row @returns {[number, number]} */
  canvasOf(plane, column, row) {
    const point = [0, 1, 2].map((axis) => plane.imagePositionPatient[axis] +
      plane.rowCosines[axis] * plane.columnPixelSpacing * column +
      plane.columnCosines[axis] * plane.rowPixelSpacing * row);
    return this.viewport.worldToCanvas(point);
  }

  get #plane() {
    return this.core.metaData.get("imagePlaneModule", this.viewport.getCurrentImageId());
  }

  /** Row and column, counted from 0 at the centre of the first pixel, of a place on the screen; null beyond the image.
   * @param {number} x @param {number} y @returns {[number, number] | null} */
  pixelAt(x, y) {
    const plane = this.#plane;
    if (!this.series || !plane?.rowCosines) return null;
    const box = this.element.getBoundingClientRect();
    const world = this.viewport.canvasToWorld([x - box.left, y - box.top]);
    const off = [0, 1, 2].map((axis) => world[axis] - plane.imagePositionPatient[axis]);
    const along = (/** @type {number[]} */ direction) => off.reduce((sum, value, axis) => sum + value * direction[axis], 0);
    const row = along(plane.columnCosines) / plane.rowPixelSpacing;
    const column = along(plane.rowCosines) / plane.columnPixelSpacing;
    const isInside = row > -0.5 && column > -0.5 && row < this.series.rows - 0.5 && column < this.series.columns - 0.5;
    return isInside ? [row, column] : null;
  }

  /** A place on the screen in the patient, on this slice; null beyond the image. @param {number} x @param {number} y */
  worldAt(x, y) {
    const box = this.element.getBoundingClientRect();
    return this.pixelAt(x, y) ? [...this.viewport.canvasToWorld([x - box.left, y - box.top])] : null;
  }

  /** Where a pixel of the shown image lies on the canvas. @param {number} row @param {number} column */
  canvasAt(row, column) {
    return this.canvasOf(this.#plane, column, row);
  }

  /** A function from pixel to value in output units (HU for CT); null while the image is not here.
   * @param {number} index @returns {((at: number) => number) | null} */
  valuesOf(index) {
    const image = this.core.cache.getImage(this.ids[index]);
    if (!image) return null;
    const pixels = image.getPixelData();
    if (image.preScale?.scaled) return (at) => pixels[at];
    return (at) => pixels[at] * (image.slope ?? 1) + (image.intercept ?? 0);
  }

  uncover() { this.#decorate(); }

  /** Paint this slice again from what is here already. */
  refresh() {
    if (this.series && this.masks.index === this.index) this.#paintMasks(this.index, this.masks.found);
  }

  #decorate() {
    const plane = this.#plane;
    const { width, height } = this.element.getBoundingClientRect();
    const ratio = window.devicePixelRatio || 1;
    if (this.overlay.width !== Math.round(width * ratio) || this.overlay.height !== Math.round(height * ratio)) {
      this.overlay.width = Math.round(width * ratio);
      this.overlay.height = Math.round(height * ratio);
    }
    const context = this.overlay.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.overlay.width, this.overlay.height);
    const ruler = byId("ruler");
    ruler.hidden = !this.series?.pixelSpacing;
    if (!plane?.imagePositionPatient || !plane.rowCosines) return;
    // The outer corner of the first pixel is half a pixel before its centre.
    const origin = this.canvasOf(plane, -0.5, -0.5);
    const across = this.canvasOf(plane, 0.5, -0.5);
    const down = this.canvasOf(plane, -0.5, 0.5);
    const [ax, ay, dx, dy] = [across[0] - origin[0], across[1] - origin[1], down[0] - origin[0], down[1] - origin[1]];
    if (this.cover?.index === this.index) drawCover(context, this.cover.canvas, this.series, { origin, ax, ay, dx, dy, ratio });
    if (this.masks.picture && this.masks.picture.index === this.index && !this.masks.hidden) {
      context.setTransform(ax * ratio, ay * ratio, dx * ratio, dy * ratio, origin[0] * ratio, origin[1] * ratio);
      context.imageSmoothingEnabled = false;
      context.drawImage(this.masks.picture.canvas, 0, 0);
    }
    drawPlaces(context, this, ratio);
    drawTraces(context, this, ratio);
    this.pixelsPerMm = Math.hypot(ax, ay) / plane.columnPixelSpacing;
    showRuler(this.pixelsPerMm);
  }

  // Masks: runs of the slice, painted once at the size of the image and laid over it by the camera.

  /** @param {number} index */
  async #loadMasks(index) {
    const { series, masks } = this;
    const turn = ++masks.turn;
    if (!series?.hasOverlays) {
      byId("stage").dataset.masks = `${index}`;
      return;
    }
    let runs = masks.cache.get(index);
    if (!runs && !series.segments.length) runs = Promise.resolve({});
    if (!runs) {
      runs = ask("GET", `/reading/series/${series.series}/overlays/${index}`);
      runs.catch(() => masks.cache.delete(index));
      masks.cache.set(index, runs);
    }
    const found = await runs.catch(() => ({}));
    if (turn === masks.turn && series === this.series) this.#paintMasks(index, found);
  }

  /** @param {number} index @param {Record<string, number[]>} runs */
  #paintMasks(index, runs) {
    const series = /** @type {Series} */ (this.series);
    this.masks.index = index;
    this.masks.found = runs;
    const canvas = new OffscreenCanvas(series.columns, series.rows);
    const pixels = new ImageData(series.columns, series.rows);
    const words = new Uint32Array(pixels.data.buffer);
    const alpha = Math.round(this.masks.opacity * 255);
    for (const [key, colour] of series.segments) {
      if (runs[key] && this.masks.shown.has(key)) {
        paint(words, series.columns, series.rows, runs[key], wordOf(colour), alpha);
      }
    }
    for (const [colour, drawn] of this.drawn(index)) {
      paint(words, series.columns, series.rows, drawn, wordOf(colour), alpha);
    }
    /** @type {any} */ (canvas.getContext("2d")).putImageData(pixels, 0, 0);
    this.masks.picture = /** @type {any} */ ({ index, canvas });
    byId("stage").dataset.masks = `${index}`;
    this.#decorate();
  }

  /** Take over what changed about a series that is shown: its masks. @param {Series} series */
  update(series) {
    const known = new Set(this.series?.segments.map(([key]) => key));
    for (const [key] of series.segments) if (!known.has(key)) this.masks.shown.add(key);
    this.series = series;
    this.masks.cache.clear();
    this.repaint();
  }

  /** Paint the masks of this slice again after a change of what is shown. */
  repaint() {
    this.masks.picture = null;
    this.#loadMasks(this.index);
    this.#decorate();
    this.onMasks();
  }
}
