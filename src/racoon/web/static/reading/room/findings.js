// Findings: what is drawn on the stage is stored at the node, which answers with its numbers.
// @ts-check

import { entryOf, showLeftOut } from "./findings-list.js";
import { Kept, isLost } from "./kept.js";
import { ask } from "./requests.js";

/** Kinds of finding by the tool that draws them. */
const KINDS = {
  Length: "length", Bidirectional: "bidirectional", Angle: "angle", EllipticalROI: "ellipse", RectangleROI: "rectangle",
  PlanarFreehandROI: "freehand", CircleROI: "sphere", Probe: "probe",
};
const TOOLS = /** @type {Record<string, string>} */ (
  { ...Object.fromEntries(Object.entries(KINDS).map(([tool, kind]) => [kind, tool])), cylinder: "CircleROI", cube: "CircleROI" });

const UNITS = /** @type {Record<string, string>} */ (
  { "[hnsf'U]": "HU", "[arb'U]": "", "g/mL": "SUV", mm2: "mm²", mL: "ml", deg: "°" });

/** Marks stay readable on bright, dark and coloured ground. */
const LOOK = {
  color: "#ffe066", colorHighlighted: "#fff3bf", colorSelected: "#ffffff", colorLocked: "#c9d1d9",
  lineWidth: "2", shadow: true, textBoxColor: "#ffe066", textBoxColorHighlighted: "#fff3bf",
  textBoxColorSelected: "#ffffff", textBoxColorLocked: "#c9d1d9", textBoxFontSize: "15px",
};

const AGAIN_MS = 2000;
const PAUSE_MS = 400; // a drag changes a finding sixty times a second; it is saved when the hand rests

/** @typedef {any} Finding */

/** @param {string} id @returns {any} */
const byId = (id) => document.getElementById(id);

/** The engine's corners of a rectangle run in rows; an outline runs around. */
const AROUND = [0, 1, 3, 2];
const MOST_POINTS = 1000;

/** Points of an annotation as they are stored. @param {any} annotation @returns {number[][]} */
const pointsOf = ({ metadata, data }) => {
  const copy = (/** @type {Iterable<number>} */ point) => [...point];
  if (metadata.toolName === "PlanarFreehandROI") {
    const all = data.contour.polyline;
    const step = Math.ceil(all.length / MOST_POINTS);
    return all.filter((/** @type {any} */ _, /** @type {number} */ at) => at % step === 0).map(copy);
  }
  const points = data.handles.points.map(copy);
  return metadata.toolName === "RectangleROI" ? AROUND.map((at) => points[at]) : points;
};

/** Handles of a stored finding. @param {Finding} finding @returns {number[][]} */
const handlesOf = ({ kind, points_mm: points }) => {
  if (kind === "freehand") return [];
  return (kind === "rectangle" ? AROUND.map((at) => points[at]) : points).map((/** @type {number[]} */ point) => [...point]);
};

export class Findings {
  /** @param {any} stage @param {any} data what the page holds @param {(text: string, isBad?: boolean) => void} say */
  constructor(stage, data, say) {
    this.stage = stage;
    this.data = data;
    this.say = say;
    this.numbers = new Intl.NumberFormat(data.language, { maximumFractionDigits: 1, minimumFractionDigits: 1 });
    /** @type {Map<string, Finding>} what the node has, by identifier */
    this.stored = new Map();
    /** @type {Map<string, number>} */
    this.timers = new Map();
    /** One save at a time and finding: the next one needs the revision of the one before.
     * @type {Map<string, Promise<void>>} */
    this.queues = new Map();
    /** @type {{ before: any, after: any, id: string }[]} */
    this.past = [];
    /** @type {{ before: any, after: any, id: string }[]} */
    this.future = [];
    this.kept = new Kept(data.user, "findings", data.study);
    /** What the node has not answered yet, by identifier. @type {Record<string, { revision: number, after: any }>} */
    this.pending = {};
    this.chosen = "";
    this.tool = "WindowLevel";
    /** @type {(finding: Finding) => void} */
    this.onChosen = () => {};
    /** @type {(finding: Finding) => Promise<void>} */
    this.goTo = async () => {};
  }

