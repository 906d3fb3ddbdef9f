// The phones: one section per handset, one thread per virtual number.

import { callApi, makeElement } from "/static/api.js";
import { Tray } from "/static/attachments.js";
import { fillBubble } from "/static/bubbles.js";
import { say } from "/static/words.js";

const MOST_SHOWN_UNASKED = 4;
const MOST_BUBBLES = 300;
const STORAGE_KEY = "simulator.handsets";
const OTHER = "other";

export class Handsets {
  constructor(container, template, settings) {
    this.container = container;
    this.template = template;
    this.settings = settings;
    this.shown = new Map();
    this.texts = new Map();
    for (const number of settings.handsets) this.add(number);
    for (const number of readStored()) this.add(number, { byHand: true });
  }

  get hasTexts() {
    return this.texts.size > 0;
  }

  add(number, { byHand = false } = {}) {
    const present = this.shown.get(number);
    if (present) {
      present.focus();
      return;
    }
    const removable = !this.settings.handsets.includes(number);
    const handset = new Handset(this.template, number, this.settings.virtual_numbers, {
      tint: this.shown.size % 4,
      onRemove: removable ? () => this.remove(number) : null,
    });
    this.shown.set(number, handset);
    this.container.append(handset.element);
    for (const text of this.texts.values()) if (text.handset === number) handset.show(text);
    if (byHand) this.store();
  }

  remove(number) {
    this.shown.get(number).element.remove();
    this.shown.delete(number);
    this.store();
  }

  store() {
    const added = [...this.shown.keys()].filter((number) => !this.settings.handsets.includes(number));
    try {
      localStorage.setItem(STORAGE_KEY, JSON.stringify(added));
    } catch { /* a page without storage forgets added handsets, and works */ }
  }

  listHidden() {
    return [...new Set([...this.texts.values()].map((text) => text.handset))].filter((n) => !this.shown.has(n));
  }

  suggestNumber() {
    for (let last = 125; last < 200; last += 1) {
      if (!this.shown.has(`+14155550${last}`)) return `+14155550${last}`;
    }
    return "";
  }

  show(texts) {
    for (const text of texts) {
      if (!this.shown.has(text.handset) && this.shown.size < MOST_SHOWN_UNASKED) this.add(text.handset);
      this.texts.set(text.seq, text);
      this.shown.get(text.handset)?.show(text);
    }
    for (const seq of this.texts.keys()) {
      if (this.texts.size <= 2000) break;
      this.texts.delete(seq);
    }
  }

  clear() {
    this.texts.clear();
    for (const handset of this.shown.values()) handset.clear();
  }
}

