// Rows of a name, a slider and a number, which always agree.

import { nameOf, tipOf, valueOf } from "./texts.js";

export class Slider {
  // changed(name, value) is called while it moves.
  constructor(facts, changed) {
    this.facts = facts;
    this.changed = changed;
    this.row = document.createElement("div");
    this.row.className = "slider";
    const id = `slider-${facts.name}`;
    const label = document.createElement("label");
    label.htmlFor = id;
    label.textContent = nameOf(facts.name);
    label.title = tipOf(facts.name);
    this.range = this.input("range", id);
    this.number = this.input("number", `${id}-number`);
    this.number.setAttribute("aria-label", valueOf(facts.name));
    this.row.append(label, this.range, this.number);
    if (facts.degrees) this.row.classList.add("degrees");
    this.range.addEventListener("input", () => this.move(Number(this.range.value)));
    this.number.addEventListener("input", () => {
      if (this.number.value !== "" && this.number.validity.valid) this.move(Number(this.number.value), false);
    });
    this.number.addEventListener("blur", () => this.show(this.value));
    for (const element of [label, this.range]) element.addEventListener("dblclick", () => this.reset());
    this.range.addEventListener("keydown", (event) => {
      if (event.key === "Backspace" || event.key === "Delete") this.reset();
    });
    this.show(facts.usual);
  }

  input(type, id) {
    const element = document.createElement("input");
    const { low, high, step, usual } = this.facts;
    Object.assign(element, { type, id, min: low, max: high, step, value: usual });
    return element;
  }

  move(value, typed = true) {
    this.show(value, typed);
    this.changed(this.facts.name, value);
  }

  reset() {
    if (this.value !== this.facts.usual) this.move(this.facts.usual);
  }

  show(value, typed = true) {
    const { low, high, step, usual } = this.facts;
    this.value = value;
    this.range.value = value;
    if (typed) this.number.value = step < 1 ? value.toFixed(2) : value.toFixed(0);
    const place = (x) => `${(100 * (Math.min(Math.max(x, low), high) - low)) / (high - low)}%`;
    this.range.style.setProperty("--from", place(Math.min(value, usual)));
    this.range.style.setProperty("--to", place(Math.max(value, usual)));
    this.row.classList.toggle("moved", value !== usual);
  }
}
