// Traces of stored sections on the slices that they cut; a click on one opens its section.
// @ts-check

/** @typedef {number[]} Vector */
/** @typedef {{ id: string, number: number, lines: [Vector, Vector][] }} Trace */

const NEAR_PIXELS = 6;
const CLICK_PIXELS = 4;
const SMALLEST_MM = 5;

const minus = (/** @type {Vector} */ a, /** @type {Vector} */ b) => a.map((value, axis) => value - b[axis]);
const dot = (/** @type {Vector} */ a, /** @type {Vector} */ b) => a.reduce((sum, value, axis) => sum + value * b[axis], 0);
const cross = (/** @type {Vector} */ a, /** @type {Vector} */ b) =>
  [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const along = (/** @type {Vector} */ a, /** @type {Vector} */ b, /** @type {number} */ far) => a.map((value, axis) => value + far * b[axis]);
const unit = (/** @type {Vector} */ a) => a.map((value) => value / Math.hypot(...a));

/** Where a section, as wide as its diameters reach, meets a slice: a line, or its diameters where it lies in the slice.
 * @param {Vector[]} points middle, a point above the plane, ends of two diameters; LPS in mm
 * @param {Vector} place somewhere on the slice @param {Vector} normal of the slice @param {boolean} isNearest
 *   whether no other slice is nearer to the middle @returns {[Vector, Vector][]} */
export const traceOf = ([middle, tip, ...ends], place, normal, isNearest) => {
  const upright = unit(minus(tip, middle));
  const reach = Math.max(SMALLEST_MM, ...ends.map((end) => Math.hypot(...minus(end, middle))));
  const line = cross(upright, normal);
  if (Math.hypot(...line) < 1e-3) return isNearest ? [[ends[0], ends[1]], [ends[2], ends[3]]] : [];
  // In the section's plane, straight towards the slice.
  const towards = unit(along(normal, upright, -dot(normal, upright)));
  const far = dot(minus(place, middle), normal) / dot(normal, towards);
  if (Math.abs(far) >= reach) return [];
  const nearest = along(middle, towards, far);
  const half = Math.sqrt(reach ** 2 - far ** 2);
  return [[along(nearest, unit(line), -half), along(nearest, unit(line), half)]];
};

export class Traces {
  /** @param {any} stage @param {any} findings @param {() => boolean} isFree whether a click is for nothing else */
  constructor(stage, findings, isFree) {
    this.stage = stage;
    this.findings = findings;
    stage.traces = () => this.here();
    /** @type {{ x: number, y: number, id: string } | null} */
    let down = null;
    stage.element.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => {
      const id = event.button || !isFree() ? "" : this.at(event.clientX, event.clientY);
      down = id ? { x: event.clientX, y: event.clientY, id } : null;
    });
    stage.element.addEventListener("pointerup", (/** @type {PointerEvent} */ event) => {
      if (down && Math.hypot(event.clientX - down.x, event.clientY - down.y) < CLICK_PIXELS) findings.choose(down.id);
      down = null;
    });
    stage.element.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => {
      stage.element.style.cursor = isFree() && this.at(event.clientX, event.clientY) ? "pointer" : "";
    });
  }

  /** Traces on the shown slice. @returns {Trace[]} */
  here() {
    const { stage, findings } = this;
    const all = [...findings.stored.values()];
    const sections = all.filter(({ kind, series }) => kind === "section" && series === stage.series?.series);
    const plane = sections.length && stage.core.metaData.get("imagePlaneModule", stage.viewport.getCurrentImageId());
    if (!plane?.rowCosines) return [];
    const normal = cross([...plane.rowCosines], [...plane.columnCosines]);
    return sections.map((finding) => ({
      id: finding.id, number: all.indexOf(finding) + 1, lines: traceOf(finding.points_mm, [...plane.imagePositionPatient],
        normal, stage.nearest(finding.points_mm[0]) === stage.index),
    })).filter(({ lines }) => lines.length);
  }

  /** The finding whose trace lies at a place on the screen, or empty. @param {number} x @param {number} y */
  at(x, y) {
    const box = this.stage.element.getBoundingClientRect();
    const place = [x - box.left, y - box.top];
    const isNear = (/** @type {[Vector, Vector]} */ line) => {
      const [a, b] = line.map((end) => [...this.stage.viewport.worldToCanvas(end)]);
      const direction = minus(b, a);
      const part = Math.min(Math.max(dot(minus(place, a), direction) / (dot(direction, direction) || 1), 0), 1);
      return Math.hypot(...minus(place, along(a, direction, part))) <= NEAR_PIXELS;
    };
    return this.here().find(({ lines }) => lines.some(isNear))?.id ?? "";
  }
}

/** Draw the traces on the shown slice, each with the number of its finding. @param {any} context @param {any} stage
 * @param {number} ratio */
export const drawTraces = (context, stage, ratio) => {
  const traces = stage.traces();
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.font = "600 13px system-ui, sans-serif";
  for (const { number, lines } of traces) {
    for (const [colour, width, dashes] of [["#000", 4, []], ["#ffe066", 2, [7, 4]]]) {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.setLineDash(dashes);
      for (const [a, b] of lines) {
        context.beginPath();
        context.moveTo(...stage.viewport.worldToCanvas(a));
        context.lineTo(...stage.viewport.worldToCanvas(b));
        context.stroke();
      }
    }
    context.setLineDash([]);
    const [x, y] = stage.viewport.worldToCanvas(lines[0][1]);
    context.lineWidth = 3;
    context.strokeStyle = "#000";
    context.strokeText(`${number}`, x + 5, y - 5);
    context.fillStyle = "#ffe066";
    context.fillText(`${number}`, x + 5, y - 5);
  }
  /** @type {HTMLElement} */ (document.getElementById("stage")).dataset.traces = `${traces.length}`;
};
