// Switches for the ways in which the carrier can misbehave.

import { callApi, makeElement } from "/static/api.js";
import { GROUPS } from "/static/fault_list.js";
import { say } from "/static/words.js";

const TIMES = { key: "times", label: "strikes", any: "every time", values: [1, 2, 3, 10], format: (count) => (count === 1 ? say("once") : say("{count} times", { count })) };

export class Faults {
  constructor(form, hint, error) {
    this.form = form;
    this.hint = hint;
    this.error = error;
    this.inForce = {};
    this.changed = Promise.resolve();
    this.changing = 0;
    this.rows = [];
    form.addEventListener("submit", (event) => event.preventDefault());
    form.append(...GROUPS.map(([title, faults], place) => this.makeGroup(title, faults, place === 0)));
  }

  show(faults) {
    this.inForce = faults;
    // The switches show what somebody wants until the simulator has been told of all of it.
    if (this.changing) return;
    const names = Object.keys(faults);
    this.hint.textContent = names.length ? say("{count} in force", { count: names.length }) : say("The carrier behaves");
    this.hint.dataset.state = names.length ? "waiting" : "";
    for (const row of this.rows) row.show(faults[row.name]);
    for (const { badge, members } of this.groups) {
      const count = members.filter((name) => name in faults).length;
      badge.textContent = count ? say("{count} on", { count }) : "";
    }
  }

  makeGroup(title, faults, open) {
    const group = makeElement("details", "fault-group");
    group.open = open;
    const summary = makeElement("summary", "", say(title));
    const badge = makeElement("span", "fault-count");
    summary.append(badge);
    const rows = faults.map((fault) => new Row(this, ...fault));
    this.rows.push(...rows);
    (this.groups ??= []).push({ badge, members: rows.map((row) => row.name) });
    group.append(summary, ...rows.map((row) => row.element));
    return group;
  }

  change(name, changeOne) {
    // One after the other: two at once would each put back what the other took away.
    this.changing += 1;
    this.changed = this.changed.then(() => this.put(name, changeOne));
  }

  async put(name, changeOne) {
    this.error.hidden = true;
    try {
      // Others may have set faults since: change one of what is in force now.
      const faults = await callApi("GET", "/api/faults");
      faults[name] = changeOne(faults[name]);
      this.inForce = await callApi("PUT", "/api/faults", faults);
    } catch (error) {
      this.error.textContent = error.message;
      this.error.hidden = false;
    }
    this.changing -= 1;
    this.show(this.inForce);
  }
}

class Row {
  constructor(faults, name, label, { hint, main, extras = [] } = {}) {
    this.name = name;
    this.main = main;
    this.element = makeElement("div", "fault-row");
    const line = makeElement("label", "fault");
    const text = makeElement("span", "fault-name", say(label));
    if (hint) text.append(makeElement("small", "", say(hint)));
    this.control = main ? makeSelect({ ...main, any: "–" }) : makeElement("input", "switch");
    if (!main) {
      this.control.type = "checkbox";
      this.control.setAttribute("role", "switch");
    }
    this.control.name = name;
    this.control.dataset.fault = name;
    this.control.addEventListener("change", () => faults.change(name, (now) => this.read(now)));
    line.append(text, this.control);
    this.more = makeElement("div", "fault-more");
    this.more.hidden = true;
    this.extras = [...extras, TIMES].map((extra) => {
      const control = extra.pattern ? makeInput(extra, name) : makeSelect(extra);
      control.dataset.option = `${name}.${extra.key}`;
      control.addEventListener("change", () => {
        const value = extra.pattern ? control.value : readSelect(control, extra);
        if (control.reportValidity()) faults.change(name, (now) => now && { ...now, [extra.key]: value === "" ? null : value });
      });
      const wrapped = makeElement("label", "", say(extra.label));
      wrapped.append(control);
      this.more.append(wrapped);
      return { extra, control };
    });
    this.element.append(line, this.more);
  }

  // What the fault becomes when its main control changes; what else it was told stays.
  read(now) {
    if (!this.main) return this.control.checked ? now ?? true : null;
    const value = readSelect(this.control, this.main);
    // Each final status has an error code of its own.
    return value === "" ? null : { ...now, error_code: undefined, [this.main.key]: value };
  }

  show(fault) {
    if (this.main) setSelect(this.control, fault?.[this.main.key], this.main);
    else this.control.checked = fault !== undefined;
    this.more.hidden = fault === undefined;
    for (const { extra, control } of this.extras) {
      if (!extra.pattern) setSelect(control, fault?.[extra.key], extra);
      // Somebody may be typing in it.
      else if (control !== document.activeElement) control.value = fault?.[extra.key] ?? "";
    }
  }
}

function makeSelect({ values, any, format = String }) {
  const select = makeElement("select");
  if (any !== undefined) select.add(new Option(say(any), ""));
  for (const value of values) select.add(new Option(format(value), value));
  return select;
}

function makeInput({ pattern, suggest }, name) {
  const input = makeElement("input", "fault-input");
  const list = makeElement("datalist");
  list.id = `suggested-${name}`;
  list.append(...suggest.map((value) => new Option(value, value)));
  document.body.append(list);
  input.setAttribute("list", list.id);
  Object.assign(input, { pattern, size: 6, inputMode: "numeric", autocomplete: "off" });
  return input;
}

function readSelect(select, { values }) {
  const number = Number(select.value);
  return values.find((value) => String(value) === select.value) ?? (select.value === "" || Number.isNaN(number) ? select.value : number);
}

function setSelect(select, value, { format = String }) {
  const wanted = String(value ?? "");
  // Tests set values that the panel does not offer.
  if (value != null && ![...select.options].some((option) => option.value === wanted)) select.add(new Option(format(value), value));
  select.value = wanted;
}
