// What the page is used for: editing a photograph, or letting it move by a clip, a speaker or a camera. One at a time is seen.

import { make } from "./dom.js";
import { $ } from "./errors.js";
import { MODES, MOVING } from "./texts.js";

export class Moving {
  constructor() {
    this.sections = new Map();
    this.entered = new Map();
    this.buttons = new Map(Object.entries(MODES).map(([mode, text]) => [mode, make("button", {
      id: `mode-${mode}`, "aria-pressed": "false", click: () => this.go(mode),
    }, text)]));
    $("modes").setAttribute("aria-label", MOVING.modes);
    $("modes").append(...this.buttons.values());
    window.addEventListener("hashchange", () => this.show());
  }

  // A place for a mode: what is seen, and what can be set. changed(on) is told when it comes and goes.
  add(mode, stage, panel, changed = () => {}) {
    const section = make("section", { class: "moving", id: `moving-${mode}`, "aria-label": MODES[mode] },
      make("div", { class: "moving-stage" }, ...stage), make("div", { class: "panel moving-panel" }, ...panel));
    document.querySelector("main").append(section);
    this.sections.set(mode, section);
    this.entered.set(mode, changed);
  }

  get mode() {
    const word = location.hash.slice(1);
    return this.sections.has(word) ? word : "edit";
  }

  go(mode) {
    history.replaceState(null, "", mode === "edit" ? location.pathname : `#${mode}`);
    this.show();
  }

  show() {
    const before = document.body.dataset.mode;
    document.body.dataset.mode = this.mode;
    for (const [mode, button] of this.buttons) button.setAttribute("aria-pressed", mode === this.mode);
    for (const [mode, section] of this.sections) section.hidden = mode !== this.mode;
    if (before !== this.mode) {
      this.entered.get(before)?.(false);
      this.entered.get(this.mode)?.(true);
    }
  }
}
