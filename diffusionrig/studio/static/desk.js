// A clip on its desk: dropped, drawn while the page looks on, played and taken away. Clip and listener have one each.

import { make, chooser, paint } from "./dom.js";
import { $, fail, trying } from "./errors.js";
import { keepAs, upload } from "./files.js";
import { openPhotograph } from "./photographs.js";
import * as texts from "./texts.js";

const CLIPS = "video/*,image/gif,image/webp,image/avif,image/png,.mkv,.mov,.avi,.m4v,.apng,.avifs";

export class Desk {
  // options: elements of the panel; wish(): what is asked for; wished(wish): shows what was asked for.
  constructor(hub, moving, kind, { options, wish, wished }) {
    Object.assign(this, { hub, kind, wish, wished, state: null });
    this.words = texts.DESKS[kind];
    moving.add(kind, this.stage(), [...this.panel(), ...options, ...this.foot()]);
    hub.on("desk", (state) => { if (state.kind === kind) this.take(state); });
    hub.on(kind, (header, parts) => this.show(header, parts));
    hub.on("state", ({ photo }) => { if (this.person !== photo?.id) this.seat(photo?.id); });
    this.drop = [`#moving-${kind}`, (files) => this.open(files)];
  }

  id(name) {
    return `${this.kind}-${name}`;
  }

  // What is seen.

  stage() {
    const choose = (facts) => chooser(this.words.choose, CLIPS, (files) => this.open(files), facts);
    this.empty = make("div", { class: "dropzone" }, make("h2", {}, this.words.title), make("p", { class: "lead" }, this.words.lead),
      choose({ class: "primary large", id: this.id("choose") }), make("p", { class: "muted small", id: this.id("limits") }));
    this.driver = make("canvas", { id: this.id("driver"), role: "img", "aria-label": this.words.driver, width: 8, height: 8 });
    this.drawn = make("canvas", { id: this.id("drawn"), role: "img", "aria-label": this.words.drawn, width: 8, height: 8 });
    this.pair = make("div", { class: "pair" },
      make("figure", {}, this.driver, make("figcaption", {}, this.words.driver)),
      make("figure", {}, this.drawn, make("figcaption", {}, this.words.drawn)));
    this.video = make("video", { id: this.id("video"), controls: true, playsinline: true, loop: true, preload: "auto",
      "aria-label": this.words.video });
    this.bar = make("progress", { id: this.id("bar"), max: 1, value: 0, "aria-label": texts.MOVING.progress });
    this.line = make("p", { class: "muted small", role: "status", id: this.id("line") });
    this.notes = make("div", { class: "notes" });
    return [this.empty, this.pair, this.video, this.bar, this.line, this.error("job"), this.notes];
  }

  error(where) {
    return make("p", { class: "error", "data-error": `${this.kind}-${where}`, role: "alert", hidden: true });
  }

  // What can be set.

  panel() {
    this.name = make("p", { class: "file", id: this.id("name") });
    this.facts = make("p", { class: "muted small", id: this.id("facts") });
    this.buttons = make("p", { class: "row" },
      chooser(texts.MOVING.otherClip, CLIPS, (files) => this.open(files), { id: this.id("other") }),
      make("button", { class: "quiet", id: this.id("remove"), click: () => this.say("remove") }, texts.MOVING.remove));
    return [make("h2", {}, this.words.panel), this.name, this.facts, this.buttons, this.error("file")];
  }

  foot() {
    this.draw = make("button", { class: "primary", id: this.id("draw"), click: () => this.begin() }, this.words.draw);
    this.keep = make("button", { class: "plain", id: this.id("keep"), click: () => trying(`${this.kind}-job`,
      () => keepAs(`api/desk/${this.kind}/video.mp4?keep=1`, "video.mp4")) }, texts.MOVING.keep);
    this.recipe = make("button", { class: "plain", id: this.id("recipe"), click: () => this.showRecipe() }, texts.MOVING.recipe);
    return [make("p", { class: "row wide" }, this.draw), this.error("draw"), make("p", { class: "row" }, this.keep, this.recipe)];
  }

