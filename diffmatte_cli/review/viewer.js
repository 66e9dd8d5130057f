// The large view: one entry on one background, down to its pixels.
const canvas = $("canvas");
const context = canvas.getContext("2d");
const STEPS = [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8, 16, 32];
const BLINK = 600; // milliseconds: below three changes a second, so that nobody is harmed by it
const viewer = { view: "checker", swapped: false, zoom: 1, x: 0, y: 0, fitted: true, blink: 0, bitmaps: new Map(), turn: 0 };

const isOpen = () => $("viewer").open;
const sizeOf = () => (entries[selected].width ? entries[selected] : { ...entries[selected], width: 1, height: 1 });
const shownView = () => {
  const wanted = viewOf(viewer.swapped ? (viewer.view === "photo" ? "checker" : "photo") : viewer.view);
  return hasView(selected, wanted) ? wanted : usedViews.find((view) => hasView(selected, view));
};

function openViewer(view) {
  if (selected < 0) return;
  if (view) viewer.view = view;
  viewer.swapped = false;
  if (!isOpen()) $("viewer").showModal();
  canvas.focus();
  load();
}

function closeViewer() {
  blink(false);
  forget();
  $("viewer").close();
  select(selected);
}

function forget() {
  viewer.turn++;
  for (const bitmap of viewer.bitmaps.values()) bitmap.close();
  viewer.bitmaps.clear();
}

// Shows the small picture at once, and the full one as soon as it is decoded.
function load() {
  forget();
  const entry = entries[selected];
  viewer.swapped = false;
  $("viewer-place").textContent = `${shown.indexOf(selected) + 1} / ${shown.length}`;
  $("viewer-name").replaceChildren(...nameOf(entry));
  $("viewer-name").title = entry.file;
  const score = entry.score === null ? "" : `${page.order}: ${scoreText(entry.score)}`;
  $("viewer-facts").textContent = [score, factsOf(entry)].filter(Boolean).join(" · ");
  $("viewer-error").hidden = !entry.error;
  $("viewer-error").textContent = entry.error || "";
  showViewerMark();
  fit();
  const turn = viewer.turn;
  for (const kind of Object.keys(entry.small)) decode("small", kind, turn).then(() => decode("full", kind, turn));
}

async function decode(size, kind, turn) {
  if (turn !== viewer.turn) return; // another entry by now
  const blob = blobOf(size, selected, kind);
  if (!blob) return;
  const bitmap = await createImageBitmap(blob);
  if (turn !== viewer.turn) return bitmap.close();
  viewer.bitmaps.get(kind)?.close();
  viewer.bitmaps.set(kind, bitmap);
  draw();
}

function measureStage() {
  const ratio = devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round($("stage").clientWidth * ratio));
  canvas.height = Math.max(1, Math.round($("stage").clientHeight * ratio));
}

function fit() {
  measureStage();
  const { width, height } = sizeOf();
  viewer.zoom = Math.min(canvas.width / width, canvas.height / height, devicePixelRatio || 1);
  [viewer.x, viewer.y, viewer.fitted] = [width / 2, height / 2, true];
  draw();
}

// Zooms so that the picture's point (x, y) stays where it is in the window, or comes to the middle.
function zoomTo(zoom, at) {
  const { width, height } = sizeOf();
  const least = Math.min(canvas.width / width, canvas.height / height, 1) / 2;
  const next = Math.min(Math.max(zoom, least), STEPS.at(-1));
  if (at) {
    viewer.x = at.x - ((at.x - viewer.x) * viewer.zoom) / next;
    viewer.y = at.y - ((at.y - viewer.y) * viewer.zoom) / next;
  }
  [viewer.zoom, viewer.fitted] = [next, false];
  draw();
}

function zoomStep(direction) {
  const steps = direction > 0 ? STEPS : [...STEPS].reverse();
  const next = steps.find((step) => (step - viewer.zoom) * direction > 1e-6) || viewer.zoom;
  zoomTo(next, { x: viewer.x, y: viewer.y });
}

// To the pixels where the result is in most doubt, or under the pointer, and back.
function togglePixels(at) {
  if (!viewer.fitted) return fit();
  const entry = sizeOf();
  [viewer.x, viewer.y] = at ? [at.x, at.y] : [entry.spot[0] * entry.width, entry.spot[1] * entry.height];
  zoomTo(Math.max(1, Math.min(4, 2 * Math.ceil(viewer.zoom))));
}

function pointAt(event) {
  const frame = canvas.getBoundingClientRect();
  const ratio = canvas.width / frame.width;
  return {
    x: viewer.x + ((event.clientX - frame.left) * ratio - canvas.width / 2) / viewer.zoom,
    y: viewer.y + ((event.clientY - frame.top) * ratio - canvas.height / 2) / viewer.zoom,
  };
}

function pan(x, y) {
  const { width, height } = sizeOf();
  viewer.x = Math.min(Math.max(viewer.x + x / viewer.zoom, 0), width);
  viewer.y = Math.min(Math.max(viewer.y + y / viewer.zoom, 0), height);
  viewer.fitted = false;
  draw();
}

