// Uptake or a map in colour over the three planes: the layer's own voxels, looked up where the plane cuts them, with the
// range, colours and opacity of the slices.
// @ts-check

import { Refusal } from "./requests.js";

/** @typedef {{ size: number[], inverse: number[][], values: Float32Array }} Volume */

const CSS_PIXELS = 2; // between two samples: the voxels of a PET are larger than that
const HEAD_BYTES = 112;
const MOST_STEPS = 24;

/** Read what the node sends of a layer. @param {ArrayBuffer} bytes @returns {Volume} */
const volumeOf = (bytes) => {
  const inverse = new Float64Array(bytes, 16, 12);
  return {
    size: [...new Uint32Array(bytes, 0, 3)],
    inverse: [0, 4, 8].map((at) => [...inverse.subarray(at, at + 4)]),
    values: new Float32Array(bytes, HEAD_BYTES),
  };
};

/** Interpolate linearly; not a number outside the outer edges of the voxels. @param {Volume} volume
 * @param {number} k @param {number} r @param {number} c @returns {number} */
export const valueAt = ({ size: [slices, rows, columns], values }, k, r, c) => {
  if (!(k >= -0.5 && r >= -0.5 && c >= -0.5 && k <= slices - 0.5 && r <= rows - 0.5 && c <= columns - 0.5)) return NaN;
  const [z, y, x] = [Math.floor(k), Math.floor(r), Math.floor(c)];
  const [dz, dy, dx] = [k - z, r - y, c - x];
  const [z0, z1] = [Math.max(z, 0), Math.min(z + 1, slices - 1)];
  const [y0, y1] = [Math.max(y, 0), Math.min(y + 1, rows - 1)];
  const [x0, x1] = [Math.max(x, 0), Math.min(x + 1, columns - 1)];
  const along = (/** @type {number} */ slice, /** @type {number} */ row) => {
    const at = (slice * rows + row) * columns;
    return values[at + x0] * (1 - dx) + values[at + x1] * dx;
  };
  return (along(z0, y0) * (1 - dy) + along(z0, y1) * dy) * (1 - dz) + (along(z1, y0) * (1 - dy) + along(z1, y1) * dy) * dz;
};

export class PlaneLayers {
  /** @param {any} stage @param {any} fusion @param {(text: string, isBad?: boolean) => void} say */
  constructor(stage, fusion, say) {
    this.stage = stage;
    this.fusion = fusion;
    this.say = say;
    this.shown = "";
    /** @type {Volume | null} */
    this.volume = null;
    /** @type {Set<string>} */
    this.waiting = new Set();
    this.slab = { way: "thin", mm: 0 };
  }

  /** Fetch the layer that lies over the image, if there is one and it is not here yet. */
  async take() {
    const { fusion, stage } = this;
    const wanted = fusion.isOn && fusion.layer ? `/reading/series/${stage.series.series}/layers/${fusion.layer.series}/volume` : "";
    if (wanted === this.shown) return;
    this.shown = wanted;
    this.volume = null;
    if (!wanted) return;
    try {
      const answer = await fetch(wanted);
      if (!answer.ok) throw new Refusal((await answer.json()).detail, "", answer.status);
      const volume = volumeOf(await answer.arrayBuffer());
      if (this.shown === wanted) this.volume = volume;
    } catch (error) {
      this.shown = "";
      this.say(error instanceof Error ? error.message : `${error}`, true);
    }
  }

  /** Paint soon, as the masks are. @param {string} name */
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
    const canvas = /** @type {HTMLCanvasElement} */ (document.getElementById(`plane-layer-${name}`));
    const box = canvas.getBoundingClientRect();
    const [width, height] = [Math.round(box.width / CSS_PIXELS), Math.round(box.height / CSS_PIXELS)];
    if (!width || !height) return;
    canvas.width = width;
    canvas.height = height;
    if (!this.fusion.isOn || !this.volume) return;
    const picture = this.fusion.picture(this.#cut(name, box, width, height), width, height);
    /** @type {any} */ (canvas.getContext("2d")).putImageData(picture, 0, 0);
  }

  /** Values where the plane cuts the layer. @param {string} name @param {DOMRect} box @param {number} width @param {number} height */
  #cut(name, box, width, height) {
    const volume = /** @type {Volume} */ (this.volume);
    const viewport = this.stage.engine.getViewport(name);
    const index = (/** @type {number[]} */ world) => volume.inverse.map(([a, b, c, d]) => a * world[0] + b * world[1] + c * world[2] + d);
    const [across, down] = [box.width / width, box.height / height];
    const place = (/** @type {number} */ x, /** @type {number} */ y) => index(viewport.canvasToWorld([x, y]));
    const start = place(across / 2, down / 2);
    const right = place(across * 1.5, down / 2).map((value, axis) => value - start[axis]);
    const below = place(across / 2, down * 1.5).map((value, axis) => value - start[axis]);
    const offsets = this.#through(viewport, volume);
    const found = new Float32Array(width * height);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const [k, r, c] = [0, 1, 2].map((axis) => start[axis] + y * below[axis] + x * right[axis]);
        found[y * width + x] = offsets.length === 1 ? valueAt(volume, k, r, c) :
          this.#together(offsets.map(([dk, dr, dc]) => valueAt(volume, k + dk, r + dr, c + dc)));
      }
    }
    return found;
  }

  /** Steps through the slab, in voxels of the layer. @param {any} viewport @param {Volume} volume @returns {number[][]} */
  #through(viewport, volume) {
    const { way, mm } = this.slab;
    if (way === "thin") return [[0, 0, 0]];
    const normal = viewport.getCamera().viewPlaneNormal;
    const perMm = volume.inverse.map(([a, b, c]) => a * normal[0] + b * normal[1] + c * normal[2]);
    const count = Math.min(MOST_STEPS, Math.max(2, Math.ceil(mm * Math.hypot(...perMm)) + 1));
    return Array.from({ length: count }, (_, at) => perMm.map((value) => value * mm * (at / (count - 1) - 0.5)));
  }

  /** @param {number[]} values */
  #together(values) {
    const known = values.filter((value) => !Number.isNaN(value));
    if (!known.length) return NaN;
    if (this.slab.way === "highest") return Math.max(...known);
    return this.slab.way === "lowest" ? Math.min(...known) : known.reduce((sum, value) => sum + value, 0) / known.length;
  }
}
