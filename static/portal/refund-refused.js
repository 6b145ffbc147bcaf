// What a refused refund says to do next, as a card below the settlement: wait for the fund, have
// somebody pay more first, or return a later settlement first.

import { Intent, Refused, lookUrl, read, serverNow } from "./calls.js";
import { dayAndTime, h, part, timeOfDay } from "./dom.js";
import { yuan } from "./money.js";
import { partsList } from "./refund-dialog.js";
import { payer } from "./words.js";

/** Where a settlement of an earlier day is returned. */
const RETURNS = "/counter/returns/";
const returnsUrl = (settlementId) => `${RETURNS}?settlement=${settlementId}`;

const CARDS = {
  refund_needs_approval: waiting,
  refund_needs_payment: payment,
  refund_last_first: lastFirst,
};

/** Take away what a refusal before this one said. */
export function forgetRefused(root) {
  part(root, "refused")?.remove();
}

/**
 * Show what to do about a refusal of `intent`, of a settlement that is at hand or null. `refund(intent,
 * settlement)` sends another. Answers whether this is a refusal of that kind.
 */
export async function showRefused(root, error, intent, { settlement, refund }) {
  const card = CARDS[error.code];
  if (!card) return false;
  const body = JSON.parse(intent.text);
  const send = (more) => refund(new Intent("refund", { ...body, ...more }, { lasting: true }), settlement);
  const { name, title, content } = await card(error, { body, settlement, send, leave: () => forgetRefused(root) });
  const heading = h("h2", { tabindex: "-1" }, title);
  part(root, "result").append(h("div", { "data-part": "refused" }, h("div", { class: "card waiting-card", "data-part": name }, heading, content)));
  heading.focus({ preventScroll: true });
  part(root, name).scrollIntoView({ block: "nearest" });
  return true;
}

/** The fund has to decide first: until when, and how to go on. What is sent again is the same. */
function waiting(refused, { body, settlement, send }) {
  const { approval_id: number, since } = refused.problem;
  return {
    name: "waiting",
    title: gettext("The refund waits for the fund"),
    content: [
      h("p", {}, refused.message),
      ...chosenParts(body, settlement),
      h("p", { class: "small muted" }, interpolate(gettext("Waiting since %s. Last asked at %s."), [dayAndTime(since), timeOfDay(serverNow())])),
      h("p", { class: "small muted whole-number" }, `${gettext("Number of the approval")} ${number}`),
      body.lines ? h("p", { class: "small muted" }, gettext("It is approved for these lines: whoever sends it later chooses the same.")) : null,
      h(
        "div",
        { class: "actions" },
        h("button", { type: "button", "data-part": "again", onclick: () => send({}) }, gettext("Send the refund again")),
        location.pathname === RETURNS
          ? null
          : h("a", { class: "slip-link", "data-part": "later", href: returnsUrl(body.settlement_id) }, gettext("To send it later: this address")),
      ),
    ],
  };
}

/** What remains is dearer for somebody: who, by how much, and whether that is accepted. */
function payment(refused, { body, settlement, send, leave }) {
  const { payers, payment_fen: fen } = refused.problem;
  const cash = payers.find((one) => one.payer === "cash")?.amount_fen ?? 0;
  return {
    name: "payment",
    title: gettext("Somebody has to pay more first"),
    content: [
      h("p", {}, gettext("What remains of this settlement costs more by the area's rules than was paid for it.")),
      ...chosenParts(body, settlement),
      h("h3", {}, gettext("To be paid in addition")),
      h(
        "dl",
        { class: "shares" },
        payers.map((one) =>
          h("div", { class: `share ${one.payer === "cash" ? "cash" : ""}` }, h("dt", {}, payer(one.payer)), h("dd", {}, yuan(one.amount_fen))),
        ),
      ),
      h(
        "div",
        { class: "actions" },
        h(
          "button",
          { type: "button", "data-part": "accept", onclick: () => send({ accept_payment_fen: fen }) },
          cash ? interpolate(gettext("Cash %s received: return it"), [yuan(cash)]) : gettext("Accepted: return it"),
        ),
        h("button", { type: "button", class: "quiet", "data-part": "leave", onclick: leave }, gettext("Leave it as it is")),
      ),
    ],
  };
}

/** A later settlement was worked out from this one: which, and where it is returned. */
async function lastFirst(refused) {
  const { settlement_id: later } = refused.problem;
  const found = await lookedUp(later);
  return {
    name: "last-first",
    title: gettext("A later settlement comes back first"),
    content: [
      h("p", {}, gettext("It was worked out from this one. Return it, then this one.")),
      found
        ? h("p", { class: "head-line" }, h("span", {}, dayAndTime(found.accepted_at)), h("strong", { class: "num-cell" }, yuan(found.total_fen)))
        : null,
      h("p", { class: "small muted whole-number" }, `${gettext("Settlement number")} ${later}`),
      found === null
        ? h("p", { class: "note warn" }, gettext("It was made at another institution: it has to come back there."))
        : h(
            "div",
            { class: "actions" },
            h("a", { class: "button", "data-part": "later", href: returnsUrl(later), ...elsewhere() }, gettext("Go to the later settlement")),
          ),
    ],
  };
}

/** The settlement's record; null where it is another institution's, undefined where nobody knows. */
async function lookedUp(settlementId) {
  try {
    return await read(lookUrl("settlement", { settlement_id: settlementId }));
  } catch (error) {
    return error instanceof Refused && error.code === "not_found" ? null : undefined;
  }
}

// Whoever is being served stays on the screen.
const elsewhere = () => (location.pathname === RETURNS ? {} : { target: "_blank", rel: "noopener" });

const chosenParts = (body, settlement) => (body.lines && settlement?.lines ? [partsList(body.lines, settlement)] : []);
