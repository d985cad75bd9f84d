// Every English text of the page.

export const TEXTS = {
  studio: "studio",
  undo: "Undo", redo: "Redo", more: "More", download: "Download picture",
  savePreset: "Save preset", loadPreset: "Load preset …", showRecipe: "Command and Python …", showKeys: "Keyboard …",
  welcomeTitle: "Drop a photograph of a face",
  welcomeLead: "Then move sliders and watch it smile, turn, and stand in another light.",
  choosePhotograph: "Choose a photograph", tryExample: "Try the portrait that came along",
  staysHere: "Several photographs of one person make an album, for a personal model. Photographs stay on this machine: the page talks to nobody else.",
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
  deskRecipeTitle: "The same video without the page",
  views: "Views", viewEdit: "Face", viewAlbum: "Album", history: "History",
  albumTitle: "A personal model", albumLead: "About 20 photographs of one person, in different light, poses and expressions, teach the network that face.",
  albumName: "Album", albumNew: "New album …", albumNaming: "What is the new album called?", albumMake: "Begin it",
  albumDrop: "Drop photographs of one person here,", albumDropMore: "or a whole folder. They are copied; yours stay as they are.",
  albumChoose: "Choose photographs …", albumChooseFolder: "Choose a folder …", albumLook: "Look at them again",
  albumForget: "Forget those that were refused", albumPhotos: "Photographs of the album",
  albumBusy: "Something is going on with this album; wait until that has ended, or stop it.",
  albumNoPictures: "None of these files is a picture.", albumStop: "Stop", albumStopping: "Saving …",
  albumFew: "With fewer than six photographs the model learns these pictures rather than the face.",
  albumDone: "The model is ready.",
  consentTitle: "In what words did the person agree?", consentHint: "Required. It is recorded in the model and shown wherever that is used.",
  consentMe: "It is me", consentAgreed: "They agreed today",
  consentLead: "Only train on people who agreed to it. The statement is kept in the model.",
  consentFirst: "Say first in what words the person in the photographs agreed to this; the model records it.",
  trainTitle: "Training", train: "Train", updates: "Updates",
  updatesLead: "120 to 400 are usual. It runs in the background, also when this page is closed, and can be stopped and continued.",
  trainProgress: "Updates done", loss: "Loss (a dot each time it was noted, and their running mean)",
  modelsTitle: "Models", useModel: "Use", inUse: "In use", loadingModel: "Loading …",
  opening: "Looking for faces …", capturing: "Capturing …", drawing: "Drawing …", saving: "Writing the picture …",
};

