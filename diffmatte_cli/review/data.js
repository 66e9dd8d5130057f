// What the page holds. Pictures stay text, as they came in the file, until somebody looks at them.
const page = JSON.parse(document.querySelector("script.page").textContent);
const entries = [...document.querySelectorAll("script.entry")].map((found, place) => ({ place, ...JSON.parse(found.textContent) }));
// That a result is damaged shows when it is read, too late to be sorted before.
entries.sort((one, other) => Boolean(other.error) - Boolean(one.error));

// Magenta is the loud one: hardly any subject or scene has it, while green hides what grass and leaves leave behind.
const VIEWS = [
  { id: "checker", label: "Checkerboard" },
  { id: "black", label: "Black", fill: "#000" },
  { id: "white", label: "White", fill: "#fff" },
  { id: "magenta", label: "Magenta", fill: "#f0f" },
  { id: "alpha", label: "Alpha" },
  { id: "photo", label: "Photograph", kind: "photo" },
  { id: "trimap", label: "Trimap", kind: "trimap" },
  { id: "uncertainty", label: "Uncertainty", kind: "uncertainty" },
];
const viewOf = (id) => VIEWS.find((view) => view.id === id);
const kindOf = (view) => view.kind || "cutout";
const hasView = (number, view) => kindOf(view) in entries[number].small;
const usedViews = VIEWS.filter((view) => view.kind !== "uncertainty" || entries.some((e) => "uncertainty" in e.small));

const block = (size, number, kind) => document.getElementById(`${size}-${entries[number].place}-${kind}`);

function blobOf(size, number, kind) {
  const found = block(size, number, kind);
  if (!found) return null;
  const text = atob(found.textContent);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return new Blob([bytes], { type: found.dataset.media });
}

// One address a picture, so that its four backgrounds share one decoded copy.
const addresses = new Map();
function smallAddress(number, kind) {
  const key = `${number}-${kind}`;
  if (!addresses.has(key)) addresses.set(key, URL.createObjectURL(blobOf("small", number, kind)));
  return addresses.get(key);
}

const $ = (id) => document.getElementById(id);

function made(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;
const scoreText = (score) => (page.order === "risk" ? score.toPrecision(3) : percent(score));

function say(text) {
  const line = $("said");
  ([...document.querySelectorAll("dialog[open]")].at(-1) || document.body).append(line); // above what is modal
  line.textContent = text;
  line.classList.add("shown");
  clearTimeout(say.timer);
  say.timer = setTimeout(() => line.classList.remove("shown"), 1800);
}
