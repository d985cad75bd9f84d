// Every English text of the page.

export const TEXTS = {
  studio: "studio",
  undo: "Undo", redo: "Redo", more: "More", download: "Download picture",
  savePreset: "Save preset", loadPreset: "Load preset …", showRecipe: "Command and Python …", showKeys: "Keyboard …",
  welcomeTitle: "Drop a photograph of a face",
  welcomeLead: "Then move sliders and watch it smile, turn, and stand in another light.",
  choosePhotograph: "Choose a photograph", tryExample: "Try the portrait that came along",
  staysHere: "Photographs stay on this machine: the page talks to nobody else.",
  welcome: "Beginning", sources: "Photograph and head", stage: "Picture", controls: "Controls",
  photograph: "Photograph", otherPhotograph: "Other photograph …", whichFace: "Which face is edited",
  headTitle: "Head", before: "Before", after: "After", wipe: "Before and after, where they meet",
  view: "What is shown", viewFace: "Face", viewPhotograph: "Whole photograph", compare: "Compare",
  auto: "Draw by itself", draw: "Draw now", cancel: "Cancel",
  dragHint: "Drag the picture to turn the head. Double-click a slider to reset it.",
  face: "Face", resetAll: "Reset all", light: "Light", lampColour: "Lamp colour",
  lampHint: "Drag the bright spot to where the lamp stands.",
  ball: "Where the lamp stands: left and right with the arrow keys, up and down too",
  second: "From a second photograph", secondLead: "Take expression, pose or light from another face.",
  chooseSecond: "Choose a second photograph …", otherSecond: "Another …", noSecond: "Remove",
  every: "Every movement", everyLead: "The 52 movements of ARKit, each from what the face shows.",
  recipeTitle: "The same picture without the page",
  recipeLead: "Run these where the photographs are. They draw the very picture that Download gives.",
  commandTitle: "Command line", pythonTitle: "Python", copyCommand: "Copy command", copyPython: "Copy Python", copied: "Copied",
  close: "Close", keysTitle: "Keyboard", dropHere: "Drop it anywhere",
  offline: "The studio does not answer. It may have been ended; start it again with diffusionrig studio.",
  opening: "Looking for faces …", capturing: "Capturing …", drawing: "Drawing …", saving: "Writing the picture …",
};

const NAMES = {
  smile: "Smile", mouthOpen: "Open mouth", pucker: "Pucker", brows: "Brows", blinkLeft: "Blink left", blinkRight: "Blink right",
  squint: "Squint", gazeSide: "Look aside", gazeUp: "Look up", yaw: "Turn", pitch: "Nod", roll: "Tilt",
  lightStrength: "Lamp", lightAmbient: "Daylight", lightSide: "Lamp from the side", lightHeight: "Lamp height",
  exp: "Expression", pose: "Pose", light: "Light",
};

const TIPS = {
  smile: "Below zero the corners of the mouth go down", brows: "Up, or down below zero", blinkLeft: "The person’s left eye",
  blinkRight: "The person’s right eye", gazeSide: "Towards the person’s left", yaw: "Towards the person’s left",
  pitch: "Down, or up below zero", roll: "Towards the person’s right", lightStrength: "How bright the lamp is",
  lightAmbient: "How much of the photograph’s own light stays",
};

export const GROUPS = { brows: "Brows", eyes: "Eyes", mouth: "Mouth", jaw: "Jaw and cheeks", rest: "Nose and tongue" };

export const INSETS = {
  rendered: ["Head model", "The head under the edit, in its light."],
  normal: ["Directions of the surface", "Which way each place of the head faces."],
  albedo: ["Colour without light", "The skin as it would be in even light."],
  confidence: ["Confidence", "White where the photograph shows what the edit shows; dark where it is drawn anew."],
  carried: ["Carried photograph", "The photograph moved and relit, before anything is drawn."],
};

export const KEYS = [
  ["R", "Reset all"], ["Ctrl Z", "Undo"], ["Ctrl Shift Z", "Redo"], ["C", "Compare before and after"],
  ["Enter", "Draw now"], ["Arrow keys", "Move the slider or lamp that has the focus"], ["Backspace", "Reset the slider that has the focus"],
];

export function nameOf(name) {
  return NAMES[name] ?? wordsOf(name);
}

export function tipOf(name) {
  return TIPS[name] ?? "";
}

// browDownLeft: "Brow down left".
function wordsOf(name) {
  const words = name.replace(/([A-Z])/g, " $1").toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

export function faceNumber(number) {
  return `Face ${number}`;
}

export function valueOf(name) {
  return `${nameOf(name)}, number`;
}

export function photoFacts(photo) {
  const size = `${photo.width} × ${photo.height}`;
  return `${size} · found with ${Math.round(photo.confidence * 100)} % confidence`;
}

export function modelFacts(model) {
  const name = model.name === "default" ? "shipped model" : model.name;
  return model.consent === null ? name : `${name} · personal model, consent: ${model.consent}`;
}

export function speed(preview, picture) {
  const parts = [];
  if (preview !== null) parts.push(`preview ${Math.round(preview)} ms`);
  if (picture !== null) parts.push(picture < 950 ? `picture ${Math.round(picture)} ms` : `picture ${(picture / 1000).toFixed(1)} s`);
  return parts.join(" · ");
}

export function progress(done, total) {
  return total > 1 ? `${TEXTS.drawing} ${done} of ${total}` : TEXTS.drawing;
}

export function pictureOf(name) {
  return `The edited face of ${name}`;
}

// Fill in the texts of the page: data-text is what an element says, data-name what it is called.
export function speak(root) {
  for (const element of root.querySelectorAll("[data-text]")) element.textContent = TEXTS[element.dataset.text];
  for (const element of root.querySelectorAll("[data-name]")) element.setAttribute("aria-label", TEXTS[element.dataset.name]);
}