function blink(on = !viewer.blink) {
  clearInterval(viewer.blink);
  viewer.blink = on ? setInterval(swap, BLINK) : 0;
}

function swap() {
  viewer.swapped = !viewer.swapped;
  draw();
}

function showAs(id) {
  blink(false);
  [viewer.view, viewer.swapped] = [id, false];
  if (isOpen()) draw();
  else openViewer(id);
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
  return context.createPattern(checks, "repeat");
}

function draw() {
  if (!isOpen()) return;
  const view = shownView();
  const bitmap = view && viewer.bitmaps.get(kindOf(view));
  context.globalCompositeOperation = "source-over";
  context.clearRect(0, 0, canvas.width, canvas.height);
  if (bitmap) paint(view, bitmap);
  showState(view, bitmap);
}

function paint(view, bitmap) {
  const { width, height } = sizeOf();
  const frame = [
    Math.round(canvas.width / 2 - viewer.x * viewer.zoom),
    Math.round(canvas.height / 2 - viewer.y * viewer.zoom),
    Math.round(width * viewer.zoom),
    Math.round(height * viewer.zoom),
  ];
  context.imageSmoothingEnabled = viewer.zoom < 1;
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, ...frame);
  if (view.kind) return;
  if (view.id === "alpha") {
    context.globalCompositeOperation = "source-in"; // the subject's shape, filled white
    context.fillStyle = "#fff";
    context.fillRect(...frame);
  }
  context.globalCompositeOperation = "destination-over";
  context.fillStyle = view.id === "checker" ? checkerboard() : view.fill || "#000";
  context.fillRect(...frame);
}

function showState(view, bitmap) {
  const entry = sizeOf();
  const reduced = bitmap && bitmap.width < entry.width;
  const notes = [];
  if (reduced) notes.push(`shown reduced, ${bitmap.width} × ${bitmap.height}`);
  if (entry.white && view && !view.kind) notes.push("no photograph: the subject is white");
  if (view && view.id === "uncertainty") notes.push("white: this picture's largest");
  $("viewer-note").textContent = notes.join(" · ");
  $("zoom").textContent = bitmap ? `${Math.round(100 * viewer.zoom)} %` : "";
  canvas.ariaLabel = view ? `${view.label}: ${entry.name}` : `No picture: ${entry.name}`;
  for (const button of $("views").children) {
    button.ariaPressed = String(Boolean(view) && button.value === view.id);
    button.disabled = !hasView(selected, viewOf(button.value));
  }
}

// The alpha under the pointer, of the picture as it is embedded.
const probe = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
function showPixel(event) {
  const { x, y } = pointAt(event);
  const { width, height } = sizeOf();
  const bitmap = viewer.bitmaps.get("cutout");
  const isInside = bitmap && x >= 0 && y >= 0 && x < width && y < height;
  if (!isInside) return ($("pixel").textContent = "");
  probe.clearRect(0, 0, 1, 1);
  probe.drawImage(bitmap, -Math.floor((x * bitmap.width) / width), -Math.floor((y * bitmap.height) / height));
  const alpha = probe.getImageData(0, 0, 1, 1).data[3] / 255;
  $("pixel").textContent = `x ${Math.floor(x)}  y ${Math.floor(y)}  alpha ${alpha.toFixed(2)}`;
}

function showViewerMark() {
  for (const button of $("viewer-marks").children) button.ariaPressed = String(button.value === markOf(selected));
}

function makeViewer() {
  usedViews.forEach((view, place) => {
    const button = made("button", { type: "button", value: view.id }, made("kbd", { textContent: place + 1 }), view.label);
    button.addEventListener("click", () => showAs(view.id));
    $("views").append(button);
  });
  for (const [value, key] of [["accept", "a"], ["redo", "r"]]) {
    const label = value === "accept" ? "Accept" : "Redo";
    const button = made("button", { type: "button", value }, made("kbd", { textContent: key }), label);
    button.addEventListener("click", () => mark(markOf(selected) === value ? "" : value, false));
    $("viewer-marks").append(button);
  }
  let from = null;
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button > 1) return;
    from = event;
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    showPixel(event);
    if (!from) return;
    const ratio = devicePixelRatio || 1;
    pan((from.clientX - event.clientX) * ratio, (from.clientY - event.clientY) * ratio);
    from = event;
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (from = null));
  canvas.addEventListener("pointerleave", () => ($("pixel").textContent = ""));
  canvas.addEventListener("dblclick", (event) => togglePixels(pointAt(event)));
  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
      zoomTo(viewer.zoom * Math.exp(-event.deltaY * lines * 0.002), pointAt(event));
    },
    { passive: false },
  );
  new ResizeObserver(() => {
    if (!isOpen()) return;
    if (viewer.fitted) return fit();
    measureStage();
    draw();
  }).observe($("stage"));
}
