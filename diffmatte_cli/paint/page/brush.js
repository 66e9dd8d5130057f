// Painting and moving by mouse, pen and fingers: one finger paints, two move and zoom.
import { $, made } from "./dom.js";
import * as trimap from "./trimap.js";
import { canvas, draw, pan, pointAt, view, zoomTo } from "./view.js";

export const brush = { id: "unknown", size: 40, lasso: false, moves: false }; // size across, in the photograph's pixels
const LARGEST = 0.5; // of the photograph's longer side
const ERASER = 32; // the button of a pen's other end
const down = new Map(); // pointers that touch the canvas
let stroke = null;
let lastPoint = null;
let changed = () => {};

export function choose(id) {
  brush.id = id;
  showBrush();
}

export function setLasso(isOn) {
  brush.lasso = isOn;
  showBrush();
}

export function setMoving(moves) {
  brush.moves = moves;
  showBrush();
}

const largest = () => Math.max(4, LARGEST * Math.max(view.width, view.height));

export function setSize(size) {
  brush.size = Math.round(Math.min(Math.max(size, 1), largest()));
  showBrush();
}

export const resize = (direction) => setSize(direction > 0 ? brush.size * 1.25 + 1 : (brush.size - 1) / 1.25);

function showBrush() {
  for (const button of $("brushes").children) button.ariaPressed = String(button.value === brush.id);
  $("lasso").ariaPressed = String(brush.lasso);
  $("size").value = (100 * Math.log(brush.size)) / Math.log(largest());
  $("size").disabled = brush.lasso;
  $("size-shown").textContent = brush.lasso ? "" : `${brush.size} px`;
  view.radius = brush.lasso ? null : brush.size / 2;
  canvas.classList.toggle("moves", brush.moves);
  if (brush.moves) view.pointer = null;
  draw();
}

const rounded = (number) => Math.round(100 * number) / 100;

function beginStroke(event) {
  const { x, y } = pointAt(event);
  const level = event.buttons & ERASER ? 0 : trimap.BRUSHES.find(({ id }) => id === brush.id).level;
  const points = [rounded(x), rounded(y)];
  if (event.shiftKey && lastPoint && !brush.lasso) points.unshift(...lastPoint);
  stroke = { level, radius: view.radius, points };
  trimap.add(stroke);
  if (stroke.radius !== null) trimap.lay(stroke);
  else view.outline = points;
  lastPoint = points.slice(-2);
}

// Adds where the pointer has been, leaving out what no one could see.
function goOn(event) {
  const least = Math.max(0.5, stroke.radius === null ? 0.5 : stroke.radius / 8, 0.5 / view.zoom);
  const events = event.getCoalescedEvents?.() || [];
  for (const each of events.length ? events : [event]) {
    const { x, y } = pointAt(each);
    if (Math.hypot(x - lastPoint[0], y - lastPoint[1]) < least) continue;
    lastPoint = [rounded(x), rounded(y)];
    stroke.points.push(...lastPoint);
    if (stroke.radius !== null) trimap.lay(stroke, stroke.points.length / 2 - 2);
  }
}

// Ends the stroke; one that was a mistake goes.
function endStroke(isKept = true) {
  if (!isKept) trimap.drop();
  else if (stroke.radius === null) trimap.lay(stroke);
  [stroke, view.outline] = [null, null];
  changed();
}

function onDown(event) {
  if (!view.photo) return;
  event.preventDefault();
  canvas.focus();
  canvas.setPointerCapture(event.pointerId);
  down.set(event.pointerId, event);
  if (down.size > 1) {
    if (stroke) endStroke(false); // it was the first of two fingers
  } else if ((event.button === 0 || event.button === 5) && !brush.moves) {
    beginStroke(event);
  }
  follow(event);
}

function onMove(event) {
  const before = down.get(event.pointerId);
  if (before && !stroke) moveFrom(before, event);
  if (before) down.set(event.pointerId, event);
  if (before && stroke) goOn(event);
  follow(event);
}

// With two fingers down the other one stays, and the distance to it zooms.
function moveFrom(before, event) {
  brush.dragged = true;
  const other = [...down.values()].find((each) => each.pointerId !== event.pointerId);
  const share = other ? 2 : 1;
  pan((before.clientX - event.clientX) / share, (before.clientY - event.clientY) / share);
  if (!other) return;
  const distance = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY) || 1;
  const middle = { clientX: (event.clientX + other.clientX) / 2, clientY: (event.clientY + other.clientY) / 2 };
  zoomTo((view.zoom * distance(event)) / distance(before), pointAt(middle));
}

function onUp(event) {
  if (!down.delete(event.pointerId)) return;
  if (stroke) endStroke(event.type === "pointerup");
  draw();
}

function follow(event) {
  const hovers = event.pointerType !== "touch" || stroke;
  view.pointer = hovers && !brush.moves && (stroke || down.size === 0) ? pointAt(event) : null;
  draw();
}

// ``onChange`` is called after every stroke.
export function makeBrush(onChange) {
  changed = onChange;
  for (const { id, label, key } of trimap.BRUSHES) {
    const button = made("button", { type: "button", value: id }, made("kbd", { textContent: key.toUpperCase() }), label);
    button.addEventListener("click", () => choose(id));
    $("brushes").append(button);
  }
  $("lasso").addEventListener("click", () => setLasso(!brush.lasso));
  $("size").addEventListener("input", () => setSize(largest() ** ($("size").value / 100)));
  canvas.addEventListener("pointerdown", onDown);
  canvas.addEventListener("pointermove", onMove);
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, onUp);
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("pointerleave", () => {
    view.pointer = null;
    draw();
  });
  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
      zoomTo(view.zoom * Math.exp(-event.deltaY * lines * 0.002), pointAt(event));
    },
    { passive: false },
  );
  showBrush();
}
