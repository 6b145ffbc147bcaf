// How the cash part of a quote is paid: parts in several kinds of money, what is known of each, and
// what has to go back. A till that takes cash only never needs it. The server's record is the truth:
// it is read again after every act, and for as long as a part is not certain.

import { Intent, lookUrl, read } from "./calls.js";
import { h, part, say, timeOfDay } from "./dom.js";
import { kindOf, plain } from "./evidence.js";
import { scaled, yuan } from "./money.js";
import { tender as kindWord } from "./words.js";
import { Wedge } from "./wedge.js";

const POLL_MS = 2000;
// A quote with parts, so that a reload does not lose sight of money that was taken.
const KEPT = "paying-quote";
const COUNTS = ["received", "asked", "unknown", "authorised"];
const UNCERTAIN = ["asked", "unknown"];

export const recordOf = (quoteId) => read(lookUrl("tender", { quote_id: quoteId }));

/** The quote whose parts a reload may have interrupted, or "". */
export const keptQuote = () => sessionStorage.getItem(KEPT) ?? "";
export const forgetKept = () => sessionStorage.removeItem(KEPT);

/** A refusal in words for somebody at a till: what the server says in fen is said in yuan. */
export function inYuan(error) {
  const { left_fen: left, missing_fen: missing } = error.problem ?? {};
  if (error.code === "tender_exceeds") return interpolate(gettext("Only %s are left to take."), [yuan(left)]);
  if (error.code === "tender_incomplete") return interpolate(gettext("%s are still to be taken."), [yuan(missing)]);
  return error.message;
}

// Beside the other kinds it is the money in the hand; alone, "cash" is the whole part people pay.
const tender = (kind) => (kind === "cash" ? gettext("In cash") : kindWord(kind));

const STANDING = {
  received: () => [gettext("received"), "good"],
  asked: () => [gettext("not known yet"), "warn"],
  unknown: () => [gettext("not known yet"), "warn"],
  authorised: () => [gettext("paid"), "good"],
  declined: () => [gettext("declined, nothing was taken"), "bad"],
  capturing: () => [gettext("paid"), "good"],
  captured: () => [gettext("paid"), "good"],
  debt: () => [gettext("not collected: the payment service owes it to you"), "warn"],
  returning: () => [gettext("goes back by itself"), "warn"],
  returned: () => [gettext("given back"), ""],
};

function row(name, fen, words, kind = "") {
  return h(
    "li",
    { class: "row" },
    h("div", { class: "row-head" }, h("strong", {}, name), h("span", { class: "amount" }, yuan(fen))),
    h("p", {}, h("span", { class: `tag ${kind}` }, words)),
  );
}

/** Parts as a list: kind, amount, how each stands. */
export function partList(parts) {
  return h(
    "ul",
    { class: "rows parts" },
    parts.map((one) => {
      const [words, kind] = (STANDING[one.state] ?? (() => [one.state, ""]))();
      return row(tender(one.kind), one.amount_fen, words, kind);
    }),
  );
}

/** One way back as a row, and whether somebody at the till has to do it. */
function wayBack(one, fen, { state, byHand }) {
  const name = tender(one.kind);
  if (one.kind === "cash") return row(name, fen, gettext("hand it out in cash"), "bad");
  if (one.kind === "bank_card") return row(name, fen, gettext("return it on the card terminal"), "bad");
  if (byHand) return row(name, fen, gettext("hand it out in cash: the payment service has nothing of it"), "bad");
  if (state === "returned") return row(name, fen, gettext("is back"), "good");
  return row(name, fen, gettext("goes back by itself"), "warn");
}

/** What of an ended quote goes back, which way; empty where nothing was taken. */
function backOfQuote(record) {
  return record.parts
    .filter((one) => one.state !== "declined")
    .map((one) => wayBack(one, one.amount_fen, { state: one.state }));
}

/** What a refund sends back which way. Of a debt nothing was taken, so nothing goes back. */
function backOfRefund(record, refundId) {
  return record.parts.flatMap((one) => {
    if (one.state === "returning" || one.state === "returned") return [wayBack(one, one.amount_fen, { state: one.state })];
    return one.refunds
      .filter((refund) => refund.refund_id === refundId)
      .map((refund) =>
        one.state === "debt" && !refund.by_hand
          ? row(tender(one.kind), refund.amount_fen, gettext("was never taken: nothing to give back"))
          : wayBack(one, refund.amount_fen, { state: refund.state, byHand: refund.by_hand }),
      );
  });
}

