// The fund's dashboard: today's figures, asked anew every few seconds while somebody looks.

import { read } from "./calls.js";
import { dayAndTime, h, part, say } from "./dom.js";
import { yuan } from "./money.js";
import { finality, kind, payer, process, refusal, state, task } from "./words.js";

const root = document.getElementById("fund");
const REFRESH_MS = 4000;
// The certainty board reads more, and tells of minutes.
const CERTAINTY_MS = 30000;
// Beyond this a person should look: posting is a matter of seconds.
const SLOW_POSTING_S = 30;

function duration(seconds) {
  const whole = Math.round(seconds ?? 0);
  if (whole < 120) return interpolate(gettext("%s s"), [whole]);
  if (whole < 7200) return interpolate(gettext("%s min"), [Math.round(whole / 60)]);
  return interpolate(gettext("%s h"), [Math.round(whole / 3600)]);
}

/** How long something took: tenths below ten seconds, a dash for what nothing is known of. */
function took(seconds) {
  if (seconds === null) return "–";
  return seconds < 10 ? interpolate(gettext("%s s"), [seconds.toFixed(1)]) : duration(seconds);
}

function tile(title, figure, note = "", alarm = false) {
  return h(
    "li",
    { class: `tile ${alarm ? "alarm" : ""}` },
    h("h2", {}, title),
    h("p", { class: "figure" }, figure),
    note ? h("p", { class: "muted small" }, note) : null,
  );
}

function rows(body, cells, empty) {
  body.replaceChildren(
    ...(cells.length
      ? cells.map((row) =>
          h("tr", {}, row.map((cell, place) => h("td", { class: place && (typeof cell === "string" || place === row.length - 1) ? "num-cell" : "" }, cell))),
        )
      : [h("tr", {}, h("td", { class: "muted", colspan: 9 }, empty))]),
  );
}

function bar(share) {
  return h("progress", { class: "bar", max: 100, value: Math.round(share * 100), "aria-hidden": "true" });
}

function show(figures) {
  const outgoing = figures.by_payer.filter(([name]) => name !== "cash");
  const scans = figures.scans_accepted + figures.scans_refused;
  part(root, "tiles").replaceChildren(
    tile(
      gettext("Scans accepted"),
      String(figures.scans_accepted),
      interpolate(gettext("%s refused of %s"), [figures.scans_refused, scans]),
    ),
    tile(
      gettext("Settlements"),
      String(figures.settlements),
      yuan(figures.settlements_total_fen),
    ),
    tile(gettext("Refunds"), String(figures.refunds), yuan(figures.refunds_total_fen)),
    tile(
      gettext("Posting lag"),
      duration(figures.posting_lag_s),
      interpolate(gettext("%s not posted yet"), [figures.unposted]),
      figures.posting_lag_s > SLOW_POSTING_S,
    ),
    tile(
      gettext("Parked"),
      String(figures.parked),
      figures.parked ? gettext("Need a person: see the operations guide.") : gettext("Nothing waits for a person."),
      figures.parked > 0,
    ),
    tile(
      gettext("Ledger audit"),
      figures.audit_sound === null ? gettext("Not yet") : figures.audit_sound ? gettext("Sound") : gettext("Not sound"),
      interpolate(gettext("%s not sealed yet"), [figures.unsealed]),
      figures.audit_sound === false,
    ),
  );
  const most = Math.max(1, ...outgoing.map(([, fen]) => fen));
  rows(
    part(root, "payers"),
    outgoing.map(([name, fen]) => [h("span", {}, payer(name), bar(fen / most)), yuan(fen)]),
    gettext("Nothing was paid today."),
  );
  rows(
    part(root, "refusals"),
    figures.refused_by_code.map(([code, count]) => [
      h("span", { title: code }, refusal(code)),
      String(count),
    ]),
    gettext("No scan was refused today."),
  );
  rows(
    part(root, "heartbeats"),
    figures.heartbeats.map(([name, age, late]) => [
      h("span", {}, process(name)),
      h("span", { class: `tag ${late ? "bad" : "good"}` }, age === null ? gettext("never") : duration(age)),
    ]),
    gettext("No worker has reported yet."),
  );
  part(root, "parked").hidden = !figures.parked;
  rows(
    part(root, "parked-rows"),
    figures.parked_rows.map(([id, topic, subject, attempts, error]) => [
      String(id),
      h("span", {}, task(topic)),
      h("span", {}, topic === "post_settlement" ? h("a", { href: `/slips/${subject}/` }, subject) : subject),
      h("span", {}, error),
      String(attempts),
    ]),
    "",
  );
  rows(
    part(root, "recent"),
    figures.recent.map((row) => [
      h("a", { href: `/slips/${row.settlement_id}/` }, dayAndTime(row.accepted_at)),
      h("span", {}, row.merchant_name),
      h("span", { class: `tag ${row.state === "posted" ? "good" : ""}` }, state(row.state)),
      yuan(row.pool_fen),
      yuan(row.account_fen),
      yuan(row.cash_fen),
      yuan(row.total_fen),
    ]),
    gettext("Nothing was settled today."),
  );
  part(root, "approvals-waiting").textContent = figures.approvals_waiting
    ? ` (${interpolate(gettext("%s waiting"), [figures.approvals_waiting])})`
    : "";
  part(root, "day").textContent = figures.day;
}

function showCertainty(kinds) {
  const late = kinds.filter((row) => row.overdue);
  say(
    part(root, "verdict"),
    late.length
      ? interpolate(gettext("Overdue, a person must look: %s"), [
          late.map((row) => `${kind(row.kind)} ${row.overdue}`).join(gettext(", ")),
        ])
      : gettext("Nothing is overdue."),
    late.length ? "bad" : "good",
  );
  part(root, "certainty").replaceChildren(
    ...kinds.map((row) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, kind(row.kind), h("span", { class: "muted small" }, finality(row.kind))),
        ...[
          row.overdue ? h("span", { class: "tag bad" }, String(row.overdue)) : "0",
          duration(row.limit_s),
          String(row.open),
          row.open ? took(row.oldest_s) : "–",
          row.in_part ? interpolate(gettext("%s and more"), [row.finished]) : String(row.finished),
          took(row.p99_s),
          took(row.worst_s),
        ].map((cell) => h("td", { class: "num-cell" }, cell)),
      ),
    ),
  );
}

async function refreshCertainty() {
  if (!document.hidden) {
    try {
      showCertainty((await read(root.dataset.certainty)).kinds);
    } catch (error) {
      say(part(root, "verdict"), error.message, "warn");
    }
  }
  setTimeout(refreshCertainty, CERTAINTY_MS);
}

async function refresh() {
  if (!document.hidden) {
    const line = part(root, "state");
    try {
      show(await read(root.dataset.figures));
      say(line, "");
    } catch (error) {
      say(line, error.message, "warn");
    }
  }
  setTimeout(refresh, REFRESH_MS);
}

refresh();
refreshCertainty();
