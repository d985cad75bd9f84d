// The page: puts the parts together and keeps them in step with the studio, which holds the state.

import { Connection } from "./connection.js";
import { acceptDrops, ask, keepAs, upload } from "./files.js";
import { Lamp } from "./lamp.js";
import { Slider } from "./sliders.js";
import { Stage } from "./stage.js";
import * as texts from "./texts.js";

const REST = 300; // milliseconds after which a slider counts as at rest, and the network draws
const SETTLE = 450; // and after which the edit is a step of the history
const PARTS = ["exp", "pose", "light"];
const BRIGHT = 0.8, DIM = 0.5; // lamp and daylight when the lamp is first moved

const $ = (id) => document.getElementById(id);
texts.speak(document);

const sliders = new Map();
let preset = { kind: "diffusionrig preset", version: 1, set: {}, move: {}, take: {} };
let state = null;
let sent = 0, settled = true;
const sentAt = new Map();
const speeds = { preview: null, picture: null };
let drawAt = null, restTimer = 0, settleTimer = 0, frameAsked = false;

// Errors, each beside what caused it.

function fail(where, text) {
  for (const element of document.querySelectorAll(`[data-error="${where}"]`)) {
    element.hidden = !text;
    element.textContent = text;
  }
}

async function trying(where, work, busy = "") {
  fail(where, "");
  working(busy);
  try {
    return await work();
  } catch (error) {
    fail(where, error.message);
    return undefined;
  } finally {
    working("");
  }
}

function working(text) {
  $("working").hidden = !text;
  $("working-text").textContent = text;
}

// Edits.

function kindOf(name) {
  if (PARTS.includes(name)) return "take";
  return name.startsWith("light") ? "set" : "move";
}

function put(name, value) {
  const kind = preset[kindOf(name)], usual = sliders.get(name)?.facts.usual ?? (name === "lightAmbient" || /Red|Green|Blue/.test(name) ? 1 : 0);
  if (value === usual) delete kind[name];
  else kind[name] = value;
}

function changed(name, value) {
  put(name, value);
  showLamp();
  asking();
}

function asking() {
  fail("edit", "");
  document.body.dataset.rested = "no";
  settled = false;
  if (!frameAsked) {
    frameAsked = true;
    requestAnimationFrame(tell);
  }
  clearTimeout(restTimer);
  clearTimeout(settleTimer);
  if ($("auto").checked) restTimer = setTimeout(draw, REST);
  settleTimer = setTimeout(settle, SETTLE);
}

// Send the edit, once a frame, or at once where something is to follow it: a slow page's frames may come late.
function tell() {
  if (!frameAsked) return;
  frameAsked = false;
  sent += 1;
  sentAt.set(sent, performance.now());
  connection.send({ type: "edit", where: "edit", n: sent, preset });
}

function draw() {
  tell();
  drawAt = performance.now();
  connection.send({ type: "draw", where: "draw", n: sent });
}

function settle() {
  clearTimeout(settleTimer);
  if (settled) return;
  tell();
  settled = true;
  connection.send({ type: "settle" });
}

function step(type) {
  settle();
  document.body.dataset.rested = "no";
  connection.send({ type });
}

function resetAll() {
  preset = { ...preset, set: {}, move: {}, take: {} };
  showSliders();
  asking();
}

function showSliders() {
  for (const [name, slider] of sliders) slider.show(preset[kindOf(name)][name] ?? slider.facts.usual);
  showLamp();
}

// The lamp.

function lampValue(name, usual) {
  return preset.set[name] ?? usual;
}

function showLamp() {
  const colour = ["Red", "Green", "Blue"].map((part) => lampValue(`light${part}`, 1));
  lamp.show(lampValue("lightSide", 0), lampValue("lightHeight", 0), lampValue("lightStrength", 0), lampValue("lightAmbient", 1), colour);
  $("lamp-colour").value = `#${colour.map((part) => Math.round(part * 255).toString(16).padStart(2, "0")).join("")}`;
}

