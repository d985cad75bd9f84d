// A ball with a bright spot where the lamp stands; dragged, or moved by arrow keys.

const REACH = 90;

export class Lamp {
  // changed(side, height) is called while it moves, both in degrees: the picture's right and up are positive.
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.changed = changed;
    this.side = this.height = 0;
    this.strength = 0;
    this.colour = [1, 1, 1];
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.follow(event);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (canvas.hasPointerCapture(event.pointerId)) this.follow(event);
    });
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-5, 0], ArrowRight: [5, 0], ArrowUp: [0, 5], ArrowDown: [0, -5] }[event.key];
      if (!step) return;
      event.preventDefault();
      this.turn(this.side + step[0], this.height + step[1]);
    });
  }

  follow(event) {
    const box = this.canvas.getBoundingClientRect();
    let x = ((event.clientX - box.left) / box.width) * 2 - 1;
    let y = 1 - ((event.clientY - box.top) / box.height) * 2;
    const far = Math.hypot(x, y);
    if (far > 0.98) [x, y] = [(0.98 * x) / far, (0.98 * y) / far];
    const height = Math.asin(y);
    const side = Math.asin(Math.min(Math.max(x / Math.cos(height), -1), 1));
    this.turn((side * 180) / Math.PI, (height * 180) / Math.PI);
  }

  turn(side, height) {
    const within = (value) => Math.round(Math.min(Math.max(value, -REACH), REACH));
    this.changed(within(side), within(height));
  }

  show(side, height, strength, ambient, colour) {
    Object.assign(this, { side, height, strength, ambient, colour });
    this.canvas.setAttribute("aria-valuenow", side);
    this.canvas.setAttribute("aria-valuetext", `${side}°, ${height}°`);
    this.paint();
  }

  paint() {
    const size = this.canvas.width, middle = size / 2, radius = size * 0.46;
    const pen = this.canvas.getContext("2d");
    const [a, b] = [(this.side * Math.PI) / 180, (this.height * Math.PI) / 180];
    const x = middle + radius * Math.sin(a) * Math.cos(b), y = middle - radius * Math.sin(b);
    const tint = (level) => `rgb(${this.colour.map((part) => Math.round(255 * level * part)).join(" ")})`;
    pen.clearRect(0, 0, size, size);
    const own = 0.16 + 0.34 * Math.min(this.ambient, 1.4);
    pen.beginPath();
    pen.arc(middle, middle, radius, 0, 7);
    pen.fillStyle = `rgb(${[1, 0.98, 0.95].map((part) => Math.round(255 * own * part)).join(" ")})`;
    pen.fill();
    const glow = pen.createRadialGradient(x, y, 0, x, y, radius * 1.7);
    glow.addColorStop(0, tint(1));
    glow.addColorStop(1, "rgb(0 0 0 / 0)");
    pen.globalAlpha = 0.12 + 0.8 * Math.min(this.strength, 1);
    pen.fillStyle = glow;
    pen.fill();
    pen.globalAlpha = 1;
    pen.beginPath();
    pen.arc(x, y, size * 0.045, 0, 7);
    pen.fillStyle = tint(1);
    pen.fill();
    pen.lineWidth = size * 0.012;
    pen.strokeStyle = "rgb(0 0 0 / 0.55)";
    pen.stroke();
  }
}
