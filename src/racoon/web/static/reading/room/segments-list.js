// The list of drawn segments in the panel: which is active, how large each is, locks.
// @ts-check

/** @param {string} id @returns {any} */
const byId = (id) => document.getElementById(id);

/** @param {string} text @param {string} hold @param {() => void} act */
const buttonOf = (text, hold, act) => {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "plain";
  button.textContent = text;
  button.dataset.hold = hold;
  button.addEventListener("click", act);
  return button;
};

/** Write the list again; the focus stays where it was. @param {any} drawing */
export const listSegments = (drawing) => {
  const words = drawing.data.words;
  const held = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.hold : undefined;
  byId("drawn-segments").replaceChildren(...drawing.segments.map((segment) => {
    const item = document.createElement("li");
    item.dataset.number = segment.number;
    const label = document.createElement("label");
    const choice = document.createElement("input");
    choice.type = "radio";
    choice.name = "active-segment";
    choice.dataset.hold = `choose ${segment.number}`;
    choice.checked = segment.number === drawing.active;
    choice.addEventListener("change", () => {
      drawing.active = segment.number;
      drawing.stage.refresh();
    });
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    swatch.style.background = segment.colour;
    const name = document.createElement("span");
    name.textContent = segment.name + (segment.level === "manual" ? "" : ` (${words[segment.level]})`);
    label.append(choice, swatch, name);
    const volume = document.createElement("span");
    volume.className = "quiet mono volume";
    volume.dataset.volume = `${segment.volume_ml}`;
    volume.textContent = `${drawing.numbers.format(segment.volume_ml)} ml`;
    const take = buttonOf(words["As a finding"], `take ${segment.number}`, () => drawing.onTake(segment.number));
    take.setAttribute("aria-label", `${words["Volume as a finding"]}: ${segment.name}`);
    take.disabled = !segment.volume_ml;
    const lock = buttonOf(segment.locked ? words["Unlock"] : words["Lock"], `lock ${segment.number}`,
      () => drawing.change(segment.number, "PUT", `?locked=${!segment.locked}`));
    const remove = buttonOf(words["Remove"], `remove ${segment.number}`, () => drawing.change(segment.number, "DELETE"));
    remove.disabled = segment.locked;
    item.append(label, volume, take, lock, remove);
    return item;
  }));
  if (held) /** @type {any} */ (document.querySelector(`[data-hold="${held}"]`))?.focus();
  const others = drawing.segments.filter((segment) => segment.number !== drawing.active);
  byId("other").replaceChildren(...others.map((segment) => new Option(segment.name, `${segment.number}`)));
  byId("finish").disabled = !drawing.segments.length || drawing.finished;
};
