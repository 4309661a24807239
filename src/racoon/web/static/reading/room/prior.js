// A prior examination beside the image, scrolled and windowed with it.
// @ts-check

import { ask } from "./requests.js";

const VIEWPORT = "prior";

/** @param {string} id @returns {any} */
const byId = (id) => document.getElementById(id);

export class Prior {
  /** @param {any} stage @param {any} data @param {(text: string, isBad?: boolean) => void} say */
  constructor(stage, data, say) {
    this.stage = stage;
    this.data = data;
    this.say = say;
    this.series = /** @type {any} */ (null);
    this.index = 0;
    this.offset = 0; // mm that the prior lies higher than the image
    this.format = new Intl.DateTimeFormat(data.language, { dateStyle: "medium", timeZone: "UTC" });
  }

  get isOpen() {
    return Boolean(this.series);
  }

  /** Offer what there is of the same subject. */
  async load() {
    const { series } = await ask("GET", `/api/reading/series/${this.data.series}/priors`);
    byId("prior-choice").replaceChildren(...series.map((/** @type {any} */ item) =>
      new Option(`${this.#date(item.date)} ${item.description}`, item.series)));
    byId("prior-panel").hidden = !series.length;
    byId("prior-choice").addEventListener("change", () => { if (this.isOpen) this.show(byId("prior-choice").value); });
    byId("prior-viewport").addEventListener("wheel", (/** @type {WheelEvent} */ event) => {
      event.preventDefault();
      event.stopPropagation();
      this.#shift(Math.sign(event.deltaY));
    }, { passive: false, capture: true });
  }

  /** @param {string} text YYYYMMDD */
  #date(text) {
    const at = Date.UTC(Number(text.slice(0, 4)), Number(text.slice(4, 6)) - 1, Number(text.slice(6, 8)));
    return text.length === 8 ? this.format.format(at) : "";
  }

  async toggle() {
    if (this.isOpen) return this.close();
    const chosen = byId("prior-choice").value;
    if (!chosen) return this.say(this.data.words["There is no earlier examination of this subject here."], true);
    await this.show(chosen);
  }

  /** @param {string} uid */
  async show(uid) {
    const series = await ask("GET", `/api/reading/series/${uid}`);
    byId("stage").classList.add("pair");
    byId("prior").hidden = false;
    const { core, engine } = this.stage;
    if (!this.viewport) {
      engine.enableElement({ viewportId: VIEWPORT, type: core.Enums.ViewportType.STACK, element: byId("prior-viewport") });
      this.viewport = engine.getViewport(VIEWPORT);
    }
    engine.resize(true, false);
    this.ids = await this.stage.register(series);
    this.series = series;
    // Where both start at other heights, the middles of both are laid on each other.
    const [own, other] = [this.stage.series, series].map((item) => item.planes.map((/** @type {any} */ plane) => plane[2]));
    const isApart = own.includes(null) || other.includes(null) || Math.max(...other) < Math.min(...own) || Math.min(...other) > Math.max(...own);
    this.offset = isApart ? this.#middle(other) - this.#middle(own) : 0;
    this.index = this.#partner();
    await this.viewport.setStack(this.ids, this.index);
    this.viewport.resetCamera();
    this.follow();
    this.setWindow();
    this.stage.viewport.render();
  }

  /** @param {(number | null)[]} heights */
  #middle(heights) {
    const known = /** @type {number[]} */ (heights.filter((height) => height !== null));
    return known.length ? (Math.min(...known) + Math.max(...known)) / 2 : 0;
  }

  /** The slice of the prior that lies where the image is. */
  #partner() {
    const height = this.stage.series.planes[this.stage.index][2];
    const planes = this.series.planes;
    if (height === null || planes[0][2] === null) {
      return Math.round(this.stage.index / Math.max(1, this.stage.ids.length - 1) * (planes.length - 1));
    }
    const wanted = height + this.offset;
    return planes.reduce((/** @type {number} */ best, /** @type {any} */ plane, /** @type {number} */ at) =>
      Math.abs(plane[2] - wanted) < Math.abs(planes[best][2] - wanted) ? at : best, 0);
  }

  /** Go where the image went. */
  follow() {
    if (!this.isOpen || !this.viewport) return;
    this.index = this.#partner();
    this.viewport.setImageIdIndex(this.index);
    byId("prior-label").textContent = `${this.series.description} ${this.index + 1} / ${this.ids?.length}`;
    byId("stage").dataset.prior = `${this.index}`;
  }

  /** Move the prior alone; from then on it keeps that distance. @param {number} by */
  #shift(by) {
    const planes = this.series.planes;
    const next = Math.min(Math.max(this.index + by, 0), planes.length - 1);
    const height = this.stage.series.planes[this.stage.index][2];
    if (height !== null && planes[next][2] !== null) this.offset = planes[next][2] - height;
    this.follow();
  }

  setWindow() {
    if (!this.isOpen || !this.stage.window || !this.viewport) return;
    const [centre, width] = this.stage.window;
    const { lower, upper } = this.stage.rangeOf(centre, width);
    this.viewport.setProperties({ voiRange: { lower, upper } });
    this.viewport.render();
  }

  close() {
    this.series = null;
    byId("stage").classList.remove("pair");
    byId("prior").hidden = true;
    delete byId("stage").dataset.prior;
    this.stage.engine.resize(true, false);
  }
}
