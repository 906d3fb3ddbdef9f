// Keeps the conversation on a chat's page up to date while somebody looks at it, and sends no form twice.

const NEAR_END = 80; // pixels
const LONGEST_WAIT = 60_000; // milliseconds between tries while the connection is lost

class Conversation {
  constructor(root) {
    this.root = root;
    this.every = Number(root.dataset.every);
    this.etag = "";
    this.failures = 0;
    this.items = root.querySelector("[data-talk-items]");
    this.scroll = root.querySelector("[data-talk-scroll]");
    this.toEnd();
    root.addEventListener("click", (event) => this.showEarlier(event));
    this.scroll.addEventListener("scroll", () => this.isAtEnd() && this.hideNews());
    // Pictures come later and are higher than nothing.
    this.items.addEventListener("load", () => this.follows && this.toEnd(), true);
    if ("still" in root.dataset) return;
    document.addEventListener("visibilitychange", () => this.plan(0));
    this.plan(this.every);
  }

  plan(wait) {
    clearTimeout(this.timer);
    if (!document.hidden && !this.isOver) this.timer = setTimeout(() => this.refresh(), wait);
  }

  async refresh() {
    if (this.isBusy) return;
    this.isBusy = true;
    try {
      const headers = this.etag ? { "If-None-Match": this.etag } : {};
      const answer = await fetch(this.root.dataset.live, { headers, cache: "no-store", credentials: "same-origin" });
      if (answer.redirected || answer.status === 403) {
        this.isOver = true;
        return this.warn(this.root.dataset.sayOut);
      }
      if (answer.status !== 304 && !answer.ok) throw new Error(String(answer.status));
      this.failures = 0;
      this.warn("");
      if (answer.status === 304) return;
      this.etag = answer.headers.get("ETag") || "";
      this.update(parse(await answer.text()));
    } catch {
      this.failures += 1;
      if (this.failures > 1) this.warn(this.root.dataset.sayLost);
    } finally {
      this.isBusy = false;
      this.plan(Math.min(this.every * 2 ** Math.min(this.failures, 6), Math.max(LONGEST_WAIT, this.every)));
    }
  }

  // Puts in place what is new or has changed, and leaves everything else as it is: the focus, a selection, the pictures.
  update(part) {
    const wasAtEnd = this.isAtEnd();
    replace(this.root, part, "[data-talk-head]");
    this.root.querySelector("[data-talk-empty]").hidden = part.querySelector("[data-talk-empty]").hidden;
    const news = [];
    const shown = new Map([...this.items.children].map((item) => [item.dataset.key, item]));
    const wanted = [...part.querySelector("[data-talk-items]").children];
    const keys = new Set(wanted.map((item) => item.dataset.key));
    const isKnown = (item) => "text" in item.dataset && shown.has(item.dataset.key);
    if (this.items.querySelector("[data-text]") && !wanted.some(isKnown) && wanted.some((item) => "text" in item.dataset)) {
      // So much has come that there would be a gap.
      this.items.replaceChildren(...wanted);
      replace(this.root, part, "[data-talk-earlier]");
      return this.toEnd();
    }
    const first = wanted.findIndex(isKnown);
    let isWithin = false;
    for (const item of [...this.items.children]) {
      isWithin ||= first >= 0 && item.dataset.key === wanted[first].dataset.key;
      if (isWithin && !keys.has(item.dataset.key)) item.remove();
    }
    let last = null;
    for (const item of wanted) {
      const old = shown.get(item.dataset.key);
      if (old && old.isConnected) {
        if (old.outerHTML === item.outerHTML || isLabel(old)) {
          last = old;
          continue;
        }
        if (hasFailed(item) && !hasFailed(old)) news.push(item);
        old.replaceWith((last = item));
        continue;
      }
      if (last) last.after(item);
      else if (first < 0) this.items.append(item);
      else continue; // from before what is shown; "Show earlier" brings it
      last = item;
      if (isLabel(item)) continue;
      item.classList.add("talk-news");
      item.addEventListener("animationend", () => item.classList.remove("talk-news"), { once: true });
      news.push(item);
    }
    this.announce(news);
    if (wasAtEnd) this.toEnd();
    else if (news.length) this.showNews();
  }

  announce(news) {
    if (!news.length) return;
    const words = news.map((item) => {
      const told = hasFailed(item) ? [".talk-who b", ".talk-body", ".talk-foot span + span"] : [".talk-who b", ".talk-body"];
      const parts = told.map((each) => item.querySelector(each)?.textContent.trim());
      return "text" in item.dataset ? parts.filter(Boolean).join(": ") : item.children[1].textContent;
    });
    const said = news.length > 1 ? [this.root.dataset.sayMany, words.slice(-3).join(" · ")] : words;
    this.root.querySelector("[data-talk-said]").textContent = said.join(" ");
  }

  async showEarlier(event) {
    const link = event.target.closest("[data-before]");
    if (!link) return;
    event.preventDefault();
    if (link.ariaBusy === "true") return;
    link.ariaBusy = "true";
    try {
      const answer = await fetch(`${this.root.dataset.live}?before=${link.dataset.before}`, { cache: "no-store" });
      if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
      const part = parse(await answer.text());
      const earlier = [...part.querySelector("[data-talk-items]").children];
      const days = new Set(earlier.map((item) => item.dataset.key));
      const [day] = this.items.children;
      if (day && isLabel(day) && days.has(day.dataset.key)) day.remove();
      const height = this.scroll.scrollHeight;
      this.items.prepend(...earlier);
      const next = part.querySelector("[data-before]");
      if (next) link.replaceWith(next);
      else link.remove();
      this.scroll.scrollTop += this.scroll.scrollHeight - height;
      (next || this.scroll).focus({ preventScroll: true });
    } catch {
      location.assign(link.href);
    }
  }

  isAtEnd() {
    this.follows = this.scroll.scrollHeight - this.scroll.scrollTop - this.scroll.clientHeight < NEAR_END;
    return this.follows;
  }

  toEnd() {
    this.follows = true;
    this.scroll.scrollTop = this.scroll.scrollHeight;
  }

  showNews() {
    if (this.news) return;
    this.news = document.createElement("button");
    this.news.type = "button";
    this.news.className = "talk-down";
    this.news.textContent = `${this.root.dataset.sayMany.replace(/:$/, "")} ↓`;
    this.news.addEventListener("click", () => this.toEnd());
    this.scroll.append(this.news);
  }

  hideNews() {
    this.news?.remove();
    this.news = null;
  }

  warn(words) {
    const trouble = this.root.querySelector("[data-talk-trouble]");
    if (trouble.textContent !== words) trouble.textContent = words;
    trouble.hidden = !words;
  }
}

function parse(source) {
  const template = document.createElement("template");
  template.innerHTML = source;
  return document.importNode(template.content, true);
}

function replace(root, part, selector) {
  const [old, item] = [root.querySelector(selector), part.querySelector(selector)];
  if (old.outerHTML !== item.outerHTML) old.replaceWith(item);
}

function hasFailed(item) {
  return item.classList.contains("talk-failed");
}

function isLabel(item) {
  return item.classList.contains("talk-day");
}

for (const root of document.querySelectorAll("[data-talk]")) new Conversation(root);

// A second click sends nothing; what is sent twice all the same is known by the service.
for (const form of document.querySelectorAll("form[data-once]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });
}
addEventListener("pageshow", () => document.querySelectorAll("form[data-once]").forEach((form) => delete form.dataset.sent));
