// Errors, each beside what caused them, and what is being waited for.

export const $ = (id) => document.getElementById(id);

export function fail(where, text) {
  for (const element of document.querySelectorAll(`[data-error="${where}"]`)) {
    element.hidden = !text;
    element.textContent = text;
  }
}

export async function trying(where, work, busy = "") {
  fail(where, "");
  working(busy);
  try {
    return await work();
  } catch (error) {
    fail(where, error.message);
    return undefined;
  } finally {
    working("");
  }
}

function working(text) {
  $("working").hidden = !text;
  $("working-text").textContent = text;
}