const NAMES = {
  smile: "Smile", mouthOpen: "Open mouth", pucker: "Pucker", brows: "Brows", blinkLeft: "Blink left", blinkRight: "Blink right",
  squint: "Squint", gazeSide: "Look aside", gazeUp: "Look up", yaw: "Turn", pitch: "Nod", roll: "Tilt",
  lightStrength: "Lamp", lightAmbient: "Daylight", lightSide: "Lamp from the side", lightHeight: "Lamp height",
  exp: "Expression", pose: "Pose", light: "Light", "clip-exp": "Expression", "clip-pose": "Pose", "clip-light": "Light",
  "camera-exp": "Expression", "camera-pose": "Pose", "camera-light": "Light",
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

const VERDICTS = { "": "not looked at yet", kept: "stays", surplus: "not needed" };

export const KEYS = [
  ["R", "Reset all"], ["Ctrl Z", "Undo"], ["Ctrl Shift Z", "Redo"], ["C", "Compare before and after"],
  ["Enter", "Draw now"], ["Arrow keys", "Move the slider or lamp that has the focus"], ["Backspace", "Reset the slider that has the focus"],
  ["Arrow keys, Enter", "In the history: go along it, and back to a step"],
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

// Clips, listener and camera.

export const MODES = { clip: "Clip", listener: "Listener", camera: "Camera" };

export const MOVING = {
  nobody: "No photograph yet", edit: "Edit", open: "Open one", progress: "How much of the clip is done", opening: "Reading the clip …", noClip: "No clip yet",
  otherClip: "Other clip …", remove: "Remove", keep: "Download video", recipe: "Command …", taken: "From the clip",
  slidersToo: "The sliders and the lamp of the view Face are added to every frame.",
  relative: "Count from its first frame", relativeTip: "The video then begins as the photograph is. Without it the face is taken as the clip shows it.",
  track: "Follow and steady", trackTip: "One person is followed through the clip. Without it every frame stands by itself.",
};

export const DESKS = {
  clip: {
    title: "Drop a clip of a moving face", lead: "The person of the photograph then moves as it does.", choose: "Choose a clip",
    panel: "Clip", driver: "Clip", drawn: "Drawn", draw: "Draw the clip", video: "The video that was drawn",
    recipe: "Run this where the photograph and the clip are. It writes the very video that Download gives.",
  },
  listener: {
    title: "Drop a clip of somebody who speaks", lead: "The person of the photograph listens, nods and smiles.", choose: "Choose a clip",
    panel: "Speaker", driver: "Speaker", drawn: "Listener", draw: "Draw the listener", video: "Speaker and listener, side by side",
    recipe: "Download the files below, and run this where they, the photograph and the clip are. It writes the very video that Download gives.",
  },
};

export const LISTENER = {
  title: "Reaction", sample: "Which one", seed: "Seed", numbered: (number, of) => `${number} of ${of}`,
  tip: "One speaker has many fitting listeners. Another seed makes ten others.",
  added: "Add to the photograph’s expression", addedTip: "Without it the reaction takes its place.",
};

export const CAMERA = {
  title: "Camera", tip: "The person of the photograph moves as you do. The camera’s pictures go to this machine’s studio alone, and are not kept.",
  start: "Start camera", stop: "Stop camera", rest: "Set rest", video: "What the camera sees", you: "You", drawn: "Drawn",
  restTip: "Look ahead with a calm face and set it as rest: the photograph is then shown as it is, and moves from there.",
  lead: "The camera is off.", waiting: "Getting to know the face …", unseen: "No face is seen: come closer, or turn on a light.", taken: "From the camera",
  mirror: "As in a mirror", mirrorTip: "Both pictures are shown left for right.",
};

const CAMERA_ERRORS = {
  NotAllowedError: "The browser did not allow the camera; allow it for this page beside the address, and start it again.",
  NotFoundError: "There is no camera on this machine; plug one in, and start it again.",
  NotReadableError: "The camera is used by another program; end that, and start it again.",
  NoCamera: "The browser gives this page no camera; open the very address that the command printed.",
  Ended: "The camera was taken away; plug it in, and start it again.",
};

export function cameraError(name) {
  return CAMERA_ERRORS[name] ?? `The camera cannot be had (${name}); choose another one in the browser, and start it again.`;
}

export function cameraFigures(rate, median, late) {
  const parts = rate === null ? [] : [`${rate.toFixed(1)} pictures a second`];
  return [...parts, `latency ${Math.round(median)} ms (median), ${Math.round(late)} ms (95th percentile)`].join(" · ");
}

const PHASES = {
  waiting: "Waiting …", tracking: "Following the face", listening: "Watching the speaker", reacting: "Making reactions …", drawing: "Drawing",
};

export function clipFacts(file) {
  const count = `${file.frames} ${file.frames === 1 ? "frame" : "frames"}`;
  return `${file.width} × ${file.height} · ${count} · ${file.fps} a second · ${file.sound ? "with sound" : "no sound"}`;
}

export function jobLine(job) {
  const parts = [`${PHASES[job.phase] ?? job.phase} ${job.done} of ${job.total}`];
  if (job.rate !== null) parts.push(`${job.rate.toFixed(1)} frames a second`);
  if (job.left !== null) parts.push(`${clock(job.left)} left`);
  return job.total ? parts.join(" · ") : PHASES[job.phase];
}

export function jobEnd(job, made) {
  if (job.ended === "cancelled") return "Cancelled.";
  if (job.ended === "failed" || !made) return "";
  return `${made.name} · ${made.frames} frames at ${made.fps} a second${made.sound ? " with sound" : ""} · drawn at ${(job.rate ?? 0).toFixed(1)} frames a second`;
}

export function take(name) {
  return `Download ${name}`;
}

function clock(seconds) {
  const whole = Math.ceil(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")} min`;
}

// A step of the history: what was moved.
export function stepText({ number, changes, more, empty }) {
  if (number === 0) return "Photograph";
  if (empty) return "Reset";
  if (changes.every(([name]) => name.startsWith("light"))) return "Lamp";
  const [first, ...others] = changes.map(([name, value]) => `${nameOf(name)} ${value === null ? "at rest" : moved(name, value)}`);
  const rest = others.length + more;
  return rest ? `${first} and ${rest} more` : first;
}

function moved(name, value) {
  const rounded = Number(value.toFixed(2));
  return rounded > 0 && !["exp", "pose", "light"].includes(name) ? `+${rounded}` : String(rounded);
}

// The album.

export function verdictText(verdict) {
  return VERDICTS[verdict] ?? verdict;
}

export function removeOf(file) {
  return `Take ${file} out of the album`;
}

export function handing(number, total) {
  return `Handing over ${number} of ${total} …`;
}

export function albumPlace(folder) {
  return `Albums and their models are kept in ${folder}.`;
}

export function albumTab(state) {
  return state.running === "train" && state.training.done ? `${TEXTS.viewAlbum} · ${share(state.training)}` : TEXTS.viewAlbum;
}

function share({ done, total }) {
  return `${Math.floor((100 * done) / total)} %`;
}

export function albumDoing(state) {
  if (state?.running === "curate") return `Looking at ${state.photographs.length} photographs …`;
  return "";
}

export function albumCount(state) {
  const photographs = state.photographs ?? [];
  const kept = photographs.filter((photograph) => photograph.verdict === "kept").length;
  const parts = [];
  if (photographs.length) parts.push(state.looked ? `${kept} of ${photographs.length} photographs stay` : `${photographs.length} photographs`);
  if (state.refused.length) parts.push(`${state.refused.length} refused`);
  return parts.join(" · ");
}

export function trainButton({ training }, updates) {
  if (training.state === "stopped") return `Go on from update ${training.done}`;
  return training.state === "done" && updates > training.done ? `Train on to ${updates} updates` : TEXTS.train;
}

export function trainingText({ running, stopping, training }) {
  const counted = `Update ${training.done} of ${training.total}`;
  if (stopping) return "Saving what has been learned …";
  if (running === "begin" || running === "create-data") return "Capturing the faces …";
  if (running === "train" && training.left === null) return "Loading the model …";
  if (running === "train") return `${counted} · ${timeLeft(training.left)} left`;
  if (training.state === "stopped") return `${counted} · stopped; what was learned is kept`;
  return training.state === "done" ? `${counted} · done` : "";
}

function timeLeft(seconds) {
  if (seconds < 60) return `${Math.max(1, seconds)} s`;
  if (seconds < 5400) return `about ${Math.round(seconds / 60)} min`;
  return `about ${(seconds / 3600).toFixed(1)} h`;
}

export function curveText(curve) {
  if (curve.length < 2) return "Loss";
  return `Loss from ${curve[0][1].toPrecision(2)} at update ${curve[0][0]} to ${curve.at(-1)[1].toPrecision(2)} at ${curve.at(-1)[0]}`;
}

export function consentWords(kind) {
  const today = new Date().toLocaleDateString("en-GB", { day: "numeric", month: "long", year: "numeric" });
  return kind === "me" ? `I am the person in these photographs (${today}).` : `The person in these photographs agreed to it on ${today}.`;
}

export function firstModel(path) {
  return path ? `${path.split("/").at(-1)}, with which the studio was opened` : "Shipped model";
}

export function personalModel({ album, updates }) {
  return `${album}, ${updates} updates`;
}

export function useOf(label, used) {
  return used ? `${label}: in use` : `Use ${label}`;
}

export function modelCommand(path, store) {
  return `diffusionrig edit PHOTO --set smile=+0.4 --model_path ${quoted(path)} --album ${quoted(store)}`;
}

function quoted(path) {
  return /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\"'\"'")}'`;
}

// Fill in the texts of the page: data-text is what an element says, data-name what it is called.
export function speak(root) {
  for (const element of root.querySelectorAll("[data-text]")) element.textContent = TEXTS[element.dataset.text];
  for (const element of root.querySelectorAll("[data-hint]")) element.placeholder = TEXTS[element.dataset.hint];
  for (const element of root.querySelectorAll("[data-name]")) element.setAttribute("aria-label", TEXTS[element.dataset.name]);
}
