// The reading room: puts stage, findings, report and keys together.  Where there is no WebGL the plain viewer opens.
// @ts-check

import { cineOf } from "./cine.js";
import { Coding } from "./coding.js";
import { Decision } from "./decision.js";
import { Drawing } from "./drawing.js";
import { Fusion } from "./fusion.js";
import { Findings } from "./findings.js";
import { showHeader } from "./header.js";
import { bindKeys } from "./keys.js";
import { Planes } from "./planes.js";
import { Prior } from "./prior.js";
import { Proposals } from "./proposals.js";
import { Queries } from "./queries.js";
import { Report } from "./report.js";
import { ask } from "./requests.js";
import { Sections } from "./section.js";
import { Stage } from "./stage.js";
import { Traces } from "./traces.js";
import { Volumes } from "./volumes.js";

/** @param {string} id @returns {any} */
const byId = (id) => document.getElementById(id);

const data = JSON.parse(byId("series-data").textContent);
const { words } = data;

/** Say what happens, where eyes and screen readers find it. @param {string} text @param {boolean} [isBad] */
const say = (text, isBad = false) => {
  const line = byId("status");
  line.textContent = text;
  line.classList.toggle("bad", isBad);
};

const goPlain = () => {
  const address = new URL(location.href);
  address.searchParams.set("plain", "true");
  location.replace(address);
};

/** Whether this browser can draw: Cornerstone needs WebGL 2. */
const canDraw = () => {
  try {
    return Boolean(document.createElement("canvas").getContext("webgl2"));
  } catch {
    return false;
  }
};

