// Opening, matting, saving; keys; the start.
import { brush, choose, makeBrush, resize, setLasso, setMoving, setSize } from "./brush.js";
import { $, forgetNotes, made, note, say } from "./dom.js";
import * as server from "./server.js";
import * as trimap from "./trimap.js";
import { VIEWS, draw, fit, pan, setPhoto, setResult, show, swap, toggleTint, view, zoomStep } from "./view.js";

const HELP = [
  ["f, u, b", "paint foreground, unknown, background"],
  ["[ ]", "smaller, larger brush"],
  ["l", "lasso: fill what is drawn round"],
  ["Shift + click", "a straight line from the last point"],
  ["Ctrl + z, Ctrl + Shift + z", "undo, redo"],
  ["Enter", "matte, again with what was painted since"],
  ["Esc", "stop"],
  [`1 to ${VIEWS.length}`, `show: ${VIEWS.map(({ label }) => label.toLowerCase()).join(", ")}`],
  ["Space", "swap trimap and matte; held down: drag to move"],
  ["t", "trimap's colours on and off"],
  ["+ −, wheel, two fingers", "zoom"],
  ["0", "fit into the window"],
  ["right or middle drag, arrows", "move the picture"],
  ["o", "open a photograph"],
  ["Ctrl + s", "save all: trimap, alpha, cutout"],
];
const HINTS = {
  none: "Open a photograph, or drop one here.",
  nothing: "All is background so far. Draw round the subject, hair and all, with the lasso: that becomes Unknown.",
  inside: "Now choose Foreground (F), and draw round the inside, where nothing shines through. Then press Matte.",
  mask: "Unknown lies along the mask's edge. Widen it where there is hair, then press Matte.",
};
let picture = null; // the open photograph, as the server tells
let running = null; // what aborts the computation that is going on
let mattedWish = ""; // what the finished matte is of
let savedStrokes = 0;

const wish = () => ({
  picture: picture.number,
  strokes: trimap.told(),
  model: $("model").value,
  steps: $("steps").value,
  seed: $("seed").value,
});
const isFresh = () => Boolean(picture) && mattedWish === JSON.stringify(wish());
const isUnsaved = () => trimap.all().length !== savedStrokes;

function hintOf(guide) {
  const strokes = trimap.all();
  if (view.result || strokes.some(({ level }) => level === 255)) return "";
  return strokes.length === 0 ? guide : guide === "nothing" ? "inside" : "";
}

function showState() {
  $("matte").textContent = running ? "Stop" : "Matte";
  $("matte").disabled = !picture;
  $("save").disabled = !isFresh() || Boolean(running);
  for (const id of ["save-trimap", "open-trimap", "open-mask"]) $(id).disabled = !picture;
  $("undo").disabled = !trimap.canUndo();
  $("redo").disabled = !trimap.canRedo();
  $("hint").textContent = HINTS[picture ? hintOf(picture.guide) : "none"] || "";
  $("hint").hidden = !$("hint").textContent;
}

async function showPicture(state) {
  stop();
  forgetNotes();
  picture = state.picture;
  mattedWish = "";
  if (picture) {
    const { number, name, width, height, strokes, notes, files } = picture;
    const [photo, base] = await Promise.all([server.bitmap("photo", number), server.bitmap("trimap", number)]);
    trimap.begin(base, width, strokes);
    base.close();
    savedStrokes = 0;
    setPhoto(photo, width, height);
    setSize(Math.max(width, height) / 25);
    setLasso(picture.guide === "nothing" && !strokes.length);
    $("title").textContent = document.title = name;
    const reduced = photo.width < width ? `, shown as ${photo.width} × ${photo.height}` : "";
    $("order").textContent = `${width} × ${height}${reduced}`;
    $("save").title = files.join("\n");
    notes.forEach((text) => note(text));
  }
  showState();
}

// Tells what went wrong; what was aborted is as it should be.
async function attempt(action) {
  try {
    return await action();
  } catch (error) {
    if (error.name !== "AbortError") note(error.message, true);
  }
}

function openFile(kind, file) {
  if (!file || (isUnsaved() && !confirm("What was painted is not saved. Open all the same?"))) return;
  say(`opening ${file.name}`);
  attempt(async () => showPicture(await server.open(kind, file)));
}

function chooseFile(kind) {
  $("file").onchange = () => {
    openFile(kind, $("file").files[0]);
    $("file").value = "";
  };
  $("file").click();
}

const doing = (text) => ($("doing").textContent = text);

function stop() {
  running?.abort();
  running = null;
  $("progress").hidden = true;
  doing("");
  showState();
}

async function matte() {
  if (!picture) return;
  for (const id of ["steps", "seed"]) if (!$(id).reportValidity()) return;
  stop();
  forgetNotes();
  const mine = new AbortController();
  const [asked, count] = [wish(), trimap.all().length];
  running = mine;
  $("progress").hidden = false;
  $("progress").removeAttribute("value");
  showState();
  await attempt(async () => {
    for await (const event of server.matte(asked, mine.signal)) {
      if (running === mine) await happened(event, asked, count, mine);
    }
  });
  if (running === mine) {
    running = null;
    $("progress").hidden = true;
  }
  showState();
}

