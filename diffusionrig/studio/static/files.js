// Files in and out: photographs and presets that are chosen or dropped, pictures and presets to keep.

// fetch, with the studio's sentence as the error.
export async function ask(address, options = {}) {
  const response = await fetch(address, options);
  if (response.ok) return response;
  const text = await response.text();
  let sentence = text;
  try {
    sentence = JSON.parse(text).error ?? text;
  } catch { /* a plain text is a sentence already */ }
  throw new Error(sentence.trim() || response.statusText);
}

export async function upload(address, file) {
  return ask(`${address}?name=${encodeURIComponent(file.name)}`, { method: "POST", body: file });
}

export async function keepAs(address, usual) {
  const response = await ask(address);
  const named = /filename\*=UTF-8''([^;]+)/.exec(response.headers.get("Content-Disposition") ?? "");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = named ? decodeURIComponent(named[1]) : usual;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

const PICTURE = /\.(jpe?g|jpe|jfif|png|bmp|webp|tiff?|gif|avif|hei[cf]|hif)$/i;
const MOST_FILES = 1000;

// Those that are pictures by their type or name, in the order of their names.
export function imagesOf(files) {
  const pictures = files.filter((file) => file.type.startsWith("image/") || PICTURE.test(file.name));
  return pictures.sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
}

// The files of what is dropped; those in folders too.
async function within(entries) {
  const files = [], waiting = [...entries];
  while (waiting.length && files.length < MOST_FILES) {
    const entry = waiting.shift();
    if (entry.isFile) files.push(await new Promise((resolve, reject) => { entry.file(resolve, reject); }));
    else {
      const reader = entry.createReader();
      let part;
      do {
        part = await new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });
        waiting.push(...part);
      } while (part.length);
    }
  }
  return files;
}

// then(files, element) is called for what is dropped, with the element it was dropped on.
export function acceptDrops(curtain, then) {
  let inside = 0;
  const show = (count) => {
    inside = Math.max(count, 0);
    curtain.hidden = inside === 0;
  };
  const holds = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  window.addEventListener("dragenter", (event) => { if (holds(event)) show(inside + 1); });
  window.addEventListener("dragleave", (event) => { if (holds(event)) show(inside - 1); });
  window.addEventListener("dragover", (event) => { if (holds(event)) event.preventDefault(); });
  window.addEventListener("drop", async (event) => {
    if (!holds(event)) return;
    event.preventDefault();
    show(0);
    const target = document.elementFromPoint(event.clientX, event.clientY);
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    const whole = [...event.dataTransfer.files];
    const files = entries.some((entry) => entry.isDirectory) ? await within(entries) : whole;
    if (files.length) then(files, target);
  });
}
