// Asking the node, and saying what came of it.
// @ts-check

/**
 * Ask the node; with a body, by POST.
 * @param {string} address @param {unknown} [body] @param {string} [method]
 */
export async function ask(address, body, method) {
  const response = await fetch(address, {
    method: method || (body ? "POST" : "GET"),
    headers: body ? { "Content-Type": "application/json" } : {},
    body: body ? JSON.stringify(body) : undefined,
  });
  if (response.status === 204) return {};
  const found = await response.json();
  if (!response.ok) throw new Error(found.detail || found.title || String(response.status));
  return found;
}

/** Put a number into a text. @param {string} text @param {number} count @param {string} language */
export const fill = (text, count, language) => text.replace("{count}", count.toLocaleString(language));

/** @param {string} text @param {boolean} [isBad] */
export function say(text, isBad = false) {
  const place = /** @type {HTMLElement} */ (document.getElementById("said"));
  place.textContent = text;
  place.classList.toggle("bad", isBad);
}
