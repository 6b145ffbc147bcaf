// What became of a bill: the settlement with its slip and the way to return it, or its refund, and how
// the cash part was paid or goes back.

import { hospitalPayment, shareList, sums } from "./bill-view.js";
import { Intent, lookUrl, read, serverNow } from "./calls.js";
import { dayAndTime, h, part, timeOfDay } from "./dom.js";
import { left, yuan } from "./money.js";
import { RefundDialog, partsList } from "./refund-dialog.js";
import { showRefused } from "./refund-refused.js";
import { partList, recordOf, showWayBack } from "./tender.js";
import { state } from "./words.js";

const FAST_MS = 700;
const SLOW_MS = 5000;
const PARTS_MS = 2000;
const NOT_COLLECTED_YET = ["received", "authorised", "capturing"];
const GOING_BACK = ["returning", "returned"];

export class Outcome {
  /** `next()` starts with the next person, where the page has such a thing; `refund(intent, settlement)`
   * sends a refund that somebody confirmed; `tell(words, kind)` says something in the page's line. */
  constructor(root, { next, refund, tell }) {
    this.root = root;
    this.next = next;
    this.refund = refund;
    this.tell = tell;
    this.dialog = new RefundDialog(part(root, "refund-dialog"), {
      send: (body, settlement) => refund(new Intent("refund", body, { lasting: true }), settlement),
    });
  }

  /** Show a settlement; null takes whatever is shown away. */
  show(settlement) {
    const place = part(this.root, "result");
    clearTimeout(this.watching);
    part(this.root, "ask").hidden = !!settlement;
    if (!settlement) return place.replaceChildren();
    const status = h("p", { class: "muted", role: "status", "data-part": "posted" });
    const heading = h("h2", { class: "done-mark", tabindex: "-1" }, "✓ ", gettext("Settled"));
    place.replaceChildren(
      h(
        "div",
        { class: "card done-card", "data-settlement": settlement.settlement_id },
        heading,
        h("p", { class: "figure" }, yuan(settlement.total_fen)),
        shareList(settlement),
        hospitalPayment(settlement),
        h("div", { "data-part": "paid-with" }),
        settlement.account_balance_fen === undefined
          ? h("p", { class: "muted" }, `${state("accepted")} · ${dayAndTime(settlement.accepted_at)}`)
          : h("p", { class: "muted" }, `${gettext("Left on the account")} ${yuan(settlement.account_balance_fen)}`),
        settlement.refunded_fen ? h("p", { class: "tag warn" }, refundedWords(settlement)) : null,
        status,
        h(
          "div",
          { class: "actions" },
          this.next
            ? h("button", { type: "button", class: "big", "data-part": "next", onclick: this.next }, gettext("Next person"))
            : null,
          h(
            "a",
            { class: "button quiet", "data-part": "slip", target: "_blank", rel: "noopener", href: `/slips/${settlement.settlement_id}/` },
            gettext("Slip"),
          ),
          left(settlement)
            ? h(
                "button",
                { type: "button", class: "danger", "data-part": "refund", onclick: () => this.#askRefund(settlement) },
                gettext("Refund"),
              )
            : null,
        ),
      ),
    );
    heading.focus({ preventScroll: true });
    place.scrollIntoView({ block: "nearest" });
    this.#watch(settlement, status, serverNow());
    this.#paidWith(settlement, part(place, "paid-with"));
  }

  /** The parts of a settlement that was not paid in cash alone, until all of them are collected; and
   * what goes back, where the settlement was returned because one could not be. */
  async #paidWith(settlement, place) {
    if (!settlement.quote_id || !settlement.cash_fen || !place.isConnected) return;
    try {
      const { parts } = await recordOf(settlement.quote_id);
      const taken = parts.filter((one) => one.state !== "declined");
      if (!taken.length) return;
      if (taken.some((one) => GOING_BACK.includes(one.state))) return await this.#returned(settlement, taken, place);
      place.replaceChildren(h("h3", {}, gettext("Cash part paid with")), partList(taken));
      if (!taken.some((one) => NOT_COLLECTED_YET.includes(one.state))) return;
    } catch {
      // The settlement stands; asked again below.
    }
    setTimeout(() => this.#paidWith(settlement, place), PARTS_MS);
  }

  async #returned(settlement, parts, place) {
    const [refund] = parts.flatMap((one) => one.refunds);
    await showWayBack(place, settlement.quote_id, { refundId: refund?.refund_id ?? "" });
    place.prepend(
      h("p", { class: "note bad", role: "alert" }, gettext("A payment could not be collected, so this settlement was returned: it counts no more. Take back what was handed out.")),
    );
    part(this.root, "refund")?.remove();
    const card = place.closest(".done-card");
    card.classList.add("refunded-card");
    const heading = card.querySelector(".done-mark");
    heading.className = "";
    heading.textContent = gettext("Returned by itself");
  }

