// Three planes through the same volume: crosshair, slabs (highest, mean, lowest value) and letters at their edges.
// @ts-check

import { PlaneLayers } from "./plane-layers.js";
import { PlaneMasks } from "./plane-masks.js";
import { ask } from "./requests.js";

const NAMES = ["axial", "coronal", "sagittal"];
const COLOURS = /** @type {Record<string, string>} */ ({ axial: "#7bdff2", coronal: "#f9c74f", sagittal: "#ff70a6" });
const SLABS = ["thin", "highest", "mean", "lowest"];

/** @param {string} id @returns {any} */
const byId = (id) => document.getElementById(id);

export class Planes {
  /** @param {any} stage @param {any} data @param {any} fusion @param {(text: string, isBad?: boolean) => void} say */
  constructor(stage, data, fusion, say) {
    this.stage = stage;
    this.data = data;
    this.say = say;
    this.isOpen = false;
    this.slab = "thin";
    this.shown = "";
    this.masks = new PlaneMasks(stage);
    this.layers = new PlaneLayers(stage, fusion, say);
    stage.onMasks = () => this.#paintMasks();
    fusion.onChange = () => this.#takeLayer();
  }

  /** Open the planes where the reader is, or go back to the slice that the crosshair is on. */
  async toggle() {
    if (this.isOpen) return this.close();
    const { series } = this.stage;
    if (!series?.hasOverlays || series.planes.length < 3) {
      return this.say(this.data.words["These pictures are no volume, so there are no other planes."], true);
    }
    this.isOpen = true;
    byId("planes").hidden = false;
    this.say(this.data.words["Loading …"]);
    try {
      await this.#show(series);
      this.say("");
    } catch (error) {
      this.say(error instanceof Error ? error.message : `${error}`, true);
      this.close();
    }
  }

  /** @param {any} series */
  async #show(series) {
    const { core, tools, engine } = this.stage;
    if (!this.group) this.#prepare();
    const id = `cornerstoneStreamingImageVolume:${series.series}`;
    if (this.shown !== series.series) {
      const volume = await core.volumeLoader.createAndCacheVolume(id, { imageIds: this.stage.ids });
      volume.load();
      await core.setVolumesForViewports(engine, [{ volumeId: id }], NAMES);
      this.shown = series.series;
    }
    engine.resize(true, false);
    for (const name of NAMES) engine.getViewport(name).resetCamera();
    this.setWindow();
    this.setSlab(this.slab);
    this.group.setToolActive("Crosshairs", { bindings: [{ mouseButton: tools.Enums.MouseBindings.Primary }] });
    const { rows, columns } = series;
    const plane = core.metaData.get("imagePlaneModule", this.stage.ids[this.stage.index]);
    const middle = [0, 1, 2].map((axis) => plane.imagePositionPatient[axis] +
      plane.rowCosines[axis] * plane.columnPixelSpacing * (columns - 1) / 2 +
      plane.columnCosines[axis] * plane.rowPixelSpacing * (rows - 1) / 2);
    this.group.getToolInstance("Crosshairs").setToolCenter(middle, true);
    engine.renderViewports(NAMES);
    this.#letters();
    byId("stage").dataset.planes = "open";
    await Promise.all([this.#takeMasks(series), this.#takeLayer()]);
  }

  /** Lay over the planes in colour what lies over the slices. */
  async #takeLayer() {
    if (!this.isOpen) return;
    const stage = byId("stage");
    await this.layers.take();
    for (const name of NAMES) this.layers.paintSoon(name);
    if (this.layers.volume) stage.dataset.planeLayer = "shown";
    else delete stage.dataset.planeLayer;
  }

  #prepare() {
    const { core, tools, engine } = this.stage;
    core.volumeLoader.registerUnknownVolumeLoader(core.cornerstoneStreamingImageVolumeLoader);
    const axes = core.Enums.OrientationAxis;
    for (const name of NAMES) {
      engine.enableElement({
        viewportId: name, type: core.Enums.ViewportType.ORTHOGRAPHIC, element: byId(`plane-${name}`),
        defaultOptions: { orientation: axes[name.toUpperCase()], background: [0, 0, 0] },
      });
      byId(`plane-${name}`).addEventListener(core.Enums.Events.CAMERA_MODIFIED, () => this.#letters());
      byId(`plane-${name}`).addEventListener(core.Enums.Events.IMAGE_RENDERED, () => {
        this.masks.paintSoon(name);
        this.layers.paintSoon(name);
      });
    }
    tools.addTool(tools.CrosshairsTool);
    const group = (this.group = tools.ToolGroupManager.createToolGroup("planes"));
    for (const name of NAMES) group.addViewport(name, "room");
    for (const tool of ["Pan", "Zoom", "StackScroll"]) group.addTool(tool);
    group.addTool("Crosshairs", { getReferenceLineColor: (/** @type {string} */ name) => COLOURS[name] });
    const { Auxiliary, Secondary, Wheel } = tools.Enums.MouseBindings;
    group.setToolActive("Pan", { bindings: [{ mouseButton: Auxiliary }] });
    group.setToolActive("Zoom", { bindings: [{ mouseButton: Secondary }] });
    group.setToolActive("StackScroll", { bindings: [{ mouseButton: Wheel }] });
  }

