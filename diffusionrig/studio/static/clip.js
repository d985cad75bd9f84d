// The clip that drives the face: what is taken from it, and how.

import { Desk } from "./desk.js";
import { make } from "./dom.js";
import { Slider } from "./sliders.js";
import { MOVING } from "./texts.js";

const PARTS = ["exp", "pose", "light"];

// Sliders of how much is taken of each part, for clip and camera; changed() is called when one moves.
export function partSliders(kind, changed = () => {}) {
  const sliders = new Map(PARTS.map((part) => [part, new Slider(
    { name: `${kind}-${part}`, low: 0, high: 1, usual: 0, step: 0.01 }, changed)]));
  return {
    rows: make("div", { class: "group" }, ...[...sliders.values()].map((slider) => slider.row)),
    value: () => Object.fromEntries([...sliders].filter(([, { value }]) => value).map(([part, { value }]) => [part, value])),
    show: (take) => { for (const [part, slider] of sliders) slider.show(take[part] ?? 0); },
  };
}

export function ticked(id, text, tip, changed = () => {}) {
  const box = make("input", { type: "checkbox", id, change: changed });
  return [box, make("div", { class: "ticked" }, make("label", { class: "switch" }, box, make("span", {}, text)),
    make("p", { class: "muted small" }, tip))];
}

export function clipPanel(hub, moving) {
  const parts = partSliders("clip");
  const [relative, relativeRow] = ticked("clip-relative", MOVING.relative, MOVING.relativeTip);
  const [track, trackRow] = ticked("clip-track", MOVING.track, MOVING.trackTip);
  const desk = new Desk(hub, moving, "clip", {
    options: [make("h2", {}, MOVING.taken), parts.rows, make("p", { class: "muted small" }, MOVING.slidersToo), relativeRow, trackRow],
    wish: () => ({ take: parts.value(), relative: relative.checked, track: track.checked ? "auto" : "off" }),
    wished: (wish) => {
      parts.show(wish.take);
      relative.checked = wish.relative;
      track.checked = wish.track === "auto";
    },
  });
  return [...desk.drop, (file) => file.type.startsWith("video/"), () => document.getElementById("go-clip").click()];
}
