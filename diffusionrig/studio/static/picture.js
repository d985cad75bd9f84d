// The picture in the middle: what the studio draws is shown, compared and turned.

import { $ } from "./errors.js";
import { Stage } from "./stage.js";
import * as texts from "./texts.js";

export class Picture {
  constructor(hub, edits) {
    Object.assign(this, { hub, edits, photo: null, speeds: { preview: null, picture: null } });
    this.stage = new Stage($("canvas"), $("frame"), (across, down) => this.turn(across, down));
    this.stage.wiped = (share) => { $("wipe").value = Math.round(100 * share); };
    for (const kind of ["preview", "result"]) hub.on(kind, (header, parts) => this.show(header, parts));
    hub.on("progress", (message) => this.progress(message));
    $("view-face").addEventListener("click", () => this.look("face"));
    $("view-photo").addEventListener("click", () => this.look("photo"));
    $("compare").addEventListener("click", () => this.compare());
    $("wipe").addEventListener("input", () => {
      this.stage.wipe = Number($("wipe").value) / 100;
      this.stage.paint();
    });
    $("draw").addEventListener("click", () => {
      if (document.body.dataset.drawing === "yes") hub.send({ type: "cancel" });
      else edits.draw();
    });
    $("inset-kind").addEventListener("change", () => {
      this.tellInset();
      this.askInset();
    });
  }

  // Another photograph: pictures of the one before are not shown any more.
  await(photo) {
    this.photo = photo;
    Object.assign(this.speeds, { preview: null, picture: null });
  }

  turn(across, down) {
    for (const [name, by] of [["yaw", 90 * across], ["pitch", 60 * down]]) {
      const { facts, value } = this.edits.sliders.get(name);
      const wanted = Math.min(Math.max(value + by, facts.low), facts.high);
      this.edits.sliders.get(name).show(wanted);
      this.edits.put(name, Math.round(wanted * 10) / 10);
    }
    this.edits.asking();
  }

  look(view) {
    this.stage.view = view;
    $("view-face").setAttribute("aria-pressed", view === "face");
    $("view-photo").setAttribute("aria-pressed", view !== "face");
    this.stage.paint();
  }

  compare(on = !this.stage.comparing) {
    this.stage.comparing = on;
    $("compare").setAttribute("aria-pressed", on);
    for (const id of ["wipe-row", "tag-before", "tag-after"]) $(id).hidden = !on;
    this.stage.paint();
  }

  tellInset(kind = $("inset-kind").value) {
    $("inset-kind").value = kind;
    $("inset-text").textContent = texts.INSETS[kind][1];
  }

  askInset() {
    this.hub.send({ type: "look", where: "edit", inset: $("inset-kind").value });
  }

  async show(header, parts) {
    if (header.photo !== this.photo?.id) return;
    if (header.kind === "preview") this.speeds.preview = this.edits.since(header.n) ?? this.speeds.preview;
    const image = await createImageBitmap(parts[0]);
    if (header.photo !== this.photo?.id) return;
    if (header.kind === "result") {
      if (this.edits.drawAt !== null) this.speeds.picture = performance.now() - this.edits.drawAt;
      if (!header.nothing) this.stage.showResult(image, header.revision);
    } else {
      if (header.nothing) this.stage.showPhotograph();
      else this.stage.showPreview(image, header.revision);
      const old = $("inset").src;
      $("inset").src = URL.createObjectURL(parts[1]);
      if (old.startsWith("blob:")) URL.revokeObjectURL(old);
    }
    document.body.dataset.seen = header.photo;
    if (header.kind === "result" && (header.n === this.edits.sent || header.n === 0)) document.body.dataset.rested = "yes";
    $("status").textContent = texts.speed(this.speeds.preview, this.speeds.picture);
  }

  progress({ done, total, ended }) {
    document.body.dataset.drawing = ended ? "no" : "yes";
    $("draw").textContent = ended ? texts.TEXTS.draw : texts.TEXTS.cancel;
    if (!ended && total > 1) $("status").textContent = texts.progress(done, total);
  }
}
