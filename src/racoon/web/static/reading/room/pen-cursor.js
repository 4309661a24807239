// What the pen looks like over the image.
// @ts-check

/** @param {string} id @returns {any} */
const byId = (id) => document.getElementById(id);

/** Show the size of the pen, and the outline that the scissors cut. @param {any} drawing */
export const showCursor = (drawing) => {
  const sheet = byId("pen");
  const { width, height } = drawing.stage.element.getBoundingClientRect();
  if (sheet.width !== Math.round(width) || sheet.height !== Math.round(height)) {
    sheet.width = Math.round(width);
    sheet.height = Math.round(height);
  }
  const context = sheet.getContext("2d");
  context.clearRect(0, 0, sheet.width, sheet.height);
  if (!drawing.pen || !drawing.pointer) return;
  context.strokeStyle = "#ffffff";
  context.shadowColor = "#000000";
  context.shadowBlur = 2;
  const box = drawing.stage.element.getBoundingClientRect();
  if (drawing.pen === "scissors" && drawing.stroke) {
    context.beginPath();
    for (const [row, column] of drawing.stroke.outline) context.lineTo(...drawing.stage.canvasAt(row, column));
    context.closePath();
    context.stroke();
  } else if (!["scissors", "grow"].includes(drawing.pen)) {
    context.beginPath();
    context.arc(drawing.pointer[0] - box.left, drawing.pointer[1] - box.top, Math.max(2, drawing.radius * drawing.stage.pixelsPerMm), 0, 2 * Math.PI);
    context.stroke();
  }
};
