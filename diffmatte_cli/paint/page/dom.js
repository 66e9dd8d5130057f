// Small helpers for elements.
export const $ = (id) => document.getElementById(id);

export function made(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

export function say(text) {
  const line = $("said");
  line.textContent = text;
  line.classList.add("shown");
  clearTimeout(say.timer);
  say.timer = setTimeout(() => line.classList.remove("shown"), 2500);
}

// A note stays until it is clicked away, or others take its place.
export function note(text, isError = false) {
  const button = made("button", { type: "button", title: "Click to close", textContent: text });
  button.classList.toggle("error", isError);
  button.addEventListener("click", () => button.remove());
  $("notes").append(button);
}

export const forgetNotes = () => $("notes").replaceChildren();