  /** Register the tools and listen to what is drawn. */
  open() {
    const { tools, core } = this.stage;
    const group = (this.group = tools.ToolGroupManager.createToolGroup("room"));
    for (const tool of [tools.WindowLevelTool, tools.PanTool, tools.ZoomTool, tools.StackScrollTool]) {
      tools.addTool(tool);
      group.addTool(tool.toolName);
    }
    for (const name of Object.keys(KINDS)) {
      const tool = tools[`${name}Tool`];
      tools.addTool(tool);
      // Numbers on the image are the node's own, never the browser's.
      group.addTool(tool.toolName, {
        getTextLines: (/** @type {any} */ data) => data.lines ?? ["…"],
        preventHandleOutsideImage: true,
        ...(name === "PlanarFreehandROI" ? { allowOpenContours: false, calculateStats: true } : {}),
      });
      // The tools bring keys of their own for undo; ours undo what is stored.
      group.getToolInstance(tool.toolName).configuration.actions = {};
    }
    group.addViewport("stack", "room");
    const { style } = tools.annotation.config;
    const before = style.getDefaultToolStyles();
    style.setDefaultToolStyles({ ...before, global: { ...before.global, ...LOOK } });
    const { Primary, Auxiliary, Secondary, Wheel } = tools.Enums.MouseBindings;
    group.setToolActive("Pan", { bindings: [{ mouseButton: Auxiliary }] });
    group.setToolActive("Zoom", { bindings: [{ mouseButton: Secondary }] });
    group.setToolActive("StackScroll", { bindings: [{ mouseButton: Wheel }] });
    for (const name of Object.keys(KINDS)) group.setToolPassive(name);
    this.primary = Primary;
    this.use("WindowLevel");
    const on = (/** @type {string} */ name, /** @type {(event: any) => void} */ act) =>
      core.eventTarget.addEventListener(tools.Enums.Events[name], act);
    on("ANNOTATION_COMPLETED", (event) => this.#drawn(event.detail.annotation, 0));
    on("ANNOTATION_MODIFIED", (event) => this.#drawn(event.detail.annotation, PAUSE_MS));
    on("ANNOTATION_SELECTION_CHANGE", (event) => {
      const [id] = event.detail.selection;
      if (id && this.stored.has(id)) this.choose(id, false);
    });
  }

  /** Give the left mouse button to a tool. @param {string} name */
  use(name) {
    if (!this.data.mayWrite && name in KINDS) return this.say(this.data.words["Your roles do not allow this."], true);
    if (this.tool === "Pan") {
      this.group.setToolActive("Pan", { bindings: [{ mouseButton: this.stage.tools.Enums.MouseBindings.Auxiliary }] });
    } else this.group.setToolPassive(this.tool, { removeAllBindings: true });
    this.tool = name;
    const bindings = [{ mouseButton: this.primary }];
    if (name === "Pan") bindings.push({ mouseButton: this.stage.tools.Enums.MouseBindings.Auxiliary });
    this.group.setToolActive(name, { bindings });
    for (const button of document.querySelectorAll("#tools button[data-tool]")) {
      button.setAttribute("aria-pressed", `${/** @type {any} */ (button).dataset.tool === name}`);
    }
  }

  /** Fetch what the node has of this imaging study. */
  async load() {
    const { findings, left_out: leftOut } = await ask("GET", `/api/reading/imaging-studies/${this.data.study}/findings`);
    showLeftOut(this, leftOut);
    this.stored = new Map(findings.map((/** @type {Finding} */ item) => [item.id, item]));
    this.draw();
    // What a crash left behind here, unless the finding went on elsewhere meanwhile.
    for (const [id, { revision, after }] of Object.entries(this.kept.get() ?? {})) {
      if ((this.stored.get(id)?.revision ?? 0) === revision) await this.#change(id, after);
    }
    if (!Object.keys(this.pending).length) this.kept.drop();
  }

  /** Put the findings of the shown series on the stage, and all of them into the list. */
  draw() {
    const { annotation } = this.stage.tools;
    annotation.state.removeAllAnnotations();
    for (const finding of this.stored.values()) this.#put(finding);
    this.stage.viewport.render();
    this.list();
  }

  /** @param {Finding} finding */
  #put(finding) {
    if (!(finding.kind in TOOLS)) return; // a section lies on no slice
    const at = finding.series === this.stage.series.series ? this.stage.indexOf(finding.instance, finding.frame) : -1;
    if (at < 0) return;
    const { annotation } = this.stage.tools;
    const { core } = this.stage;
    const id = this.stage.ids[at];
    const plane = core.metaData.get("imagePlaneModule", id);
    const [row, column] = [plane.rowCosines, plane.columnCosines];
    annotation.state.addAnnotation({
      annotationUID: finding.id,
      highlighted: false,
      invalidated: false,
      isLocked: finding.author !== this.data.user,
      isVisible: true,
      metadata: {
        toolName: TOOLS[finding.kind],
        FrameOfReferenceUID: finding.frame_of_reference,
        referencedImageId: id,
        viewPlaneNormal: [
          row[1] * column[2] - row[2] * column[1],
          row[2] * column[0] - row[0] * column[2],
          row[0] * column[1] - row[1] * column[0],
        ],
        viewUp: [-column[0], -column[1], -column[2]],
      },
      data: {
        label: "",
        cachedStats: {},
        lines: this.lines(finding),
        ...(finding.kind === "freehand" ? { contour: { polyline: finding.points_mm.map((/** @type {number[]} */ point) => [...point]), closed: true } } : {}),
        handles: {
          points: handlesOf(finding),
          activeHandleIndex: null,
          textBox: { hasMoved: false, worldPosition: [0, 0, 0], worldBoundingBox: {
            topLeft: [0, 0, 0], topRight: [0, 0, 0], bottomLeft: [0, 0, 0], bottomRight: [0, 0, 0] } },
        },
      },
    }, this.stage.element);
  }

  /** @param {any} annotation @param {number} pause */
  #drawn(annotation, pause) {
    const id = annotation.annotationUID;
    if (!(annotation.metadata.toolName in KINDS)) return;
    if (pause && !this.stored.has(id) && !this.timers.has(id)) return; // still being drawn for the first time
    clearTimeout(this.timers.get(id));
    this.timers.set(id, window.setTimeout(() => {
      this.timers.delete(id);
      const document = this.#documentOf(annotation);
      if (document) this.#change(id, document);
    }, pause));
  }

