// What lies above the image and below its masks: a cover in colour; and places of a line above them.
// @ts-check

/** Draw something that fills the image edge to edge, wherever the camera has it.
 * @param {any} context @param {OffscreenCanvas} canvas @param {any} series
 * @param {{ origin: number[], ax: number, ay: number, dx: number, dy: number, ratio: number }} frame the outer corner of
 *   the first pixel, steps to the next column and row, pixels of the screen for each of the page */
export const drawCover = (context, canvas, series, { origin, ax, ay, dx, dy, ratio }) => {
  const [wide, high] = [ratio * series.columns / canvas.width, ratio * series.rows / canvas.height];
  context.setTransform(ax * wide, ay * wide, dx * high, dy * high, origin[0] * ratio, origin[1] * ratio);
  context.imageSmoothingEnabled = true;
  context.drawImage(canvas, 0, 0);
};

/** Draw the places of a line that lie on the shown slice. @param {any} context @param {any} stage @param {number} ratio */
export const drawPlaces = (context, stage, ratio) => {
  for (const place of stage.marks()) {
    if (stage.nearest(place) !== stage.index) continue;
    const [x, y] = stage.viewport.worldToCanvas(place);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = "#ffe066";
    context.fillRect(x - 4, y - 4, 8, 8);
  }
};

/** Make the ruler a round length. @param {number} pixelsPerMm */
export const showRuler = (pixelsPerMm) => {
  const length = [200, 100, 50, 20, 10, 5, 2, 1].find((mm) => mm * pixelsPerMm <= 170) ?? 1;
  /** @type {HTMLElement} */ (document.getElementById("ruler")).style.width = `${length * pixelsPerMm}px`;
  /** @type {HTMLElement} */ (document.getElementById("ruler-label")).textContent = length >= 10 ? `${length / 10} cm` : `${length} mm`;
};
