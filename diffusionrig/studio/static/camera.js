// The camera: its frames go to the studio one at a time, and come back drawn in the chosen person.

import { partSliders, ticked } from "./clip.js";
import { make, paint } from "./dom.js";
import { fail } from "./errors.js";
import * as texts from "./texts.js";

const WIDE = 480, QUALITY = 0.85; // of the frames that are sent
const BETWEEN = 1000 / 15; // milliseconds from one to the next, at least
const PATIENCE = 8000; // milliseconds after which a frame counts as lost
const REMEMBERED = 100; // pictures that figures are of
const WINDOW = 3000; // milliseconds that the rate is counted over

export class Camera {
  constructor(hub, moving) {
    Object.assign(this, { hub, stream: null, number: 0, asked: 0, waiting: 0 });
    this.sentAt = new Map();
    this.latencies = [];
    this.times = [];
    const words = texts.CAMERA;
    this.parts = partSliders("camera", () => this.say("wish", { take: this.parts.value() }));
    this.video = make("video", { id: "camera-video", muted: true, playsinline: true, "aria-label": words.video });
    this.video.muted = true;
    this.drawn = make("canvas", { id: "camera-drawn", role: "img", "aria-label": words.drawn, width: 8, height: 8 });
    this.idle = make("p", { class: "idle muted" }, words.lead);
    this.pair = make("div", { class: "pair" },
      make("figure", {}, make("div", { class: "seen" }, this.video, this.idle), make("figcaption", {}, words.you)),
      make("figure", {}, this.drawn, make("figcaption", {}, words.drawn)));
    this.line = make("p", { class: "muted small", role: "status", id: "camera-line" });
    this.start = make("button", { class: "primary", id: "camera-start", click: () => (this.stream ? this.stop() : this.begin()) }, words.start);
    this.rest = make("button", { class: "plain", id: "camera-rest", disabled: true, click: () => this.say("rest") }, words.rest);
    const [mirror, mirrorRow] = ticked("camera-mirror", words.mirror, words.mirrorTip, () => {
      this.pair.classList.toggle("mirrored", mirror.checked);
    });
    moving.add("camera", [this.pair, this.line, make("p", { class: "error", "data-error": "camera", role: "alert", hidden: true })], [
      make("h2", {}, words.title), make("p", { class: "muted small" }, words.tip),
      make("p", { class: "row wide" }, this.start, this.rest), make("p", { class: "muted small" }, words.restTip),
      make("h2", {}, words.taken), this.parts.rows, make("p", { class: "muted small" }, texts.MOVING.slidersToo), mirrorRow,
    ], () => this.stop());
    this.picture = document.createElement("canvas");
    hub.on("camera", (message, pictures) => (pictures ? this.show(message, pictures[0]) : this.take(message)));
    hub.on("camera_taken", (message) => this.taken(message));
    hub.on("error", ({ where }) => { if (where === "camera") this.stop(true); });
    hub.on("state", ({ photo }) => { if (photo && photo.id !== this.person) this.seat(photo); });
    window.addEventListener("pagehide", () => this.stop());
  }

  async seat(photo) {
    this.person = photo.id;
    const response = await fetch(`api/photo.jpg?id=${photo.id}`);
    if (response.ok && this.person === photo.id && !this.stream) await paint(this.drawn, await response.blob());
  }

  say(what, values = {}) {
    this.hub.send({ type: "camera", where: "camera", do: what, ...values });
  }

  // Sliders as they were, when the page is opened.
  take({ take }) {
    if (!this.shown) this.parts.show(take);
    this.shown = true;
  }

  async begin() {
    fail("camera", "");
    this.start.disabled = true;
    try {
      if (!navigator.mediaDevices?.getUserMedia) throw new DOMException("", "NoCamera");
      this.stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 }, frameRate: { ideal: 30 } }, audio: false });
      this.stream.getVideoTracks()[0].addEventListener("ended", () => this.lost());
      this.video.srcObject = this.stream;
      await this.video.play();
    } catch (error) {
      this.stop();
      fail("camera", texts.cameraError(error.name));
      return;
    } finally {
      this.start.disabled = false;
    }
    Object.assign(this, { number: 0, waiting: 0, unseen: 0, seenAt: performance.now() });
    this.sentAt.clear();
    this.latencies = [];
    this.times = [];
    this.running(true);
    this.timer = setInterval(() => this.send(), BETWEEN / 2);
  }

  lost() {
    if (!this.stream) return;
    this.stop();
    fail("camera", texts.cameraError("Ended"));
  }

  // Free the camera; silent where the studio has stopped by itself.
  stop(silent = false) {
    clearInterval(this.timer);
    if (!this.stream) return;
    for (const track of this.stream.getTracks()) track.stop();
    this.stream = this.video.srcObject = null;
    this.running(false);
    if (!silent) this.say("stop");
  }

  running(yes) {
    this.start.textContent = yes ? texts.CAMERA.stop : texts.CAMERA.start;
    this.start.classList.toggle("primary", !yes);
    this.start.classList.toggle("plain", yes);
    this.rest.disabled = !yes;
    this.idle.hidden = yes;
    this.line.textContent = yes ? texts.CAMERA.waiting : "";
    document.body.dataset.camera = yes ? "on" : "off";
  }

  // The next frame, when the one before was answered and there is a new one.
  async send() {
    const now = performance.now();
    if (!this.stream || this.making || now - this.asked < BETWEEN - 4 || !this.video.videoWidth) return;
    if (this.waiting && now - this.asked < PATIENCE) return;
    this.making = true;
    this.asked = now;
    const height = Math.round((WIDE * this.video.videoHeight) / this.video.videoWidth);
    Object.assign(this.picture, { width: WIDE, height });
    this.picture.getContext("2d").drawImage(this.video, 0, 0, WIDE, height);
    const jpeg = await new Promise((done) => { this.picture.toBlob(done, "image/jpeg", QUALITY); });
    this.making = false;
    if (!this.stream || !jpeg) return;
    this.number += 1;
    this.waiting = this.number;
    this.sentAt.set(this.number, now);
    this.hub.sendPicture({ kind: "camera", n: this.number }, await jpeg.arrayBuffer());
  }

  taken({ n, unseen }) {
    if (n === this.waiting) this.waiting = 0;
    if (unseen === this.unseen) this.seenAt = performance.now();
    this.unseen = unseen;
    if (this.stream && performance.now() - this.seenAt > 1000) this.line.textContent = texts.CAMERA.unseen;
  }

  async show({ n, doubt }, jpeg) {
    if (!this.stream || !this.sentAt.has(n)) return;
    const began = this.sentAt.get(n);
    for (const earlier of this.sentAt.keys()) if (earlier <= n) this.sentAt.delete(earlier);
    await paint(this.drawn, jpeg);
    const now = performance.now();
    // The first one waited until all was prepared.
    this.latencies = this.times.length ? [...this.latencies, now - began].slice(-REMEMBERED) : [];
    this.times = [...this.times.filter((time) => now - time < WINDOW), now];
    const rate = this.times.length > 1 ? (1000 * (this.times.length - 1)) / (now - this.times[0]) : null;
    const ordered = [...this.latencies].sort((a, b) => a - b);
    const share = (part) => ordered[Math.min(Math.ceil(part * ordered.length) - 1, ordered.length - 1)];
    if (rate !== null) this.line.textContent = doubt || texts.cameraFigures(rate, share(0.5), share(0.95));
  }
}
