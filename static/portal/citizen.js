// The citizen's code: drawn here, renewed before it ends, greyed when it has ended without a
// successor. The digits exist in this module's memory and in the symbol, and are never written out.

import encodeQR from "../vendor/qr-0.7.0/index.js";
import { Refused, read, serverNow } from "./calls.js";
import { dayAndTime, h, say } from "./dom.js";
import { yuan } from "./money.js";
import { payer, state } from "./words.js";

const page = document.getElementById("citizen");
const canvas = document.getElementById("canvas");
const MODULES = 41;
const QUIET = 4;
// A code is renewed after this part of its life, so that a scan in a queue never meets its last second.
const RENEW_AFTER = 2 / 3;
const RETRY_MS = 3000;
const POLL_MS = 4000;

let current = null;
let asking = false;
let nextAsk = 0;
let scope = new URLSearchParams();

function draw(text) {
  // The same symbol as voucher/images.py: version 6, level M, numeric, one fixed mask.
  const rows = encodeQR(text, "raw", {
    ecc: "medium",
    encoding: "numeric",
    version: 6,
    mask: 0,
    border: QUIET,
  });
  const box = canvas.width / (MODULES + 2 * QUIET);
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = "#000";
  rows.forEach((row, y) =>
    row.forEach((dark, x) => dark && context.fillRect(x * box, y * box, box, box)),
  );
  canvas.hidden = false;
}

async function renew() {
  if (asking) return;
  asking = true;
  const wanted = scope;
  const line = document.getElementById("code-state");
  try {
    const code = await read(`${page.dataset.code}?${wanted}`);
    if (wanted !== scope) return;
    const ends = Date.parse(code.expires_at);
    current = { begins: Date.parse(code.issued_at), ends };
    nextAsk = current.begins + (ends - current.begins) * RENEW_AFTER;
    draw(code.text);
    say(line, "");
  } catch (error) {
    nextAsk = serverNow() + RETRY_MS;
    say(line, error.message, error instanceof Refused ? "bad" : "warn");
    if (error instanceof Refused && error.code !== "try_again") nextAsk = serverNow() + 30000;
  } finally {
    asking = false;
    if (wanted !== scope) renew();
  }
}

function tick() {
  const now = serverNow();
  // A clock that was set back would otherwise keep an old code on the screen.
  const alive = current && now < current.ends && now >= current.begins - 5000;
  const left = alive ? Math.ceil((current.ends - now) / 1000) : 0;
  const share = alive ? (current.ends - now) / (current.ends - current.begins) : 0;
  document.getElementById("ring").setAttribute("stroke-dashoffset", String(100 - 100 * share));
  document.getElementById("symbol").classList.toggle("dead", !!current && !alive);
  const veil = document.getElementById("veil");
  veil.hidden = !current || alive;
  veil.textContent = gettext("This code has ended. A new one comes as soon as the network is back.");
  document.getElementById("life-text").textContent = alive
    ? interpolate(gettext("Good for %s s, renews itself"), [left])
    : gettext("Fetching a new code…");
  if (now >= nextAsk && !document.hidden) renew();
}

const wayPaid = (way) =>
  `${way.name} ${yuan(way.amount_fen)}${way.paid ? "" : ` (${gettext("not taken from you")})`}`;

function settlementRow(row) {
  const shares = [
    ["pool", row.pool_fen],
    ["account", row.account_fen],
    ["cash", row.cash_fen],
  ];
  const others = row.total_fen - row.pool_fen - row.account_fen - row.cash_fen;
  return h(
    "li",
    { class: "row" },
    h(
      "div",
      { class: "row-head" },
      h("strong", {}, row.merchant_name),
      h("span", { class: "amount" }, yuan(row.total_fen)),
    ),
    h(
      "p",
      { class: "muted" },
      shares.map(([name, fen]) => `${payer(name)} ${yuan(fen)}`).join(" · "),
      others > 0 ? ` · ${gettext("Other funds")} ${yuan(others)}` : "",
    ),
    row.paid_by?.length
      ? h("p", { class: "muted small", "data-part": "paid-by" }, `${gettext("Cash part paid by")} ${row.paid_by.map(wayPaid).join(" · ")}`)
      : null,
    h(
      "p",
      { class: "small" },
      h("span", { class: `tag ${row.state === "posted" ? "good" : ""}` }, state(row.state)),
      row.refunded_fen
        ? h("span", { class: "tag warn" }, `${gettext("Refunded")} ${yuan(row.refunded_fen)}`)
        : null,
      h("a", { class: "slip-link", href: `/slips/${row.settlement_id}/` }, gettext("Slip")),
      h("span", { class: "muted" }, ` ${dayAndTime(row.accepted_at)}`),
    ),
  );
}

let shown = "";
async function poll() {
  if (!document.hidden) {
    try {
      const { balance_fen: balance, settlements, credit } = await read(page.dataset.settlements);
      // Rewriting an unchanged list would make a screen reader read it again.
      const seen = JSON.stringify([balance, settlements, credit]);
      if (seen !== shown) {
        shown = seen;
        document.getElementById("balance").textContent = yuan(balance);
        for (const figure of document.querySelectorAll("[data-credit]")) {
          if (credit) figure.textContent = yuan(credit[figure.dataset.credit]);
        }
        document
          .getElementById("settlements")
          .replaceChildren(
            settlements.length
              ? h("ul", { class: "rows" }, settlements.map(settlementRow))
              : h("p", { class: "muted" }, gettext("Nothing was settled yet.")),
          );
      }
    } catch {
      // The code's own status line already says that the network is gone.
    }
  }
  setTimeout(poll, POLL_MS);
}

if (canvas) {
  const form = document.getElementById("scope");
  const again = document.getElementById("renew");
  const narrow = () => {
    scope = new URLSearchParams();
    for (const [name, value] of new FormData(form)) {
      if (value && value !== "any") scope.set(name, value);
    }
    const use = form.elements.use.selectedOptions[0].textContent;
    const ceiling = scope.get("ceiling");
    const limits = [scope.has("use") ? use : "", ceiling ? interpolate(gettext("at most ¥%s"), [ceiling]) : ""];
    say(
      document.getElementById("limits"),
      limits.some(Boolean)
        ? interpolate(gettext("Limited to: %s"), [limits.filter(Boolean).join(", ")])
        : "",
    );
    renew();
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    narrow();
    canvas.scrollIntoView({ block: "center" });
  });
  form.addEventListener("reset", () => setTimeout(narrow));
  again.hidden = false;
  again.addEventListener("click", renew);
  // A phone that was locked may come back with a code long dead: never show it, ask at once.
  document.addEventListener("visibilitychange", () => !document.hidden && renew());
  addEventListener("online", renew);
  tick();
  setInterval(tick, 250);
}
poll();
