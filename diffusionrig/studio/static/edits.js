// What is asked for: the preset that the sliders make, told to the studio while they move and drawn when they rest.

import { $, fail } from "./errors.js";
import { Slider } from "./sliders.js";

const REST = 300; // milliseconds after which a slider counts as at rest, and the network draws
const SETTLE = 450; // and after which the edit is a step of the history
export const PARTS = ["exp", "pose", "light"];

export class Edits {
  // shown() is called whenever the sliders show something else.
  constructor(hub) {
    this.hub = hub;
    this.sliders = new Map();
    this.preset = { kind: "diffusionrig preset", version: 1, set: {}, move: {}, take: {} };
    this.settled = true;
    this.sent = 0;
    this.sentAt = new Map();
    this.drawAt = null;
    this.restTimer = this.settleTimer = 0;
    this.frameAsked = false;
    this.shown = () => {};
  }

  // Sliders for these facts, into a place of the page.
  fill(place, facts) {
    for (const fact of facts) {
      const slider = new Slider(fact, (name, value) => this.changed(name, value));
      this.sliders.set(fact.name, slider);
      place.append(slider.row);
    }
  }

  value(name, usual = this.usual(name)) {
    return this.preset[kindOf(name)][name] ?? usual;
  }

  usual(name) {
    return this.sliders.get(name)?.facts.usual ?? (name === "lightAmbient" || /Red|Green|Blue/.test(name) ? 1 : 0);
  }

  get empty() {
    return !Object.keys({ ...this.preset.set, ...this.preset.move, ...this.preset.take }).length;
  }

  put(name, value) {
    const kind = this.preset[kindOf(name)];
    if (value === this.usual(name)) delete kind[name];
    else kind[name] = value;
  }

  changed(name, value) {
    this.put(name, value);
    this.shown();
    this.asking();
  }

  // After values were put.
  asking() {
    fail("edit", "");
    document.body.dataset.rested = "no";
    this.settled = false;
    if (!this.frameAsked) {
      this.frameAsked = true;
      requestAnimationFrame(() => this.tell());
    }
    clearTimeout(this.restTimer);
    clearTimeout(this.settleTimer);
    if ($("auto").checked) this.restTimer = setTimeout(() => this.draw(), REST);
    this.settleTimer = setTimeout(() => this.settle(), SETTLE);
  }

  // Send the edit, once a frame, or at once where something is to follow it: a slow page's frames may come late.
  tell() {
    if (!this.frameAsked) return;
    this.frameAsked = false;
    this.sent += 1;
    this.sentAt.set(this.sent, performance.now());
    this.hub.send({ type: "edit", where: "edit", n: this.sent, preset: this.preset });
  }

  draw() {
    this.tell();
    this.drawAt = performance.now();
    this.hub.send({ type: "draw", where: "draw", n: this.sent });
  }

  settle() {
    clearTimeout(this.settleTimer);
    if (this.settled) return;
    this.tell();
    this.settled = true;
    this.hub.send({ type: "settle" });
  }

  // A message that goes to another step of the history.
  step(message) {
    this.settle();
    document.body.dataset.rested = "no";
    this.hub.send(message);
  }

  resetAll() {
    this.preset = { ...this.preset, set: {}, move: {}, take: {} };
    this.show();
    this.asking();
  }

  // Take over what the studio says is asked for.
  take(preset) {
    this.preset = structuredClone(preset);
    this.show();
  }

  show() {
    for (const [name, slider] of this.sliders) slider.show(this.value(name, slider.facts.usual));
    this.shown();
  }

  // Milliseconds since the edit of this number was sent; null when that is not known.
  since(number) {
    if (!this.sentAt.has(number)) return null;
    const taken = performance.now() - this.sentAt.get(number);
    for (const earlier of this.sentAt.keys()) if (earlier <= number) this.sentAt.delete(earlier);
    return taken;
  }
}

function kindOf(name) {
  if (PARTS.includes(name)) return "take";
  return name.startsWith("light") ? "set" : "move";
}
