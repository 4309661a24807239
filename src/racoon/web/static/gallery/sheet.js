// A sheet of tiles of one size, of which only those in sight exist: a hundred thousand series cost what one screen does.
// @ts-check

import { fill } from "./node.js";

const WIDTH = 154;
const HEIGHT = 202;
/** Rows that are kept above and below what is seen. */
const AROUND = 2;
/** Series asked for at once; and how many are remembered. */
const WINDOW = 120;
const REMEMBERED = 6000;
/** Windows asked for at a time: who throws the list asks for where it comes to rest, not for all it flew over. */
const ASKED = 2;
/** A browser draws nothing right beyond some thirty million pixels; a longer list is scrolled faster than it moves. */
const LONGEST = 16_000_000;

/**
 * @typedef {{id: number, series: string, imaging_study: string, subject: string, modality: string, body_part: string,
 *   description: string, day: string, images: number, class: string, quality: string, quality_label: string,
 *   rules: string[], checks: string[], tags: string[], has_mask: boolean}} Row
 * @typedef {{words: Record<string, string>, rows: (ids: number[]) => Promise<Row[]>, moved: (row: Row | null) => void,
 *   selected: (count: number) => void, failed: () => void}} Around
 */

export class Sheet {
  /** Ids of all that match, newest first. */
  #ids = new Int32Array(0);
  /** @type {Map<number, Row | null>} rows by id; null for one that is gone */
  #rows = new Map();
  /** @type {Set<number>} ids that were asked for and have not come */
  #asked = new Set();
  #asking = 0;
  #turn = 0;
  /** @type {Set<number>} */
  #chosen = new Set();
  /** @type {Map<number, HTMLElement>} tiles by place */
  #tiles = new Map();
  /** @type {HTMLElement[]} tiles that are not needed now */
  #spare = [];
  #at = 0;
  #from = -1;
  #planned = 0;
  columns = 1;
  rowsInSight = 1;

