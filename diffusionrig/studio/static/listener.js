// The listener: which of the reactions to a speaker is drawn, and over what.

import { ticked } from "./clip.js";
import { Desk } from "./desk.js";
import { make } from "./dom.js";
import { LISTENER } from "./texts.js";

const field = (text, input) => make("div", { class: "field" }, make("label", { for: input.id }, text), input);

export function listenerPanel(hub, moving) {
  const sample = make("select", { id: "listener-sample" });
  const seed = make("input", { type: "number", id: "listener-seed", min: 0, max: 4294967295, step: 1, value: 0 });
  const [added, addedRow] = ticked("listener-added", LISTENER.added, LISTENER.addedTip);
  const desk = new Desk(hub, moving, "listener", {
    options: [make("h2", {}, LISTENER.title), field(LISTENER.sample, sample), field(LISTENER.seed, seed),
      make("p", { class: "muted small" }, LISTENER.tip), addedRow],
    wish: () => ({ sample: Number(sample.value), seed: Math.max(0, Math.round(Number(seed.value) || 0)), added: added.checked }),
    wished: (wish) => {
      sample.replaceChildren(...Array.from({ length: wish.samples }, (_, i) => new Option(LISTENER.numbered(i + 1, wish.samples), i)));
      sample.value = wish.sample;
      seed.value = wish.seed;
      added.checked = wish.added;
    },
  });
  return desk.drop;
}
