// The plain viewer: pictures rendered by the node, masks as runs drawn on a second canvas.  No third-party code.
// @ts-check

import { paint, wordOf } from "./masks.js";

/**
 * @typedef {object} Series
 * @property {string} series
 * @property {string} study
 * @property {number} rows
 * @property {number} columns
 * @property {[number, number] | null} pixelSpacing  between rows, between columns, in mm
 * @property {[string, number, number | null][]} planes  SOP Instance UID, frame, position in mm
 * @property {[string, number, number][]} presets  name, centre, width
 * @property {[number, string, string]} scale  from output values to what is read, its unit, why there is none
 * @property {[string, string][]} segments  key, colour
 * @property {boolean} hasOverlays
 * @property {number} start
 * @property {string} segment
 */

/** @param {string} id @returns {any} */
const byId = (id) => document.getElementById(id);

/** @type {Series} */
const data = JSON.parse(byId("series-data").textContent);
const stage = byId("stage");
const sheet = byId("sheet");
const image = byId("image");
const overlay = byId("overlay");
const slider = byId("slice");
const message = byId("stage-message");

const KEPT_PICTURES = 120; // about 120 MB of decoded 512 x 512 pictures
const AHEAD = 6;

const state = {
  index: data.start,
  window: data.presets.length ? [data.presets[0][1], data.presets[0][2]] : null,
  shown: new Set(data.segment ? [data.segment] : data.segments.map(([key]) => key)),
  hidden: false,
  opacity: 0.4,
  zoom: 1,
  shift: [0, 0],
  direction: 1,
};

const colours = new Map(data.segments);

// Pictures: one promise per slice and window, the oldest forgotten; what is on its way is not asked for twice.

/** @type {Map<string, Promise<ImageBitmap>>} */
const pictures = new Map();

/** @param {number} index */
const addressOf = (index) => {
  const [sop, frame] = data.planes[index];
  const root = `/dicom-web/studies/${data.study}/series/${data.series}/instances/${sop}/frames/${frame}/rendered`;
  // The node renders output values; a window in SUV is brought back to them.
  const [factor, unit] = data.scale;
  if (state.window && unit) return `${root}?window=${state.window[0] / factor},${state.window[1] / factor},linear-exact`;
  return state.window ? `${root}?window=${state.window[0]},${state.window[1]},linear` : root;
};

/** @param {number} index @returns {Promise<ImageBitmap>} */
const picture = (index) => {
  const address = addressOf(index);
  let found = pictures.get(address);
  if (!found) {
    found = fetch(address, { headers: { Accept: "image/png" } }).then(async (answer) => {
      if (!answer.ok) throw new Error(await reasonOf(answer));
      return createImageBitmap(await answer.blob());
    });
    found.catch(() => pictures.delete(address));
  }
  pictures.delete(address);
  pictures.set(address, found);
  for (const key of pictures.keys()) {
    if (pictures.size <= KEPT_PICTURES) break;
    pictures.delete(key);
  }
  return found;
};

/** @param {Response} answer */
const reasonOf = async (answer) => {
  try {
    return (await answer.json()).detail;
  } catch {
    return `${answer.status}`;
  }
};

/** @type {Map<number, Promise<Record<string, number[]>>>} */
const masks = new Map();

/** @param {number} index */
const masksOf = (index) => {
  if (!data.hasOverlays || !data.segments.length) return Promise.resolve({});
  let found = masks.get(index);
  if (!found) {
    found = fetch(`/reading/series/${data.series}/overlays/${index}`).then(async (answer) => {
      if (!answer.ok) throw new Error(await reasonOf(answer));
      return answer.json();
    });
    found.catch(() => masks.delete(index));
    masks.set(index, found);
  }
  return found;
};

// Drawing: the newest request wins; a slow answer for a slice that was left is thrown away.

let wanted = 0;

const draw = async () => {
  const turn = ++wanted;
  const index = state.index;
  label();
  const waiting = setTimeout(() => { if (turn === wanted) say("…"); }, 400);
  try {
    const bitmap = await picture(index);
    if (turn !== wanted) return;
    const context = image.getContext("2d");
    if (image.width !== bitmap.width || image.height !== bitmap.height) {
      image.width = overlay.width = bitmap.width;
      image.height = overlay.height = bitmap.height;
    }
    context.drawImage(bitmap, 0, 0);
    overlay.getContext("2d").clearRect(0, 0, overlay.width, overlay.height);
    stage.dataset.index = `${index}`;
    say("");
  } catch (error) {
    if (turn === wanted) {
      image.getContext("2d").clearRect(0, 0, image.width, image.height);
      say(error instanceof Error ? error.message : `${error}`);
    }
  } finally {
    clearTimeout(waiting);
  }
  await drawMasks(turn, index);
  if (turn === wanted) prefetch(index);
};

