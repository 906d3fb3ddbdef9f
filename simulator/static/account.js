// What the account has, and the clock of its media: what Vonage's own pages would change.

import { callApi, makeElement } from "/static/api.js";
import { say } from "/static/words.js";

const HOUR_S = 3600;

export class Account {
  constructor(form, error) {
    this.error = error;
    this.balance = makeElement("input", "fault-input");
    Object.assign(this.balance, { type: "number", step: "0.01", name: "balance" });
    this.balance.addEventListener("change", () => {
      if (this.balance.value !== "") this.put({ balance: Number(this.balance.value) });
    });
    this.fail = makeElement("select");
    this.fail.name = "fail";
    this.fail.append(new Option("–", ""), ...[401, 403, 404, 420, 429, 500, 503].map((status) => new Option(status, status)));
    this.fail.addEventListener("change", () => {
      this.put({ fail: this.fail.value ? { status: Number(this.fail.value) } : null });
    });
    this.numbers = makeElement("ul", "account-numbers");
    this.numbers.setAttribute("aria-label", say("Numbers of the account"));
    this.added = makeElement("input", "fault-input account-number");
    Object.assign(this.added, { type: "tel", name: "number", placeholder: "+14155550103", autocomplete: "off" });
    this.added.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.add();
    });
    const add = makeButton(say("Add"), () => this.add());
    const hours = [1, 48].map((count) => makeButton(say("{count} h older", { count }), () => this.advance(count * HOUR_S)));
    form.addEventListener("submit", (event) => event.preventDefault());
    form.append(
      makeRow(say("Balance, EUR"), this.balance),
      makeRow(say("Answer questions about it with"), this.fail),
      makeRow(say("Another number"), this.added, add),
      this.numbers,
      makeRow(say("Attached pictures and files become"), ...hours),
    );
    this.refresh();
  }

  refresh() {
    return this.attempt(() => callApi("GET", "/api/account"));
  }

  put(change) {
    return this.attempt(() => callApi("PUT", "/api/account", change));
  }

  async add() {
    const number = this.added.value.trim();
    if (number && (await this.put({ numbers: [...this.shown.numbers, number] }))) this.added.value = "";
  }

  advance(seconds) {
    return this.attempt(async () => {
      await callApi("POST", "/api/clock", { advance_s: seconds });
      return this.shown;
    });
  }

  async attempt(change) {
    this.error.hidden = true;
    try {
      this.show(await change());
      return true;
    } catch (error) {
      this.error.textContent = error.message;
      this.error.hidden = false;
      return false;
    }
  }

  show(account) {
    this.shown = account;
    if (this.balance !== document.activeElement) this.balance.value = account.balance;
    this.fail.value = account.fail?.status ?? "";
    this.numbers.replaceChildren(...account.numbers.map((each) => {
      const item = makeElement("li", "", each.number);
      const remove = makeButton("×", () => this.put({ numbers: account.numbers.filter((other) => other !== each) }));
      remove.className = "tray-remove";
      remove.setAttribute("aria-label", say("Take {number} from the account", { number: each.number }));
      item.append(remove);
      return item;
    }));
  }
}

function makeRow(label, control, ...others) {
  const row = makeElement(control.tagName === "BUTTON" ? "div" : "label", "fault");
  const controls = makeElement("span", "account-controls");
  controls.append(control, ...others);
  row.append(makeElement("span", "fault-name", label), controls);
  return row;
}

function makeButton(words, onClick) {
  const button = makeElement("button", "button account-button", words);
  button.type = "button";
  button.addEventListener("click", onClick);
  return button;
}
