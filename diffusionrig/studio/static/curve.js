// A curve of the loss: every logged value as a dot, and a line through their running mean.

const WIDE = 320, HIGH = 120, LEFT = 34, LOW = 16, TOP = 6, RIGHT = 4;
const NAMESPACE = "http://www.w3.org/2000/svg";

export function drawCurve(svg, points, total) {
  svg.setAttribute("viewBox", `0 0 ${WIDE} ${HIGH}`);
  svg.replaceChildren();
  if (points.length < 2) return;
  const losses = points.map(([, loss]) => loss);
  const [low, high] = [Math.min(...losses), Math.max(...losses)];
  const spread = high - low || 1;
  const x = (step) => LEFT + ((WIDE - LEFT - RIGHT) * step) / total;
  const y = (loss) => TOP + (HIGH - TOP - LOW) * (1 - (loss - low) / spread);
  const add = (name, attributes, text = "") => {
    const element = document.createElementNS(NAMESPACE, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.textContent = text;
    svg.append(element);
  };
  for (const loss of [low, high]) {
    add("line", { class: "grid", x1: LEFT, x2: WIDE - RIGHT, y1: y(loss), y2: y(loss) });
    add("text", { x: LEFT - 4, y: y(loss) + 3, "text-anchor": "end" }, loss.toPrecision(2));
  }
  add("text", { x: LEFT, y: HIGH - 3 }, "0");
  add("text", { x: WIDE - RIGHT, y: HIGH - 3, "text-anchor": "end" }, String(total));
  for (const [step, loss] of points) add("circle", { class: "dot", cx: x(step), cy: y(loss), r: 1.3 });
  const reach = Math.max(1, Math.round(points.length / 12));
  const line = points.map(([step], i) => {
    const near = losses.slice(Math.max(0, i - reach), i + reach + 1);
    return `${x(step).toFixed(1)},${y(near.reduce((sum, loss) => sum + loss, 0) / near.length).toFixed(1)}`;
  });
  add("polyline", { class: "line", points: line.join(" ") });
}