  /** What is stored of an annotation. @param {any} annotation */
  #documentOf(annotation) {
    const place = this.stage.placeOf(annotation.metadata.referencedImageId);
    if (!place) return null;
    const before = this.stored.get(annotation.annotationUID);
    return {
      kind: before?.kind ?? this.#kindOf(annotation.metadata.toolName),
      meaning: before?.meaning.key ?? this.data.meanings[0][0],
      note: before?.note ?? "",
      imaging_study: this.data.study,
      series: this.stage.series.series,
      ...place,
      frame_of_reference: annotation.metadata.FrameOfReferenceUID,
      points_mm: pointsOf(annotation),
    };
  }

  /** What a tool draws; a circle is what the reader chose to punch. @param {string} tool */
  #kindOf(tool) {
    return tool === "CircleROI" ? byId("punch-shape").value : KINDS[/** @type {keyof typeof KINDS} */ (tool)];
  }

  /** The document that was last stored. @param {Finding | undefined} finding */
  #stored(finding) {
    if (!finding) return null;
    const { kind, note, imaging_study, series, instance, frame, frame_of_reference, points_mm } = finding;
    return { kind, meaning: finding.meaning.key, note, imaging_study, series, instance, frame, frame_of_reference, points_mm };
  }

  /** Save what a person did, so that it can be undone. @param {string} id @param {any} after null removes */
  async #change(id, after) {
    const before = this.#stored(this.stored.get(id));
    if (JSON.stringify(before) === JSON.stringify(after)) return;
    const outcome = await this.#send(id, after);
    // What a drawing brought comes back from the drawing and not from this history.
    if (outcome === "saved" && (after ?? before).kind !== "segment") {
      this.past.push({ id, before, after });
      this.future = [];
    } else if (outcome === "lost") this.#tryAgain(id, after);
  }

  /** After a lost network: save what is on the screen by then. @param {string} id @param {any} after */
  #tryAgain(id, after) {
    clearTimeout(this.timers.get(id));
    this.timers.set(id, window.setTimeout(() => {
      this.timers.delete(id);
      const drawn = this.stage.tools.annotation.state.getAnnotation(id);
      this.#change(id, after && drawn ? this.#documentOf(drawn) ?? after : after);
    }, AGAIN_MS));
  }

  /** Send a state of a finding after what is on its way. @param {string} id @param {any} after */
  async #send(id, after) {
    let outcome = "refused";
    const turn = (this.queues.get(id) ?? Promise.resolve()).then(async () => {
      this.say(this.data.words["Saving …"]);
      const address = `/api/reading/findings/${id}`;
      // A finding that was removed has a newer revision than this window remembers.
      const revision = this.stored.get(id)?.revision ?? this.#removed.get(id) ?? 0;
      this.pending[id] = { revision, after };
      this.kept.put(this.pending);
      try {
        if (after) {
          const found = await ask("PUT", `${address}?based_on=${revision}`, after);
          this.stored.set(id, found);
          this.#removed.delete(id);
        } else {
          const found = await ask("DELETE", `${address}?based_on=${revision}`);
          this.#removed.set(id, found.revision);
          this.stored.delete(id);
          if (this.chosen === id) this.chosen = "";
        }
        outcome = "saved";
        this.say(this.data.words["Saved"]);
      } catch (error) {
        this.say(error instanceof Error ? error.message : `${error}`, true);
        // What the node refused is not shown as if it were stored; a lost network leaves it on the screen.
        if (isLost(error)) {
          outcome = "lost";
          return;
        }
      }
      delete this.pending[id];
      this.kept.put(this.pending);
      this.#refresh(id);
    });
    this.queues.set(id, turn);
    await turn;
    return outcome;
  }

  /** @type {Map<string, number>} */
  #removed = new Map();

  /** Show what the node has now. @param {string} id */
  #refresh(id) {
    const { annotation } = this.stage.tools;
    const finding = this.stored.get(id);
    const drawn = annotation.state.getAnnotation(id);
    if (!finding) {
      if (drawn) annotation.state.removeAnnotation(id);
    } else if (drawn && JSON.stringify(this.#documentOf(drawn)?.points_mm) === JSON.stringify(finding.points_mm)) {
      drawn.data.lines = this.lines(finding);
    } else {
      if (drawn) annotation.state.removeAnnotation(id);
      this.#put(finding);
    }
    this.stage.viewport.render();
    this.list();
  }

  undo() { this.#step(this.past, this.future, "before"); }
  redo() { this.#step(this.future, this.past, "after"); }

  /** @param {any[]} from @param {any[]} to @param {"before" | "after"} side */
  async #step(from, to, side) {
    const change = from.pop();
    if (!change) return this.say(this.data.words["Nothing more to undo or redo."]);
    if (await this.#send(change.id, change[side]) === "saved") to.push(change);
    else from.push(change);
  }

  /** @param {string} id */
  remove(id = this.chosen) {
    if (id && this.stored.has(id)) this.#change(id, null);
  }

  /** Store what was marked elsewhere than on a slice, and choose it. @param {any} place kind, instance, frame, points_mm */
  async add(place) {
    const id = crypto.randomUUID();
    const plane = this.stage.core.metaData.get("imagePlaneModule", this.stage.ids[0]);
    await this.#change(id, {
      kind: place.kind, meaning: this.data.meanings[0][0], note: "", imaging_study: this.data.study,
      series: this.stage.series.series, instance: place.instance, frame: place.frame,
      frame_of_reference: plane.frameOfReferenceUID, points_mm: place.points_mm,
    });
    await this.choose(id, false);
  }

  /** @param {string} id @param {string} meaning */
  mean(id, meaning) {
    const before = this.#stored(this.stored.get(id));
    if (before) this.#change(id, { ...before, meaning });
  }

  /** @param {string} id @param {boolean} [go] */
  async choose(id, go = true) {
    const finding = this.stored.get(id);
    if (!finding) return;
    this.chosen = id;
    if (go) {
      await this.goTo(finding);
      this.stage.tools.annotation.selection.setAnnotationSelected(id, true, false);
      this.stage.viewport.render();
    }
    this.list();
    this.onChosen(finding);
  }

  /** @param {number} step */
  next(step) {
    const ids = [...this.stored.keys()];
    if (!ids.length) return;
    const at = ids.indexOf(this.chosen);
    this.choose(ids[(at < 0 ? (step > 0 ? 0 : ids.length - 1) : at + step + ids.length) % ids.length]);
  }

  /** Numbers of a finding as people read them. @param {Finding} finding @returns {string[]} */
  lines(finding) {
    const shape = this.data.shapes[finding.kind];
    return [...(shape ? [shape] : []), ...finding.numbers.map((/** @type {any} */ number) =>
      `${this.data.names[number.name] ?? number.code.meaning}: ${this.numbers.format(number.value)} ${UNITS[number.unit] ?? number.unit}`.trim())];
  }

  /** Write the list beside the image. */
  list() {
    const list = byId("findings");
    byId("no-findings").hidden = this.stored.size > 0;
    list.replaceChildren(...[...this.stored.values()].map((finding, at) => entryOf(this, finding, at)));
    this.stage.uncover();
  }
}
