// The history: what the face has looked like, a step each; a click goes back to it.

import { $ } from "./errors.js";
import { stepText } from "./texts.js";

export class HistoryPanel {
  constructor(hub, edits) {
    this.edits = edits;
    this.items = new Map();
    this.photo = null;
    $("past").addEventListener("keydown", (event) => this.move(event));
    hub.on("history", (message) => this.show(message));
  }

  show({ photo, steps, now }) {
    if (photo !== this.photo) this.items.clear();
    this.photo = photo;
    const items = steps.map((step) => this.item(step, step.number === now));
    const kept = new Set(steps.map((step) => step.number));
    for (const number of this.items.keys()) if (!kept.has(number)) this.items.delete(number);
    const focused = $("past").contains(document.activeElement);
    // Places that are there already stay, so that the focus does, too.
    items.forEach((item, i) => {
      if ($("past").children[i] !== item) $("past").insertBefore(item, $("past").children[i] ?? null);
    });
    while ($("past").children.length > items.length) $("past").lastChild.remove();
    this.reveal(this.items.get(now), focused);
  }

  item(step, isNow) {
    let item = this.items.get(step.number);
    if (!item) {
      item = document.createElement("li");
      const button = document.createElement("button");
      const image = document.createElement("img");
      const words = document.createElement("span");
      image.alt = "";
      words.textContent = stepText(step);
      button.title = words.textContent;
      button.append(image, words);
      button.addEventListener("click", () => this.edits.step({ type: "step", where: "edit", number: step.number }));
      item.append(button);
      this.items.set(step.number, item);
    }
    const [button, image] = [item.firstChild, item.querySelector("img")];
    image.hidden = !step.seen;
    if (step.seen && !image.src) image.src = `api/step.jpg?number=${step.number}&id=${this.photo}`;
    if (isNow) button.setAttribute("aria-current", "step");
    else button.removeAttribute("aria-current");
    button.tabIndex = isNow ? 0 : -1;
    return item;
  }

  reveal(item, focus) {
    if (!item) return;
    const strip = $("past");
    const [from, to] = [item.offsetLeft - strip.offsetLeft, item.offsetLeft - strip.offsetLeft + item.offsetWidth];
    if (from < strip.scrollLeft) strip.scrollLeft = from;
    else if (to > strip.scrollLeft + strip.clientWidth) strip.scrollLeft = to - strip.clientWidth;
    if (focus && !strip.contains(document.activeElement)) item.firstChild.focus();
  }

  // Arrows go from step to step; Enter and the space bar take the one that has the focus.
  move(event) {
    const all = [...$("past").querySelectorAll("button")];
    const at = all.indexOf(document.activeElement);
    const to = { ArrowLeft: at - 1, ArrowUp: at - 1, ArrowRight: at + 1, ArrowDown: at + 1, Home: 0, End: all.length - 1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    const next = all[Math.min(Math.max(to, 0), all.length - 1)];
    for (const button of all) button.tabIndex = button === next ? 0 : -1;
    next.focus();
  }
}
