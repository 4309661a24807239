// Checks an analysis plan while it is written: the server makes the plan of the form and says what is wrong.
// Without this script the button "Check" does the same.

const form = /** @type {HTMLFormElement} */ (document.querySelector("#plan-form"));
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
  const preview = document.querySelector("#preview");
  // An answer to older text would say what is no longer true.
  if (answer.ok && preview && mine === asked) {
    preview.outerHTML = await answer.text();
  }
}

form.addEventListener("input", () => {
  window.clearTimeout(waiting);
  waiting = window.setTimeout(check, PAUSE_MS);
});
