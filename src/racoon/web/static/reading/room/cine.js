// Cine: runs through the slices; a slice that is late is waited for.
// @ts-check

const STEP_MS = 80;

/** Return what starts and stops it. @param {any} stage */
export const cineOf = (stage) => {
  let timer = 0;
  return () => {
    if (timer) {
      clearInterval(timer);
      timer = 0;
    } else {
      timer = window.setInterval(() => {
        if (stage.index === stage.target) stage.go((stage.target + 1) % stage.ids.length);
      }, STEP_MS);
    }
    /** @type {HTMLElement} */ (document.getElementById("stage")).dataset.cine = timer ? "on" : "off";
  };
};
