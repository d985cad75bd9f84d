// Views in which the person of the photograph moves: by a clip, a speaker or a camera.

import { make } from "./dom.js";
import { $ } from "./errors.js";
import { MODES, MOVING } from "./texts.js";

export class Moving {
  constructor(hub) {
    this.people = [];
    hub.on("state", ({ photo }) => { for (const show of this.people) show(photo); });
  }

  // A view: what is seen, and what can be set. left() is told when another one is shown.
  add(mode, stage, panel, left = () => {}) {
    document.querySelector(".views").append(make("button", { id: `go-${mode}`, "data-go": mode }, MODES[mode]));
    document.querySelector("main").after(make("section", { class: "moving", id: `moving-${mode}`, "data-view-of": mode,
      "aria-label": MODES[mode], hidden: true },
    make("div", { class: "moving-stage" }, ...stage), make("div", { class: "moving-panel" }, this.person(mode), ...panel)));
    document.addEventListener("view", ({ detail }) => { if (detail !== mode) left(); });
  }

  // Who is drawn, or that nobody is yet.
  person(mode) {
    const image = make("img", { alt: "" });
    const name = make("p", { class: "file", id: `${mode}-person` });
    const open = make("button", { class: "quiet", click: () => $("go-edit").click() });
    this.people.push((photo) => {
      image.hidden = !photo;
      if (photo) image.src = `api/face.jpg?number=${photo.number}&id=${photo.id}`;
      name.textContent = photo?.name ?? MOVING.nobody;
      open.textContent = photo ? MOVING.edit : MOVING.open;
    });
    return make("div", { class: "group" }, make("div", { class: "person" }, image, name, open),
      make("p", { class: "error", "data-error": "photo", role: "alert", hidden: true }));
  }
}
