// The shift at this till: opened with what is in the drawer, looked at, closed with what was counted.
// It stands beside the sale and never in its way: selling needs no shift.

import { Intent, lookUrl, read } from "./calls.js";
import { dayAndTime, h, part, say } from "./dom.js";
import { scaled, yuan } from "./money.js";
import { payer, tender } from "./words.js";

const root = document.getElementById("shift");
const body = part(root, "body");
const toggle = part(root, "toggle");
const state = part(root, "state");
const REFRESH_MS = 30000;
// What changes the drawer.
const MOVES = ["settle", "refund"];
let shift = null;
let busy = false;

/** Yuan as somebody types them in fen, or null. */
function fenOf(input) {
  const fen = scaled(input.value, 2);
  input.setAttribute("aria-invalid", String(fen === null));
  return fen === null ? null : Number(fen);
}

const slipUrl = (id) => `/counter/shifts/${id}/`;
const cell = (fen) => h("td", { class: "num-cell" }, yuan(fen));
const head = (...names) =>
  h(
    "thead",
    {},
    h("tr", {}, names.map((name, place) => h("th", { scope: "col", class: place ? "num-cell" : null }, name))),
  );

function sumsTable(caption, names, rows) {
  return h(
    "div",
    {},
    h("h3", {}, caption),
    h("table", { class: "small sums" }, head(...names), h("tbody", {}, rows)),
  );
}

function sums(figures) {
  if (!figures.settlements && !figures.refunds) {
    return h("p", { class: "muted" }, gettext("Nothing was settled here yet."));
  }
  return h(
    "div",
    { class: "shift-sums" },
    sumsTable(
      interpolate(gettext("By payer: %s settled, %s refunded"), [figures.settlements, figures.refunds]),
      [gettext("Payer"), gettext("Settled amount"), gettext("Refunded amount"), gettext("Net")],
      [
        ...figures.payers.map((row) =>
          h("tr", {}, h("td", {}, payer(row.payer)), cell(row.settled_fen), cell(row.refunded_fen), cell(row.net_fen)),
        ),
        h(
          "tr",
          { class: "sum-row" },
          h("td", {}, gettext("Total")),
          cell(figures.settled_fen),
          cell(figures.refunded_fen),
          cell(figures.net_fen),
        ),
      ],
    ),
    figures.tenders.length
      ? sumsTable(
          gettext("What members paid themselves"),
          [gettext("Tender"), gettext("Received"), gettext("Given back"), gettext("Net")],
          figures.tenders.map((row) =>
            h("tr", {}, h("td", {}, tender(row.tender)), cell(row.received_fen), cell(row.given_back_fen), cell(row.net_fen)),
          ),
        )
      : null,
  );
}

function drawer(record) {
  const fact = (name, fen) => h("div", {}, h("dt", {}, name), h("dd", { class: "amount" }, yuan(fen)));
  return h(
    "dl",
    { class: "facts drawer" },
    fact(gettext("Opening float"), record.opening_float_fen),
    fact(gettext("+ cash received"), record.cash_received_fen),
    fact(gettext("− cash given back"), record.cash_given_back_fen),
    fact(gettext("= should be in the drawer"), record.expected_fen),
  );
}

/** What the count came to, in one sentence. */
function outcome(record) {
  const fen = record.difference_fen;
  if (fen === 0) return [gettext("The drawer is right, to the fen."), "good"];
  const text = fen < 0 ? gettext("%s short of what should be there.") : gettext("%s more than should be there.");
  return [interpolate(text, [yuan(Math.abs(fen))]), "warn"];
}

function show(answer) {
  shift = answer.shift;
  const line = part(root, "line");
  line.replaceChildren(
    ...(shift
      ? [
          h("span", { class: "tag good" }, gettext("Shift open")),
          h("span", {}, interpolate(gettext("since %s"), [dayAndTime(shift.opened_at)])),
          h("span", {}, `${gettext("Drawer")} ${yuan(shift.expected_fen)}`),
        ]
      : [
          h("span", { class: "tag" }, gettext("None open")),
          h(
            "span",
            {},
            interpolate(gettext("Today %s settled, %s net"), [answer.today.settlements, yuan(answer.today.net_fen)]),
          ),
        ]),
  );
  const last = part(root, "last");
  last.hidden = !answer.last;
  if (answer.last) last.href = slipUrl(answer.last.shift_id);
  // Until the shift is known there is nothing that it could be called.
  toggle.hidden = false;
  part(root, "open-form").hidden = Boolean(shift);
  part(root, "close-form").hidden = !shift;
  part(root, "totals").replaceChildren(
    ...(shift ? [sums(shift), drawer(shift)] : [h("p", { class: "label" }, gettext("Today at this till")), sums(answer.today)]),
  );
  name();
}

function name() {
  const open = !body.hidden;
  toggle.setAttribute("aria-expanded", String(open));
  toggle.textContent = open ? gettext("Fold away") : shift ? gettext("Totals and hand-over") : gettext("Open a shift");
}

async function refresh() {
  if (busy) return;
  try {
    const answer = await read(lookUrl("shift_here"));
    if (!busy) show(answer);
  } catch (error) {
    // The sale goes on without it; whoever has it open is told.
    if (!body.hidden) say(state, error.message, "bad");
  }
}

async function act(operation, sent, query, done) {
  if (busy) return;
  busy = true;
  root.inert = true;
  say(state, "");
  let record = null;
  try {
    record = await new Intent(operation, sent, { query }).send({ doubt: (text) => say(state, text, "warn") });
    say(state, "");
  } catch (error) {
    say(state, error.message, "bad");
  }
  busy = false;
  // First what is so now, then what came of it: also a refusal may say that it was done before.
  await refresh();
  root.inert = false;
  if (record) done(record);
}

part(root, "open-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const fen = fenOf(part(root, "float"));
  if (fen === null) return say(state, gettext("Write the amount in yuan, such as 200 or 200.50."), "bad");
  act("open_shift", { opening_float_fen: fen }, {}, () => {
    part(root, "float").value = "";
    body.hidden = true;
    name();
  });
});

part(root, "close-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const fen = fenOf(part(root, "counted"));
  if (fen === null) return say(state, gettext("Write the amount in yuan, such as 200 or 200.50."), "bad");
  act("close_shift", { counted_fen: fen }, { shift_id: shift.shift_id }, (record) => {
    part(root, "counted").value = "";
    const [text, kind] = outcome(record);
    say(state, `${gettext("The shift is closed.")} ${text} `, kind);
    state.append(h("a", { href: slipUrl(record.shift_id), target: "_blank", rel: "opener" }, gettext("Print the hand-over slip")));
    state.focus();
  });
});

toggle.addEventListener("click", () => {
  body.hidden = !body.hidden;
  say(state, "");
  name();
  if (body.hidden) return;
  refresh();
  part(root, shift ? "counted" : "float").focus({ preventScroll: true });
});
document.addEventListener("acted", (event) => {
  if (MOVES.includes(event.detail)) refresh();
});
document.addEventListener("visibilitychange", () => document.hidden || refresh());
setInterval(() => document.hidden || refresh(), REFRESH_MS);
refresh();
