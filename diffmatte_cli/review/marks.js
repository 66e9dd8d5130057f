// Marks, by what a result holds: one that was made again has none, and the others keep theirs when the page is made anew.
const MARKS = { accept: "Accepted", redo: "Redo" };
const STORE = `diffmatte-review:${page.id}`;
const marks = new Map();
let marksAreKept = true;

function readMarks() {
  try {
    const kept = JSON.parse(localStorage.getItem(STORE) || "{}");
    for (const entry of entries) if (kept[entry.key] in MARKS) marks.set(entry.key, kept[entry.key]);
  } catch {
    marksAreKept = false;
  }
}

function keepMarks() {
  try {
    localStorage.setItem(STORE, JSON.stringify(Object.fromEntries(marks)));
  } catch {
    if (marksAreKept) say("This browser keeps no marks for files: copy the list before closing the page.");
    marksAreKept = false;
  }
}

const markOf = (number) => marks.get(entries[number].key) || "";

function setMark(number, mark) {
  const entry = entries[number];
  if (mark) marks.set(entry.key, mark);
  else marks.delete(entry.key);
  keepMarks();
  say(`${entry.name}: ${mark ? MARKS[mark].toLowerCase() : "no mark"}`);
}

const redoNames = () => entries.filter((_, number) => markOf(number) === "redo").map((entry) => entry.spelled);

function showList() {
  const names = redoNames();
  $("list-title").textContent = names.length === 1 ? "1 photograph to redo" : `${names.length} photographs to redo`;
  $("list-text").value = names.map((name) => name + "\n").join("");
  $("list").showModal();
  $("list-text").select();
}

async function copyList() {
  const field = $("list-text");
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
    say("Copied.");
  } catch {
    say(document.execCommand("copy") ? "Copied." : "Not copied: press Ctrl+C.");
  }
}

function saveList() {
  const address = URL.createObjectURL(new Blob([$("list-text").value], { type: "text/plain" }));
  made("a", { href: address, download: "redo.txt" }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}
