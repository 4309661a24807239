// Keys: the table comes from the page, which prints the cheat sheet from the same rows.
// @ts-check

/** @typedef {Record<string, (key: string) => void>} Actions */

/** @param {KeyboardEvent} event @returns {string} the name the table uses */
const nameOf = (event) =>
  `${event.ctrlKey || event.metaKey ? "Ctrl+" : ""}${event.altKey ? "Alt+" : ""}${event.key}`;

/** @param {EventTarget | null} target */
const isField = (target) =>
  target instanceof Element && target.matches("input:not([type=radio]):not([type=checkbox]):not([type=range]), select, textarea");

/** Bind every row of the table; an action without a function is a mistake and is said at once.
 * @param {[string[], string, boolean][]} table @param {Actions} actions */
export const bindKeys = (table, actions) => {
  /** @type {Map<string, [string, boolean]>} */
  const bound = new Map();
  for (const [keys, action, inFields] of table) {
    if (!actions[action]) throw new Error(`no function for the action ${action}`);
    for (const key of keys) bound.set(key, [action, inFields]);
  }
  // On the way down: the engine listens to keys on its element and swallows them, the tab key too.
  document.addEventListener("keydown", (event) => {
    if (event.target instanceof Element && event.target.closest("#viewport")) event.stopPropagation();
    if (document.querySelector("dialog[open]")) return;
    const found = bound.get(nameOf(event));
    if (!found || (isField(event.target) && !found[1])) return;
    // Arrows, digits and space belong to a control that has the focus.
    const isControl = event.target instanceof Element && event.target.matches("input, summary, .offered button");
    if (isControl && !found[1] && /^(Arrow|Home|End|Page|Backspace$|[0-9 ]$)/.test(event.key)) return;
    event.preventDefault();
    actions[found[0]](event.key);
  }, true);
  bindCommands(table, actions);
};

/** Let the list of keys be asked by words: what is typed or dictated narrows it, Enter does the first that is left.
 * @param {[string[], string, boolean][]} table @param {Actions} actions */
const bindCommands = (table, actions) => {
  const dialog = /** @type {HTMLDialogElement} */ (document.getElementById("help-dialog"));
  const field = /** @type {HTMLInputElement} */ (document.getElementById("command"));
  const names = /** @type {HTMLElement[]} */ ([...dialog.querySelectorAll("dd[data-action]")]);
  const narrow = () => {
    const wanted = field.value.trim().toLowerCase();
    for (const name of names) {
      const isLeft = (name.textContent ?? "").toLowerCase().includes(wanted);
      name.hidden = !isLeft;
      /** @type {HTMLElement} */ (name.previousElementSibling).hidden = !isLeft;
    }
    const count = names.filter((name) => !name.hidden).length;
    /** @type {HTMLElement} */ (document.getElementById("commands-left")).textContent = wanted ? `${count}` : "";
  };
  field.addEventListener("input", narrow);
  dialog.addEventListener("close", () => {
    field.value = "";
    narrow();
  });
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    const first = field.value.trim() && names.find((name) => !name.hidden);
    if (!first) return;
    dialog.close();
    const row = table.find(([, action]) => action === first.dataset.action);
    if (row) actions[row[1]](row[0][0]);
  });
};
