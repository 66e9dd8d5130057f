// The sheet: a card an entry, the selected one, and which are shown.
const TILES = ["photo", "trimap", "alpha", "checker", "black", "white", "magenta", "uncertainty"];
const tiles = TILES.map(viewOf).filter((view) => usedViews.includes(view));
const FILTERS = { all: "All", open: "Unmarked", redo: "Redo", accept: "Accepted" };
const worst = Math.max(...entries.map((entry) => entry.score || 0), 1e-9);
const cards = [];
let shown = [];
let selected = -1;
let filter = "all";

const nearby = new IntersectionObserver(fillCards, { rootMargin: "800px 0px" });

function fillCards(changes) {
  for (const change of changes) {
    if (!change.isIntersecting) continue;
    nearby.unobserve(change.target);
    for (const image of change.target.querySelectorAll("img")) {
      image.src = smallAddress(Number(image.dataset.number), image.dataset.kind);
    }
  }
}

function tileOf(number, view) {
  const entry = entries[number];
  const kind = kindOf(view);
  const tile = made("button", { type: "button", className: `tile on-${view.id}`, title: view.label, tabIndex: -1 });
  tile.dataset.view = view.id;
  if (kind in entry.small) {
    const image = made("img", { alt: `${view.label}: ${entry.name}`, decoding: "async", draggable: false });
    [image.width, image.height] = entry.small[kind];
    image.dataset.number = number;
    image.dataset.kind = kind;
    tile.append(image);
  } else {
    tile.className = "tile missing";
    tile.disabled = true;
    tile.append(made("span", { textContent: `no ${view.label.toLowerCase()}` }));
  }
  return tile;
}

function factsOf(entry) {
  const facts = [];
  if (entry.width) facts.push(`${entry.width} × ${entry.height}`);
  if (entry.unknown !== null) facts.push(`${percent(entry.unknown)} unknown`);
  if (page.order !== "risk" && entry.risk !== null) facts.push(`risk ${entry.risk.toPrecision(3)}`);
  return facts.join(" · ");
}

function nameOf(entry) {
  const cut = entry.name.lastIndexOf("/") + 1;
  return [made("span", { className: "folder", textContent: entry.name.slice(0, cut) }), entry.name.slice(cut)];
}

function scoreOf(entry) {
  if (entry.score === null) return made("span", { className: "score none", textContent: entry.error ? "no result" : "" });
  const fill = made("i");
  fill.style.width = `${(100 * Math.max(entry.score, 0)) / worst}%`;
  const meter = made("span", { className: "meter", ariaHidden: "true" }, fill);
  return made("span", { className: "score", title: page.order }, meter, scoreText(entry.score));
}

function cardOf(number) {
  const entry = entries[number];
  const head = made("div", { className: "head" });
  head.append(made("span", { className: "rank", textContent: number + 1 }));
  head.append(made("span", { className: "name", title: entry.file }, ...nameOf(entry)));
  head.append(made("span", { className: "badge" }));
  head.append(made("span", { className: "facts", textContent: factsOf(entry) }), scoreOf(entry));
  const card = made("li", { className: "card", id: `card-${number}`, tabIndex: -1 }, head);
  card.dataset.number = number;
  for (const text of [entry.error, ...entry.notes]) {
    if (text) card.append(made("p", { className: text === entry.error ? "error" : "note", textContent: text }));
  }
  const wanted = "cutout" in entry.small ? tiles : tiles.filter((view) => hasView(number, view));
  if (wanted.length) card.append(made("div", { className: "tiles" }, ...wanted.map((view) => tileOf(number, view))));
  return card;
}

function showMark(number) {
  const mark = markOf(number);
  const card = cards[number];
  card.dataset.mark = mark;
  card.querySelector(".badge").textContent = mark ? MARKS[mark] : "";
  const entry = entries[number];
  const score = entry.score === null ? "no result" : `${page.order} ${scoreText(entry.score)}`;
  card.ariaLabel = [entry.name, score, mark ? MARKS[mark] : "", entry.error || ""].filter(Boolean).join(", ");
}

function showCounts() {
  const counts = { all: entries.length, open: 0, redo: 0, accept: 0 };
  entries.forEach((_, number) => counts[markOf(number) || "open"]++);
  for (const button of $("filters").children) {
    button.lastChild.textContent = counts[button.value];
    button.ariaPressed = String(button.value === filter);
  }
  $("open-list").disabled = !counts.redo;
}

function applyFilter() {
  const wanted = $("search").value.toLowerCase();
  shown = entries.flatMap((entry, number) => {
    const fits = filter === "all" || (markOf(number) || "open") === filter;
    return fits && entry.name.toLowerCase().includes(wanted) ? [number] : [];
  });
  const kept = new Set(shown);
  cards.forEach((card, number) => (card.hidden = !kept.has(number)));
  $("empty").hidden = shown.length > 0;
  showCounts();
  if (shown.length && !kept.has(selected)) select(shown[0], false);
}

function select(number, focus = true) {
  if (cards[selected]) {
    cards[selected].removeAttribute("aria-current");
    cards[selected].tabIndex = -1;
  }
  selected = number;
  const card = cards[number];
  card.setAttribute("aria-current", "true");
  card.tabIndex = 0;
  if (!focus) return;
  card.focus({ preventScroll: true });
  card.scrollIntoView({ block: "nearest" });
}

function neighbour(step) {
  const place = shown.indexOf(selected);
  return shown[Math.min(Math.max(place + step, 0), shown.length - 1)];
}

function mark(value, advance) {
  if (selected < 0) return;
  setMark(selected, value);
  showMark(selected);
  showCounts();
  if (advance) go(neighbour(1));
  else go(selected);
}

function makeSheet() {
  $("title").textContent = page.title;
  const failed = entries.filter((entry) => entry.error).length;
  const count = `${entries.length} result${entries.length === 1 ? "" : "s"}${failed ? `, ${failed} of them missing` : ""}`;
  $("order").textContent = `${count}, by ${page.order}, the highest first`;
  for (const [value, label] of Object.entries(FILTERS)) {
    const button = made("button", { type: "button", value }, `${label} `, made("span"));
    button.addEventListener("click", () => {
      filter = value;
      applyFilter();
    });
    $("filters").append(button);
  }
  $("heads").append(...tiles.map((view) => made("span", { textContent: view.label })));
  document.body.dataset.columns = tiles.length;
  entries.forEach((_, number) => {
    cards.push(cardOf(number));
    showMark(number);
  });
  $("sheet").append(...cards);
  cards.forEach((card) => nearby.observe(card));
}
