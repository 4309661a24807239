// The gallery's page: what matches, what is seen of it, what is selected, and what is done with it.
// @ts-check

import { drawFacets } from "./facets.js";
import { ask, fill, say } from "./node.js";
import { Sheet } from "./sheet.js";

const data = JSON.parse(document.getElementById("gallery-data")?.textContent || "{}");
const element = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));
const field = (/** @type {string} */ id) => /** @type {HTMLInputElement} */ (document.getElementById(id));
const dialog = (/** @type {string} */ id) => /** @type {HTMLDialogElement | null} */ (document.getElementById(id));
const words = data.words;
const form = /** @type {HTMLFormElement} */ (element("asked"));
const FIELDS = ["text", "subject", "day_from", "day_to", "images_from", "images_to"];

/** Accepted values by facet, and names of sets. @type {Map<string, Set<string>>} */
const chosen = new Map(Object.entries({ ...data.filter.facets, within: data.filter.within || [], without: data.filter.without || [] })
  .map(([name, values]) => [name, new Set(values)]));
/** Tags in the order of their numbers. @type {string[]} */
let tags = [];
/** @type {{id: number, name: string, owner: string, query: string}[]} */
let views = [];
let asked = 0;

const sheet = new Sheet(element("stage"), element("sheet"), {
  words,
  rows: async (ids) => (await ask(`/api/curation/gallery/series?ids=${ids.join(",")}`)).series,
  moved: (row) => {
    element("detail").textContent = row
      ? [row.subject, row.day, row.class, row.quality_label, ...row.rules, ...row.checks].filter(Boolean).join(" · ")
      : "";
  },
  selected: (count) => {
    element("selected").textContent = count ? fill(words["{count} selected"], count, data.language) : "";
  },
  failed: () => say(words["The node does not answer; what you see may be old."], true),
});

/** What is asked for now, as the query of an address. */
const query = () => {
  const pairs = new URLSearchParams();
  for (const name of FIELDS) {
    const value = /** @type {HTMLInputElement} */ (form.elements.namedItem(name)).value.trim();
    if (value) pairs.append(name, value);
  }
  for (const [name, values] of chosen) for (const value of values) pairs.append(name, value);
  return pairs;
};

/** Ask again for what matches, and draw it; an answer that is overtaken is dropped. */
const search = async () => {
  const turn = ++asked;
  const pairs = query();
  history.replaceState(null, "", `/gallery${pairs.size ? `?${pairs}` : ""}`);
  try {
    const found = await ask(`/api/curation/gallery?${pairs}`);
    if (turn !== asked) return;
    sheet.show(found.ids);
    element("count").textContent = fill(words["{count} series"], found.total, data.language);
    await countFacets(turn);
  } catch {
    say(words["The node does not answer; what you see may be old."], true);
  }
};

const countFacets = async (turn = asked) => {
  const { facets } = await ask(`/api/curation/gallery/facets?${query()}`);
  if (turn !== asked) return;
  drawFacets(element("facets"), data.facets, facets, chosen, words, data.language, search);
  // A tag keeps its number while the page is open: who takes the last one back by its key can give it again.
  const found = facets.tag.map((/** @type {{value: string}} */ item) => item.value).sort();
  tags = [...tags, ...found.filter((/** @type {string} */ tag) => !tags.includes(tag))];
  const list = document.getElementById("tags");
  list?.replaceChildren(...tags.map((tag) => new Option(tag)));
  document.getElementById("quick")?.replaceChildren(...tags.slice(0, 9).map((tag, place) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "second";
    button.append(Object.assign(document.createElement("kbd"), { textContent: String(place + 1) }), ` ${tag}`);
    button.addEventListener("click", () => giveOrTake(tag));
    return button;
  }));
};

/** @param {string} tag @param {boolean} take */
const tagChosen = async (tag, take) => {
  const ids = sheet.chosenIds();
  if (!ids.length) return say(words["Select series first."], true);
  if (!tag.trim()) return undefined;
  const { changed } = await ask("/api/curation/tags", { tag, ids, take });
  say(changed ? words[take ? "Untagged." : "Tagged."] : words["Nothing was changed."]);
  sheet.retag(ids, tag.trim(), take);
  return countFacets();
};

/** Give a tag, or take it when everything that is selected and seen has it. @param {string} tag */
const giveOrTake = (tag) => tagChosen(tag, sheet.allHave(tag));

const listViews = async () => {
  views = (await ask("/api/curation/views")).views;
  const box = /** @type {HTMLSelectElement} */ (element("views"));
  box.replaceChildren(box.options[0], ...views.map((view) => new Option(view.name, String(view.id))));
  element("delete-view").hidden = true;
};

const frozen = async () => {
  const ids = sheet.chosenIds().length ? sheet.chosenIds() : sheet.allIds();
  const made = await ask("/api/curation/datasets",
    { study: field("freeze-study").value, name: field("freeze-name").value, ids });
  say(`${words["The dataset is frozen."]} ${fill(words["{count} series"], made.series, data.language)} · ${made.hash.slice(0, 12)}`);
};