async function happened(event, asked, count, mine) {
  if (event.say) doing(event.say);
  if (event.note) note(event.note);
  if (event.error) {
    doing("");
    note(event.error, true);
  }
  if (event.step) {
    doing(`step ${event.step} of ${event.of}`);
    [$("progress").max, $("progress").value] = [event.of, event.step];
  }
  if (event.image) {
    const bitmap = await server.imageOf(event.image);
    if (running !== mine) return bitmap.close();
    const isFirst = !view.result || (event.step === 1 && view.shown === "paint");
    setResult(bitmap, count);
    if (isFirst) show(view.last);
  }
  if (event.done) {
    mattedWish = JSON.stringify(asked);
    doing(event.done);
  }
}

async function save(results) {
  if (!picture || running || (results && !isFresh())) return say(running ? "wait for the end, or stop" : "matte it first");
  say("saving");
  const [asked, count] = [wish(), trimap.all().length];
  await attempt(async () => {
    let answer;
    try {
      answer = await server.save(asked, { results });
    } catch (error) {
      if (!error.taken) throw error;
      if (!confirm(`${error.taken.join("\n")}\n\nalready there. Replace?`)) return;
      answer = await server.save(asked, { results, overwrite: true });
    }
    savedStrokes = count;
    note(`saved ${answer.saved.join(", ")}`);
  });
}

function undo() {
  trimap.undo();
  view.since = Math.min(view.since, trimap.all().length);
  changed();
}

function redo() {
  trimap.redo();
  changed();
}

function changed() {
  showState();
  draw();
}

const KEYS = {
  Enter: matte,
  Escape: stop,
  "[": () => resize(-1),
  "]": () => resize(1),
  l: () => setLasso(!brush.lasso),
  t: toggleTint,
  o: () => chooseFile("photo"),
  "+": () => zoomStep(1),
  "=": () => zoomStep(1),
  "-": () => zoomStep(-1),
  0: fit,
  ArrowUp: () => pan(0, -80),
  ArrowDown: () => pan(0, 80),
  ArrowLeft: () => pan(-80, 0),
  ArrowRight: () => pan(80, 0),
  "?": () => $("help").showModal(),
};
for (const { key, id } of trimap.BRUSHES) KEYS[key] = () => choose(id);
const WITH_CONTROL = { z: undo, Z: redo, y: redo, s: () => save(true), S: () => save(true) };

function onKey(event) {
  if ($("help").open || event.altKey) return;
  const command = event.ctrlKey || event.metaKey ? WITH_CONTROL : KEYS;
  const isTyped = ["INPUT", "SELECT"].includes(event.target.tagName) && event.target.type !== "range";
  if (isTyped && command === KEYS && event.key !== "Enter") return;
  const pressesButton = event.target.tagName === "BUTTON" && (event.key === "Enter" || event.key === " ");
  if (pressesButton) return;
  const number = command === KEYS && /^[1-9]$/.test(event.key) ? VIEWS[Number(event.key) - 1] : null;
  if (event.key === " " && command === KEYS) {
    if (!event.repeat) brush.dragged = false;
    setMoving(true);
  } else if (number) {
    if (number.id === "paint" || view.result) show(number.id);
  } else if (Object.hasOwn(command, event.key)) {
    command[event.key]();
  } else {
    return;
  }
  event.preventDefault();
}

function onKeyUp(event) {
  if (event.key !== " " || !brush.moves) return;
  setMoving(false);
  if (!brush.dragged) swap();
}

function listen() {
  document.addEventListener("keydown", onKey);
  document.addEventListener("keyup", onKeyUp);
  addEventListener("blur", () => setMoving(false));
  addEventListener("beforeunload", (event) => picture && isUnsaved() && event.preventDefault());
  for (const kind of ["photo", "trimap", "mask"]) $(`open-${kind}`).addEventListener("click", () => chooseFile(kind));
  $("stage").addEventListener("dragover", (event) => event.preventDefault());
  $("stage").addEventListener("drop", (event) => {
    event.preventDefault();
    openFile("photo", event.dataTransfer.files[0]);
  });
  $("matte").addEventListener("click", () => (running ? stop() : matte()));
  $("save").addEventListener("click", () => save(true));
  $("save-trimap").addEventListener("click", () => save(false));
  $("undo").addEventListener("click", undo);
  $("redo").addEventListener("click", redo);
  for (const id of ["model", "steps", "seed"]) $(id).addEventListener("input", showState);
  $("open-help").addEventListener("click", KEYS["?"]);
  $("help-close").addEventListener("click", () => $("help").close());
}

function makeViews() {
  VIEWS.forEach(({ id, label }, place) => {
    const button = made("button", { type: "button", value: id }, made("kbd", { textContent: place + 1 }), label);
    button.addEventListener("click", () => show(id));
    $("views").append(button);
  });
}

function makeHelp() {
  const rows = HELP.map(([keys, what]) => [made("dt", { textContent: keys }), made("dd", { textContent: what })]);
  $("keys").append(made("dl", {}, ...rows.flat()));
}

async function start() {
  makeViews();
  makeHelp();
  makeBrush(changed);
  listen();
  showState();
  await attempt(async () => {
    const state = await server.state();
    for (const [name, where] of Object.entries(state.models)) {
      $("model").append(made("option", { value: name, textContent: where ? `${name} (${where})` : name }));
    }
    [$("model").value, $("steps").value, $("seed").value] = [state.model, state.steps, state.seed];
    await showPicture(state);
  });
}

start();
