// Files that come and go, the menu, the recipe, and the keys.

import { $, trying } from "./errors.js";
import { acceptDrops, ask, imagesOf, keepAs, upload } from "./files.js";
import { openPhotograph, openSecond } from "./photographs.js";
import { KEYS, TEXTS } from "./texts.js";

const openPreset = (file) => trying("preset", () => upload("api/preset", file));

// drops: places of the page that take files themselves, as [selector, take(files)]; with wants(file) and go() they are gone to for
// such a file, wherever it is dropped. Several pictures at once, dropped elsewhere, are for many(files).
export function tools(edits, picture, photographs, drops, many) {
  choosing();
  acceptDrops($("drop"), (files, target) => {
    const [file] = files;
    const place = drops.find(([selector]) => target?.closest?.(selector)) ?? drops.find(([, , wants]) => files.some((one) => wants?.(one)));
    if (place) {
      place[3]?.();
      place[1](files);
    } else if (imagesOf(files).length > 2) many(files);
    else if (file.type === "application/json" || file.name.endsWith(".json")) openPreset(file);
    else if (target?.closest?.("#second, #second-empty, #take-sliders") && photographs.photo) openSecond(file);
    else openPhotograph(file);
  });
  saving(edits);
  menu();
  keys(edits, picture, photographs);
}

function choosing() {
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
}

function saving(edits) {
  $("download").addEventListener("click", () => {
    edits.settle();
    trying("draw", () => keepAs("api/picture.png", "edited.png"), TEXTS.saving);
  });
  $("save-preset").addEventListener("click", () => {
    edits.settle();
    trying("preset", () => keepAs("api/preset.json", "preset.json"));
  });
  $("show-recipe").addEventListener("click", async () => {
    const recipe = await trying("draw", async () => (await ask("api/recipe")).json());
    if (!recipe) return;
    $("command").textContent = recipe.command;
    $("python").textContent = recipe.python;
    $("recipe").showModal();
  });
  for (const what of ["command", "python", "desk-command"]) {
    $(`copy-${what}`).addEventListener("click", async (event) => {
      await navigator.clipboard.writeText($(what).textContent);
      const words = event.target.textContent;
      event.target.textContent = TEXTS.copied;
      setTimeout(() => { event.target.textContent = words; }, 1200);
    });
  }
}

function menu() {
  $("show-keys").addEventListener("click", () => $("keys").showModal());
  for (const button of document.querySelectorAll("[data-close]")) button.addEventListener("click", () => $(button.dataset.close).close());
  for (const button of document.querySelectorAll(".menu-body button")) button.addEventListener("click", () => { $("menu").open = false; });
  document.addEventListener("click", (event) => {
    if (!$("menu").contains(event.target)) $("menu").open = false;
  });
}

function keys(edits, picture, photographs) {
  $("undo").addEventListener("click", () => edits.step({ type: "undo" }));
  $("redo").addEventListener("click", () => edits.step({ type: "redo" }));
  $("reset").addEventListener("click", () => edits.resetAll());
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches?.("input[type=number], input[type=text], textarea, select, dialog *");
    const key = event.key.toLowerCase();
    if (key === "escape") $("menu").open = false;
    if (document.body.dataset.view !== "edit") return;
    if ((event.ctrlKey || event.metaKey) && key === "z" && !event.target.matches?.("textarea, input[type=text]")) {
      event.preventDefault();
      edits.step({ type: event.shiftKey ? "redo" : "undo" });
    } else if (typing || event.ctrlKey || event.metaKey || event.altKey || !photographs.photo) {
      return;
    } else if (key === "r") edits.resetAll();
    else if (key === "c") picture.compare();
    else if (key === "enter" && event.target === document.body) edits.draw();
  });
  for (const [key, does] of KEYS) {
    const [term, words] = [document.createElement("dt"), document.createElement("dd")];
    term.textContent = key;
    words.textContent = does;
    $("key-list").append(term, words);
  }
}
