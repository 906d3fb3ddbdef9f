// What is attached to a text: drawn in bubbles, and gathered in a tray before it is sent.

import { makeElement } from "/static/api.js";
import { say } from "/static/words.js";

const ICONS = {
  image: "M6 4h12a3 3 0 0 1 3 3v10a3 3 0 0 1-3 3H6a3 3 0 0 1-3-3V7a3 3 0 0 1 3-3Zm2.5 4.5v.01M4 18l5.5-5.5L17 20m-3-3 3-3 4 4",
  audio: "M9 18V6l10-2v12M9 18a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0Zm10-2a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0Z",
  video: "M5 6h8a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2V8a2 2 0 0 1 2-2Zm10 4.5 6-3v9l-6-3",
  vcard: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8Zm-7.5 8.5a7.5 7.5 0 0 1 15 0",
  file: "M13.5 3H7a2 2 0 0 0-2 2v14a2 2 0 0 0 2 2h10a2 2 0 0 0 2-2V8.5L13.5 3Zm0 0v5.5H19M9 13h6m-6 4h4",
};
const NAMES = { image: "Picture", audio: "Audio", video: "Video", vcard: "Contact card", file: "File" };
// Browsers do not know the types of some files that phones send.
const TYPES = { vcf: "text/vcard", amr: "audio/amr", "3gp": "video/3gpp", heic: "image/heic", ac3: "audio/ac3" };

export function makeMedia(attachment, given) {
  const { type, content } = attachment;
  const name = attachment.name || attachment.caption || say(NAMES[type]);
  if (!content) return makeChip(attachment, given ? say("could not be fetched") : say("is being fetched …"));
  if (type === "image") return makePicture(attachment, name);
  if (type === "audio" || type === "video") {
    const player = makeElement(type, `bubble-${type}`);
    Object.assign(player, { src: content, controls: true, preload: "metadata" });
    player.setAttribute("aria-label", name);
    player.addEventListener("error", () => player.replaceWith(makeChip(attachment)));
    return player;
  }
  return makeChip(attachment);
}

function makePicture(attachment, name) {
  const button = makeElement("button", "bubble-picture");
  button.type = "button";
  button.setAttribute("aria-label", say("Enlarge {name}", { name }));
  const picture = makeElement("img");
  picture.alt = "";
  picture.src = attachment.content;
  picture.addEventListener("error", () => button.replaceWith(makeChip(attachment)));
  button.append(picture);
  button.addEventListener("click", () => openViewer(attachment, name));
  return button;
}

function makeChip(attachment, more) {
  const { type, content, size } = attachment;
  const chip = makeElement(content ? "a" : "span", "chip");
  if (content) Object.assign(chip, { href: content, download: attachment.name || "", target: "_blank", rel: "noreferrer" });
  const words = makeElement("span", "chip-words", attachment.name || say(NAMES[type]));
  const detail = more ?? [say(NAMES[type]), size === null ? "" : formatSize(size)].filter(Boolean).join(", ");
  words.append(makeElement("small", "", detail));
  chip.title = attachment.url;
  chip.append(makeIcon(ICONS[type] ?? ICONS.file), words);
  return chip;
}

function makeIcon(shape) {
  const icon = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", shape);
  icon.setAttribute("viewBox", "0 0 24 24");
  icon.setAttribute("class", "chip-icon");
  icon.setAttribute("aria-hidden", "true");
  icon.append(path);
  return icon;
}

function openViewer(attachment, name) {
  const viewer = document.getElementById("viewer");
  const picture = document.getElementById("viewer-picture");
  picture.src = attachment.content;
  picture.alt = name;
  const facts = [name, attachment.content_type, formatSize(attachment.size)];
  document.getElementById("viewer-caption").textContent = facts.join(" · ");
  viewer.showModal();
}

export function listenToViewer() {
  const viewer = document.getElementById("viewer");
  viewer.addEventListener("click", () => viewer.close());
}

export function formatSize(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  return bytes < 1_000_000 ? `${Math.round(bytes / 1000)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}

// The files somebody has chosen, dropped or pasted, and not sent yet.
export class Tray {
  constructor(handset, { element, input, button, onChange }) {
    this.element = element;
    this.onChange = onChange;
    this.files = [];
    button.addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      this.add(input.files);
      input.value = "";
    });
    let depth = 0;
    const drop = (kind, listen) => handset.addEventListener(kind, (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      listen(event);
      handset.dataset.dropping = depth > 0 ? "yes" : "";
    });
    drop("dragenter", () => { depth += 1; });
    drop("dragleave", () => { depth -= 1; });
    drop("dragover", () => {});
    drop("drop", (event) => {
      depth = 0;
      this.add(event.dataTransfer.files);
    });
    handset.addEventListener("paste", (event) => {
      if (!event.clipboardData.files.length) return;
      event.preventDefault();
      this.add(event.clipboardData.files);
    });
  }

  add(files) {
    this.files.push(...[...files].map(nameType));
    this.draw();
  }

  take() {
    const files = this.files;
    this.files = [];
    this.draw();
    return files;
  }

  draw() {
    this.element.hidden = !this.files.length;
    for (const picture of this.element.querySelectorAll("img")) URL.revokeObjectURL(picture.src);
    this.element.replaceChildren(...this.files.map((file) => {
      const item = makeElement("li", "tray-item");
      if (/^image\/(jpeg|png|gif|bmp|webp)$/.test(file.type)) {
        const picture = makeElement("img");
        picture.alt = "";
        picture.src = URL.createObjectURL(file);
        item.append(picture);
      }
      const words = makeElement("span", "chip-words", file.name);
      words.append(makeElement("small", "", formatSize(file.size)));
      const remove = makeElement("button", "tray-remove", "×");
      remove.type = "button";
      remove.setAttribute("aria-label", say("Do not send {name}", { name: file.name }));
      remove.addEventListener("click", () => {
        this.files = this.files.filter((each) => each !== file);
        this.draw();
      });
      item.append(words, remove);
      return item;
    }));
    this.onChange();
  }
}

function nameType(file) {
  if (file.type) return file;
  const type = TYPES[file.name.split(".").pop().toLowerCase()] ?? "application/octet-stream";
  return new File([file], file.name, { type });
}
