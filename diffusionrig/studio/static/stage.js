// The big picture: the photograph, over it the face as it is dragged, or the drawn picture; before and after wiped.

const FEATHER = 1 / 14;

export class Stage {
  // turned(dx, dy, ended): the picture was dragged by shares of its width.
  constructor(canvas, frame, turned) {
    Object.assign(this, { canvas, frame, turned });
    this.view = "face";
    this.comparing = false;
    this.wipe = 0.5;
    this.clear();
    new ResizeObserver(() => this.paint()).observe(frame);
    let last = null;
    canvas.addEventListener("pointerdown", (event) => {
      if (!this.photo) return;
      canvas.setPointerCapture(event.pointerId);
      last = event;
      if (this.comparing) this.wipeTo(event);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!last || !canvas.hasPointerCapture(event.pointerId)) return;
      if (this.comparing) this.wipeTo(event);
      else {
        const width = canvas.getBoundingClientRect().width;
        this.turned((event.clientX - last.clientX) / width, (event.clientY - last.clientY) / width);
        last = event;
      }
    });
    for (const kind of ["pointerup", "pointercancel"]) canvas.addEventListener(kind, () => { last = null; });
  }

  clear() {
    this.photo = this.before = this.preview = this.result = null;
  }

  wipeTo(event) {
    const box = this.canvas.getBoundingClientRect();
    this.wipe = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
    this.wiped?.(this.wipe);
    this.paint();
  }

  // A photograph (as in the state) and its bitmap.
  open(photo, before) {
    this.clear();
    Object.assign(this, { photo, before });
    this.paint();
  }

  paint() {
    if (!this.photo || !this.before) return;
    const [wide, high] = this.view === "face" ? [1, 1] : this.photo.screen;
    const box = this.frame.getBoundingClientRect();
    const scale = Math.min(box.width / wide, box.height / high);
    const [width, height] = [Math.floor(wide * scale), Math.floor(high * scale)];
    if (width < 8 || height < 8) return;
    this.frame.parentElement.style.setProperty("--aside", `${Math.max(0, (box.width - width) / 2)}px`);
    const dense = Math.min(window.devicePixelRatio || 1, 2);
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    this.canvas.width = Math.round(width * dense);
    this.canvas.height = Math.round(height * dense);
    const pen = this.canvas.getContext("2d");
    pen.imageSmoothingQuality = "high";
    // From pixels of the photograph on the screen to the canvas.
    const [[a, c, e], [b, d, f]] = this.photo.matrix;
    const fit = this.canvas.width / wide;
    const place = this.view === "face" ? new DOMMatrix([a, b, c, d, e, f].map((x) => x * this.canvas.width))
      : new DOMMatrix([fit, 0, 0, fit, 0, 0]);
    const face = place.multiply(new DOMMatrix([a, b, c, d, e, f]).inverse());
    this.after(pen, place, face);
    if (this.comparing) {
      const line = this.canvas.width * this.wipe;
      pen.save();
      pen.beginPath();
      pen.rect(0, 0, line, this.canvas.height);
      pen.clip();
      pen.setTransform(place);
      pen.drawImage(this.before, 0, 0);
      pen.restore();
      pen.fillStyle = "#fff";
      pen.shadowColor = "rgb(0 0 0 / 0.6)";
      pen.shadowBlur = 6 * dense;
      pen.fillRect(line - dense, 0, 2 * dense, this.canvas.height);
      pen.shadowBlur = 0;
    }
  }

  after(pen, place, face) {
    pen.save();
    pen.setTransform(place);
    const drawn = this.result && (!this.preview || this.result.revision >= this.preview.revision);
    pen.drawImage(drawn ? this.result.image : this.before, 0, 0);
    if (!drawn && this.preview) {
      // Beyond the photograph the square of the face shows what was made up around it.
      pen.beginPath();
      pen.rect(0, 0, this.photo.screen[0], this.photo.screen[1]);
      pen.clip();
      pen.setTransform(face);
      pen.drawImage(this.preview.image, 0, 0, 1, 1);
    }
    pen.restore();
  }

  // A preview of the face's square, softened at its border where it meets the photograph.
  showPreview(image, revision) {
    const soft = new OffscreenCanvas(image.width, image.height);
    const pen = soft.getContext("2d");
    pen.drawImage(image, 0, 0);
    if (this.view !== "face") {
      pen.globalCompositeOperation = "destination-in";
      for (const [x, y] of [[1, 0], [0, 1]]) {
        const fade = pen.createLinearGradient(0, 0, x * image.width, y * image.height);
        for (const [at, alpha] of [[0, 0], [FEATHER, 1], [1 - FEATHER, 1], [1, 0]]) fade.addColorStop(at, `rgb(0 0 0 / ${alpha})`);
        pen.fillStyle = fade;
        pen.fillRect(0, 0, image.width, image.height);
      }
    }
    this.preview = { image: soft, revision };
    this.paint();
  }

  showPhotograph() {
    this.preview = this.result = null;
    this.paint();
  }

  showResult(image, revision) {
    this.result = { image, revision };
    this.paint();
  }
}
