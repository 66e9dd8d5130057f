// The strokes so far, and the trimap that they make, in the colours in which it lies over the photograph. The same
// strokes are laid on the trimap of full size by the server (strokes.py).

export const BRUSHES = [
  { id: "foreground", label: "Foreground", key: "f", level: 255, colour: "#fff" },
  { id: "unknown", label: "Unknown", key: "u", level: 128, colour: "#ffb000" },
  { id: "background", label: "Background", key: "b", level: 0, colour: "#3c5cff" },
];
export const brushOf = (level) => BRUSHES.find((brush) => brush.level === level);

// The layer has no colour where the trimap is foreground, so that the subject is seen as it is.
export const layer = document.createElement("canvas");
const pen = layer.getContext("2d");
let base = null;
let scale = 1; // pixels of the layer for one of the photograph
let strokes = [];
let undone = [];

// Begins with a trimap as the server shows it, grey; ``width`` is the photograph's.
export function begin(bitmap, width, painted = []) {
  [layer.width, layer.height, scale] = [bitmap.width, bitmap.height, bitmap.width / width];
  pen.drawImage(bitmap, 0, 0);
  const pixels = pen.getImageData(0, 0, layer.width, layer.height);
  const colours = new Map(BRUSHES.map(({ level, colour }) => [level, Number.parseInt(colour.slice(1).padEnd(6, "f"), 16)]));
  const { data } = pixels;
  for (let i = 0; i < data.length; i += 4) {
    const level = data[i] < 64 ? 0 : data[i] > 191 ? 255 : 128;
    const colour = colours.get(level);
    [data[i], data[i + 1], data[i + 2]] = [colour >> 16, (colour >> 8) & 255, colour & 255];
    data[i + 3] = level === 255 ? 0 : 255;
  }
  pen.putImageData(pixels, 0, 0);
  base = document.createElement("canvas");
  [base.width, base.height] = [layer.width, layer.height];
  base.getContext("2d").drawImage(layer, 0, 0);
  [strokes, undone] = [painted.map(([level, radius, points]) => ({ level, radius, points })), []];
  repaint();
}

export const all = () => strokes;
export const canUndo = () => strokes.length > 0;
export const canRedo = () => undone.length > 0;
export const told = () => strokes.map(({ level, radius, points }) => [level, radius, points]);

export function add(stroke) {
  strokes.push(stroke);
  undone = [];
}

// Takes back the stroke that is being painted, for good.
export function drop() {
  strokes.pop();
  repaint();
}

export function undo() {
  if (!canUndo()) return;
  undone.push(strokes.pop());
  repaint();
}

export function redo() {
  if (!canRedo()) return;
  strokes.push(undone.pop());
  lay(strokes.at(-1));
}

function repaint() {
  pen.clearRect(0, 0, layer.width, layer.height);
  pen.drawImage(base, 0, 0);
  strokes.forEach((stroke) => lay(stroke));
}

// Lays a stroke on the layer, from one of its points on.
export function lay(stroke, from = 0) {
  pen.save();
  pen.scale(scale, scale);
  if (stroke.level === 255) pen.globalCompositeOperation = "destination-out";
  trace(pen, stroke, from);
  pen.restore();
}

// Draws a stroke in its colour where the photograph's pixels are the units.
export function trace(context, { level, radius, points }, from = 0) {
  context.beginPath();
  context.moveTo(points[2 * from], points[2 * from + 1]);
  for (let i = 2 * from; i < points.length; i += 2) context.lineTo(points[i], points[i + 1]);
  context.fillStyle = context.strokeStyle = brushOf(level).colour;
  if (radius === null) return context.fill("evenodd");
  [context.lineWidth, context.lineCap, context.lineJoin] = [2 * radius, "round", "round"];
  context.stroke();
}