/** @param {number} turn @param {number} index */
const drawMasks = async (turn, index) => {
  let runs;
  try {
    runs = await masksOf(index);
  } catch (error) {
    if (turn === wanted) say(error instanceof Error ? error.message : `${error}`);
    return;
  }
  if (turn !== wanted) return;
  const { width, height } = overlay;
  const pixels = new ImageData(width, height);
  const words = new Uint32Array(pixels.data.buffer);
  const alpha = Math.round(state.opacity * 255);
  if (!state.hidden) {
    for (const [key, list] of Object.entries(runs)) {
      if (state.shown.has(key)) paint(words, width, height, list, wordOf(colours.get(key) ?? "#ffffff"), alpha);
    }
  }
  overlay.getContext("2d").putImageData(pixels, 0, 0);
  for (const item of document.querySelectorAll("#legend li")) {
    const box = /** @type {any} */ (item.querySelector("input"));
    item.classList.toggle("here", box.dataset.segment in runs);
  }
  stage.dataset.masks = `${index}`;
};

/** Ask for the next slices in the direction of travel, nearest first. @param {number} index */
const prefetch = (index) => {
  for (let step = 1; step <= AHEAD; step++) {
    for (const next of [index + step * state.direction, ...(step < 3 ? [index - step * state.direction] : [])]) {
      if (next >= 0 && next < data.planes.length) {
        picture(next).catch(() => {});
        masksOf(next).catch(() => {});
      }
    }
  }
};

/** @param {string} text */
const say = (text) => {
  message.textContent = text;
  message.hidden = !text;
};

const label = () => {
  const [sop, frame, position] = data.planes[state.index];
  slider.value = state.index;
  byId("slice-label").textContent = `${state.index + 1}`;
  byId("position-label").textContent = position === null ? "" : `${position.toFixed(1)} mm`;
  byId("instance-label").textContent = frame > 1 ? `${sop} #${frame}` : sop;
  if (state.window) {
    byId("window-label").textContent = `C ${round(state.window[0])}  W ${round(state.window[1])}`;
    byId("centre").value = round(state.window[0]);
    byId("width").value = round(state.window[1]);
  }
  // Two presets may be the same window; only the first lights up.
  const chosen = data.presets.findIndex(([, centre, width]) => centre === state.window?.[0] && width === state.window?.[1]);
  document.querySelectorAll("#presets button").forEach((button, at) => {
    button.setAttribute("aria-pressed", `${at === chosen}`);
  });
  remember(sop, frame);
};

/** @param {number} value */
const round = (value) => Math.round(value * 1000) / 1000;

let timer = 0;

/** Keep the address pointing at what is seen, so that it can be copied. @param {string} sop @param {number} frame */
const remember = (sop, frame) => {
  clearTimeout(timer);
  timer = window.setTimeout(() => {
    const address = new URL(location.href);
    address.searchParams.set("instance", sop);
    address.searchParams.set("frame", `${frame}`);
    history.replaceState(null, "", address);
  }, 200);
};

// Size: one millimetre is as long in both directions, whatever the pixel spacing.

const fit = () => {
  const [down, across] = data.pixelSpacing ?? [1, 1];
  const box = stage.getBoundingClientRect();
  const scale = Math.min((box.width - 16) / (data.columns * across), (box.height - 32) / (data.rows * down));
  const pixelsPerMm = Math.max(scale, 0.01) * state.zoom;
  const width = data.columns * across * pixelsPerMm;
  const height = data.rows * down * pixelsPerMm;
  sheet.style.width = `${width}px`;
  sheet.style.height = `${height}px`;
  sheet.style.transform = `translate(${state.shift[0] - width / 2}px, ${state.shift[1] - height / 2 - 8}px)`;
  sheet.classList.toggle("enlarged", width / data.columns > 3);
  stage.classList.toggle("movable", state.zoom > 1);
  if (data.pixelSpacing) {
    const length = [200, 100, 50, 20, 10, 5, 2, 1].find((mm) => mm * pixelsPerMm <= 170) ?? 1;
    byId("ruler").style.width = `${length * pixelsPerMm}px`;
    byId("ruler-label").textContent = length >= 10 ? `${length / 10} cm` : `${length} mm`;
  }
};

