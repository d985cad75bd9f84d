// Consent, the training with its curve, and the models that came of it.

import { drawCurve } from "./curve.js";
import { $, fail, trying } from "./errors.js";
import { ask } from "./files.js";
import * as texts from "./texts.js";

export class AlbumTraining {
  // used() is called when another model was chosen.
  constructor(send, used) {
    Object.assign(this, { send, used, state: null, told: new Map() });
    $("album-consent").addEventListener("input", () => this.fit());
    for (const id of ["album-consent", "album-updates"]) $(id).addEventListener("change", () => this.note());
    for (const button of document.querySelectorAll("[data-consent]")) {
      button.addEventListener("click", () => {
        $("album-consent").value = texts.consentWords(button.dataset.consent);
        this.fit();
        this.note();
      });
    }
    $("album-train").addEventListener("click", () => {
      if (!$("album-consent").value.trim()) {
        fail("album", texts.TEXTS.consentFirst);
        $("album-consent").focus();
      } else this.send({ type: "album_train", ...this.asked() });
    });
    $("album-stop").addEventListener("click", () => this.send({ type: "album_stop" }));
    $("album-use").addEventListener("click", () => this.use($("album-use"), this.state.training.model));
  }

  asked() {
    return { consent: $("album-consent").value, updates: Number($("album-updates").value) };
  }

  // Kept at once, so that a page that is loaded again has it.
  note() {
    if (this.state?.name && !this.training && $("album-updates").validity.valid) this.send({ type: "album_note", ...this.asked() });
    this.fit();
  }

  // Looking at the photographs is no training yet.
  get training() {
    return Boolean(this.state?.running) && this.state.running !== "curate";
  }

  show(state, other) {
    this.state = state;
    $("album-work").hidden = !(state.photographs ?? []).length;
    this.showModels(state);
    if (!state.training) return;
    for (const [id, value] of [["album-consent", state.consent], ["album-updates", String(state.updates)]]) {
      // An answer to what was said before must not undo what has been typed since.
      if (other || (value !== this.told.get(id) && document.activeElement !== $(id))) $(id).value = value;
      this.told.set(id, value);
      $(id).disabled = this.training;
    }
    for (const button of document.querySelectorAll("[data-consent]")) button.disabled = this.training;
    const { training } = state;
    $("album-progress").hidden = training.state === "none" && !this.training;
    $("album-bar").max = training.total;
    $("album-bar").value = training.done;
    $("album-bar").setAttribute("aria-valuetext", texts.trainingText(state));
    $("album-training-text").textContent = texts.trainingText(state);
    drawCurve($("album-curve"), training.curve, training.total);
    $("album-curve").setAttribute("aria-label", texts.curveText(training.curve));
    $("album-curve-row").toggleAttribute("hidden", training.curve.length < 2);
    $("album-done").hidden = training.state !== "done" || this.training;
    $("album-use").hidden = state.using === training.model;
    this.fit();
  }

  // What the buttons say and whether they may be pressed follows from what is typed as well.
  fit() {
    const { state } = this;
    if (!state?.training) return;
    const busy = this.training;
    $("album-stop").hidden = !busy;
    $("album-stop").disabled = state.stopping;
    $("album-stop").textContent = state.stopping ? texts.TEXTS.albumStopping : texts.TEXTS.albumStop;
    $("album-train").textContent = texts.trainButton(state, Number($("album-updates").value));
    const more = state.training.state !== "done" || Number($("album-updates").value) > state.training.done;
    $("album-train").hidden = busy || !more;
    $("album-train").disabled = !state.looked || Boolean(state.running) || !$("album-updates").validity.valid
      || !state.photographs.some((photograph) => photograph.verdict === "kept");
    $("album-few").hidden = !state.looked || state.photographs.filter((photograph) => photograph.verdict === "kept").length >= 6;
  }

  // Let the page draw with a model.
  async use(button, path) {
    button.disabled = true;
    button.textContent = texts.TEXTS.loadingModel;
    const answer = await trying("album", () => ask(`api/album/use?${new URLSearchParams({ model: path })}`, { method: "POST" }));
    button.disabled = false;
    button.textContent = texts.TEXTS.useModel;
    this.shown = "";
    this.showModels(this.state);
    if (answer) this.used();
  }

  showModels(state) {
    $("album-models").hidden = !state.models.length;
    const first = { path: "", label: texts.firstModel(state.first), used: state.using === state.first };
    const rows = state.models.map((model) => ({ ...model, label: texts.personalModel(model), used: state.using === model.path }));
    const shown = JSON.stringify([...rows, first]);
    if (shown === this.shown) return;
    this.shown = shown;
    $("album-model-list").replaceChildren(...[...rows, first].map((model) => this.modelItem(model)));
  }

  modelItem({ path, label, used, store }) {
    const item = document.createElement("li");
    const name = document.createElement("p");
    name.className = "file";
    name.textContent = label;
    const button = document.createElement("button");
    button.className = "plain";
    button.textContent = used ? texts.TEXTS.inUse : texts.TEXTS.useModel;
    button.setAttribute("aria-label", texts.useOf(label, used));
    button.disabled = used;
    button.addEventListener("click", () => this.use(button, path));
    item.append(name, button);
    if (path) {
      const place = document.createElement("code");
      place.textContent = texts.modelCommand(path, store);
      place.tabIndex = 0;
      item.append(place);
    }
    return item;
  }
}