function lit() {
  if (lampValue("lightStrength", 0) !== 0) return;
  // A lamp that is off would not show where it stands.
  put("lightStrength", BRIGHT);
  put("lightAmbient", DIM);
}

const lamp = new Lamp($("ball"), (side, height) => {
  lit();
  put("lightSide", side);
  put("lightHeight", height);
  showSliders();
  asking();
});
$("ball").setAttribute("aria-label", texts.TEXTS.ball);
$("lamp-colour").addEventListener("input", () => {
  lit();
  const digits = $("lamp-colour").value;
  ["Red", "Green", "Blue"].forEach((part, i) => {
    put(`light${part}`, Math.round((parseInt(digits.slice(1 + 2 * i, 3 + 2 * i), 16) / 255) * 100) / 100);
  });
  showSliders();
  asking();
});

// The picture.

const stage = new Stage($("canvas"), $("frame"), (across, down) => {
  for (const [name, by] of [["yaw", 90 * across], ["pitch", 60 * down]]) {
    const { facts, value } = sliders.get(name);
    const wanted = Math.min(Math.max(value + by, facts.low), facts.high);
    sliders.get(name).show(wanted);
    put(name, Math.round(wanted * 10) / 10);
  }
  asking();
});
stage.wiped = (share) => { $("wipe").value = Math.round(100 * share); };

function look(view) {
  stage.view = view;
  $("view-face").setAttribute("aria-pressed", view === "face");
  $("view-photo").setAttribute("aria-pressed", view !== "face");
  stage.paint();
}

function compare(on = !stage.comparing) {
  stage.comparing = on;
  $("compare").setAttribute("aria-pressed", on);
  for (const id of ["wipe-row", "tag-before", "tag-after"]) $(id).hidden = !on;
  stage.paint();
}

async function pictures(header, parts) {
  if (!state?.photo || header.photo !== state.photo.id) return;
  if (header.kind === "preview" && sentAt.has(header.n)) {
    speeds.preview = performance.now() - sentAt.get(header.n);
    for (const number of sentAt.keys()) if (number <= header.n) sentAt.delete(number);
  }
  const image = await createImageBitmap(parts[0]);
  if (!state.photo || header.photo !== state.photo.id) return;
  if (header.kind === "result") {
    if (drawAt !== null) speeds.picture = performance.now() - drawAt;
    if (!header.nothing) stage.showResult(image, header.revision);
  } else {
    if (header.nothing) stage.showPhotograph();
    else stage.showPreview(image, header.revision);
    const old = $("inset").src;
    $("inset").src = URL.createObjectURL(parts[1]);
    if (old.startsWith("blob:")) URL.revokeObjectURL(old);
  }
  document.body.dataset.seen = header.photo;
  if (header.kind === "result" && (header.n === sent || header.n === 0)) document.body.dataset.rested = "yes";
  $("status").textContent = texts.speed(speeds.preview, speeds.picture);
}

function progressed({ done, total, ended }) {
  document.body.dataset.drawing = ended ? "no" : "yes";
  $("draw").textContent = ended ? texts.TEXTS.draw : texts.TEXTS.cancel;
  if (!ended && total > 1) $("status").textContent = texts.progress(done, total);
}

// The state of the studio.

async function take(next) {
  const before = state;
  state = next;
  $("undo").disabled = !next.history.undo;
  $("redo").disabled = !next.history.redo;
  $("download").disabled = !next.photo;
  document.body.dataset.open = next.photo ? "yes" : "no";
  $("inset-kind").value = next.inset;
  $("inset-text").textContent = texts.INSETS[next.inset][1];
  // While a slider is dragged the page knows better than the studio.
  if (settled || before?.photo?.id !== next.photo?.id) {
    preset = structuredClone(next.preset);
    showSliders();
  }
  if (next.target?.id !== before?.target?.id) showSecond(next.target);
  if (next.photo && next.photo.id !== before?.photo?.id) await showPhotograph(next.photo);
}

