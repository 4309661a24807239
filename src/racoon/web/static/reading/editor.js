// The editor of report templates: text on the left, on the right the form as the node reads it, with live answers.
// @ts-check

import { asChips, asField, choicesOf, make } from "./room/answers.js";
import { ask } from "./room/requests.js";

/** @param {string} id @returns {any} */
const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("editor-data").textContent);
const text = byId("text");
const PAUSE_MS = 350;

/** @type {any} */
let shown = null;
/** @type {Map<string, any>} */
const controls = new Map();
let timer = 0;

/** @param {string} words @param {boolean} [isBad] */
const say = (words, isBad = false) => {
  byId("state").textContent = words;
  byId("state").classList.toggle("bad", isBad);
};

/** @param {unknown} error */
const sayError = (error) => say(error instanceof Error ? error.message : `${error}`, true);

const host = {
  isSigned: false,
  language: data.language,
  changed: () => later(() => look(true)),
};

/** @param {() => void} act */
const later = (act) => {
  clearTimeout(timer);
  timer = window.setTimeout(() => { timer = 0; act(); }, PAUSE_MS);
};

/** Ask the node how the form looks with these answers. @param {boolean} keeps the answers @param {boolean} [normal] */
const look = async (keeps, normal = false) => {
  try {
    const items = keeps && shown ? collect(shown.form.items, "") : null;
    const found = await ask("POST", "/api/reading/templates/preview", { text: text.value, items, normal });
    // The answers may be of questions that are gone.
    if (found.problem && items) return look(false, normal);
    if (found.problem) return say(found.line ? `${found.problem} (${data.words["Line"]} ${found.line})` : found.problem, true);
    shown = found;
    draw();
    say(data.words["It can be read."]);
  } catch (error) {
    sayError(error);
  }
};

const draw = () => {
  const focus = document.activeElement?.id;
  controls.clear();
  byId("preview").replaceChildren(...shown.form.items.flatMap((/** @type {any} */ item) => drawn(item, shown.items, "")));
  const hidden = new Set(shown.hidden);
  for (const box of byId("preview").querySelectorAll("[data-path]")) box.hidden = hidden.has(box.dataset.path);
  for (const [list, name] of [[shown.problems, "problem"], [shown.doubts, "doubt"]]) {
    for (const problem of list) {
      const box = byId("preview").querySelector(`[data-path="${CSS.escape(problem.path)}"]`);
      if (box && problem.code !== "required") box.append(make("p", name, problem.message));
    }
  }
  byId("open").textContent = shown.problems.length
    ? `${data.words["Open questions"]}: ${shown.problems.length}` : data.words["Complete: it can be signed."];
  if (focus) byId(focus)?.focus();
};

/** @param {any} item @param {any[]} answers @param {string} above @returns {HTMLElement[]} */
const drawn = (item, answers, above) => {
  const path = `${above}${item.linkId}`;
  const nodes = answers.filter((node) => node.linkId === item.linkId);
  if (item.kind === "display") return [make("p", "quiet", item.text)];
  if (item.kind === "group") {
    if (!item.repeats) return [group(item, nodes[0]?.item ?? [], path, item.text)];
    const box = make("div", "repeats");
    box.dataset.path = path;
    nodes.forEach((node, at) => {
      const one = group(item, node.item ?? [], `${path}[${at}]`, `${item.text} ${at + 1}`);
      one.dataset.instance = "";
      box.append(one);
    });
    const add = make("button", "second", `+ ${item.text}`);
    add.type = "button";
    add.addEventListener("click", () => {
      nodes.push({ linkId: item.linkId, item: [] });
      box.insertBefore(group(item, [], `${path}[${nodes.length - 1}]`, `${item.text} ${nodes.length}`), add);
      look(true);
    });
    box.append(add);
    return [box];
  }
  const chips = choicesOf(item, data.words);
  const box = make(chips ? "fieldset" : "div", `question${item.required ? " required" : ""}`);
  box.dataset.path = path;
  const control = { item, box, source: "", read: () => /** @type {any[]} */ ([]), write: (/** @type {any[]} */ _) => {} };
  if (chips) asChips(control, chips, path, host);
  else asField(control, path, host);
  for (const input of box.querySelectorAll("[aria-describedby]")) input.removeAttribute("aria-describedby");
  control.write(nodes[0]?.answer ?? []);
  controls.set(path, control);
  return [box];
};

