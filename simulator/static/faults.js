// Switches for the ways in which the carrier can misbehave.

import { callApi, makeElement } from "/static/api.js";

const CHOICES = [
  ["respond_with", "Answer requests with", "status", [401, 402, 422, 429, 500, 502, 503]],
  ["final_status", "End texts as", "status", ["rejected", "undeliverable"]],
  ["latency_ms", "Answer after", "value", [100, 500, 2000, 10000], (ms) => (ms < 1000 ? `${ms} ms` : `${ms / 1000} s`)],
];
const SWITCHES = [
  ["refuse", "Hang up before reading", "the text is not accepted"],
  ["drop_after_accept", "Accept, then hang up", "the service cannot know"],
  ["empty_202", "Accept with an empty answer"],
  ["no_receipts", "Send no receipts"],
  ["receipts_before_answer", "Send receipts before the answer"],
  ["reorder_receipts", "Send receipts in the wrong order"],
  ["double_receipts", "Send receipts twice"],
  ["double_webhooks", "Send every webhook twice"],
];

export class Faults {
  constructor(form, hint, error) {
    this.form = form;
    this.hint = hint;
    this.error = error;
    this.inForce = {};
    this.changed = Promise.resolve();
    this.changing = 0;
    form.append(...CHOICES.map((choice) => this.makeChoice(...choice)));
    form.append(...SWITCHES.map((each) => this.makeSwitch(...each)));
  }

  show(faults) {
    this.inForce = faults;
    // The switches show what somebody wants until the simulator has been told of all of it.
    if (this.changing) return;
    const names = Object.keys(faults);
    this.hint.textContent = names.length ? `${names.length} in force` : "The carrier behaves";
    this.hint.dataset.state = names.length ? "waiting" : "";
    for (const [name, , key, , format = String] of CHOICES) {
      const value = faults[name]?.[key] ?? "";
      const select = this.form.elements[name];
      if (![...select.options].some((option) => option.value === String(value))) select.add(new Option(format(value), value));
      select.value = value;
    }
    for (const [name] of SWITCHES) this.form.elements[name].checked = name in faults;
  }

  makeChoice(name, label, _key, values, format = String) {
    const row = makeElement("label", "fault");
    const select = makeElement("select");
    select.name = name;
    select.dataset.fault = name;
    select.add(new Option("–", ""));
    for (const value of values) select.add(new Option(format(value), value));
    select.addEventListener("change", () => {
      const number = Number(select.value);
      this.change(name, select.value === "" ? null : Number.isNaN(number) ? select.value : number);
    });
    row.append(makeElement("span", "fault-name", label), select);
    return row;
  }

  makeSwitch(name, label, more) {
    const row = makeElement("label", "fault");
    const text = makeElement("span", "fault-name", label);
    if (more) text.append(makeElement("small", "", more));
    const box = makeElement("input", "switch");
    box.type = "checkbox";
    box.name = name;
    box.dataset.fault = name;
    box.setAttribute("role", "switch");
    box.addEventListener("change", () => this.change(name, box.checked));
    row.append(text, box);
    return row;
  }

  change(name, value) {
    // One after the other: two at once would each put back what the other took away.
    this.changing += 1;
    this.changed = this.changed.then(() => this.put(name, value));
  }

  async put(name, value) {
    this.error.hidden = true;
    try {
      // Others may have set faults since: change one of what is in force now.
      const faults = await callApi("GET", "/api/faults");
      if (value === null || value === false) delete faults[name];
      else faults[name] = value;
      this.inForce = await callApi("PUT", "/api/faults", faults);
    } catch (error) {
      this.error.textContent = error.message;
      this.error.hidden = false;
    }
    this.changing -= 1;
    this.show(this.inForce);
  }
}