  /** Lay the masks over the planes, stored ones and what the reader draws. @param {any} series */
  async #takeMasks(series) {
    const stored = series.segments.length ? await ask("GET", `/reading/series/${series.series}/overlays`) : {};
    if (this.stage.series?.series !== series.series) return;
    this.masks.take(this.stage.series, stored);
    this.#paintMasks();
    byId("stage").dataset.planeMasks = `${this.masks.solids.length}`;
  }

  #paintMasks() {
    if (this.isOpen) for (const name of NAMES) this.masks.paintSoon(name);
  }

  /** Use the window of the slices here too. */
  setWindow() {
    if (!this.isOpen || !this.group || !this.stage.window) return;
    const [centre, width] = this.stage.window;
    const { lower, upper } = this.stage.rangeOf(centre, width);
    for (const name of NAMES) {
      const viewport = this.stage.engine.getViewport(name);
      viewport.setProperties({ voiRange: { lower, upper }, invert: this.stage.isInverted });
      viewport.render();
    }
  }

  /** @param {string} slab one of SLABS */
  setSlab(slab) {
    this.slab = slab;
    byId("slab").value = slab;
    this.layers.slab = { way: slab, mm: Math.max(0.1, Number(byId("slab-mm").value)) };
    if (!this.isOpen || !this.group) return;
    const { BlendModes } = this.stage.core.Enums;
    const mode = {
      thin: BlendModes.COMPOSITE, highest: BlendModes.MAXIMUM_INTENSITY_BLEND,
      mean: BlendModes.AVERAGE_INTENSITY_BLEND, lowest: BlendModes.MINIMUM_INTENSITY_BLEND,
    }[slab];
    for (const name of NAMES) {
      const viewport = this.stage.engine.getViewport(name);
      viewport.setBlendMode(mode);
      viewport.setSlabThickness(slab === "thin" ? 0.1 : Math.max(0.1, Number(byId("slab-mm").value)));
      viewport.render();
    }
    byId("stage").dataset.slab = slab;
  }

  nextSlab() {
    this.setSlab(SLABS[(SLABS.indexOf(this.slab) + 1) % SLABS.length]);
  }

  /** Letters at the edges of each plane, from its camera. */
  #letters() {
    const { orientation } = this.stage.tools.utilities;
    for (const name of NAMES) {
      const { viewUp: up, viewPlaneNormal: normal } = this.stage.engine.getViewport(name).getCamera();
      const right = [up[1] * normal[2] - up[2] * normal[1], up[2] * normal[0] - up[0] * normal[2], up[0] * normal[1] - up[1] * normal[0]];
      const say = (/** @type {number[]} */ direction) => orientation.getOrientationStringLPS(direction).slice(0, 2);
      const minus = (/** @type {number[]} */ direction) => direction.map((value) => -value);
      const text = { left: say(minus(right)), right: say(right), top: say(up), bottom: say(minus(up)) };
      for (const [side, letters] of Object.entries(text)) {
        const mark = /** @type {any} */ (document.querySelector(`[data-plane="${name}"] [data-side="${side}"]`));
        mark.textContent = letters;
      }
    }
  }

  close() {
    if (!this.isOpen) return;
    this.isOpen = false;
    byId("planes").hidden = true;
    delete byId("stage").dataset.planes;
    delete byId("stage").dataset.planeLayer;
    const centre = this.group?.getToolInstance("Crosshairs")?.toolCenter;
    this.group?.setToolDisabled("Crosshairs");
    if (centre) this.stage.go(this.stage.nearest(centre));
  }

  /** Another series: what is shown belongs to the one before. */
  forget() {
    this.close();
    this.shown = "";
    this.layers.shown = "";
  }
}
