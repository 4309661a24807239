// The header of the shown image in a dialog, narrowed by what is typed.
// @ts-check

import { ask } from "./requests.js";

/** @param {string} id @returns {any} */
const byId = (id) => document.getElementById(id);

/** @param {any} stage @param {(text: string, isBad?: boolean) => void} say */
export const showHeader = async (stage, say) => {
  const [instance] = stage.series.planes[stage.index];
  try {
    const { elements } = await ask("GET", `/api/reading/instances/${instance}/header`);
    const list = () => {
      const wanted = byId("header-filter").value.toLowerCase();
      byId("header-elements").replaceChildren(...elements
        .filter((/** @type {any[]} */ [, tag, name, value]) => `${tag} ${name} ${value}`.toLowerCase().includes(wanted))
        .map((/** @type {any[]} */ [depth, tag, name, value]) => {
          const row = document.createElement("tr");
          for (const [at, text] of [tag, name, value].entries()) {
            const cell = document.createElement("td");
            cell.textContent = at ? text : `${"> ".repeat(depth)}${text}`;
            if (at !== 1) cell.className = "mono";
            row.append(cell);
          }
          return row;
        }));
    };
    byId("header-filter").oninput = list;
    list();
    byId("header-dialog").showModal();
    byId("header-filter").focus();
  } catch (error) {
    say(error instanceof Error ? error.message : `${error}`, true);
  }
};
