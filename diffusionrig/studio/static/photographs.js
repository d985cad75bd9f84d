// The photograph that is edited, its faces, and the second one that is taken from.

import { $, fail, trying } from "./errors.js";
import { ask, upload } from "./files.js";
import * as texts from "./texts.js";

export const openPhotograph = (file) => trying("photo", () => upload("api/photo", file), texts.TEXTS.opening);
export const openSecond = (file) => trying("second", () => upload("api/second", file), texts.TEXTS.opening);
export const openExample = () => trying("photo", () => ask("api/example", { method: "POST" }), texts.TEXTS.opening);

export class Photographs {
  constructor(hub, edits, picture) {
    Object.assign(this, { hub, edits, picture, photo: null, target: null });
    $("example").addEventListener("click", openExample);
    $("no-second").addEventListener("click", () => hub.send({ type: "no_second", where: "second" }));
  }

  // The state of the studio.
  async take(state) {
    const [photo, target] = [this.photo, this.target];
    this.photo = state.photo;
    this.target = state.target;
    if (state.target?.id !== target?.id) this.showSecond(state.target);
    if (state.photo && state.photo.id !== photo?.id) await this.showPhotograph(state.photo);
  }

  async showPhotograph(photo) {
    for (const where of ["photo", "edit", "draw", "preset"]) fail(where, "");
    this.picture.await(photo);
    const address = `api/photo.jpg?id=${photo.id}`;
    $("photo-image").src = address;
    $("photo-name").textContent = photo.name;
    $("photo-facts").textContent = texts.photoFacts(photo);
    $("photo-note").hidden = !photo.note;
    $("photo-note").textContent = photo.note;
    $("canvas").setAttribute("aria-label", texts.pictureOf(photo.name));
    const faces = photo.faces < 2 ? [] : Array.from({ length: Math.min(photo.faces, 12) }, (_, i) => this.faceButton(photo, i + 1));
    $("faces").hidden = !faces.length;
    $("faces").replaceChildren(...faces);
    const response = await fetch(address);
    const image = await createImageBitmap(await response.blob());
    if (this.photo?.id !== photo.id) return;
    this.picture.stage.open(photo, image);
    document.body.dataset.photo = photo.id;
    // Frames that came before the photograph are asked for again.
    this.picture.askInset();
    if (!this.edits.empty) this.edits.draw();
  }

  faceButton(photo, number) {
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
      this.hub.send({ type: "face", where: "photo", number });
    });
    return button;
  }

  showSecond(target) {
    $("second").hidden = $("take-sliders").hidden = !target;
    $("second-empty").hidden = Boolean(target);
    if (!target) return;
    fail("second", "");
    $("second-image").src = `api/second.jpg?id=${target.id}`;
    $("second-name").textContent = target.name;
    $("second-note").hidden = !target.note;
    $("second-note").textContent = target.note;
  }
}