  /** @param {HTMLElement} stage @param {HTMLElement} sheet @param {Around} around */
  constructor(stage, sheet, around) {
    this.stage = stage;
    this.sheet = sheet;
    this.around = around;
    stage.addEventListener("scroll", () => this.#plan(), { passive: true });
    new ResizeObserver(() => this.#measure()).observe(stage);
    sheet.addEventListener("click", (event) => {
      const tile = /** @type {HTMLElement | null} */ (/** @type {HTMLElement} */ (event.target).closest(".tile"));
      if (!tile) return;
      const place = Number(tile.dataset.place);
      if (event.shiftKey) this.#chooseTo(place);
      else this.#toggle(place);
      this.#go(place);
    });
    sheet.addEventListener("dblclick", (event) => {
      const tile = /** @type {HTMLElement | null} */ (/** @type {HTMLElement} */ (event.target).closest(".tile"));
      const row = tile && this.#rows.get(this.#ids[Number(tile.dataset.place)]);
      if (row) location.assign(`/reading/series/${row.series}`);
    });
  }

  /** The row the cursor is on. */
  get here() {
    return this.#rows.get(this.#ids[this.#at]) || null;
  }

  /** Show a list: the first id, then the steps down. @param {number[]} steps */
  show(steps) {
    const ids = new Int32Array(steps.length);
    let id = 0;
    for (let at = 0; at < steps.length; at++) ids[at] = id = at ? id - steps[at] : steps[at];
    this.#ids = ids;
    this.#at = 0;
    this.#from = -1;
    this.#chosen.clear();
    this.around.selected(0);
    this.stage.scrollTop = 0;
    this.#measure();
  }

  chosenIds() {
    return [...this.#chosen];
  }

  allIds() {
    return [...this.#ids];
  }

  /** Whether every selected series that is known has a tag. @param {string} tag */
  allHave(tag) {
    const known = [...this.#chosen].map((id) => this.#rows.get(id)).filter((row) => row);
    return known.length > 0 && known.every((row) => row?.tags.includes(tag));
  }

  /** Some series have a tag now, or no longer. @param {number[]} ids @param {string} tag @param {boolean} take */
  retag(ids, tag, take) {
    // What was asked for before the change may still say the old.
    this.#turn += 1;
    for (const id of ids) {
      const row = this.#rows.get(id);
      if (!row) continue;
      const others = row.tags.filter((name) => name !== tag);
      row.tags = take ? others : [...others, tag].sort();
    }
    this.#plan();
  }

  toggle() {
    this.#toggle(this.#at);
    this.#draw();
  }

  chooseAll() {
    this.#chosen = new Set(this.#ids);
    this.#said();
  }

  chooseNone() {
    this.#chosen.clear();
    this.#said();
  }

  /** @param {number} by @param {boolean} choosing */
  move(by, choosing) {
    const last = this.#ids.length - 1;
    if (last < 0) return;
    const to = Math.min(Math.max(this.#at + by, 0), last);
    if (choosing) this.#chooseTo(to);
    else this.#from = -1;
    this.#go(to);
  }

  /** @param {number} place */
  #toggle(place) {
    const id = this.#ids[place];
    if (id === undefined) return;
    if (!this.#chosen.delete(id)) this.#chosen.add(id);
    this.#from = place;
    this.#said();
  }

  /** @param {number} place */
  #chooseTo(place) {
    const from = this.#from < 0 ? this.#at : this.#from;
    for (let at = Math.min(from, place); at <= Math.max(from, place); at++) this.#chosen.add(this.#ids[at]);
    this.#from = place;
    this.#said();
  }

  #said() {
    this.around.selected(this.#chosen.size);
    this.#plan();
  }

  /** @param {number} place */
  #go(place) {
    this.#at = place;
    const top = Math.floor(place / this.columns) * HEIGHT;
    const seen = this.#top();
    if (top < seen) this.#scrollTo(top);
    else if (top + HEIGHT > seen + this.stage.clientHeight) this.#scrollTo(top + HEIGHT - this.stage.clientHeight);
    this.#draw();
  }

  #length() {
    return Math.ceil(this.#ids.length / this.columns) * HEIGHT;
  }

  /** How much longer the list is than what is scrolled. */
  #scale() {
    const room = this.stage.clientHeight;
    const drawn = Math.min(this.#length(), LONGEST);
    return drawn > room ? (this.#length() - room) / (drawn - room) : 1;
  }

  #top() {
    return this.stage.scrollTop * this.#scale();
  }

  /** @param {number} top */
  #scrollTo(top) {
    this.stage.scrollTop = top / this.#scale();
  }

  #measure() {
    this.columns = Math.max(1, Math.floor(this.stage.clientWidth / WIDTH));
    this.rowsInSight = Math.max(1, Math.floor(this.stage.clientHeight / HEIGHT));
    this.sheet.style.height = `${Math.min(this.#length(), LONGEST)}px`;
    for (const place of [...this.#tiles.keys()]) this.#drop(place);
    this.#draw();
  }

  #plan() {
    if (this.#planned) return;
    this.#planned = requestAnimationFrame(() => {
      this.#planned = 0;
      this.#draw();
    });
  }

  #draw() {
    const top = this.#top();
    const shift = this.stage.scrollTop - top;
    const first = Math.max(0, Math.floor(top / HEIGHT) - AROUND) * this.columns;
    const rows = Math.ceil(this.stage.clientHeight / HEIGHT) + 2 * AROUND + 1;
    const end = Math.min(this.#ids.length, first + rows * this.columns);
    for (const place of [...this.#tiles.keys()]) if (place < first || place >= end) this.#drop(place);
    const missing = [];
    for (let place = first; place < end; place++) {
      const id = this.#ids[place];
      const row = this.#rows.get(id);
      if (row === undefined && !this.#asked.has(id)) missing.push(id);
      const tile = this.#tiles.get(place) || this.#take(place);
      const y = Math.floor(place / this.columns) * HEIGHT + shift;
      tile.style.transform = `translate(${(place % this.columns) * WIDTH}px, ${y}px)`;
      this.#dress(tile, place, id, row);
    }
    this.stage.setAttribute("aria-activedescendant", this.#tiles.has(this.#at) ? `tile-${this.#at}` : "");
    this.around.moved(this.here);
    if (missing.length) this.#fetch(missing);
  }

  /** @param {number[]} ids */
  #fetch(ids) {
    for (let start = 0; start < ids.length && this.#asking < ASKED; start += WINDOW) {
      this.#asking += 1;
      const part = ids.slice(start, start + WINDOW);
      const turn = this.#turn;
      for (const id of part) this.#asked.add(id);
      this.around.rows(part).then((rows) => {
        if (turn !== this.#turn) return;
        if (this.#rows.size > REMEMBERED) this.#rows.clear();
        for (const id of part) this.#rows.set(id, null);
        for (const row of rows) this.#rows.set(row.id, row);
      }).catch(() => {
        // Whatever failed is asked for again when it is scrolled to again, not at once.
        for (const id of part) this.#rows.set(id, null);
        this.around.failed();
      }).finally(() => {
        this.#asking -= 1;
        for (const id of part) this.#asked.delete(id);
        this.#plan();
      });
    }
  }

  /** @param {number} place */
  #take(place) {
    const tile = this.#spare.pop() || emptyTile();
    tile.dataset.place = String(place);
    tile.dataset.drawn = "";
    tile.id = `tile-${place}`;
    tile.hidden = false;
    if (!tile.isConnected) this.sheet.append(tile);
    this.#tiles.set(place, tile);
    return tile;
  }

  /** @param {number} place */
  #drop(place) {
    const tile = this.#tiles.get(place);
    if (!tile) return;
    this.#tiles.delete(place);
    tile.hidden = true;
    tile.removeAttribute("id");
    this.#spare.push(tile);
  }

  /** @param {HTMLElement} tile @param {number} place @param {number} id @param {Row | null | undefined} row */
  #dress(tile, place, id, row) {
    const isChosen = this.#chosen.has(id);
    tile.classList.toggle("chosen", isChosen);
    tile.classList.toggle("here", place === this.#at);
    tile.setAttribute("aria-selected", String(isChosen));
    const drawn = row ? `${id}/${row.tags}` : row === null ? `${id}/gone` : "waiting";
    if (tile.dataset.drawn === drawn) return;
    tile.dataset.drawn = drawn;
    tile.setAttribute("aria-posinset", String(place + 1));
    tile.setAttribute("aria-setsize", String(this.#ids.length));
    const [image, head, what, tags, flag] = /** @type {HTMLElement[]} */ ([...tile.children]);
    if (!row) {
      image.removeAttribute("src");
      for (const part of [head, what, tags]) part.textContent = "";
      tile.setAttribute("aria-label", row === null ? this.around.words.nothing : "…");
      flag.hidden = true;
      return;
    }
    image.setAttribute("src", `/dicom-web/studies/${row.imaging_study}/series/${row.series}/thumbnail?accept=image/jpeg`);
    const images = row.images === 1 ? this.around.words["1 image"] : fill(this.around.words["{count} images"], row.images, document.documentElement.lang);
    head.textContent = [row.modality, row.body_part, row.has_mask ? this.around.words.mask : ""].filter(Boolean).join(" · ");
    what.textContent = [row.description, images].filter(Boolean).join(" · ");
    tags.textContent = row.tags.join(", ");
    flag.hidden = !row.rules.length && !row.checks.length;
    flag.className = `flag ${row.quality}`;
    tile.setAttribute("aria-label", [head.textContent, what.textContent, row.class, row.quality_label, ...row.checks, ...row.tags].filter(Boolean).join(", "));
  }
}

function emptyTile() {
  const tile = document.createElement("div");
  tile.className = "tile";
  tile.setAttribute("role", "option");
  const image = Object.assign(document.createElement("img"), { alt: "", width: 136, height: 128, decoding: "async" });
  const lines = ["line", "line quiet", "line tags"].map((className) => Object.assign(document.createElement("span"), { className }));
  const flag = Object.assign(document.createElement("span"), { className: "flag", textContent: "!", hidden: true });
  tile.append(image, ...lines, flag);
  return tile;
}
