// Keys, and the start.
const HELP = [
  ["↓ → j", "next result"],
  ["↑ ← k", "the one before"],
  ["Home, End", "first, last"],
  ["Enter", "large view, and back"],
  [`1 to ${usedViews.length}`, `large view: ${usedViews.map((view) => view.label.toLowerCase()).join(", ")}`],
  ["Space", "swap photograph and result"],
  ["b", "blink between them"],
  ["+ −, wheel", "zoom"],
  ["z, double click", "to the pixels most in doubt, or under the pointer, and back"],
  ["0", "fit into the window"],
  ["drag, Shift + arrows", "move the picture"],
  ["a, r", "mark as accepted, to redo, and go on"],
  ["A, R", "mark and stay"],
  ["c", "clear the mark"],
  ["f", "show all, unmarked, redo, accepted"],
  ["/", "find a name"],
  ["l", "list of what is to redo"],
  ["Esc", "close"],
];

// Goes to an entry, in the large view if that is open.
function go(number) {
  if (number === undefined) return;
  const moved = number !== selected;
  select(number, !isOpen());
  if (!isOpen()) return;
  if (moved) load();
  else showViewerMark();
}

function cycleFilter() {
  const names = Object.keys(FILTERS);
  filter = names[(names.indexOf(filter) + 1) % names.length];
  applyFilter();
  say(`${FILTERS[filter]}: ${shown.length}`);
}

const ANYWHERE = {
  ArrowDown: () => go(neighbour(1)),
  ArrowRight: () => go(neighbour(1)),
  j: () => go(neighbour(1)),
  ArrowUp: () => go(neighbour(-1)),
  ArrowLeft: () => go(neighbour(-1)),
  k: () => go(neighbour(-1)),
  Home: () => go(shown[0]),
  End: () => go(shown.at(-1)),
  a: () => mark("accept", true),
  r: () => mark("redo", true),
  A: () => mark("accept", false),
  R: () => mark("redo", false),
  c: () => mark("", false),
  l: showList,
  "?": () => $("help").showModal(),
};
const IN_SHEET = { Enter: () => openViewer(), " ": () => openViewer(), f: cycleFilter, "/": () => $("search").focus() };
const IN_VIEWER = {
  Enter: closeViewer,
  Escape: closeViewer,
  " ": () => {
    blink(false);
    swap();
  },
  b: () => blink(),
  "+": () => zoomStep(1),
  "=": () => zoomStep(1),
  "-": () => zoomStep(-1),
  0: fit,
  z: () => togglePixels(),
};
const PANS = { ArrowUp: [0, -120], ArrowDown: [0, 120], ArrowLeft: [-120, 0], ArrowRight: [120, 0] };

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || $("list").open || $("help").open) return;
  if (event.target === $("search")) {
    if (event.key === "Enter" || event.key === "Escape" || event.key === "ArrowDown") leaveSearch(event);
    return;
  }
  const pressesButton = event.target.tagName === "BUTTON" && (event.key === "Enter" || event.key === " ");
  if (pressesButton) return;
  const action = actionOf(event);
  if (!action) return;
  event.preventDefault();
  action();
}

function actionOf(event) {
  if (isOpen() && event.shiftKey && PANS[event.key]) return () => pan(...PANS[event.key]);
  if (/^[1-9]$/.test(event.key)) {
    const view = usedViews[Number(event.key) - 1];
    return view && (!isOpen() || hasView(selected, view)) ? () => showAs(view.id) : null;
  }
  const special = isOpen() ? IN_VIEWER : IN_SHEET;
  return Object.hasOwn(special, event.key) ? special[event.key] : Object.hasOwn(ANYWHERE, event.key) ? ANYWHERE[event.key] : null;
}

function leaveSearch(event) {
  event.preventDefault();
  if (event.key === "Escape") $("search").value = "";
  applyFilter();
  if (shown.length) select(selected);
}

function makeHelp() {
  const rows = HELP.map(([keys, what]) => [made("dt", { textContent: keys }), made("dd", { textContent: what })]);
  $("keys").append(made("dl", {}, ...rows.flat()));
}

function listen() {
  document.addEventListener("keydown", onKey);
  $("search").addEventListener("input", applyFilter);
  $("open-list").addEventListener("click", showList);
  $("open-help").addEventListener("click", () => $("help").showModal());
  $("help-close").addEventListener("click", () => $("help").close());
  $("list-close").addEventListener("click", () => $("list").close());
  $("list-copy").addEventListener("click", copyList);
  $("list-save").addEventListener("click", saveList);
  $("viewer-close").addEventListener("click", closeViewer);
  $("viewer").addEventListener("cancel", (event) => {
    event.preventDefault();
    closeViewer();
  });
  $("sheet").addEventListener("click", (event) => {
    const card = event.target.closest(".card");
    if (!card) return;
    select(Number(card.dataset.number));
    const tile = event.target.closest(".tile");
    if (tile && tile.dataset.view) openViewer(tile.dataset.view);
  });
  // Large pictures stand behind this script: what was opened before they had come is drawn again.
  document.addEventListener("DOMContentLoaded", () => isOpen() && load());
}

readMarks();
makeSheet();
makeViewer();
makeHelp();
listen();
applyFilter();
if (shown.length) select(shown[0]);
