// Questions of a form as chips and fields: each can be read, written and given the focus.
// @ts-check

/** @typedef {{ isSigned: boolean, language: string, changed: (control: any) => void }} Host the form around them */

export const SOURCE = "urn:racoon:fhir:answer-from-finding";
export const CODED_WORDS = "urn:racoon:fhir:answer-coded-words";
const FEW = 7; // up to so many answers are chips, more are a drop-down list

/** @param {string} name @param {string} [className] @param {string} [text] */
export const make = (name, className = "", text = "") => {
  const element = document.createElement(name);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return /** @type {any} */ (element);
};

/** What makes two answers the same. @param {any} answer */
const keyOf = (answer) => {
  if (answer.valueCoding) return `${answer.valueCoding.system}|${answer.valueCoding.code}`;
  return `${answer.valueBoolean ?? answer.valueInteger ?? answer.valueDecimal ?? answer.valueDate ?? answer.valueString}`;
};

/** Answers that fit on chips: few, and each of them one click or one digit.
 * @param {any} item @param {Record<string, string>} words @returns {{text: string, value: any}[] | null} */
export const choicesOf = (item, words) => {
  if (item.kind === "boolean") {
    return [{ text: words["no"], value: { valueBoolean: false } }, { text: words["yes"], value: { valueBoolean: true } }];
  }
  if (item.kind === "choice" && (item.options.length <= FEW || item.repeats)) {
    return item.options.map((/** @type {any} */ { system, code, text }) => ({ text, value: { valueCoding: { system, code } } }));
  }
  const isShort = item.kind === "integer" && item.minimum !== null && item.maximum !== null && item.maximum - item.minimum < FEW;
  if (!isShort || item.readOnly) return null;
  return Array.from({ length: item.maximum - item.minimum + 1 }, (_, at) => (
    { text: `${item.minimum + at}`, value: { valueInteger: item.minimum + at } }));
};

/** @param {any} control @param {{text: string, value: any}[]} choices @param {string} path @param {Host} host */
export const asChips = (control, choices, path, host) => {
  const { item, box } = control;
  box.append(make("legend", "", item.text));
  const row = make("div", "chips");
  const inputs = choices.map(({ text, value }, at) => {
    const label = make("label", "chip");
    const input = make("input");
    input.type = item.repeats ? "checkbox" : "radio";
    input.name = `answer-${path}`;
    input.disabled = host.isSigned;
    input.setAttribute("aria-describedby", `problem-${path}`);
    input.addEventListener("change", () => host.changed(control));
    label.append(input, make("span", "", text));
    label.title = `${at + 1}`;
    row.append(label);
    return { input, value };
  });
  box.append(row);
  control.focus = () => (inputs.find(({ input }) => input.checked) ?? inputs[0]).input.focus();
  control.read = () => inputs.filter(({ input }) => input.checked).map(({ value }) => value);
  control.write = (/** @type {any[]} */ answers) => {
    const given = new Set(answers.map(keyOf));
    for (const { input, value } of inputs) input.checked = given.has(keyOf(value));
  };
  control.digit = (/** @type {number} */ digit) => {
    // Numbers mean themselves; words are counted from 1.
    const at = item.kind === "integer" ? digit - item.minimum : digit - 1;
    inputs[at]?.input.click();
    return Boolean(inputs[at]);
  };
};

/** @param {any} control @param {string} path @param {Host} host */
export const asField = (control, path, host) => {
  const { item, box } = control;
  const label = make("label", "", item.text + (item.unit ? ` (${item.unit})` : ""));
  const field = make(item.kind === "choice" ? "select" : item.kind === "text" ? "textarea" : "input");
  const isNumber = item.kind === "integer" || item.kind === "decimal";
  const isText = item.kind === "text" || item.kind === "string";
  /** What words of a text mean. @type {{words: string, system: string, code: string, display: string}[]} */
  control.codes = [];
  control.field = isText && !item.readOnly ? field : null;
  if (isNumber) field.inputMode = "decimal";
  if (item.kind === "date") field.type = "date";
  if (item.longest) field.maxLength = item.longest;
  field.id = label.htmlFor = `answer-${path}`;
  field.readOnly = item.readOnly || host.isSigned;
  if (item.kind === "choice") {
    field.disabled = host.isSigned;
    field.add(new Option("", ""));
    for (const [at, option] of item.options.entries()) field.add(new Option(option.text, `${at}`));
  }
  field.setAttribute("aria-describedby", `problem-${path}`);
  field.addEventListener("input", () => { control.source = ""; host.changed(control); });
  box.append(label, field);
  control.focus = () => field.focus();
  control.read = () => {
    const text = field.value.trim();
    if (!text) return [];
    if (item.kind === "choice") {
      const { system, code } = item.options[Number(text)];
      return [{ valueCoding: { system, code } }];
    }
    if (item.kind === "date") return [{ valueDate: text }];
    if (!isNumber) {
      const extension = control.codes.map((/** @type {any} */ { words, ...coding }) => (
        { url: CODED_WORDS, valueCodeableConcept: { coding: [coding], text: words } }));
      return [extension.length ? { valueString: text, extension } : { valueString: text }];
    }
    const number = Number(text.replace(",", "."));
    if (!Number.isFinite(number)) return [];
    const value = item.kind === "integer" ? { valueInteger: Math.round(number) } : { valueDecimal: number };
    return [control.source ? { ...value, extension: [{ url: SOURCE, valueString: control.source }] } : value];
  };
  control.write = (/** @type {any[]} */ answers) => {
    const [answer] = answers;
    control.source = answer?.extension?.find((/** @type {any} */ found) => found.url === SOURCE)?.valueString ?? "";
    control.codes = (answer?.extension ?? []).filter((/** @type {any} */ found) => found.url === CODED_WORDS)
      .map((/** @type {any} */ { valueCodeableConcept: concept }) => ({ words: concept.text, ...concept.coding[0] }));
    control.showCodes?.();
    if (!answer) field.value = "";
    else if (item.kind === "choice") field.value = `${item.options.findIndex((/** @type {any} */ option) => keyOf({ valueCoding: option }) === keyOf(answer))}`;
    else {
      const value = answer.valueString ?? answer.valueDate ?? answer.valueDecimal ?? answer.valueInteger;
      const text = isNumber ? new Intl.NumberFormat(host.language, { maximumFractionDigits: 1, useGrouping: false }).format(value) : value;
      // What a person is typing is not rewritten under the hand.
      if (document.activeElement !== field) field.value = text;
    }
  };
};

/** How many instances of which repeating groups there are: only they change what is drawn.
 * @param {any[]} answers @param {any[]} items @returns {any} */
export const shapeOf = (answers, items) => items.filter((item) => item.kind === "group").flatMap((item) => {
  const inside = answers.filter((node) => node.linkId === item.linkId).map((node) => shapeOf(node.item ?? [], item.items));
  return item.repeats ? [[item.linkId, inside]] : inside.flat();
});