/** @param {number} index */
const go = (index) => {
  const next = Math.min(Math.max(index, 0), data.planes.length - 1);
  if (next === state.index) return;
  state.direction = next > state.index ? 1 : -1;
  state.index = next;
  draw();
};

/** @param {number} centre @param {number} width */
const setWindow = (centre, width) => {
  if (!Number.isFinite(centre) || !(width >= (data.scale[1] ? 0.01 : 1))) return;
  state.window = [centre, width];
  draw();
};

/** @param {number} factor */
const enlarge = (factor) => {
  state.zoom = factor ? Math.min(Math.max(state.zoom * factor, 1), 12) : 1;
  if (state.zoom === 1) state.shift = [0, 0];
  fit();
};

const redrawMasks = () => drawMasks(wanted, state.index);

const KEYS = {
  ArrowUp: () => go(state.index - 1),
  ArrowLeft: () => go(state.index - 1),
  ArrowDown: () => go(state.index + 1),
  ArrowRight: () => go(state.index + 1),
  PageUp: () => go(state.index - 10),
  PageDown: () => go(state.index + 10),
  Home: () => go(0),
  End: () => go(data.planes.length - 1),
  m: () => { state.hidden = !state.hidden; redrawMasks(); },
  "+": () => enlarge(1.25),
  "=": () => enlarge(1.25),
  "-": () => enlarge(0.8),
  0: () => enlarge(0),
  "?": () => { const details = byId("help").closest("details"); details.open = !details.open; },
};

document.addEventListener("keydown", (event) => {
  const target = /** @type {HTMLElement} */ (event.target);
  const isText = target.matches("input[type=number], input[type=text], select, textarea");
  if (event.ctrlKey || event.metaKey || event.altKey || isText) return;
  const preset = data.presets[Number(event.key) - 1];
  const action = KEYS[event.key];
  if (preset) setWindow(preset[1], preset[2]);
  else if (action) action();
  else return;
  event.preventDefault();
});

let wheel = 0;
stage.addEventListener("wheel", (/** @type {WheelEvent} */ event) => {
  event.preventDefault();
  // Touch pads send many small steps, wheels few large ones.
  wheel += event.deltaMode === 1 ? event.deltaY * 30 : event.deltaY;
  const steps = Math.trunc(wheel / 30);
  if (steps) {
    wheel -= steps * 30;
    go(state.index + Math.sign(steps) * Math.min(Math.abs(steps), Math.abs(event.deltaY) >= 100 ? 1 : 3));
    if (Math.abs(event.deltaY) >= 100) wheel = 0;
  }
}, { passive: false });

let drag = null;
stage.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => {
  stage.focus();
  if (state.zoom > 1) {
    drag = [event.clientX - state.shift[0], event.clientY - state.shift[1]];
    stage.setPointerCapture(event.pointerId);
  }
});
stage.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => {
  if (!drag) return;
  state.shift = [event.clientX - drag[0], event.clientY - drag[1]];
  fit();
});
for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, () => { drag = null; });

slider.addEventListener("input", () => go(Number(slider.value)));
for (const button of document.querySelectorAll("#presets button")) {
  button.addEventListener("click", () => {
    const preset = data.presets[Number(/** @type {any} */ (button).dataset.preset)];
    setWindow(preset[1], preset[2]);
  });
}
for (const id of ["centre", "width"]) {
  byId(id)?.addEventListener("change", () => setWindow(Number(byId("centre").value), Number(byId("width").value)));
}

const boxes = /** @type {any[]} */ ([...document.querySelectorAll("#legend input")]);
for (const box of boxes) {
  box.checked = state.shown.has(box.dataset.segment);
  box.addEventListener("change", () => {
    if (box.checked) state.shown.add(box.dataset.segment);
    else state.shown.delete(box.dataset.segment);
    redrawMasks();
  });
}
/** @param {boolean} isOn */
const toggleAll = (isOn) => {
  for (const box of boxes) {
    box.checked = isOn;
    if (isOn) state.shown.add(box.dataset.segment);
    else state.shown.delete(box.dataset.segment);
  }
  redrawMasks();
};
byId("show-all")?.addEventListener("click", () => toggleAll(true));
byId("show-none")?.addEventListener("click", () => toggleAll(false));
byId("opacity")?.addEventListener("input", (/** @type {any} */ event) => {
  state.opacity = event.target.value / 100;
  redrawMasks();
});

new ResizeObserver(fit).observe(stage);
fit();
stage.focus({ preventScroll: true });
draw();
