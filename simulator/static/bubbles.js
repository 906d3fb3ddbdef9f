// One text on a handset: what it says, what is attached to it, and what became of it.

import { formatTime, makeElement } from "/static/api.js";
import { makeMedia } from "/static/attachments.js";
import { say } from "/static/words.js";

export function fillBubble(bubble, text) {
  bubble.dataset.seq = text.seq;
  bubble.dataset.messageUuid = text.message_uuid;
  const foot = makeElement("p", "bubble-foot");
  const time = makeElement("time", "bubble-time", formatTime(text.at));
  time.dateTime = text.at;
  foot.append(time, makeTicks(text));
  // A player that is drawn again would stop playing.
  const given = ["rejected", "undeliverable"].includes(text.status);
  const drawn = JSON.stringify([text.media, given]);
  if (bubble.dataset.drawn === drawn) {
    bubble.lastElementChild.replaceWith(foot);
    return bubble;
  }
  bubble.dataset.drawn = drawn;
  const parts = (text.media ?? []).map((attachment) => makeMedia(attachment, given));
  if (text.text || !parts.length) parts.push(makeElement("p", "bubble-text", text.text));
  bubble.replaceChildren(...parts, foot);
  return bubble;
}

function makeTicks(text) {
  const [mark, state, meaning] = describe(text);
  const ticks = makeElement("span", "bubble-ticks", mark);
  ticks.dataset.state = state;
  ticks.dataset.status = text.status ?? "";
  ticks.title = meaning;
  ticks.setAttribute("role", "img");
  ticks.setAttribute("aria-label", meaning);
  return ticks;
}

function describe(text) {
  if (text.direction === "to_handset") {
    return {
      accepted: ["✓", "waiting", say("accepted from the service")],
      submitted: ["✓✓", "waiting", say("the service was told: submitted")],
      delivered: ["✓✓", "good", say("the service was told: delivered")],
    }[text.status] ?? ["!", "bad", say("the service was told: {status}", { status: text.status })];
  }
  const { attempts, done, lost, status } = text.webhook;
  const answer = status ?? say("no answer");
  if (!done) return attempts ? [`↻ ${attempts}`, "waiting", say("will be tried again; last: {answer}", { answer })] : ["·", "waiting", say("on its way")];
  return lost ? [`! ${answer}`, "bad", say("lost; last: {answer}", { answer })] : ["✓✓", "good", say("taken by the service")];
}
