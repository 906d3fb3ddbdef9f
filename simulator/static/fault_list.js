// Every fault the panel offers: [name, label, {hint, main, extras}]. A fault with `main` is a choice, any other a switch.

import { say } from "/static/words.js";

const format = {
  ms: (ms) => (ms < 1000 ? `${ms} ms` : `${ms / 1000} s`),
  seconds: (s) => `${s > 0 ? "+" : "−"}${Math.abs(s) < 3600 ? `${Math.abs(s) / 60} min` : `${Math.abs(s) / 3600} h`}`,
  bytes: (bytes) => (bytes < 1_000_000 ? `${bytes / 1000} kB` : `${bytes / 1_000_000} MB`),
  perSecond: (rate) => say("{count} a second", { count: rate }),
};
const ms = (values) => ({ key: "value", values, format: format.ms });
const reset = [{ key: "reset", label: "by", values: [false, true], format: (on) => (on ? "RST" : "FIN") }];
const which = [{ key: "kind", label: "of", any: "all webhooks", values: ["inbound", "status"] }];
const signature = {
  key: "signature", label: "signed", values: ["none", "md5hash", "md5", "sha1", "sha256", "sha512"],
};
const formats = { key: "format", values: ["legacy-get", "legacy-form", "legacy-json"], format: (it) => it.slice(7).toUpperCase() };

export const GROUPS = [
  ["Requests", [
    ["respond_with", "Answer requests with", {
      main: { key: "status", values: [401, 402, 403, 404, 422, 429, 500, 502, 503] },
      extras: [{ key: "retry_after", label: "Retry-After", any: "none", values: [1, 5, 15, 60] }],
    }],
    ["latency_ms", "Answer after", { main: ms([100, 500, 2000, 10000]) }],
    ["jitter_ms", "Answer after up to", { main: ms([50, 500, 2000]) }],
    ["number_rate", "429 above, per number", {
      hint: "segments count", main: { key: "value", values: [1, 3, 10, 30], format: format.perSecond },
    }],
    ["account_rate", "429 above, in all", { main: { key: "value", values: [5, 30, 100], format: format.perSecond } }],
    ["refuse", "Hang up before reading", { hint: "the text is not accepted", extras: reset }],
    ["drop_after_accept", "Accept, then hang up", { hint: "the service cannot know", extras: reset }],
    ["empty_202", "Accept with an empty answer"],
  ]],
  ["Receipts", [
    ["final_status", "End texts as", {
      hint: "the last four in the SMS API’s format only",
      main: { key: "status", values: ["rejected", "undeliverable", "delivered", "expired", "failed", "buffered", "unknown"] },
      extras: [{ key: "error_code", label: "with error", pattern: "[0-9]{1,6}", suggest: [1000, 1070, 1170, 1210, 1240, 1331, 1360, 1420, 1460, 1490] }],
    }],
    ["partial_segments", "Confirm some segments only", {
      hint: "and end as rejected, 1490",
      extras: [{ key: "delivered", label: "confirmed", any: "half", values: [0, 1, 2] }],
    }],
    ["opt_out_assist", "Opt-Out Assist", { hint: "STOP is answered, and blocks the pair with 1240" }],
    ["no_receipts", "Leave receipts out", { extras: [{ key: "which", label: "which", any: "both", values: ["submitted", "last"] }] }],
    ["receipts_before_answer", "Send receipts before the answer"],
    ["reorder_receipts", "Send receipts in the wrong order"],
    ["double_receipts", "Send receipts twice"],
    ["receipt_delay_ms", "Send receipts later by", { main: ms([500, 5000, 60000]) }],
  ]],
  ["Webhooks", [
    ["double_webhooks", "Send every webhook twice"],
    ["unsigned_webhooks", "Do not sign", { extras: which }],
    ["wrong_signature", "Sign with a wrong secret", { extras: which }],
    ["wrong_payload_hash", "Sign another body", { extras: which }],
    ["iat_skew_s", "Sign with a clock that is off by", {
      main: { key: "value", values: [-90000, -3600, -120, 120, 3600], format: format.seconds }, extras: which,
    }],
    ["integer_error_title", "Write error codes as integers"],
    ["total_count", "Write total_count for count_total"],
    ["no_message_type", "Leave out message_type"],
    ["unsupported_message_type", "Say “unsupported” for every text"],
    ["millisecond_timestamps", "Write timestamps with milliseconds"],
    ["inbound_format", "Texts in the SMS API’s format", {
      main: formats,
      extras: [signature, { key: "parts", label: "parts", any: "whole", values: ["in_order", "shuffled", "missing", "doubled"], format: (it) => it.replace("_", " ") }],
    }],
    ["receipt_format", "Receipts in the SMS API’s format", { main: formats, extras: [signature] }],
  ]],
  ["Pictures and files", [
    ["secure_media", "Ask for the application’s token"],
    ["media_respond_with", "Answer fetches with", { main: { key: "status", values: [401, 404, 429, 500, 503] } }],
    ["media_timeout", "Never answer a fetch"],
    ["media_drip", "Drip, a second", { main: { key: "bytes_per_s", values: [100, 1000, 10000, 100000], format: format.bytes } }],
    ["media_redirect", "Redirect to another host"],
    ["media_content_type", "Call everything", { main: { key: "value", values: ["text/html", "application/octet-stream", "image/svg+xml"] } }],
    ["media_larger", "Pad to", {
      main: { key: "bytes", values: [3_000_000, 10_000_000, 50_000_000], format: format.bytes },
      extras: [{ key: "announced", label: "announced", values: ["original", "nothing", "all"] }],
    }],
    ["media_drop_halfway", "Hang up halfway", { extras: reset }],
  ]],
];
