// One box that chooses all objects of the page; without this script each is chosen by itself.
// @ts-check

const all = /** @type {HTMLInputElement | null} */ (document.getElementById("choose-all"));
const boxes = /** @type {NodeListOf<HTMLInputElement>} */ (document.querySelectorAll("#batch input[name=ids]"));

const show = () => {
  if (!all) return;
  const chosen = [...boxes].filter((box) => box.checked).length;
  all.checked = chosen > 0 && chosen === boxes.length;
  all.indeterminate = chosen > 0 && chosen < boxes.length;
};

if (all && boxes.length) {
  all.hidden = false;
  all.addEventListener("change", () => {
    for (const box of boxes) box.checked = all.checked;
  });
  for (const box of boxes) box.addEventListener("change", show);
  show();
}