/** @type {Record<string, (event: KeyboardEvent) => unknown>} */
const actions = {
  left: (event) => sheet.move(-1, event.shiftKey),
  right: (event) => sheet.move(1, event.shiftKey),
  up: (event) => sheet.move(-sheet.columns, event.shiftKey),
  down: (event) => sheet.move(sheet.columns, event.shiftKey),
  "page-up": (event) => sheet.move(-sheet.columns * sheet.rowsInSight, event.shiftKey),
  "page-down": (event) => sheet.move(sheet.columns * sheet.rowsInSight, event.shiftKey),
  first: (event) => sheet.move(-Infinity, event.shiftKey),
  last: (event) => sheet.move(Infinity, event.shiftKey),
  select: () => sheet.toggle(),
  "select-all": () => sheet.chooseAll(),
  "select-none": () => sheet.chooseNone(),
  "tag-number": (event) => tags[Number(event.key) - 1] && giveOrTake(tags[Number(event.key) - 1]),
  tag: () => document.getElementById("tag")?.focus(),
  search: () => field("text").focus(),
  save: () => dialog("save")?.showModal(),
  freeze: () => dialog("freeze")?.showModal(),
  open: () => sheet.here && location.assign(`/reading/series/${sheet.here.series}`),
  help: () => (dialog("keys")?.open ? dialog("keys")?.close() : dialog("keys")?.showModal()),
};

addEventListener("keydown", (event) => {
  const target = /** @type {HTMLElement} */ (event.target);
  const typing = target.matches("input, select, textarea") || target.closest("dialog");
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (typing) {
    if (event.key === "Escape" && !target.closest("dialog")) element("stage").focus();
    return;
  }
  // A button or link with the focus keeps the keys that press it.
  if ([" ", "Enter"].includes(event.key) && target.matches("button, a, summary")) return;
  const action = actions[data.keys[event.key]];
  if (!action) return;
  event.preventDefault();
  Promise.resolve(action(event)).catch((error) => say(error.message, true));
});

form.addEventListener("submit", (event) => event.preventDefault());
let waiting = 0;
form.addEventListener("input", (event) => {
  if (!FIELDS.includes(/** @type {HTMLInputElement} */ (event.target).name)) return;
  clearTimeout(waiting);
  waiting = setTimeout(search, 250);
});
element("show-all").addEventListener("click", () => {
  for (const name of FIELDS) /** @type {HTMLInputElement} */ (form.elements.namedItem(name)).value = "";
  chosen.clear();
  search();
});
document.getElementById("tagging")?.addEventListener("submit", (event) => {
  event.preventDefault();
  tagChosen(field("tag").value, false).catch((error) => say(error.message, true));
  element("stage").focus();
});
document.getElementById("take-tag")?.addEventListener("click", () =>
  tagChosen(field("tag").value, true).catch((error) => say(error.message, true)));
element("help").addEventListener("click", () => dialog("keys")?.showModal());
for (const name of ["save", "freeze"]) {
  document.getElementById(`open-${name}`)?.addEventListener("click", () => dialog(name)?.showModal());
  dialog(name)?.querySelector(".close")?.addEventListener("click", () => dialog(name)?.close());
}
document.getElementById("save-form")?.addEventListener("submit", (event) => {
  event.preventDefault();
  const filter = /** @type {Record<string, unknown>} */ ({});
  for (const [name, value] of query()) {
    if (FIELDS.includes(name)) filter[name] = value;
    else filter[name] = [.../** @type {string[]} */ (filter[name] || []), value];
  }
  ask("/api/curation/views", { name: field("view-name").value, filter })
    .then(() => { say(words["The view is saved."]); return listViews(); })
    .catch((error) => say(error.message, true));
  dialog("save")?.close();
});
document.getElementById("freeze-form")?.addEventListener("submit", (event) => {
  event.preventDefault();
  dialog("freeze")?.close();
  frozen().catch((error) => say(error.message, true));
});
element("views").addEventListener("change", () => {
  const view = views.find((item) => String(item.id) === /** @type {HTMLSelectElement} */ (element("views")).value);
  element("delete-view").hidden = view?.owner !== data.user;
  if (!view) return;
  const pairs = new URLSearchParams(view.query);
  for (const name of FIELDS) /** @type {HTMLInputElement} */ (form.elements.namedItem(name)).value = asField(name, pairs.get(name) || "");
  chosen.clear();
  for (const [name, value] of pairs) if (!FIELDS.includes(name)) chosen.set(name, (chosen.get(name) || new Set()).add(value));
  search();
});
element("delete-view").addEventListener("click", () => {
  ask(`/api/curation/views/${/** @type {HTMLSelectElement} */ (element("views")).value}`, null, "DELETE")
    .then(() => { say(words["The view is deleted."]); return listViews(); })
    .catch((error) => say(error.message, true));
});

/** Days are kept without dashes; a field of days wants them. @param {string} name @param {string} value */
function asField(name, value) {
  return name.startsWith("day_") && value.length === 8
    ? `${value.slice(0, 4)}-${value.slice(4, 6)}-${value.slice(6)}` : value;
}

search();
listViews().catch((error) => say(error.message, true));
element("stage").focus();
