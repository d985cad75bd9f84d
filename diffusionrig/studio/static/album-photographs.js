// The photographs of the album, each with what curate says of it.

import { $ } from "./errors.js";
import * as texts from "./texts.js";

export class AlbumPhotographs {
  constructor(send) {
    this.send = send;
    this.items = new Map();
  }

  // other: whether this is another album than before.
  show(state, other) {
    if (other) this.items.clear();
    const photographs = state.photographs ?? [];
    const there = new Set(photographs.map((photograph) => photograph.file));
    for (const file of this.items.keys()) if (!there.has(file)) this.items.delete(file);
    const items = photographs.map((photograph) => this.item(state, photograph));
    const refused = state.refused.map(({ name, why }) => refusedItem(name, why));
    $("album-photos").replaceChildren(...items, ...refused);
    $("album-count").textContent = texts.albumCount(state);
    $("album-forget").hidden = !refused.length;
    $("album-notes").hidden = !(state.notes ?? []).length || !state.looked;
    $("album-notes").textContent = (state.notes ?? []).join(" ");
  }

  item(state, { file, verdict, why }) {
    let item = this.items.get(file);
    if (!item) {
      item = document.createElement("li");
      const image = document.createElement("img");
      image.alt = "";
      image.loading = "lazy";
      image.src = `api/album/photo.jpg?${new URLSearchParams({ file, album: state.name })}`;
      const remove = document.createElement("button");
      remove.className = "remove";
      remove.textContent = "×";
      remove.setAttribute("aria-label", texts.removeOf(file));
      remove.title = remove.getAttribute("aria-label");
      remove.addEventListener("click", () => {
        this.send({ type: "album_remove", file });
        if (this.items.size > 1) this.send({ type: "album_look" });
      });
      item.append(image, remove, paragraph("verdict"), paragraph("file"), paragraph("why"));
      item.querySelector(".file").textContent = file;
      this.items.set(file, item);
    }
    item.dataset.verdict = verdict === "kept" ? "kept" : verdict ? "out" : "unseen";
    item.querySelector(".verdict").textContent = texts.verdictText(verdict);
    item.querySelector(".why").textContent = why;
    item.querySelector(".remove").disabled = Boolean(state.running);
    return item;
  }
}

function refusedItem(name, why) {
  const item = document.createElement("li");
  item.dataset.verdict = "refused";
  const blank = document.createElement("div");
  blank.className = "blank";
  item.append(blank, paragraph("verdict"), paragraph("file"), paragraph("why"));
  item.querySelector(".verdict").textContent = texts.verdictText("unreadable");
  item.querySelector(".file").textContent = name;
  item.querySelector(".why").textContent = why;
  return item;
}

function paragraph(name) {
  const element = document.createElement("p");
  element.className = name;
  return element;
}
