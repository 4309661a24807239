// Saves each answer of the application as soon as it is left, one after the other.
// Without this script the button saves the whole form.

const form = /** @type {HTMLFormElement} */ (document.querySelector("#application-form"));
const said = /** @type {HTMLElement} */ (document.querySelector("#application-saved"));
const version = /** @type {HTMLInputElement} */ (form.elements.namedItem("version"));
let last = Promise.resolve();

/** @param {string} name @param {string} text */
async function save(name, text) {
  const answer = await fetch(form.dataset.save ?? "", {
    method: "PATCH",
    headers: { "Content-Type": "application/json", Accept: "application/json" },
    body: JSON.stringify({ answers: { [name]: text }, version: Number(version.value) }),
  });
  if (!answer.ok) {
    const problem = await answer.json().catch(() => ({}));
    said.textContent = `${form.dataset.failed ?? ""} ${problem.detail ?? ""}`;
    return;
  }
  const state = await answer.json();
  version.value = String(state.version);
  said.textContent = form.dataset.saved ?? "";
  for (const place of form.querySelectorAll("[data-problem]")) {
    place.textContent = state.words[/** @type {HTMLElement} */ (place).dataset.problem ?? ""] ?? "";
  }
}

form.addEventListener("change", (event) => {
  const field = /** @type {HTMLInputElement} */ (event.target);
  if (field.name && field.name !== "version") {
    last = last.then(() => save(field.name, field.value));
  }
});