async function showPhotograph(photo) {
  for (const where of ["photo", "edit", "draw", "preset"]) fail(where, "");
  Object.assign(speeds, { preview: null, picture: null });
  const address = `api/photo.jpg?id=${photo.id}`;
  $("photo-image").src = address;
  $("photo-name").textContent = photo.name;
  $("photo-facts").textContent = texts.photoFacts(photo);
  $("photo-note").hidden = !photo.note;
  $("photo-note").textContent = photo.note;
  $("canvas").setAttribute("aria-label", texts.pictureOf(photo.name));
  $("faces").hidden = photo.faces < 2;
  $("faces").replaceChildren(...(photo.faces < 2 ? [] : Array.from({ length: Math.min(photo.faces, 12) }, (_, i) => faceButton(photo, i + 1))));
  const response = await fetch(address);
  const image = await createImageBitmap(await response.blob());
  if (state.photo?.id !== photo.id) return;
  stage.open(photo, image);
  document.body.dataset.photo = photo.id;
  // Frames that came before the photograph are asked for again.
  connection.send({ type: "look", where: "edit", inset: $("inset-kind").value });
  if (Object.keys({ ...preset.set, ...preset.move, ...preset.take }).length) draw();
}

function faceButton(photo, number) {
  const button = document.createElement("button");
  button.setAttribute("role", "radio");
  button.setAttribute("aria-checked", number === photo.number);
  button.setAttribute("aria-label", texts.faceNumber(number));
  const image = document.createElement("img");
  image.alt = "";
  image.src = `api/face.jpg?number=${number}&id=${photo.id}`;
  button.append(image);
  button.addEventListener("click", () => {
    fail("photo", "");
    connection.send({ type: "face", where: "photo", number });
  });
  return button;
}

function showSecond(target) {
  $("second").hidden = $("take-sliders").hidden = !target;
  $("second-empty").hidden = Boolean(target);
  if (!target) return;
  fail("second", "");
  $("second-image").src = `api/second.jpg?id=${target.id}`;
  $("second-name").textContent = target.name;
  $("second-note").hidden = !target.note;
  $("second-note").textContent = target.note;
}

function message(value) {
  if (value.type === "state") take(value);
  else if (value.type === "progress") progressed(value);
  else if (value.type === "error") fail(value.where, value.text);
}

// What there is to move.

function fill(place, facts) {
  for (const fact of facts) {
    const slider = new Slider(fact, changed);
    sliders.set(fact.name, slider);
    place.append(slider.row);
  }
}

const about = await (await ask("api/about")).json();
$("model").textContent = texts.modelFacts(about.model);
$("inset-kind").replaceChildren(...about.insets.map((kind) => new Option(texts.INSETS[kind][0], kind)));
fill($("named"), about.sliders.named);
fill($("lamp-sliders"), about.sliders.lamp.filter((fact) => ["lightStrength", "lightAmbient"].includes(fact.name))
  .map((fact) => ({ ...fact, high: 2 })));
fill($("take-sliders"), PARTS.map((name) => ({ name, low: 0, high: 1, usual: 0, step: 0.01 })));
for (const [group, name] of Object.entries(texts.GROUPS)) {
  const folding = document.createElement("details");
  folding.className = "fold";
  const summary = document.createElement("summary");
  summary.textContent = name;
  const inside = document.createElement("div");
  inside.className = "group";
  folding.append(summary, inside);
  fill(inside, about.sliders[group]);
  $("groups").append(folding);
}

// Everything that the studio tells can be shown now.
const connection = new Connection({ message, pictures, online: (yes) => { $("offline").hidden = yes; } });

// Photographs and files.

const openPhotograph = (file) => trying("photo", () => upload("api/photo", file), texts.TEXTS.opening);
const openSecond = (file) => trying("second", () => upload("api/second", file), texts.TEXTS.opening);
const openPreset = (file) => trying("preset", () => upload("api/preset", file));

