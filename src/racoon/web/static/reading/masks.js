// Masks as runs (start, length, start, length … over the pixels in reading order), painted on a picture.
// @ts-check

/** @param {string} hex @returns {number} the colour as ImageData stores it, without alpha */
export const wordOf = (hex) => {
  const value = parseInt(hex.slice(1), 16);
  return ((value & 255) << 16) | (value & 0xff00) | (value >> 16);
};

/** Paint runs half transparent, and their outline opaque, so that thin structures stay visible.
 * @param {Uint32Array} words @param {number} width @param {number} height
 * @param {number[]} runs @param {number} colour @param {number} alpha */
export const paint = (words, width, height, runs, colour, alpha) => {
  const inside = new Uint8Array(width * height);
  for (let i = 0; i < runs.length; i += 2) inside.fill(1, runs[i], runs[i] + runs[i + 1]);
  for (let i = 0; i < runs.length; i += 2) {
    for (let at = runs[i], end = at + runs[i + 1]; at < end; at++) {
      const x = at % width;
      const isEdge = x === 0 || x === width - 1 || at < width || at >= width * (height - 1) ||
        !(inside[at - 1] && inside[at + 1] && inside[at - width] && inside[at + width]);
      // Outlines of what was painted before stay, so that masks on each other are told apart.
      if (!isEdge && words[at] >>> 24 === 255) continue;
      words[at] = colour | ((isEdge ? 255 : alpha) << 24) >>> 0;
    }
  }
};

/** Decode runs into a bitmap. @param {number[]} runs @param {number} size @returns {Uint8Array} */
export const bitmapOf = (runs, size) => {
  const bits = new Uint8Array(size);
  for (let i = 0; i < runs.length; i += 2) bits.fill(1, runs[i], runs[i] + runs[i + 1]);
  return bits;
};

/** Encode a bitmap as runs. @param {Uint8Array} bits @returns {number[]} */
export const runsOf = (bits) => {
  const runs = [];
  for (let at = bits.indexOf(1); at >= 0; at = bits.indexOf(1, at)) {
    const end = bits.indexOf(0, at);
    const stop = end < 0 ? bits.length : end;
    runs.push(at, stop - at);
    at = stop;
  }
  return runs;
};
