// Shows what people will read while a template is being written, and what it will cost: the service says it, by the
// code that writes such a text. Listens on the whole page, so that forms that are added later are heard as well.
const WAIT_MILLISECONDS = 250;
const timers = new Map();

function find_values(prefix) {
  const read = (name) => document.querySelector(`[name="${prefix}-${name}"]`)?.value ?? "";
  if (prefix) return { kind: read("kind"), language: read("language"), side: read("side"), text: read("text") };
  const field = (name) => document.querySelector(`[name="${name}"]`)?.value ?? "";
  return { kind: "introduction", language: field("language"), side: "", text: field("introduction") };
}

function find_place(prefix) {
  const field = document.querySelector(prefix ? `[name="${prefix}-text"]` : '[name="introduction"]');
  if (prefix) return field?.closest(".form-group")?.querySelector("[data-preview]");
  let place = document.querySelector("[data-preview-introduction]");
  if (!place && field) {
    place = document.createElement("span");
    place.className = "template-preview";
    place.dataset.previewIntroduction = "";
    place.setAttribute("aria-live", "polite");
    for (const part of ["text", "words"]) {
      const child = document.createElement(part === "text" ? "span" : "small");
      child.dataset[part] = "";
      if (part === "text") child.dir = "auto";
      place.append(child, " ");
    }
    field.after(place);
  }
  return place;
}

async function show(prefix) {
  const address = document.querySelector("[data-preview-address]")?.dataset.previewAddress;
  const token = document.querySelector("[name=csrfmiddlewaretoken]")?.value;
  const place = find_place(prefix);
  if (!address || !token || !place) return;
  const asked = JSON.stringify(find_values(prefix));
  place.dataset.asked = asked;
  let answer;
  try {
    const response = await fetch(address, {
      method: "POST",
      headers: { "X-CSRFToken": token },
      body: new URLSearchParams(JSON.parse(asked)),
    });
    if (!response.ok) return;
    answer = await response.json();
  } catch {
    return;
  }
  // An answer that comes late says nothing of what has been written since.
  if (place.dataset.asked !== asked) return;
  place.querySelector("[data-text]").textContent = answer.text;
  const words = place.querySelector("[data-words]");
  words.textContent = answer.problem || [answer.note, answer.words, answer.fields].filter(Boolean).join(" · ");
  words.classList.toggle("template-problem", Boolean(answer.problem));
}

function hear(event) {
  const match = /^(templates-\d+)-(kind|language|side|text)$/.exec(event.target.name ?? "");
  const is_introduction = ["introduction", "language"].includes(event.target.name);
  if (!match && !is_introduction) return;
  const prefix = match ? match[1] : "";
  clearTimeout(timers.get(prefix));
  timers.set(prefix, setTimeout(() => show(prefix), WAIT_MILLISECONDS));
}

document.addEventListener("input", hear);
document.addEventListener("change", hear);
show("");