for (const [button, input, then] of [["choose", "photo-file", openPhotograph], ["other", "photo-file", openPhotograph],
  ["choose-second", "second-file", openSecond], ["other-second", "second-file", openSecond],
  ["load-preset", "preset-file", openPreset]]) {
  $(button).addEventListener("click", () => {
    $(input).onchange = () => {
      const [file] = $(input).files;
      $(input).value = "";
      if (file) then(file);
    };
    $(input).click();
  });
}
acceptDrops($("drop"), (file, target) => {
  if (file.type === "application/json" || file.name.endsWith(".json")) openPreset(file);
  else if (target?.closest?.("#second, #second-empty, #take-sliders") && state?.photo) openSecond(file);
  else openPhotograph(file);
});
$("example").addEventListener("click", () => trying("photo", () => ask("api/example", { method: "POST" }), texts.TEXTS.opening));
$("no-second").addEventListener("click", () => connection.send({ type: "no_second", where: "second" }));
$("download").addEventListener("click", () => {
  settle();
  trying("draw", () => keepAs("api/picture.png", "edited.png"), texts.TEXTS.saving);
});
$("save-preset").addEventListener("click", () => {
  settle();
  trying("preset", () => keepAs("api/preset.json", "preset.json"));
});
$("show-recipe").addEventListener("click", async () => {
  const recipe = await trying("draw", async () => (await ask("api/recipe")).json());
  if (!recipe) return;
  $("command").textContent = recipe.command;
  $("python").textContent = recipe.python;
  $("recipe").showModal();
});
for (const what of ["command", "python"]) {
  $(`copy-${what}`).addEventListener("click", async (event) => {
    await navigator.clipboard.writeText($(what).textContent);
    const words = event.target.textContent;
    event.target.textContent = texts.TEXTS.copied;
    setTimeout(() => { event.target.textContent = words; }, 1200);
  });
}

// Buttons and keys.

$("undo").addEventListener("click", () => step("undo"));
$("redo").addEventListener("click", () => step("redo"));
$("reset").addEventListener("click", resetAll);
$("view-face").addEventListener("click", () => look("face"));
$("view-photo").addEventListener("click", () => look("photo"));
$("compare").addEventListener("click", () => compare());
$("wipe").addEventListener("input", () => {
  stage.wipe = Number($("wipe").value) / 100;
  stage.paint();
});
$("draw").addEventListener("click", () => {
  if (document.body.dataset.drawing === "yes") connection.send({ type: "cancel" });
  else draw();
});
$("inset-kind").addEventListener("change", () => {
  $("inset-text").textContent = texts.INSETS[$("inset-kind").value][1];
  connection.send({ type: "look", where: "edit", inset: $("inset-kind").value });
});
$("show-keys").addEventListener("click", () => $("keys").showModal());
for (const button of document.querySelectorAll("[data-close]")) button.addEventListener("click", () => $(button.dataset.close).close());
for (const button of document.querySelectorAll(".menu-body button")) button.addEventListener("click", () => { $("menu").open = false; });
document.addEventListener("click", (event) => {
  if (!$("menu").contains(event.target)) $("menu").open = false;
});
document.addEventListener("keydown", (event) => {
  const typing = event.target.matches?.("input[type=number], select, dialog *");
  const key = event.key.toLowerCase();
  if (key === "escape") $("menu").open = false;
  if ((event.ctrlKey || event.metaKey) && key === "z") {
    event.preventDefault();
    step(event.shiftKey ? "redo" : "undo");
  } else if (typing || event.ctrlKey || event.metaKey || event.altKey || !state?.photo) {
    return;
  } else if (key === "r") resetAll();
  else if (key === "c") compare();
  else if (key === "enter" && event.target === document.body) draw();
});

// The list of keys.

for (const [key, does] of texts.KEYS) {
  const [term, words] = [document.createElement("dt"), document.createElement("dd")];
  term.textContent = key;
  words.textContent = does;
  $("key-list").append(term, words);
}
showSliders();
document.body.dataset.ready = "yes";
