// The worklist: the key that opens the next case in the reading room opens it from here too.
// @ts-check

document.addEventListener("keydown", (event) => {
  if (!event.altKey || event.ctrlKey || event.metaKey || event.key.toLowerCase() !== "j") return;
  const link = /** @type {HTMLElement | null} */ (document.querySelector("[aria-keyshortcuts='Alt+J']"));
  if (!link) return;
  event.preventDefault();
  link.click();
});
