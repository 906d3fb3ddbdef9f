// Wires the page together: what happened comes in as server-sent events and is drawn once per frame.

import { Account } from "/static/account.js";
import { callApi } from "/static/api.js";
import { listenToViewer } from "/static/attachments.js";
import { Faults } from "/static/faults.js";
import { Handsets } from "/static/handsets.js";
import { Traffic } from "/static/traffic.js";
import { say, translatePage } from "/static/words.js";

const byId = (id) => document.getElementById(id);

function makeExample(settings) {
  const [first, second] = settings.handsets;
  return [
    `curl ${settings.service_url}/chats \\`,
    `  -H "Authorization: Bearer $API_KEY" \\`,
    `  -H "Content-Type: application/json" \\`,
    `  -d '{"participants": [{"phone_number": "${first ?? "+14155550123"}"},`,
    `                        {"phone_number": "${second ?? "+14155550124"}"}]}'`,
  ].join("\n");
}

function followStream({ onEvents }) {
  const live = byId("live");
  const show = (state) => {
    live.dataset.state = state;
    live.textContent = say(state);
    byId("gone").hidden = state !== "reconnecting";
  };
  let pending = [];
  const take = (kind) => (event) => {
    pending.push([kind, JSON.parse(event.data)]);
    if (pending.length === 1) {
      // A hidden page gets no frames, and must not collect events for ever.
      (document.hidden ? setTimeout : requestAnimationFrame)(() => {
        const events = pending;
        pending = [];
        onEvents(events);
      });
    }
  };
  const connect = () => {
    const stream = new EventSource("/api/stream");
    stream.addEventListener("open", () => show("live"));
    for (const kind of ["reset", "faults", "text", "exchange"]) stream.addEventListener(kind, take(kind));
    stream.addEventListener("error", () => {
      show("reconnecting");
      if (stream.readyState === EventSource.CLOSED) setTimeout(connect, 2000);
    });
  };
  connect();
}

function listenToButtons(handsets) {
  const dialog = byId("handset-dialog");
  const number = byId("handset-number");
  byId("add-handset").addEventListener("click", () => {
    number.value = handsets.suggestNumber();
    byId("known-handsets").replaceChildren(...handsets.listHidden().map((known) => new Option(known, known)));
    dialog.showModal();
    number.select();
  });
  byId("handset-form").addEventListener("submit", () => handsets.add(number.value, { byHand: true }));
  byId("handset-cancel").addEventListener("click", () => dialog.close());
  const startOver = byId("start-over-dialog");
  byId("start-over").addEventListener("click", () => startOver.showModal());
  byId("start-over-form").addEventListener("submit", () => callApi("DELETE", "/api/state").catch(() => {}));
  byId("start-over-cancel").addEventListener("click", () => startOver.close());
  byId("copy-example").addEventListener("click", async (event) => {
    const button = event.currentTarget;
    try {
      await navigator.clipboard.writeText(byId("example").textContent);
      button.textContent = say("Copied");
    } catch {
      getSelection().selectAllChildren(byId("example"));
      button.textContent = say("Selected");
    }
    setTimeout(() => { button.textContent = say("Copy"); }, 1500);
  });
}

async function start() {
  translatePage();
  const settings = await callApi("GET", "/api/settings");
  byId("example").textContent = makeExample(settings);
  byId("desk-link").href = `${settings.service_url}/admin/`;
  byId("docs-link").href = `${settings.service_url}/docs`;
  const handsets = new Handsets(byId("handsets"), byId("handset-template"), settings);
  const traffic = new Traffic(byId("traffic"), byId("no-traffic"));
  const faults = new Faults(byId("faults"), byId("faults-hint"), byId("fault-error"));
  const account = new Account(byId("account"), byId("account-error"));
  listenToButtons(handsets);
  listenToViewer();
  followStream({
    onEvents(events) {
      if (events.some(([kind]) => kind === "reset")) {
        events = events.slice(events.findLastIndex(([kind]) => kind === "reset"));
        handsets.clear();
        traffic.clear();
        account.refresh();
      }
      const pick = (wanted) => events.filter(([kind]) => kind === wanted).map(([, data]) => data);
      handsets.show(pick("text"));
      traffic.show(pick("exchange"));
      for (const shown of pick("faults").slice(-1)) faults.show(shown);
      byId("welcome").hidden = handsets.hasTexts;
    },
  });
}

start();
