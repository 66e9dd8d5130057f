// What the page asks its server for. Addresses are relative, so that the token stays in them.

export class ServerError extends Error {
  constructor({ error, taken }) {
    super(error);
    this.taken = taken; // files that would be replaced
  }
}

async function answerOf(address, settings) {
  let answer;
  try {
    answer = await fetch(address, settings);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError({ error: "the program has ended: start diffmatte paint again" });
  }
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({ error: `the server answers ${answer.status}` }));
  throw new ServerError(said);
}

const posted = (body) => ({ method: "POST", body });

export const state = async () => (await answerOf("state")).json();

export async function bitmap(kind, number) {
  const answer = await answerOf(`${kind}/${number}`);
  return createImageBitmap(await answer.blob());
}

export async function open(kind, file) {
  return (await answerOf(`open/${kind}?name=${encodeURIComponent(file.name)}`, posted(file))).json();
}

export async function save(wish, choice) {
  return (await answerOf("save", posted(JSON.stringify({ ...wish, ...choice })))).json();
}

// Yields what happens while a matte is computed; to abort the signal ends the computation.
export async function* matte(wish, signal) {
  const answer = await answerOf("matte", { ...posted(JSON.stringify(wish)), signal });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) yield JSON.parse(line);
  }
}

export function imageOf(base64) {
  const text = atob(base64);
  const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  return createImageBitmap(new Blob([bytes], { type: "image/webp" }));
}
