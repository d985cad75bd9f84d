// The lamp's part of the panel: its ball, its colour and its sliders, which always agree.

import { $ } from "./errors.js";
import { Lamp } from "./lamp.js";
import { TEXTS } from "./texts.js";

const BRIGHT = 0.8, DIM = 0.5; // lamp and daylight when the lamp is first moved
const COLOURS = ["Red", "Green", "Blue"];

export function lightPanel(edits) {
  const lit = () => {
    if (edits.value("lightStrength", 0) !== 0) return;
    // A lamp that is off would not show where it stands.
    edits.put("lightStrength", BRIGHT);
    edits.put("lightAmbient", DIM);
  };
  const lamp = new Lamp($("ball"), (side, height) => {
    lit();
    edits.put("lightSide", side);
    edits.put("lightHeight", height);
    edits.show();
    edits.asking();
  });
  $("ball").setAttribute("aria-label", TEXTS.ball);
  $("lamp-colour").addEventListener("input", () => {
    lit();
    const digits = $("lamp-colour").value;
    COLOURS.forEach((part, i) => {
      edits.put(`light${part}`, Math.round((parseInt(digits.slice(1 + 2 * i, 3 + 2 * i), 16) / 255) * 100) / 100);
    });
    edits.show();
    edits.asking();
  });
  edits.shown = () => {
    const colour = COLOURS.map((part) => edits.value(`light${part}`, 1));
    lamp.show(edits.value("lightSide", 0), edits.value("lightHeight", 0), edits.value("lightStrength", 0),
      edits.value("lightAmbient", 1), colour);
    $("lamp-colour").value = `#${colour.map((part) => Math.round(part * 255).toString(16).padStart(2, "0")).join("")}`;
  };
}
