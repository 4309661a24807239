// Masks in the three planes: each mask as bits in its own box, looked up where the plane cuts the voxels.
// @ts-check

import { paint, runsOf, wordOf } from "../masks.js";

/** @typedef {{ colour: string, low: number[], size: number[], bits: Uint8Array }} Solid */

const SHARPNESS = 1; // canvas pixels per CSS pixel: voxels are larger than that

/** Pack a mask into bits over its box. @param {string} colour @param {Map<number, number[]>} slices runs by slice
 * @param {number} columns @returns {Solid | null} */
export const solidOf = (colour, slices, columns) => {
  const low = [Infinity, Infinity, Infinity];
  const high = [-1, -1, -1];
  for (const [slice, runs] of slices) {
    for (let i = 0; i < runs.length; i += 2) {
      const [first, last] = [runs[i], runs[i] + runs[i + 1] - 1];
      const [top, bottom] = [Math.floor(first / columns), Math.floor(last / columns)];
      // A run over the end of a row covers its whole width.
      const [left, right] = top === bottom ? [first % columns, last % columns] : [0, columns - 1];
      [slice, top, left].forEach((value, axis) => { low[axis] = Math.min(low[axis], value); });
      [slice, bottom, right].forEach((value, axis) => { high[axis] = Math.max(high[axis], value); });
    }
  }
  if (high[0] < 0) return null;
  const size = high.map((value, axis) => value - low[axis] + 1);
  const bits = new Uint8Array(Math.ceil(size[0] * size[1] * size[2] / 8));
  for (const [slice, runs] of slices) {
    for (let i = 0; i < runs.length; i += 2) {
      for (let at = runs[i], end = at + runs[i + 1]; at < end; at++) {
        const row = Math.floor(at / columns);
        const place = ((slice - low[0]) * size[1] + row - low[1]) * size[2] + (at - row * columns) - low[2];
        bits[place >> 3] |= 1 << (place & 7);
      }
    }
  }
  return { colour, low, size, bits };
};

/** Millimetres to (slice, row, column): the rows of the inverse, and where the first voxel lies.
 * @param {any} first plane of the first slice @param {any} last @param {number} count */
export const gridOf = (first, last, count) => {
  const step = count > 1 ? last.imagePositionPatient.map((/** @type {number} */ value, /** @type {number} */ axis) =>
    (value - first.imagePositionPatient[axis]) / (count - 1)) : [0, 0, 1];
  const down = first.columnCosines.map((/** @type {number} */ value) => value * first.rowPixelSpacing);
  const across = first.rowCosines.map((/** @type {number} */ value) => value * first.columnPixelSpacing);
  const cross = (/** @type {number[]} */ a, /** @type {number[]} */ b) =>
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
  const rows = [cross(down, across), cross(across, step), cross(step, down)];
  const volume = step.reduce((/** @type {number} */ sum, /** @type {number} */ value, /** @type {number} */ axis) => sum + value * rows[0][axis], 0);
  return { origin: [...first.imagePositionPatient], inverse: rows.map((row) => row.map((value) => value / volume)) };
};

export class PlaneMasks {
  /** @param {any} stage */
  constructor(stage) {
    this.stage = stage;
    /** @type {[string, Solid][]} key of a stored mask, empty for what the reader draws */
    this.solids = [];
    /** @type {Set<string>} */
    this.waiting = new Set();
  }

