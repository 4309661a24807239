// Pens: what a stroke sets in a bitmap.  Pure: numbers in, pixels out; sizes in millimetres, places in pixels.
// @ts-check

/**
 * @typedef {object} Sheet
 * @property {number} rows
 * @property {number} columns
 * @property {[number, number]} spacing  between rows, between columns, in mm
 */

/** Call for every pixel whose centre is at most a radius away from the line between two places; the pixel under the
 * end of the line is always among them, however thin the pen.
 * @param {Sheet} sheet @param {[number, number]} from row, column @param {[number, number]} to @param {number} radius
 * @param {(at: number) => void} act */
export const alongLine = (sheet, from, to, radius, act) => {
  const { rows, columns, spacing: [down, across] } = sheet;
  const [row, column] = [Math.round(to[0]), Math.round(to[1])];
  if (row >= 0 && row < rows && column >= 0 && column < columns) act(row * columns + column);
  const [y0, x0, y1, x1] = [from[0] * down, from[1] * across, to[0] * down, to[1] * across];
  const [dy, dx] = [y1 - y0, x1 - x0];
  const length = dy * dy + dx * dx;
  const first = Math.max(0, Math.ceil((Math.min(y0, y1) - radius) / down));
  const last = Math.min(rows - 1, Math.floor((Math.max(y0, y1) + radius) / down));
  const left = Math.max(0, Math.ceil((Math.min(x0, x1) - radius) / across));
  const right = Math.min(columns - 1, Math.floor((Math.max(x0, x1) + radius) / across));
  for (let r = first; r <= last; r++) {
    for (let c = left; c <= right; c++) {
      const [y, x] = [r * down, c * across];
      const part = length ? Math.min(1, Math.max(0, ((y - y0) * dy + (x - x0) * dx) / length)) : 0;
      if (Math.hypot(y - y0 - part * dy, x - x0 - part * dx) <= radius) act(r * columns + c);
    }
  }
};

/** Call for every pixel whose centre lies inside a closed outline (even-odd rule).
 * @param {Sheet} sheet @param {[number, number][]} outline row, column @param {(at: number) => void} act */
export const insideOutline = (sheet, outline, act) => {
  const { rows, columns } = sheet;
  const heights = outline.map(([row]) => row);
  for (let r = Math.max(0, Math.ceil(Math.min(...heights))); r <= Math.min(rows - 1, Math.max(...heights)); r++) {
    const crossings = [];
    for (let i = 0; i < outline.length; i++) {
      const [a, b] = [outline[i], outline[(i + 1) % outline.length]];
      if ((a[0] <= r) !== (b[0] <= r)) crossings.push(a[1] + ((r - a[0]) / (b[0] - a[0])) * (b[1] - a[1]));
    }
    crossings.sort((one, other) => one - other);
    for (let i = 0; i + 1 < crossings.length; i += 2) {
      for (let c = Math.max(0, Math.ceil(crossings[i])); c < Math.min(columns, crossings[i + 1]); c++) act(r * columns + c);
    }
  }
};
