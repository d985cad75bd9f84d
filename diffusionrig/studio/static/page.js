// The page: puts the parts together and keeps them in step with the studio, which holds the state.

import { AlbumPanel } from "./album.js";
import { Camera } from "./camera.js";
import { clipPanel } from "./clip.js";
import { Edits, PARTS } from "./edits.js";
import { $, fail } from "./errors.js";
import { ask } from "./files.js";
import { HistoryPanel } from "./history.js";
import { Hub } from "./hub.js";
import { lightPanel } from "./light.js";
import { listenerPanel } from "./listener.js";
import { Moving } from "./moving.js";
import { Photographs } from "./photographs.js";
import { Picture } from "./picture.js";
import * as texts from "./texts.js";
import { tools } from "./tools.js";
import { Views } from "./views.js";

texts.speak(document);
const about = await (await ask("api/about")).json();
const hub = new Hub();
const edits = new Edits(hub);
const picture = new Picture(hub, edits);
const photographs = new Photographs(hub, edits, picture);

// What there is to move.

edits.fill($("named"), about.sliders.named);
edits.fill($("lamp-sliders"), about.sliders.lamp.filter((fact) => ["lightStrength", "lightAmbient"].includes(fact.name))
  .map((fact) => ({ ...fact, high: 2 })));
edits.fill($("take-sliders"), PARTS.map((name) => ({ name, low: 0, high: 1, usual: 0, step: 0.01 })));
for (const [group, name] of Object.entries(texts.GROUPS)) {
  const folding = document.createElement("details");
  folding.className = "fold";
  const summary = document.createElement("summary");
  summary.textContent = name;
  const inside = document.createElement("div");
  inside.className = "group";
  folding.append(summary, inside);
  edits.fill(inside, about.sliders[group]);
  $("groups").append(folding);
}
lightPanel(edits);
$("model").textContent = texts.modelFacts(about.model);
$("inset-kind").replaceChildren(...about.insets.map((kind) => new Option(texts.INSETS[kind][0], kind)));

// Panels with messages of their own register here, a line each; those that take dropped files return [selector, take(files)].

const moving = new Moving(hub);
const clips = [clipPanel(hub, moving), listenerPanel(hub, moving)];
new Camera(hub, moving);
const views = new Views("edit");
const album = new AlbumPanel(hub, views);
new HistoryPanel(hub, edits);
const drops = [["[data-view=album]", (files) => album.take(files)], ...clips];

// The state of the studio.

hub.on("state", (state) => {
  $("undo").disabled = !state.history.undo;
  $("redo").disabled = !state.history.redo;
  $("download").disabled = !state.photo;
  document.body.dataset.open = state.photo ? "yes" : "no";
  picture.tellInset(state.inset);
  // While a slider is dragged the page knows better than the studio.
  if (edits.settled || photographs.photo?.id !== state.photo?.id) edits.take(state.preset);
  photographs.take(state);
  document.body.dataset.ready = "yes";
});
hub.on("model", (model) => { $("model").textContent = texts.modelFacts(model); });
hub.on("error", ({ where, text }) => fail(where, text));

tools(edits, picture, photographs, drops, (files) => album.take(files));
edits.show();
// Everything that the studio tells can be shown now.
hub.connect((yes) => { $("offline").hidden = yes; });
