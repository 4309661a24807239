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
      words[at] = colour | ((isEdge ? 255 : alpha) << 24) >>> 0;
    }
  }
};