  /** Take the stored masks and what the reader draws. @param {any} series @param {Record<string, Record<string, number[]>>} stored */
  take(series, stored) {
    const { core, ids } = this.stage;
    const plane = (/** @type {string} */ id) => core.metaData.get("imagePlaneModule", id);
    this.grid = gridOf(plane(ids[0]), plane(ids[ids.length - 1]), ids.length);
    /** @type {Map<string, Map<number, number[]>>} */
    const masks = new Map();
    const add = (/** @type {string} */ name, /** @type {number} */ slice, /** @type {number[]} */ runs) => {
      if (!masks.has(name)) masks.set(name, new Map());
      /** @type {any} */ (masks.get(name)).set(slice, runs);
    };
    for (const [slice, found] of Object.entries(stored)) {
      for (const [key, runs] of Object.entries(found)) add(key, Number(slice), runs);
    }
    ids.forEach((/** @type {string} */ _, /** @type {number} */ slice) => {
      for (const [colour, runs] of this.stage.drawn(slice)) if (runs.length) add(`drawn ${colour}`, slice, runs);
    });
    const colours = new Map(series.segments.map((/** @type {string[]} */ [key, colour]) => [key, colour]));
    this.solids = [...masks].flatMap(([name, slices]) => {
      const [, drawn] = name.split("drawn ");
      const solid = solidOf(drawn ?? colours.get(name) ?? "#ffffff", slices, series.columns);
      return solid ? [/** @type {[string, Solid]} */ ([drawn ? "" : name, solid])] : [];
    });
  }

  /** Paint soon: a dragged crosshair moves three cameras sixty times a second. @param {string} name */
  paintSoon(name) {
    if (this.waiting.has(name)) return;
    this.waiting.add(name);
    requestAnimationFrame(() => {
      this.waiting.delete(name);
      this.#paint(name);
    });
  }

  /** @param {string} name */
  #paint(name) {
    const canvas = /** @type {HTMLCanvasElement} */ (document.getElementById(`plane-masks-${name}`));
    const box = canvas.getBoundingClientRect();
    const [width, height] = [Math.round(box.width * SHARPNESS), Math.round(box.height * SHARPNESS)];
    if (!width || !height || !this.grid) return;
    canvas.width = width;
    canvas.height = height;
    const { masks } = this.stage;
    const shown = masks.hidden ? [] : this.solids.filter(([key]) => !key || masks.shown.has(key));
    if (!shown.length) return;
    const picture = new ImageData(width, height);
    const words = new Uint32Array(picture.data.buffer);
    const steps = this.#steps(name);
    for (const [, solid] of shown) {
      const runs = runsOf(this.#cut(solid, steps, width, height));
      if (runs.length) paint(words, width, height, runs, wordOf(solid.colour), Math.round(masks.opacity * 255));
    }
    /** @type {any} */ (canvas.getContext("2d")).putImageData(picture, 0, 0);
  }

  /** Voxel under the first canvas pixel, and the steps to the next column and row. @param {string} name */
  #steps(name) {
    const viewport = this.stage.engine.getViewport(name);
    const { origin, inverse } = /** @type {NonNullable<typeof this.grid>} */ (this.grid);
    const voxel = (/** @type {[number, number]} */ place) => {
      const world = viewport.canvasToWorld(place);
      return inverse.map((row) => row.reduce((sum, value, axis) => sum + value * (world[axis] - origin[axis]), 0));
    };
    const half = 0.5 / SHARPNESS;
    const [start, right, below] = [voxel([half, half]), voxel([half + 1 / SHARPNESS, half]), voxel([half, half + 1 / SHARPNESS])];
    return { start, across: right.map((value, axis) => value - start[axis]), down: below.map((value, axis) => value - start[axis]) };
  }

  /** The bitmap of a mask where the plane cuts it. @param {Solid} solid
   * @param {{start: number[], across: number[], down: number[]}} steps @param {number} width @param {number} height */
  #cut({ low, size, bits }, { start, across, down }, width, height) {
    const found = new Uint8Array(width * height);
    const [depth, rows, columns] = size;
    for (let y = 0; y < height; y++) {
      let [k, r, c] = start.map((value, axis) => value + y * down[axis] - low[axis] + 0.5);
      for (let x = 0; x < width; x++, k += across[0], r += across[1], c += across[2]) {
        if (k < 0 || r < 0 || c < 0 || k >= depth || r >= rows || c >= columns) continue;
        const place = (Math.floor(k) * rows + Math.floor(r)) * columns + Math.floor(c);
        found[y * width + x] = (bits[place >> 3] >> (place & 7)) & 1;
      }
    }
    return found;
  }
}
