// The album: photographs of one person, what is said of them, and a personal model trained on those that stay.

import { AlbumPhotographs } from "./album-photographs.js";
import { AlbumTraining } from "./album-training.js";
import { $, fail } from "./errors.js";
import { imagesOf, upload } from "./files.js";
import * as texts from "./texts.js";

export class AlbumPanel {
  constructor(hub, views) {
    Object.assign(this, { hub, views, state: null, handing: null });
    this.photographs = new AlbumPhotographs((message) => this.send(message));
    this.training = new AlbumTraining((message) => this.send(message), () => views.show("edit"));
    hub.on("album", (state) => this.show(state));
    for (const [button, input] of [["album-choose", "album-files"], ["album-choose-folder", "album-folder"]]) {
      $(button).addEventListener("click", () => $(input).click());
      $(input).addEventListener("change", () => {
        const files = [...$(input).files];
        $(input).value = "";
        this.take(files);
      });
    }
    $("album-name").addEventListener("change", () => this.send({ type: "album_open", name: $("album-name").value }));
    $("album-new").addEventListener("click", () => {
      $("album-new-name").value = "";
      $("album-naming").showModal();
    });
    $("album-naming-form").addEventListener("submit", () => this.send({ type: "album_new", name: $("album-new-name").value }));
    $("album-look").addEventListener("click", () => this.send({ type: "album_look" }));
    $("album-stop-look").addEventListener("click", () => this.send({ type: "album_stop" }));
    $("album-forget").addEventListener("click", () => this.send({ type: "album_forget_refused" }));
  }

  send(message) {
    fail("album", "");
    this.hub.send({ where: "album", ...message });
  }

  // Hand over files, one after another, and let the album be looked at; those that are refused are told with the album.
  async take(files) {
    const images = imagesOf(files);
    this.views.show("album");
    fail("album", "");
    if (this.handing || this.state?.running) fail("album", texts.TEXTS.albumBusy);
    else if (!images.length) fail("album", texts.TEXTS.albumNoPictures);
    if (this.handing || this.state?.running || !images.length) return;
    let last = "", added = 0;
    for (const [index, file] of images.entries()) {
      this.handing = [index + 1, images.length];
      this.showDoing();
      try {
        await upload("api/album/photo", file);
        added += 1;
      } catch (error) {
        last = error.message;
      }
    }
    this.handing = null;
    this.showDoing();
    if (added) this.send({ type: "album_look" });
    else fail("album", last);
  }

  show(state) {
    const other = state.name !== this.state?.name;
    this.state = state;
    $("album-name").replaceChildren(...state.albums.map((name) => new Option(name, name, false, name === state.name)));
    $("album-choice").hidden = !state.albums.length;
    $("album-name").disabled = $("album-new").disabled = Boolean(state.running);
    const photographs = state.photographs ?? [];
    $("album-body").dataset.empty = photographs.length || state.refused.length ? "no" : "yes";
    $("album-problem").hidden = !state.problem;
    $("album-problem").textContent = state.problem;
    $("album-place").textContent = texts.albumPlace(state.folder);
    this.photographs.show(state, other);
    this.training.show(state, other);
    $("go-album").textContent = texts.albumTab(state);
    $("album-look").hidden = Boolean(state.running) || !photographs.length || state.looked;
    this.showDoing();
    document.body.dataset.album = state.running || (state.training?.state ?? "none");
  }

  showDoing() {
    const words = this.handing ? texts.handing(...this.handing) : texts.albumDoing(this.state);
    $("album-doing").hidden = !words;
    $("album-stop-look").hidden = this.state?.running !== "curate";
    $("album-doing-text").textContent = words;
    $("album-choose").disabled = $("album-choose-folder").disabled = Boolean(this.handing || this.state?.running);
  }
}
