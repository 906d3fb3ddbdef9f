// The list of HTTP exchanges with the service, newest first.

import { formatTime, makeElement } from "/static/api.js";
import { say } from "/static/words.js";

const MOST_ROWS = 100;

export class Traffic {
  constructor(list, nothing) {
    this.list = list;
    this.nothing = nothing;
  }

  clear() {
    this.list.replaceChildren();
    this.nothing.hidden = false;
  }

  show(exchanges) {
    if (!exchanges.length) return;
    this.list.prepend(...exchanges.slice(-MOST_ROWS).reverse().map(makeRow));
    while (this.list.children.length > MOST_ROWS) this.list.lastElementChild.remove();
    this.nothing.hidden = true;
  }
}

function makeRow(exchange) {
  const row = makeElement("li", "exchange");
  Object.assign(row.dataset, {
    seq: exchange.seq, kind: exchange.kind, direction: exchange.direction, status: exchange.status ?? "none",
  });
  const details = makeElement("details");
  const summary = makeElement("summary");
  const incoming = exchange.direction === "request";
  const arrow = makeElement("span", "exchange-arrow", incoming ? "↓" : "↑");
  arrow.title = {
    request: say("request from the service"), fetch: say("fetched from the service"),
  }[exchange.direction] ?? say("webhook to the service");
  const name = incoming ? exchange.kind : summarise(exchange);
  const status = makeElement("span", "exchange-status", exchange.status ?? say("no answer"));
  status.title = exchange.error ?? "";
  status.dataset.state = classify(exchange);
  summary.append(
    arrow,
    makeElement("span", "exchange-kind", exchange.attempt > 1 ? `${name} (${exchange.attempt})` : name),
    status,
    makeElement("span", "exchange-ms", `${Math.round(exchange.ms)} ms`),
    makeElement("time", "exchange-time", formatTime(exchange.at)),
  );
  details.append(summary);
  // Bodies are drawn when somebody looks: most are never opened.
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) {
      details.append(makeElement("p", "exchange-url", `${exchange.method} ${exchange.url}`));
      for (const part of [exchange.body, exchange.answer]) {
        if (part) details.append(makeElement("pre", "exchange-body", indent(part)));
      }
    }
  });
  row.append(details);
  return row;
}

function summarise({ kind, body }) {
  if (kind !== "status") return kind;
  try {
    return JSON.parse(body).status ?? kind;
  } catch {
    return kind;
  }
}

function classify({ status, error }) {
  if (status === null || error) return "bad";
  return status < 300 ? "good" : status < 500 && status !== 429 ? "bad" : "waiting";
}

function indent(body) {
  try {
    return JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    return body;
  }
}
