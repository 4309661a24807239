// Checks a cohort while it is built: the server says it in words, or what is wrong at which field.
// Without this script the button "Check" does the same.

const form = /** @type {HTMLFormElement} */ (document.querySelector("#cohort-form"));
const PAUSE_MS = 350;
let waiting = 0;
let asked = 0;

async function check() {
  asked += 1;
  const mine = asked;
  const fields = new URLSearchParams();
  for (const [name, value] of new FormData(form)) {
    fields.append(name, String(value));
  }
  const answer = await fetch(form.dataset.check ?? "", { method: "POST", body: fields });
  const text = await answer.text();
  const preview = document.querySelector("#preview");
  // An answer to older text would say what is no longer true.
  if (!answer.ok || !preview || mine !== asked) {
    return;
  }
  const isOpen = preview.querySelector("details")?.open ?? false;
  preview.outerHTML = text;
  const fresh = /** @type {HTMLElement} */ (document.querySelector("#preview"));
  const details = fresh.querySelector("details");
  if (details) {
    details.open = isOpen;
  }
  /** @type {Record<string, string>} */
  const problems = JSON.parse(fresh.dataset.problems ?? "{}");
  for (const place of /** @type {NodeListOf<HTMLElement>} */ (form.querySelectorAll("[data-problem]"))) {
    const name = place.dataset.problem ?? "";
    place.textContent = problems[name] ?? "";
    const field = form.elements.namedItem(name);
    if (field instanceof HTMLInputElement) {
      field.toggleAttribute("aria-invalid", false);
      if (problems[name]) {
        field.setAttribute("aria-invalid", "true");
      }
    }
  }
}

form.addEventListener("change", (event) => {
  if (/** @type {HTMLInputElement} */ (event.target).name.endsWith(".biomarker")) {
    // So has a measured value; here the name is typed first.
    form.requestSubmit(/** @type {HTMLButtonElement} */ (form.querySelector('button[value="check"]')));
  }
});

form.addEventListener("input", (event) => {
  const field = /** @type {HTMLInputElement} */ (event.target);
  window.clearTimeout(waiting);
  if (field.name.endsWith(".near")) {
    // What is near has fields of its own, which the server draws.
    form.requestSubmit(/** @type {HTMLButtonElement} */ (form.querySelector('button[value="check"]')));
    return;
  }
  waiting = window.setTimeout(check, PAUSE_MS);
});
