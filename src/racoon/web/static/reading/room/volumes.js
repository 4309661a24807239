// Volumes of drawn masks as findings: taken from the list of segments, and up to date in list and report after each stroke.
// @ts-check

import { ask } from "./requests.js";

const PAUSE_MS = 250;

/** Whether a finding is the volume of something drawn here. @param {any} finding */
const isDrawn = (finding) => Boolean(finding?.origin?.drawing);

export class Volumes {
  /** @param {any} data @param {any} drawing @param {any} findings @param {any} report null without the right to write one */
  constructor(data, drawing, findings, report) {
    this.data = data;
    this.drawing = drawing;
    this.findings = findings;
    this.report = report;
    this.timer = 0;
    drawing.onTake = (/** @type {number} */ number) => this.take(number);
    drawing.onSaved = () => {
      clearTimeout(this.timer);
      this.timer = window.setTimeout(() => this.follow(), PAUSE_MS);
    };
    if (report) report.beforeSigning = () => this.store();
  }

  /** Make a segment's volume a finding, and choose it. @param {number} [number] the active segment without it */
  async take(number = this.drawing.active) {
    if (!this.drawing.strokes || !number) return;
    const finding = await this.drawing.strokes.ask("POST", `/segments/${number}/finding`, undefined, false);
    if (!finding) return;
    this.findings.stored.set(finding.id, finding);
    await this.findings.choose(finding.id);
  }

  get #own() { return [...this.findings.stored.values()].filter((finding) => isDrawn(finding) && finding.author === this.data.user); }

  /** Take over what the node made of the findings of masks, and let the report do so. */
  async follow() {
    const changed = new Set();
    for (const finding of this.#own) {
      const now = await ask("GET", `/api/reading/findings/${finding.id}`);
      if (now.revision === finding.revision) continue;
      if (now.removed) this.findings.stored.delete(finding.id);
      else this.findings.stored.set(finding.id, now);
      changed.add(finding.id);
    }
    if (!changed.size) return;
    this.findings.list();
    if (this.report && !this.report.isSigned && [...this.report.controls.values()].some(({ source }) => changed.has(source))) {
      await this.report.save();
    }
  }

  /** Store the drawing where the report takes a volume from what is not in the archive yet. */
  async store() {
    const used = new Set([...this.report.controls.values()].map(({ source }) => source));
    const isOpen = this.#own.some((finding) => used.has(finding.id) && !finding.origin.segment);
    if (isOpen && this.drawing.strokes) await this.drawing.finish();
    if (isOpen) await this.follow();
  }
}
