// What is seen: the photograph under its trimap, or the matte on a background, at any zoom.
import { $ } from "./dom.js";
import * as trimap from "./trimap.js";

// Keys and backgrounds are those of `diffmatte review`.
export const VIEWS = [
  { id: "checker", label: "Checkerboard" },
  { id: "black", label: "Black", fill: "#000" },
  { id: "white", label: "White", fill: "#fff" },
  { id: "magenta", label: "Magenta", fill: "#f0f" },
  { id: "alpha", label: "Alpha", fill: "#000" },
  { id: "paint", label: "Trimap" },
];
const STEPS = [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8, 16, 32];
const TINT = 0.42;
export const canvas = $("canvas");
const context = canvas.getContext("2d");
export const view = {
  ...{ shown: "paint", last: "checker", tinted: true }, // what is shown, and which background last
  ...{ width: 1, height: 1, photo: null, result: null, since: 0 }, // strokes that the result knows nothing of
  ...{ zoom: 1, x: 0, y: 0, fitted: true, frame: 0 },
  ...{ pointer: null, radius: 10 }, // where a brush of which size is, in the photograph's pixels
  outline: null, // points of what the lasso has gone round so far
};

export const viewOf = (id) => VIEWS.find((one) => one.id === id);
const isPaint = () => view.shown === "paint" || !view.result;

export function setPhoto(photo, width, height) {
  view.photo?.close();
  Object.assign(view, { photo, width, height, shown: "paint" });
  setResult(null, 0);
  fit();
}

export function setResult(bitmap, since) {
  view.result?.close();
  [view.result, view.since] = [bitmap, since];
  draw();
}

export function show(id) {
  view.shown = id;
  if (id !== "paint") view.last = id;
  draw();
}

export const swap = () => show(isPaint() && view.result ? view.last : "paint");

export function toggleTint() {
  view.tinted = !view.tinted;
  draw();
}

function measure() {
  const ratio = devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round($("stage").clientWidth * ratio));
  canvas.height = Math.max(1, Math.round($("stage").clientHeight * ratio));
}

export function fit() {
  measure();
  const { width, height } = view;
  view.zoom = Math.min(canvas.width / width, canvas.height / height, 4 * (devicePixelRatio || 1));
  [view.x, view.y, view.fitted] = [width / 2, height / 2, true];
  draw();
}

// Zooms so that the photograph's point (x, y) stays where it is in the window.
export function zoomTo(zoom, at = view) {
  const least = Math.min(canvas.width / view.width, canvas.height / view.height, 1) / 2;
  const next = Math.min(Math.max(zoom, least), STEPS.at(-1));
  const { x, y } = at;
  view.x = x - ((x - view.x) * view.zoom) / next;
  view.y = y - ((y - view.y) * view.zoom) / next;
  [view.zoom, view.fitted] = [next, false];
  draw();
}

export function zoomStep(direction) {
  const steps = direction > 0 ? STEPS : [...STEPS].reverse();
  zoomTo(steps.find((step) => (step - view.zoom) * direction > 1e-6) || view.zoom);
}

// Moves by pixels of the window.
export function pan(x, y) {
  const ratio = devicePixelRatio || 1;
  view.x = Math.min(Math.max(view.x + (x * ratio) / view.zoom, 0), view.width);
  view.y = Math.min(Math.max(view.y + (y * ratio) / view.zoom, 0), view.height);
  view.fitted = false;
  draw();
}

// The photograph's point under one of the window.
export function pointAt({ clientX, clientY }) {
  const frame = canvas.getBoundingClientRect();
  const ratio = canvas.width / frame.width;
  return {
    x: view.x + ((clientX - frame.left) * ratio - canvas.width / 2) / view.zoom,
    y: view.y + ((clientY - frame.top) * ratio - canvas.height / 2) / view.zoom,
  };
}

export function draw() {
  if (!view.frame) view.frame = requestAnimationFrame(render);
}

function render() {
  view.frame = 0;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  $("zoom").textContent = view.photo ? `${Math.round(100 * view.zoom)} %` : "";
  for (const button of $("views").children) {
    button.ariaPressed = String(button.value === (isPaint() ? "paint" : view.shown));
    button.disabled = !view.photo || (button.value !== "paint" && !view.result);
  }
  if (!view.photo) return;
  const { zoom, x, y } = view;
  context.setTransform(zoom, 0, 0, zoom, canvas.width / 2 - x * zoom, canvas.height / 2 - y * zoom);
  if (isPaint()) renderTrimap();
  else renderResult(viewOf(view.shown));
  renderBrush();
}

function renderImage(image) {
  context.imageSmoothingEnabled = view.zoom * view.width < 2 * image.width; // beyond, pixels are shown as they are
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, view.width, view.height);
}

function renderTrimap() {
  renderImage(view.photo);
  if (!view.tinted) return;
  context.globalAlpha = TINT;
  renderImage(trimap.layer);
  context.globalAlpha = 1;
}

function renderResult({ id, fill }) {
  renderImage(view.result);
  if (id === "alpha") {
    context.globalCompositeOperation = "source-in"; // the subject's shape, filled white
    context.fillStyle = "#fff";
    context.fillRect(0, 0, view.width, view.height);
  }
  context.globalCompositeOperation = "destination-over";
  context.fillStyle = fill || checkerboard();
  context.fillRect(0, 0, view.width, view.height);
  context.globalCompositeOperation = "source-over";
  context.globalAlpha = TINT;
  for (const stroke of trimap.all().slice(view.since)) trimap.trace(context, stroke);
  context.globalAlpha = 1;
}

const checks = document.createElement("canvas");
function checkerboard() {
  const side = 12 * Math.round(devicePixelRatio || 1);
  checks.width = checks.height = 2 * side;
  const pen = checks.getContext("2d");
  pen.fillStyle = "#8a8a8a";
  pen.fillRect(0, 0, 2 * side, 2 * side);
  pen.fillStyle = "#bdbdbd";
  pen.fillRect(0, 0, side, side);
  pen.fillRect(side, side, side, side);
  const pattern = context.createPattern(checks, "repeat");
  pattern.setTransform(new DOMMatrix().scale(1 / view.zoom)); // of one size on the screen
  return pattern;
}

// A ring around what the brush would paint; for the lasso a cross, and the way that it has gone.
function renderBrush() {
  if (!view.pointer) return;
  const { x, y } = view.pointer;
  context.beginPath();
  if (view.radius === null) {
    const reach = 8 / view.zoom;
    for (const [across, down] of [[reach, 0], [0, reach]]) {
      context.moveTo(x - across, y - down);
      context.lineTo(x + across, y + down);
    }
    const points = view.outline || [];
    for (let i = 0; i < points.length; i += 2) context[i ? "lineTo" : "moveTo"](points[i], points[i + 1]);
  } else {
    context.arc(x, y, view.radius, 0, 2 * Math.PI);
  }
  for (const [colour, width] of [["#000", 3], ["#fff", 1]]) { // which show on anything
    [context.strokeStyle, context.lineWidth] = [colour, (width * (devicePixelRatio || 1)) / view.zoom];
    context.stroke();
  }
}

new ResizeObserver(() => {
  if (view.fitted) return fit();
  measure();
  draw();
}).observe($("stage"));