const stillMoving = (record, refundId) =>
  record.parts.some(
    (one) =>
      one.state === "returning" ||
      (refundId === null && COUNTS.includes(one.state)) ||
      one.refunds.some((refund) => refund.refund_id === refundId && refund.state === "returning"),
  );

/**
 * Show in `place` what goes back of an ended quote, or of a refund, and follow it until all of it is
 * back. Answers whether there is anything. `done` is called when somebody has seen to it.
 */
export async function showWayBack(place, quoteId, { refundId = null, done = null } = {}) {
  let record = null;
  const list = h("div", { "aria-live": "polite" });
  const ways = () => (refundId === null ? backOfQuote(record) : backOfRefund(record, refundId));
  const draw = () => list.replaceChildren(h("ul", { class: "rows parts" }, ways()));
  const watch = async () => {
    if (!list.isConnected) return;
    try {
      record = await recordOf(quoteId);
      draw();
    } catch {
      // Asked again below.
    }
    if (stillMoving(record, refundId)) setTimeout(watch, POLL_MS);
  };
  record = await recordOf(quoteId);
  if (!ways().length) return false;
  draw();
  place.replaceChildren(
    h(
      "div",
      { class: "way-back", "data-part": "way-back" },
      h("h3", {}, refundId !== null ? gettext("The cash part goes back like this") : gettext("Nothing was settled: this goes back")),
      list,
      done
        ? h(
            "div",
            { class: "actions" },
            h(
              "button",
              {
                type: "button",
                "data-part": "seen-to",
                onclick: () => {
                  place.replaceChildren();
                  done();
                },
              },
              gettext("Seen to"),
            ),
          )
        : null,
    ),
  );
  if (stillMoving(record, refundId)) setTimeout(watch, POLL_MS);
  return true;
}

export class Tenders {
  /**
   * The parts of the quote on the screen. `changed()` is called whenever more is known; `ended(quoteId)`
   * when the quote has ended without a settlement; `work(act)` does an act while all else waits.
   */
  constructor(root, { changed, ended, work }) {
    this.root = root;
    this.changed = changed;
    this.ended = ended;
    this.work = work;
    this.form = part(root, "tender-form");
    this.line = part(root, "tender-state");
    this.amount = part(root, "tender-amount");
    this.code = part(root, "tender-code");
    this.slip = part(root, "tender-slip");
    this.record = null;
    this.code.wedge = new Wedge(this.code, (text) => this.#take(text), { keeps: true });
    this.form.addEventListener("change", () => this.#fields());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#way() === "code") this.code.wedge.submit();
      else this.#take("");
    });
    this.root.addEventListener("toggle", () => this.root.open && this.#focus());
  }

  /** Whether money was taken for the quote, or may have been. */
  get engaged() {
    return !!this.record?.parts.some((one) => COUNTS.includes(one.state));
  }

  /** What is still to be taken, in fen; null where the parts say nothing. */
  get left() {
    return this.engaged ? this.record.left_fen : null;
  }

  get uncertain() {
    return !!this.record?.parts.some((one) => UNCERTAIN.includes(one.state));
  }

  /** The field that wants a scanned payment code now, or null. */
  get scanField() {
    return this.root.open && this.root.checkVisibility() && this.#way() === "code" ? this.code : null;
  }

  start(quote) {
    this.stop();
    this.quote = quote;
    this.root.hidden = !quote.cash_fen;
    this.#show({ parts: [], left_fen: quote.cash_fen });
  }

  /** Take up a quote that a reload interrupted. */
  resume(record) {
    this.stop();
    this.quote = record;
    this.root.hidden = false;
    this.root.open = true;
    this.#show(record);
    this.#watch();
  }

  stop() {
    clearTimeout(this.watching);
    this.quote = null;
    this.record = null;
    this.root.open = false;
    this.code.wedge.clear();
    this.slip.value = "";
    say(this.line, "");
  }

  /** Read how the parts stand. Answers the record. Throws Refused or Unreachable. */
  async look() {
    const record = await recordOf(this.quote.quote_id);
    this.#show(record);
    return record;
  }

  #way() {
    return this.form.elements["tender-way"].value;
  }

