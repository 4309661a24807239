// Keeps the marked parts of a page fresh while something runs: the page is asked for again, and every element
// with data-live="seconds" and an id is exchanged.  A part that somebody works in is left alone.
// @ts-check

const PARTS = "[data-live][id]";

/** @param {Element} part */
const isInUse = (part) => part.contains(document.activeElement) || part.querySelector("details[open]") !== null;

const renew = async () => {
  if (document.hidden) return;
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok || answer.redirected) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of document.querySelectorAll(PARTS)) {
    const next = fresh.getElementById(part.id);
    if (next && !isInUse(part) && next.outerHTML !== part.outerHTML) part.replaceWith(next);
  }
};

const wait = () => {
  const seconds = [...document.querySelectorAll(PARTS)].map((part) => Number(part.getAttribute("data-live")));
  if (seconds.length) setTimeout(() => renew().catch(() => {}).finally(wait), 1000 * Math.min(...seconds));
};
wait();
