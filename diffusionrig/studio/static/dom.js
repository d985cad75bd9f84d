// Elements made by script.

// make("button", { class: "plain", "aria-label": "Stop" }, "Stop"): values that are functions listen to that event.
export function make(tag, facts = {}, ...inside) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(facts)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...inside);
  return element;
}

// A button that lets files be chosen.
export function chooser(text, accept, then, facts = {}) {
  const input = make("input", { type: "file", accept, hidden: true, "aria-label": text, change: () => {
    const files = [...input.files];
    input.value = "";
    if (files.length) then(files);
  } });
  return make("span", { class: "chooser" }, make("button", { class: "plain", ...facts, click: () => input.click() }, text), input);
}

// Shows pictures of any size as large as the canvas is, one after the other.
export async function paint(canvas, picture) {
  const image = await createImageBitmap(picture);
  if (canvas.width !== image.width || canvas.height !== image.height) Object.assign(canvas, { width: image.width, height: image.height });
  canvas.getContext("2d").drawImage(image, 0, 0);
  image.close();
  canvas.dataset.painted = Number(canvas.dataset.painted ?? 0) + 1;
}