  #watch(settlement, line, since) {
    line.textContent = `${state(settlement.state)} · ${timeOfDay(settlement.accepted_at)} · ${gettext("final; being posted to the ledger")}`;
    const again = async () => {
      let posted = null;
      try {
        posted = await read(lookUrl("settlement", { settlement_id: settlement.settlement_id }));
      } catch {
        // Asked again below.
      }
      if (posted?.state === "posted") {
        line.textContent = `${state("posted")} · ${timeOfDay(posted.posted_at)}`;
        line.className = "tag good";
        return;
      }
      this.watching = setTimeout(again, serverNow() - since < 20000 ? FAST_MS : SLOW_MS);
    };
    if (settlement.state === "posted") {
      line.textContent = state("posted");
    } else {
      this.watching = setTimeout(again, FAST_MS);
    }
  }

  async #askRefund(settlement) {
    try {
      await this.dialog.open(settlement.settlement_id);
    } catch (error) {
      this.tell(error.message, "bad");
    }
  }

  /**
   * Show why a refund was refused, where there is more to it than words: at the field of the dialog, or
   * as what to do next. Answers whether it was shown.
   */
  async showRefused(error, intent, settlement) {
    return (
      (await showRefused(this.root, error, intent, { settlement, refund: this.refund })) ||
      (await this.dialog.blame(error, JSON.parse(intent.text)))
    );
  }

  /** Show a refund. What it was a part of is read anew: what is left of that may come back as well. */
  showRefund(refund) {
    clearTimeout(this.watching);
    part(this.root, "ask").hidden = true;
    const heading = h("h2", { tabindex: "-1" }, gettext("Refunded"));
    const some = refund.remaining_fen > 0;
    part(this.root, "result").replaceChildren(
      h(
        "div",
        { class: "card refunded-card", "data-refund": refund.refund_id },
        heading,
        h("p", { class: "figure" }, yuan(refund.total_fen)),
        h("div", { "data-part": "refund-rows" }),
        h("p", { "data-part": "refund-words" }, backWords(refund)),
        refund.restated
          ? h(
              "p",
              { class: "note" },
              gettext("Later bills of this person count anew by the area's rules; what that changes is in these amounts."),
            )
          : null,
        shareList({ ...refund, ...sums(refund) }),
        h("div", { "data-part": "refund-ways" }),
        some ? h("p", { class: "total", "data-part": "remaining" }, h("span", {}, gettext("Left of the settlement")), h("span", {}, yuan(refund.remaining_fen))) : null,
        this.next || some
          ? h(
              "div",
              { class: "actions" },
              this.next
                ? h("button", { type: "button", class: "big", "data-part": "next", onclick: this.next }, gettext("Next person"))
                : null,
              some
                ? h("button", { type: "button", class: "danger", "data-part": "refund", onclick: () => this.#askRefund(refund) }, gettext("Return more"))
                : null,
            )
          : null,
      ),
    );
    heading.focus({ preventScroll: true });
    this.#refundWays(refund, part(this.root, "refund-rows"), part(this.root, "refund-ways"));
  }

  /** Which lines a part was; and where the cash part had been paid in another way than cash, what goes
   * back which way. */
  async #refundWays(refund, rows, ways) {
    try {
      const whole = await read(lookUrl("settlement", { settlement_id: refund.settlement_id }));
      if (refund.total_fen !== whole.total_fen) rows.replaceChildren(partsList(refund.lines, whole));
      if (!whole.quote_id) return;
      const some = await showWayBack(ways, whole.quote_id, { refundId: refund.refund_id });
      if (some && ways.isConnected) part(this.root, "refund-words").textContent = gettext("Each payer gets its part back.");
    } catch (error) {
      ways.replaceChildren(h("p", { class: "note warn" }, error.message));
    }
  }
}

/** What the till does with the cash part: it hands it back, or takes it where the rest is dearer. */
function backWords(refund) {
  const { cash_fen: cash } = sums(refund);
  if (cash < 0) return interpolate(gettext("What remains costs more: take %s in cash."), [yuan(-cash)]);
  return cash ? gettext("Each payer gets its part back; hand back the cash.") : gettext("Each payer gets its part back.");
}

function refundedWords(settlement) {
  const words = `${gettext("Refunded")} ${yuan(settlement.refunded_fen)}`;
  return left(settlement) ? `${words} · ${gettext("Left")} ${yuan(left(settlement))}` : words;
}