class Handset {
  constructor(template, number, virtualNumbers, { tint, onRemove }) {
    this.number = number;
    this.virtualNumbers = virtualNumbers;
    this.element = template.content.firstElementChild.cloneNode(true);
    const find = (selector) => this.element.querySelector(selector);
    this.tabs = find(".handset-tabs");
    this.thread = find(".thread");
    this.to = find(".composer-to");
    this.text = find(".composer-text");
    this.error = find(".composer-error");
    this.tray = new Tray(this.element, {
      element: find(".tray"),
      input: find(".attach-input"),
      button: find(".attach"),
      onChange: () => { this.thread.scrollTop = this.thread.scrollHeight; },
    });
    this.threads = new Map();
    this.element.dataset.handset = number;
    this.element.dataset.tint = tint;
    this.element.setAttribute("aria-label", say("Handset {number}", { number }));
    find(".handset-number").textContent = number;
    find(".avatar").textContent = number.slice(-2);
    const remove = find(".handset-remove");
    remove.hidden = !onRemove;
    if (onRemove) remove.addEventListener("click", onRemove);
    find(".composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    this.text.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        find(".composer").requestSubmit();
      }
    });
    this.text.addEventListener("input", () => this.fitInput());
    // A picture has its height when it is loaded: whoever looks at the newest text goes on looking at it.
    this.thread.addEventListener("load", ({ target }) => {
      const { scrollHeight, scrollTop, clientHeight } = this.thread;
      if (scrollHeight - scrollTop - clientHeight < 80 + target.clientHeight) this.thread.scrollTop = scrollHeight;
    }, true);
    this.tabs.addEventListener("keydown", (event) => this.moveBetweenTabs(event));
    this.clear();
  }

  focus() {
    this.element.scrollIntoView({ behavior: "smooth", block: "nearest" });
    this.text.focus();
  }

  clear() {
    this.threads.clear();
    this.tabs.replaceChildren();
    this.openThread(OTHER);
    for (const number of this.virtualNumbers) this.openThread(number);
    this.choose(this.virtualNumbers[0] ?? OTHER);
  }

  openThread(number) {
    const tab = makeElement("button", "tab", number === OTHER ? "+" : number);
    tab.type = "button";
    tab.setAttribute("role", "tab");
    tab.dataset.virtualNumber = number;
    if (number === OTHER) {
      tab.title = say("Text to another number");
      tab.setAttribute("aria-label", tab.title);
    }
    tab.addEventListener("click", () => {
      this.choose(number);
      (number === OTHER ? this.to : this.text).focus();
    });
    const thread = { tab, bubbles: new Map(), unread: 0 };
    this.threads.set(number, thread);
    this.tabs.insertBefore(tab, this.threads.get(OTHER).tab === tab ? null : this.threads.get(OTHER).tab);
    return thread;
  }

  choose(number) {
    this.chosen = number;
    const thread = this.threads.get(number);
    thread.unread = 0;
    for (const [each, { tab, unread }] of this.threads) {
      tab.setAttribute("aria-selected", String(each === number));
      tab.tabIndex = each === number ? 0 : -1;
      tab.dataset.unread = unread || "";
    }
    this.to.hidden = number !== OTHER;
    this.to.required = number === OTHER;
    this.thread.setAttribute("aria-label", number === OTHER ? say("No thread") : say("Texts with {number}", { number }));
    this.draw();
  }

  draw() {
    const { bubbles } = this.threads.get(this.chosen);
    const empty = this.chosen === OTHER
      ? say("No texts yet. Open a chat, or text to a virtual number yourself.")
      : say("No texts with {number} yet.", { number: this.chosen });
    this.thread.replaceChildren(...(bubbles.size ? bubbles.values() : [makeElement("p", "nothing", empty)]));
    this.thread.scrollTop = this.thread.scrollHeight;
  }

  show(text) {
    const number = text.virtual_number;
    const thread = this.threads.get(number) ?? this.openThread(number);
    const present = thread.bubbles.get(text.seq);
    if (present) {
      fillBubble(present, text);
      return;
    }
    const bubble = fillBubble(makeElement("article", `bubble ${text.direction.replace("_", "-")}`), text);
    thread.bubbles.set(text.seq, bubble);
    if (thread.bubbles.size > MOST_BUBBLES) this.dropOldest(thread);
    // Somebody who is looking at nothing yet, and not typing, is shown the thread.
    const lookingAtNothing = this.threads.get(this.chosen).bubbles.size === 0;
    if (lookingAtNothing && !this.text.value && !this.to.value) this.choose(number);
    if (this.chosen === number) this.append(bubble, thread);
    else {
      thread.unread += text.direction === "to_handset" ? 1 : 0;
      thread.tab.dataset.unread = thread.unread || "";
    }
  }

  append(bubble, thread) {
    const { scrollHeight, scrollTop, clientHeight } = this.thread;
    const atEnd = scrollHeight - scrollTop - clientHeight < 80;
    if (thread.bubbles.size === 1) this.thread.replaceChildren(bubble);
    else if (bubble.parentNode !== this.thread) this.thread.append(bubble);
    if (atEnd) this.thread.scrollTop = this.thread.scrollHeight;
  }

  dropOldest(thread) {
    const [seq, bubble] = thread.bubbles.entries().next().value;
    thread.bubbles.delete(seq);
    bubble.remove();
  }

  async send() {
    const text = this.text.value;
    const to = this.chosen === OTHER ? this.to.value.trim() : this.chosen;
    if (!text.trim() && !this.tray.files.length) return;
    const files = this.tray.take();
    this.text.value = "";
    this.to.value = "";
    this.fitInput();
    this.error.hidden = true;
    try {
      await callApi("POST", "/api/texts", makeMessage({ from: this.number, to, text }, files));
      if (!this.threads.has(to)) this.openThread(to);
      this.choose(to);
    } catch (error) {
      this.text.value ||= text;
      this.tray.add(files);
      this.error.textContent = say("Not sent: {reason}", { reason: error.message });
      this.error.hidden = false;
    }
  }

  fitInput() {
    this.text.style.height = "auto";
    this.text.style.height = `${Math.min(this.text.scrollHeight, 120)}px`;
  }

  moveBetweenTabs(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const tabs = [...this.tabs.children];
    const next = tabs[(tabs.indexOf(document.activeElement) + step + tabs.length) % tabs.length];
    this.choose(next.dataset.virtualNumber);
    next.focus();
  }
}

function makeMessage(message, files) {
  if (!files.length) return message;
  const form = new FormData();
  form.append("message", JSON.stringify(message));
  for (const file of files) form.append("media", file, file.name);
  return form;
}

function readStored() {
  try {
    const stored = JSON.parse(localStorage.getItem(STORAGE_KEY) ?? "[]");
    return Array.isArray(stored) ? stored.filter((number) => /^\+[1-9][0-9]{6,14}$/.test(number)) : [];
  } catch {
    return [];
  }
}
