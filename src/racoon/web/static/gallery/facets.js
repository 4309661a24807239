// The facets: a box for each value, with how many series it would leave.
// @ts-check

import { fill } from "./node.js";

const SHOWN = 8;

/**
 * @param {HTMLElement} place
 * @param {Record<string, string>} labels
 * @param {Record<string, {value: string, label: string, series: number}[]>} facets
 * @param {Map<string, Set<string>>} chosen
 * @param {Record<string, string>} words
 * @param {string} language
 * @param {() => void} changed
 */
export function drawFacets(place, labels, facets, chosen, words, language, changed) {
  const focused = /** @type {HTMLInputElement | null} */ (document.activeElement)?.dataset?.facet;
  place.replaceChildren(...Object.entries(labels).flatMap(([name, label]) => {
    const wanted = chosen.get(name) || new Set();
    const values = facets[name] || [];
    if (!values.length && !wanted.size) return [];
    const group = document.createElement("fieldset");
    group.className = "facet";
    group.append(Object.assign(document.createElement("legend"), { textContent: label }));
    const known = new Set(values.map((item) => item.value));
    const all = [...values, ...[...wanted].filter((value) => !known.has(value)).map((value) => ({ value, label: value, series: 0 }))];
    const boxes = all.map((item) => box(name, item, wanted.has(item.value), chosen, language, changed));
    const first = boxes.filter((_, at) => at < SHOWN || wanted.has(all[at].value));
    const rest = boxes.filter((item) => !first.includes(item));
    group.append(...first);
    if (rest.length) {
      const more = document.createElement("details");
      more.append(Object.assign(document.createElement("summary"), { textContent: fill(words["{count} more"], rest.length, language) }), ...rest);
      group.append(more);
    }
    return [group];
  }));
  if (focused) /** @type {HTMLElement | null} */ (place.querySelector(`[data-facet="${CSS.escape(focused)}"]`))?.focus();
}

/**
 * @param {string} name @param {{value: string, label: string, series: number}} item @param {boolean} checked
 * @param {Map<string, Set<string>>} chosen @param {string} language @param {() => void} changed
 */
function box(name, item, checked, chosen, language, changed) {
  const label = document.createElement("label");
  const input = Object.assign(document.createElement("input"), { type: "checkbox", checked });
  input.dataset.facet = `${name}=${item.value}`;
  input.addEventListener("change", () => {
    const values = chosen.get(name) || new Set();
    if (input.checked) values.add(item.value);
    else values.delete(item.value);
    if (values.size) chosen.set(name, values);
    else chosen.delete(name);
    changed();
  });
  label.append(input, item.label,
    Object.assign(document.createElement("span"), { className: "number", textContent: item.series.toLocaleString(language) }));
  return label;
}