  #focus() {
    const way = this.#way();
    (way === "code" ? this.code : way === "bank_card" ? this.slip : this.amount).focus();
  }

  #fields() {
    const way = this.#way();
    part(this.root, "tender-code-field").hidden = way !== "code";
    part(this.root, "tender-slip-field").hidden = way !== "bank_card";
    part(this.root, "tender-credit-note").hidden = way !== "credit";
  }

  #show(record) {
    this.record = record;
    part(this.root, "tender-parts").replaceChildren(...(record.parts.length ? [partList(record.parts)] : []));
    this.amount.value = `${Math.floor(record.left_fen / 100)}.${String(record.left_fen % 100).padStart(2, "0")}`;
    this.form.hidden = record.left_fen <= 0;
    this.#fields();
    const unsure = record.parts.find((one) => UNCERTAIN.includes(one.state));
    if (unsure) {
      say(
        this.line,
        interpolate(
          gettext("Not known yet whether %s by %s was paid. Do not take it again: it is asked about until %s, and goes back by itself if it stays so. To take it in another way, withdraw the quote first."),
          [yuan(unsure.amount_fen), tender(unsure.kind), timeOfDay(unsure.certain_by)],
        ),
        "warn",
      );
    } else if (record.parts.at(-1)?.state === "declined" && record.left_fen > 0) {
      say(this.line, interpolate(gettext("Declined. Take the %s in another way."), [yuan(record.left_fen)]), "bad");
    } else if (record.parts.length && record.left_fen > 0) {
      say(this.line, interpolate(gettext("%s are still to be taken."), [yuan(record.left_fen)]));
    } else {
      say(this.line, "");
    }
    if (record.expires_at) this.quote.expires_at = record.expires_at;
    this.changed();
  }

  /** Follow what is not certain, and notice when the quote has ended. */
  #watch() {
    clearTimeout(this.watching);
    const quote = this.quote;
    if (!quote || !this.uncertain) return;
    this.watching = setTimeout(async () => {
      try {
        const record = await recordOf(quote.quote_id);
        if (this.quote !== quote) return;
        if (record.quote_state !== "live") return this.ended(quote.quote_id);
        this.#show(record);
      } catch {
        // The network's trouble: asked again.
      }
      this.#watch();
    }, POLL_MS);
  }

  #part(text) {
    const fen = scaled(this.amount.value, 2);
    if (!fen) return gettext("Enter the amount in yuan, at most two decimals.");
    const amount = { amount_fen: Number(fen) };
    if (amount.amount_fen > this.record.left_fen) {
      return interpolate(gettext("Only %s are left to take."), [yuan(this.record.left_fen)]);
    }
    const way = this.#way();
    if (way === "bank_card") {
      const reference = plain(this.slip.value);
      if (!/^[0-9A-Za-z-]{6,40}$/.test(reference)) return gettext("Enter the number on the card slip: 6 to 40 letters and digits.");
      return { kind: "bank_card", ...amount, reference };
    }
    if (way !== "code") return { kind: way, ...amount };
    const code = plain(text);
    const kind = kindOf(code);
    if (kind === "code") return gettext("That is the medical insurance code. Scan the payment code of WeChat or Alipay.");
    if (kind !== "payment") return gettext("Scan the payment code on the customer's phone.");
    if (/^62/.test(code)) return gettext("This payment code is neither WeChat's nor Alipay's. Take it on the card terminal.");
    return { kind: code.startsWith("1") ? "wechat" : "alipay", ...amount, payment_code: code };
  }

  async #take(text) {
    if (!this.quote) return;
    const wanted = this.#part(text);
    if (typeof wanted === "string") {
      say(this.line, wanted, "warn");
      return this.#focus();
    }
    const quoteId = this.quote.quote_id;
    await this.work(async () => {
      // From now on a reload must find it.
      sessionStorage.setItem(KEPT, quoteId);
      say(this.line, interpolate(gettext("Asking for %s by %s…"), [yuan(wanted.amount_fen), tender(wanted.kind)]));
      // A payment code is worth money: it is kept in no storage, so the request outlives no reload.
      const intent = new Intent("tender", { parts: [wanted] }, { query: { quote_id: quoteId }, lasting: true, stored: false });
      let refusal = "";
      try {
        this.#show(await intent.send({ doubt: (words) => say(this.line, words, "warn") }));
        this.slip.value = "";
      } catch (error) {
        refusal = inYuan(error);
      }
      try {
        const record = await this.look();
        if (record.quote_state !== "live") return this.ended(quoteId);
      } catch {
        // What was answered is on the screen; what is not certain is asked for below.
      }
      if (refusal) say(this.line, refusal, "bad");
      if (!this.engaged) forgetKept();
    });
    if (this.quote) {
      this.#watch();
      if (this.record.left_fen > 0) this.#focus();
    }
  }
}