  showRecipe() {
    const { command, beside } = this.state.made;
    $("desk-command").textContent = command;
    $("desk-lead").textContent = this.words.recipe;
    $("desk-beside").replaceChildren(...beside.map((name) => make("button", { class: "plain", click: () => trying(`${this.kind}-job`,
      () => keepAs(`api/desk/${this.kind}/beside?name=${encodeURIComponent(name)}`, name)) }, texts.take(name))));
    $("desk-recipe").showModal();
  }

  // What is done.

  open(files) {
    const [file] = files;
    if (file.type === "image/jpeg" || file.type === "image/heic") return openPhotograph(file);
    this.busy(true);
    return trying(`${this.kind}-file`, () => upload(`api/desk/${this.kind}`, file)).finally(() => this.busy(false));
  }

  busy(yes) {
    this.opening = yes;
    this.empty.classList.toggle("waiting", yes);
    if (this.state) this.take(this.state);
  }

  begin() {
    if (this.state?.job && !this.state.job.ended) this.say("cancel");
    else this.say("draw", { wish: this.wish() });
  }

  say(what, values = {}) {
    fail(`${this.kind}-draw`, "");
    this.hub.send({ type: "desk", where: `${this.kind}-draw`, kind: this.kind, do: what, ...values });
  }

  // What the studio says.

  async take(state) {
    const before = this.state;
    this.state = state;
    const { file, job, made } = state, running = Boolean(job && !job.ended);
    const playing = Boolean(made) && !running;
    if (before === null) this.wished(state.wish);
    $(this.id("limits")).textContent = state.limits;
    this.empty.hidden = Boolean(file);
    this.pair.hidden = !file || playing;
    this.video.hidden = !playing;
    this.bar.hidden = !running;
    this.bar.value = job?.total ? job.done / job.total : 0;
    this.line.textContent = this.opening ? texts.MOVING.opening : running ? texts.jobLine(job) : job ? texts.jobEnd(job, made) : "";
    this.name.textContent = file?.name ?? texts.MOVING.noClip;
    this.facts.textContent = file ? texts.clipFacts(file) : "";
    this.buttons.hidden = !file;
    this.draw.textContent = running ? texts.TEXTS.cancel : this.words.draw;
    this.draw.classList.toggle("plain", running);
    this.draw.classList.toggle("primary", !running);
    this.draw.disabled = !file;
    for (const id of ["other", "remove"]) $(this.id(id)).disabled = running;
    this.keep.parentElement.hidden = !playing;
    fail(`${this.kind}-job`, job?.ended === "failed" ? job.error : "");
    this.notes.replaceChildren(...(playing ? made.notes : []).map((note) => make("p", { class: "note" }, note)));
    document.body.dataset[`${this.kind}Job`] = running ? job.phase : job?.ended ?? "none";
    if (made && before?.made?.name + before?.job?.number !== made.name + job?.number && playing) {
      this.video.src = `api/desk/${this.kind}/video.mp4?job=${job?.number ?? 0}`;
    } else if (!made && this.video.hasAttribute("src")) {
      this.video.removeAttribute("src");
      this.video.load();
    }
    if (file && (before?.file?.name !== file.name || before?.file?.frames !== file.frames || !before?.file)) await this.first();
  }

  seat(person) {
    this.person = person;
    if (this.state?.file) this.first();
  }

  // The clip's first picture, and the photograph, until something was drawn.
  async first() {
    const pictures = await Promise.all([`api/desk/${this.kind}/first.jpg`, "api/photo.jpg"].map((address) => fetch(address)));
    const places = [this.driver, this.drawn];
    for (const [i, response] of pictures.entries()) {
      if (response.ok && !(this.state.job && !this.state.job.ended)) await paint(places[i], await response.blob());
    }
  }

  async show(header, [drawn, driver]) {
    if (header.job !== this.state?.job?.number) return;
    await Promise.all([paint(this.drawn, drawn), paint(this.driver, driver)]);
  }
}