const begin = async () => {
  const stage = new Stage(await import(data.cornerstone), words, data.language);
  stage.open();
  const findings = new Findings(stage, data, say);
  findings.open();
  const drawing = new Drawing(stage, data, say);
  if (data.mayWrite) drawing.open();
  const fusion = new Fusion(stage, data, say);
  const planes = new Planes(stage, data, fusion, say);
  const prior = new Prior(stage, data, say);
  const sections = new Sections(stage, data, findings, say);
  const cine = cineOf(stage);
  new Traces(stage, findings, () => !drawing.pen && !sections.isMarking && ["WindowLevel", "Pan"].includes(findings.tool));
  stage.onWindow = () => {
    planes.setWindow();
    prior.setWindow();
    sections.repaint();
  };
  const report = data.mayReport ? new Report(data, say, () => findings.stored.get(findings.chosen)) : null;
  const volumes = new Volumes(data, drawing, findings, report);
  const decision = report && data.decides ? new Decision(data, report) : null;

  const coding = report ? new Coding(data, report, say) : null;
  const queries = report ? new Queries(data, report, say) : null;
  const proposals = report && data.list ? new Proposals(data, report, say) : null;

  /** @param {any} series @param {number} start */
  const open = async (series, start) => {
    say(words["Loading …"]);
    planes.forget();
    sections.close();
    decision?.mark(series);
    await stage.show(series, start);
    if (decision?.keys.length) {
      stage.masks.shown = new Set(decision.keys);
      stage.repaint();
    }
    const preset = series.presets.find((/** @type {[string, number, number]} */ [name]) => name === series.hanging?.window);
    if (preset) stage.setWindow(preset[1], preset[2]);
    // A film that stores white as zero (MONOCHROME1) is turned by the engine already.
    const isTurned = Boolean(stage.core.cache.getImage(stage.viewport.getCurrentImageId())?.invert);
    stage.invert(Boolean(series.hanging?.inverted) !== isTurned);
    describe(series);
    say(series.scale[2] ? words["The header lacks what SUV needs; values are shown as stored."] : "", Boolean(series.scale[2]));
    await fusion.load(series);
    if (series.hanging?.fused && fusion.layers.length) await fusion.toggle();
    if (data.mayWrite) await drawing.load(series);
  };

  /** Give the left mouse button to a tool, which puts the pen down. @param {string} tool */
  const use = (tool) => {
    drawing.use("");
    findings.use(tool);
  };

  /** Take a pen, or put it down when it is in the hand already. @param {string} pen */
  const take = (pen) => {
    findings.use("WindowLevel");
    drawing.use(drawing.pen === pen ? "" : pen);
  };
  drawing.onPen = (pen) => {
    if (pen) document.querySelector("#tools button[data-tool='WindowLevel']")?.setAttribute("aria-pressed", "false");
  };
  drawing.onFinished = async () => {
    const series = await ask("GET", `/api/reading/series/${stage.series?.series}`);
    if (series.series !== stage.series?.series) return;
    decision?.mark(series);
    stage.update(series);
    describe(series);
  };

  /** @param {any} series */
  const describe = (series) => {
    byId("subject-label").textContent = series.pseudonym;
    byId("series-label").textContent = `${series.modality} ${series.bodyPart}`;
    byId("description-label").textContent = series.description;
    const [left, right, top, bottom] = series.edges ?? ["", "", "", ""];
    for (const [id, text] of [["edge-left", left], ["edge-right", right], ["edge-top", top], ["edge-bottom", bottom]]) {
      byId(id).textContent = text;
    }
    byId("presets").replaceChildren(...series.presets.map((/** @type {[string, number, number]} */ [name, centre, width], /** @type {number} */ at) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "second";
      button.setAttribute("aria-pressed", "false");
      const key = document.createElement("kbd");
      key.textContent = `${at + 1}`;
      button.append(key, ` ${words[name] ?? name}`);
      button.addEventListener("click", () => stage.setWindow(centre, width));
      return button;
    }));
    byId("legend").replaceChildren(...series.segments.map((/** @type {any[]} */ entry) => segment(entry, series)));
    byId("segments-title").hidden = !series.segments.length;
    byId("irregular").replaceChildren(...(series.findings ?? []).map((/** @type {string[]} */ [label, message]) => {
      const note = document.createElement("p");
      note.className = "notice warn";
      note.textContent = `${words[label] ?? label}. ${message}`;
      return note;
    }));
    for (const item of document.querySelectorAll("#series-list a")) {
      const isHere = /** @type {any} */ (item).dataset.series === series.series;
      if (isHere) item.setAttribute("aria-current", "true");
      else item.removeAttribute("aria-current");
    }
    stage.lightPreset();
  };

  /** A line of the legend. @param {any[]} entry @param {any} series */
  const segment = ([key, colour, name, code, isAutomatic], series) => {
    const uid = key.split(":")[0];
    const item = document.createElement("li");
    const label = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = stage.masks.shown.has(key);
    box.dataset.segment = key;
    box.addEventListener("change", () => {
      if (box.checked) stage.masks.shown.add(key);
      else stage.masks.shown.delete(key);
      stage.repaint();
    });
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    swatch.style.background = colour;
    const text = document.createElement("span");
    text.textContent = name;
    label.append(box, swatch, text);
    const quiet = document.createElement("span");
    quiet.className = "quiet mono";
    quiet.textContent = code;
    item.append(label, quiet);
    if (data.mayWrite && stage.series?.hasOverlays) {
      const correct = document.createElement("button");
      correct.type = "button";
      correct.className = "plain correct";
      correct.textContent = words["Correct"];
      correct.setAttribute("aria-label", `${words["Correct"]}: ${name}`);
      correct.addEventListener("click", () => drawing.adopt(uid));
      const across = document.createElement("button");
      across.type = "button";
      across.className = "plain";
      across.textContent = words["Sections"];
      across.setAttribute("aria-label", `${words["Sections"]}: ${name}`);
      across.addEventListener("click", () => sections.through(key));
      item.append(correct, across);
      if (isAutomatic) item.append(rejecting(uid, name, series));
    }
    return item;
  };

  /** A machine's mask is a proposal: say that it was rejected, or offer to. @param {string} uid @param {string} name @param {any} series */
  const rejecting = (uid, name, series) => {
    if (series.rejected?.includes(uid)) {
      const mark = document.createElement("span");
      mark.className = "quiet";
      mark.textContent = words["Proposal rejected"];
      return mark;
    }
    const button = document.createElement("button");
    button.type = "button";
    button.className = "plain";
    button.textContent = words["Reject"];
    button.setAttribute("aria-label", `${words["Reject"]}: ${name}`);
    button.addEventListener("click", async () => {
      if (!await drawing.reject(uid)) return;
      series.rejected = [...(series.rejected ?? []), uid];
      for (const [key] of series.segments) if (key.startsWith(`${uid}:`)) stage.masks.shown.delete(key);
      describe(series);
      stage.repaint();
    });
    return button;
  };

  /** Show another series of this imaging study without leaving the report. @param {string} uid @param {number} [start] */
  const change = async (uid, start) => {
    const series = await ask("GET", `/api/reading/series/${uid}`);
    await open(series, start ?? Math.floor(series.planes.length / 2));
    findings.draw();
  };

  fusion.change = change;

  /** @param {number} step */
  const neighbour = (step) => {
    const all = data.allSeries;
    const at = all.indexOf(stage.series?.series) + step;
    if (all[at]) change(all[at]);
  };

  findings.goTo = async (finding) => {
    if (finding.series !== stage.series?.series) await change(finding.series, 0);
    const at = stage.indexOf(finding.instance, finding.frame);
    if (at >= 0) await stage.go(at);
    if (finding.kind === "section") await sections.reopen(finding);
    else sections.close();
  };

  let timer = 0;
  /** Keep the address pointing at what is seen, so that it can be copied. */
  const remember = () => {
    clearTimeout(timer);
    timer = window.setTimeout(() => {
      if (!stage.series) return;
      const [instance, frame] = stage.series.planes[stage.index];
      const address = new URL(location.href);
      address.pathname = `/reading/series/${stage.series.series}`;
      address.search = "";
      address.searchParams.set("instance", instance);
      address.searchParams.set("frame", `${frame}`);
      const [only, ...others] = stage.masks.shown;
      if (only && !others.length) address.searchParams.set("segment", only);
      if (findings.chosen) address.searchParams.set("finding", findings.chosen);
      if (data.list) address.searchParams.set("list", data.list);
      const template = new URL(location.href).searchParams.get("template");
      if (template) address.searchParams.set("template", template);
      history.replaceState(null, "", address);
    }, 200);
  };
  stage.onSlice = (index) => {
    byId("stage").dataset.index = `${index}`;
    prior.follow();
    remember();
  };
  findings.onChosen = remember;

  const step = (/** @type {number} */ by) => (sections.isOpen ? sections.step(by) : stage.go(stage.target + by));
  bindKeys(data.keys, {
    previous: () => step(-1),
    next: () => step(1),
    "ten-back": () => step(-10),
    "ten-on": () => step(10),
    first: () => stage.go(0),
    last: () => stage.go(stage.ids.length - 1),
    window: (key) => {
      const preset = stage.series?.presets[Number(key) - 1];
      if (preset) stage.setWindow(preset[1], preset[2]);
    },
    larger: () => stage.enlarge(1.25),
    smaller: () => stage.enlarge(0.8),
    fit: () => stage.enlarge(0),
    "tool-window": () => use("WindowLevel"),
    "tool-pan": () => use("Pan"),
    "tool-length": () => use("Length"),
    "tool-bidirectional": () => use("Bidirectional"),
    "tool-ellipse": () => use("EllipticalROI"),
    "tool-angle": () => use("Angle"),
    "tool-rectangle": () => use("RectangleROI"),
    "tool-freehand": () => use("PlanarFreehandROI"),
    "tool-sphere": () => use("CircleROI"),
    "tool-probe": () => use("Probe"),
    "next-finding": () => findings.next(1),
    "previous-finding": () => findings.next(-1),
    "remove-finding": () => findings.remove(),
    undo: () => (drawing.pen ? drawing : findings).undo(),
    redo: () => (drawing.pen ? drawing : findings).redo(),
    "pen-brush": () => take("brush"),
    "pen-eraser": () => take("eraser"),
    "pen-threshold": () => take("threshold"),
    "pen-scissors": () => take("scissors"),
    "pen-grow": () => take("grow"),
    "pen-smaller": () => drawing.resize(0.8),
    "pen-larger": () => drawing.resize(1.25),
    "fill-between": () => drawing.work("fill-between"),
    "copy-on": () => drawing.copy(1),
    "copy-back": () => drawing.copy(-1),
    "next-segment": () => drawing.next(),
    "take-volume": () => volumes.take(),
    "finish-drawing": () => drawing.finish(),
    masks: () => {
      stage.masks.hidden = !stage.masks.hidden;
      stage.repaint();
    },
    fuse: () => fusion.toggle(),
    "layer-weaker": () => fusion.weaker(),
    "layer-stronger": () => fusion.stronger(),
    invert: () => stage.invert(),
    header: () => showHeader(stage, say),
    cine,
    planes: () => planes.toggle(),
    slab: () => planes.nextSlab(),
    prior: () => prior.toggle(),
    texts: () => byId("stage").classList.toggle("bare"),
    "next-series": () => neighbour(1),
    "previous-series": () => neighbour(-1),
    report: () => report?.focus(),
    section: () => {
      use("WindowLevel");
      sections.mark();
    },
    image: () => {
      planes.close();
      sections.close();
      use("WindowLevel");
      byId("stage").focus();
    },
    normal: () => report?.normal(),
    codes: () => coding?.go(),
    sign: () => report?.sign(),
    "next-case": () => location.assign("/reading/worklist/next"),
    help: () => byId("help-dialog").showModal(),
  });

  for (const button of document.querySelectorAll("#tools button[data-tool]")) {
    button.addEventListener("click", () => use(/** @type {any} */ (button).dataset.tool));
  }
  for (const button of document.querySelectorAll("#tools button[data-pen]")) {
    button.addEventListener("click", () => take(/** @type {any} */ (button).dataset.pen));
  }
  byId("undo").addEventListener("click", () => (drawing.pen ? drawing : findings).undo());
  byId("redo").addEventListener("click", () => (drawing.pen ? drawing : findings).redo());
  byId("slab").addEventListener("change", () => planes.setSlab(byId("slab").value));
  byId("slab-mm").addEventListener("change", () => planes.setSlab(planes.slab));
  byId("show-planes").addEventListener("click", () => planes.toggle());
  byId("show-prior").addEventListener("click", () => prior.toggle());
  byId("show-header").addEventListener("click", () => showHeader(stage, say));
  byId("mark-line").addEventListener("click", () => sections.mark());
  byId("invert").addEventListener("click", () => stage.invert());
  byId("cine").addEventListener("click", cine);
  byId("help").addEventListener("click", () => byId("help-dialog").showModal());
  byId("print-keys").addEventListener("click", () => window.print());
  byId("normal")?.addEventListener("click", () => report?.normal());
  byId("sign")?.addEventListener("click", () => report?.sign());
  byId("slice").addEventListener("input", (/** @type {any} */ event) => stage.go(Number(event.target.value)));
  for (const link of document.querySelectorAll("#series-list a")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      change(/** @type {any} */ (link).dataset.series);
    });
  }

  await decision?.load();
  await open(data, data.start);
  byId("stage").dataset.ready = "image";
  await Promise.all([proposals?.load(), queries?.load()]);
  await Promise.all([findings.load(), report?.load(), prior.load()]);
  if (data.hanging?.layout === "planes") await planes.toggle();
  if (data.hanging?.prior && byId("prior-choice").value) await prior.toggle();
  if (data.finding) await findings.choose(data.finding);
  byId("stage").dataset.ready = "all";
  byId("stage").focus({ preventScroll: true });
};

if (canDraw()) {
  begin().catch((error) => {
    say(`${error instanceof Error ? error.message : error}`, true);
    byId("plain-way").hidden = false;
  });
} else goPlain();
