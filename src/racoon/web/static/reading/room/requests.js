// Requests to the node: JSON in, JSON out; what went wrong comes as the sentence the node gave.
// @ts-check

/** An answer of the node that is no success; `code` is stable, `message` is for people. */
export class Refusal extends Error {
  /** @param {string} message @param {string} code @param {number} status */
  constructor(message, code, status) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

/** @param {string} method @param {string} address @param {unknown} [body] @returns {Promise<any>} */
export const ask = async (method, address, body) => {
  const answer = await fetch(address, {
    method,
    headers: { Accept: "application/json", ...(body === undefined ? {} : { "Content-Type": "application/json" }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (answer.ok) return answer.json();
  let problem = { detail: `${answer.status}`, code: "" };
  try {
    problem = await answer.json();
  } catch { /* no problem document: the status has to do */ }
  throw new Refusal(problem.detail ?? `${answer.status}`, problem.code ?? "", answer.status);
};