/** @param {any} item @param {any[]} answers @param {string} path @param {string} title */
const group = (item, answers, path, title) => {
  const box = make("fieldset", "group");
  box.dataset.path = path;
  box.append(make("legend", "", title), ...(item.items ?? []).flatMap((/** @type {any} */ child) => drawn(child, answers, `${path}/`)));
  return box;
};

/** Items of a QuestionnaireResponse from what the preview holds. @param {any[]} items @param {string} above @returns {any[]} */
const collect = (items, above) => items.flatMap((item) => {
  const path = `${above}${item.linkId}`;
  if (item.kind === "group" && item.repeats) {
    const found = [];
    for (let at = 0; byId("preview").querySelector(`fieldset.group[data-path="${CSS.escape(`${path}[${at}]`)}"]`); at++) {
      found.push({ linkId: item.linkId, item: collect(item.items, `${path}[${at}]/`) });
    }
    return found;
  }
  if (item.kind === "group") {
    const inside = collect(item.items, `${path}/`);
    return inside.length ? [{ linkId: item.linkId, item: inside }] : [];
  }
  const answer = item.readOnly ? [] : controls.get(path)?.read() ?? [];
  return answer.length ? [{ linkId: item.linkId, answer }] : [];
});

/** Add a question to the last group of the text. @param {string} kind */
const add = (kind) => {
  let document;
  try {
    document = JSON.parse(text.value);
  } catch (error) {
    return sayError(error);
  }
  document.item ??= [];
  const names = new Set(text.value.match(/"linkId": *"[^"]*"/g) ?? []);
  let number = names.size + 1;
  while (names.has(`"linkId": "question-${number}"`)) number++;
  const item = /** @type {any} */ ({ linkId: `question-${number}`, type: kind, text: `Question ${number}` });
  if (kind === "choice") {
    item.answerOption = ["first", "second"].map((code) => ({ valueCoding: { system: "urn:racoon:codes", code, display: code } }));
  }
  const last = document.item[document.item.length - 1];
  if (kind === "group") document.item.push({ ...item, text: `Group ${number}`, item: [{ linkId: `question-${number}-1`, type: "boolean", text: "Question" }] });
  else if (last?.type === "group") (last.item ??= []).push(item);
  else document.item.push(item);
  text.value = JSON.stringify(document, null, 1);
  look(true);
};

const open = (/** @type {any} */ draft) => {
  location.href = `/reading/templates/edit?${new URLSearchParams({ url: draft.url, version: draft.version })}`;
};

text.addEventListener("input", () => later(() => look(true)));
byId("normal").addEventListener("click", () => look(true, true));
for (const button of document.querySelectorAll("[data-add]")) {
  button.addEventListener("click", () => add(/** @type {any} */ (button).dataset.add));
}
byId("save")?.addEventListener("click", async () => {
  try {
    const draft = await ask("PUT", "/api/reading/templates", { text: text.value, based_on: data.revision });
    say(data.words["Saved"]);
    open(draft);
  } catch (error) {
    sayError(error);
  }
});
byId("sign")?.addEventListener("click", async () => {
  try {
    open(await ask("POST", "/api/reading/templates/sign", { url: data.url, version: data.version, sha256: data.sha256 }));
  } catch (error) {
    sayError(error);
  }
});
byId("import")?.addEventListener("submit", async (/** @type {Event} */ event) => {
  event.preventDefault();
  const [file] = byId("file").files;
  if (!file) return;
  try {
    const name = file.name.replace(/\.[a-z]+$/i, "").slice(0, 60);
    open(await ask("POST", "/api/reading/templates/import", { text: await file.text(), name }));
  } catch (error) {
    sayError(error);
  }
});
look(false);
