// One line of the list of findings: what it is, its numbers, its address; its author can change and remove it.
// @ts-check

const SLIGHT_MM = 0.05;

/** Where a finding of a foreign report is from. @param {any} finding @param {any} findings */
const originOf = ({ origin, note }, { data: { words }, numbers }) => [
  `${words["Foreign report"]}: ${[origin.device, origin.observer].filter(Boolean).join(" · ") || "–"}`,
  (origin.beside_mm ?? 0) > SLIGHT_MM ? words["{mm} mm beside this slice"].replace("{mm}", numbers.format(origin.beside_mm)) : "",
  note, origin.site?.meaning, ...origin.statements.map((/** @type {string[]} */ [name, value]) => `${name}: ${value}`),
].filter(Boolean).join("; ");

/** Say what of foreign reports has no place here. @param {any} findings @param {any[]} leftOut */
export const showLeftOut = (findings, leftOut) => {
  const list = /** @type {HTMLElement} */ (document.getElementById("left-out"));
  list.hidden = !leftOut.length;
  list.replaceChildren(...leftOut.map(({ name, meaning, numbers, reason }) => {
    const entry = document.createElement("li");
    const words = findings.data.words;
    entry.textContent = `${words["Foreign report"]}: ${[meaning, name, ...numbers].filter(Boolean).join(", ")}. ${words[reason] ?? reason}`;
    return entry;
  }));
};

/** @param {any} findings @param {any} finding @param {number} at */
export const entryOf = (findings, finding, at) => {
  const words = findings.data.words;
  const entry = document.createElement("li");
  entry.dataset.finding = finding.id;
  entry.classList.toggle("here", finding.id === findings.chosen);
  const open = document.createElement("button");
  open.type = "button";
  open.className = "finding";
  if (finding.id === findings.chosen) open.setAttribute("aria-current", "true");
  const title = document.createElement("strong");
  title.textContent = `${at + 1} ${findings.data.meanings.find((/** @type {string[]} */ [key]) => key === finding.meaning.key)?.[1] ?? finding.meaning.meaning}`;
  const lines = document.createElement("span");
  lines.className = "numbers";
  lines.textContent = findings.lines(finding).join(" · ");
  for (const [name, value] of finding.numbers.map((/** @type {any} */ n) => [n.name, n.value])) {
    if (!(name in findings.data.names)) continue; // a foreign number under its own code
    lines.dataset[name.replace(/_(.)/g, (/** @type {string} */ _, /** @type {string} */ letter) => letter.toUpperCase())] = `${value}`;
  }
  const author = document.createElement("span");
  author.className = "quiet";
  author.textContent = finding.origin?.instance ? originOf(finding, findings) : finding.author;
  open.append(title, lines, author);
  open.addEventListener("click", () => findings.choose(finding.id));
  entry.append(open);
  const more = document.createElement("div");
  more.className = "more";
  const link = document.createElement("a");
  link.href = finding.link;
  link.textContent = words["Address"];
  const remove = document.createElement("button");
  remove.type = "button";
  remove.className = "plain";
  remove.textContent = words["Remove"];
  remove.addEventListener("click", () => findings.remove(finding.id));
  const isOwn = finding.author === findings.data.user && findings.data.mayWrite;
  if (isOwn && finding.kind === "segment") more.append(link, remove);
  else if (isOwn) {
    const meaning = document.createElement("select");
    meaning.setAttribute("aria-label", words["Meaning"]);
    for (const [key, text] of findings.data.meanings) meaning.add(new Option(text, key, false, key === finding.meaning.key));
    meaning.addEventListener("change", () => findings.mean(finding.id, meaning.value));
    more.append(meaning, link, remove);
  } else more.append(link);
  entry.append(more);
  return entry;
};
