// A quote and what becomes of it: the shares, the countdown, how it is paid, the settlement and its
// refund. The same on every counter.

import { explanation, hospitalPayment, lineList, shareList } from "./bill-view.js";
import { Intent, Refused, serverNow } from "./calls.js";
import { h, part, say } from "./dom.js";
import { yuan } from "./money.js";
import { Outcome } from "./outcome.js";
import { forgetRefused } from "./refund-refused.js";
import { Tenders, forgetKept, inYuan, keptQuote, recordOf, showWayBack } from "./tender.js";
import { payer } from "./words.js";

export class Bill {
  /**
   * The panel with quote, confirmation and result. `body()` gives the bill to send, or a text that
   * says what is missing; `settled(settlement)` and `next()` tell the page; `locked(busy)` tells it that
   * an act is under way, during which the bill must stay as it is; `refused(error)` lets it show a
   * refusal at the field that is to blame, and answers what to say here instead, if anything.
   */
  constructor(
    root,
    { body, settled = () => {}, refunded = () => {}, locked = () => {}, refused = () => "", next = null },
  ) {
    this.root = root;
    this.body = body;
    this.settled = settled;
    this.refunded = refunded;
    this.locked = locked;
    this.refused = refused;
    this.outcome = new Outcome(root, {
      next,
      refund: (intent, settlement) => this.refund(intent, settlement),
      tell: (words, kind) => say(this.line, words, kind),
    });
    this.line = part(root, "state");
    this.button = part(root, "quote");
    this.quote = null;
    this.busy = false;
    this.tenders = new Tenders(part(root, "tender"), {
      changed: () => this.#gate(),
      ended: (quoteId) => this.#ended(quoteId, gettext("The quote has ended.")),
      work: async (act) => {
        if (this.busy) return;
        this.#lock(true);
        try {
          await act();
        } finally {
          this.#lock(false);
        }
      },
    });
    this.button.addEventListener("click", () => this.ask());
    part(root, "estimate")?.addEventListener("click", () => this.estimate());
    part(root, "confirm").addEventListener("click", () => this.confirm());
    part(root, "withdraw").addEventListener("click", () => this.release());
    setInterval(() => this.#count(), 250);
  }

  /** The field that wants a scanned payment code now, or null. */
  get scanField() {
    return this.quote && !this.busy ? this.tenders.scanField : null;
  }

  /** The bill was changed: what was quoted before no longer holds here. */
  stale() {
    if (this.quote) say(this.line, gettext("The bill was changed: ask for a new quote."), "warn");
    // What was wrong with the bill before may be put right by the change.
    else if (!this.busy) say(this.line, "");
    this.#forget();
    this.outcome.show(null);
  }

  reset() {
    if (this.quote && this.tenders.engaged) {
      this.release();
    } else if (this.quote) {
      this.#letGo(this.quote);
    }
    this.#forget();
    this.outcome.show(null);
    say(this.line, "");
  }

  async estimate() {
    await this.#work(async (body) => {
      this.#forget();
      const answer = await new Intent("estimate", body).send({ doubt: this.#doubt });
      this.#figures(answer, h("p", { class: "note" }, gettext("An estimate: nothing is reserved yet.")));
    });
  }

  async ask() {
    await this.#work(async (body) => {
      this.#forget();
      const quote = await new Intent("quote", body).send({ doubt: this.#doubt });
      this.quote = quote;
      this.whole = Math.max(Date.parse(quote.expires_at) - serverNow(), 1000);
      this.#figures(quote);
      part(this.root, "ask").hidden = true;
      part(this.root, "decide").hidden = false;
      this.tenders.start(quote);
      this.#count();
      // Not the button: a scan that arrives now must not press it.
      const heading = part(this.root, "heading");
      heading.focus({ preventScroll: true });
      heading.scrollIntoView({ block: "nearest" });
    });
  }

  async confirm() {
    if (this.busy || !this.quote) return;
    const { quote_id: quoteId, cash_fen: cashFen } = this.quote;
    await this.settle(new Intent("settle", { quote_id: quoteId, cash_fen: cashFen }, { lasting: true }));
  }

  /** Send a settlement's intent, a new one or one that a reload interrupted, to its definite end. */
  async settle(intent) {
    this.#lock(true);
    say(this.line, gettext("Settling…"));
    try {
      const settlement = await intent.send({ doubt: this.#doubt });
      say(this.line, "");
      this.#forget();
      forgetKept();
      this.outcome.show(settlement);
      this.settled(settlement);
    } catch (error) {
      await this.#refused(error);
    } finally {
      this.#lock(false);
    }
  }

  /** A settlement was refused. Where money was taken, the record says whether it may still be mended. */
  async #refused(error) {
    const quoteId = this.tenders.engaged ? this.quote.quote_id : keptQuote();
    if (!quoteId) {
      this.#forget();
      return say(this.line, `${error.message} ${gettext("Nothing was settled: ask for a new quote.")}`, "bad");
    }
    try {
      const record = this.quote ? await this.tenders.look() : await recordOf(quoteId);
      if (record.quote_state === "live") {
        if (!this.quote) this.#takeUp(record);
        return say(this.line, inYuan(error), "bad");
      }
    } catch {
      // Shown as ended: what was taken is read again there.
    }
    await this.#ended(quoteId, error.message);
  }

  /** The quote has ended without a settlement; say what of it goes back. */
  async #ended(quoteId, why) {
    this.#forget();
    this.locked(this.busy);
    say(this.line, `${why} ${gettext("Nothing was settled: ask for a new quote.")}`, "bad");
    await this.#wayBack(quoteId);
  }

  async #wayBack(quoteId) {
    const place = part(this.root, "going-back");
    try {
      const some = await showWayBack(place, quoteId, { done: () => say(this.line, "") });
      // Until somebody has seen to it, a reload shows it again.
      if (!some) forgetKept();
      else part(place, "seen-to").addEventListener("click", forgetKept);
    } catch {
      place.replaceChildren(
        h(
          "p",
          { class: "note warn" },
          gettext("What was taken goes back, but which part which way is not known without the network."),
          " ",
          h("button", { type: "button", class: "quiet", onclick: () => this.#wayBack(quoteId) }, gettext("Ask again")),
        ),
      );
    }
  }

  async release() {
    if (this.busy || !this.quote) return;
    const quote = this.quote;
    if (!this.tenders.engaged) {
      this.#letGo(quote);
      this.#forget();
      return say(this.line, gettext("The quote was withdrawn. Change the bill or ask again."));
    }
    this.#lock(true);
    try {
      await new Intent("release", {}, { query: { quote_id: quote.quote_id }, lasting: true, stored: false }).send({ doubt: this.#doubt });
    } catch {
      // It has ended in another way; the record says how.
    } finally {
      this.#forget();
      this.#lock(false);
    }
    say(this.line, gettext("The quote was withdrawn. Change the bill or ask again."));
    await this.#wayBack(quote.quote_id);
  }

  /** Send a refund's intent to its definite end. */
  async refund(intent, settlement) {
    if (this.busy) return;
    this.#lock(true);
    forgetRefused(this.root);
    say(this.line, gettext("Refunding…"));
    try {
      const refund = await intent.send({ doubt: this.#doubt });
      say(this.line, "");
      this.outcome.showRefund(refund);
      this.refunded(refund, settlement);
    } catch (error) {
      const shown = error instanceof Refused && (await this.outcome.showRefused(error, intent, settlement));
      say(this.line, shown ? "" : error.message, "bad");
    } finally {
      this.#lock(false);
    }
  }

  /** Show a settlement that was made before, as it stands now. */
  show(settlement) {
    this.#forget();
    this.outcome.show(settlement);
  }

  /** Take up what a reload interrupted. Answers whether there was anything. */
  resume() {
    const intent = Intent.interrupted();
    if (!intent) return this.#resumePaying();
    say(this.line, gettext("Checking what became of the last act before the page was reloaded…"), "warn");
    if (intent.operation === "refund") this.refund(intent, null);
    else this.settle(intent);
    return true;
  }

  /** Money was being taken when the page was reloaded. */
  #resumePaying() {
    const quoteId = keptQuote();
    if (!quoteId) return false;
    say(this.line, gettext("Checking what became of the last act before the page was reloaded…"), "warn");
    this.#lock(true);
    recordOf(quoteId)
      .then(async (record) => {
        if (record.quote_state === "confirmed") {
          forgetKept();
          return say(this.line, gettext("It was settled before the page was reloaded."), "good");
        }
        if (record.quote_state !== "live") return this.#ended(quoteId, gettext("The quote has ended."));
        this.#takeUp(record);
        say(this.line, gettext("The page was reloaded while this was being paid. Finish it, or withdraw the quote."), "warn");
      })
      .catch((error) => say(this.line, error.message, "bad"))
      .finally(() => this.#lock(false));
    return true;
  }

  /** Go on with a quote of which only the record of its parts is left. */
  #takeUp(record) {
    this.quote = record;
    this.whole = Math.max(Date.parse(record.expires_at) - serverNow(), 1000);
    part(this.root, "figures").replaceChildren(
      h("dl", { class: "shares" }, h("div", { class: "share cash" }, h("dt", {}, payer("cash")), h("dd", {}, yuan(record.cash_fen)))),
    );
    part(this.root, "ask").hidden = true;
    part(this.root, "decide").hidden = false;
    this.tenders.resume(record);
    this.#count();
  }

  /** What the button that settles says, and whether it may be pressed. */
  #gate() {
    if (!this.quote) return;
    const button = part(this.root, "confirm");
    const { cash_fen: cash } = this.quote;
    const left = this.tenders.left;
    if (left === null) {
      button.textContent = cash ? interpolate(gettext("Cash %s received: settle"), [yuan(cash)]) : gettext("Settle");
    } else if (left > 0) {
      button.textContent = interpolate(gettext("%s still to be taken"), [yuan(left)]);
    } else {
      button.textContent = this.tenders.uncertain ? gettext("Waiting for the payment") : gettext("All is paid: settle");
    }
    button.disabled = this.busy || left > 0 || this.tenders.uncertain;
    // What was taken was taken for this bill as it is.
    this.locked(this.busy || this.tenders.engaged);
  }

  #doubt = (words) => say(this.line, words, "warn");

  async #work(act) {
    if (this.busy) return;
    if (part(this.root, "seen-to")) return say(this.line, gettext("See first to what goes back, below."), "warn");
    const body = this.body();
    if (typeof body === "string") return say(this.line, body, "warn");
    this.#lock(true);
    say(this.line, gettext("Working it out…"));
    try {
      await act(body);
      say(this.line, "");
    } catch (error) {
      const shown = this.refused(error);
      if (shown) return say(this.line, shown, "bad");
      const place = /^lines\[(\d+)\]/.exec(error.problem?.param ?? "");
      const where = place ? interpolate(gettext("Line %s"), [Number(place[1]) + 1]) : "";
      // Most refusals of a line name it themselves.
      const named = !where || error.message.startsWith(where);
      say(this.line, named ? error.message : `${where} · ${error.message}`, "bad");
    } finally {
      this.#lock(false);
    }
  }

  #lock(busy) {
    this.busy = busy;
    this.root.setAttribute("aria-busy", String(busy));
    for (const button of this.root.querySelectorAll("button")) button.disabled = busy;
    this.locked(busy || this.tenders.engaged);
    this.#gate();
  }

  #letGo(quote) {
    // Best effort: a quote that is not released ends by itself.
    new Intent("release", {}, { query: { quote_id: quote.quote_id } }).send().catch(() => {});
  }

  /** Who pays first, then the decision, then the reasons: a cashier reads in that order. */
  #figures(answer, note = null) {
    part(this.root, "figures").replaceChildren(
      ...[note, shareList(answer), hospitalPayment(answer)].filter(Boolean),
    );
    part(this.root, "details").replaceChildren(h("div", {}, lineList(answer), explanation(answer)));
  }

  #forget() {
    this.quote = null;
    this.tenders.stop();
    part(this.root, "figures").replaceChildren();
    part(this.root, "details").replaceChildren();
    part(this.root, "decide").hidden = true;
    part(this.root, "ask").hidden = part(this.root, "result").hasChildNodes();
  }

  #count() {
    if (!this.quote) return;
    const left = Date.parse(this.quote.expires_at) - serverNow();
    if (left <= 0 && !this.busy) {
      if (this.tenders.engaged) return void this.#ended(this.quote.quote_id, gettext("The quote has ended."));
      this.#forget();
      return say(this.line, gettext("The quote has ended. Ask for a new one."), "warn");
    }
    part(this.root, "left").textContent = interpolate(gettext("Held for another %s s"), [Math.max(0, Math.ceil(left / 1000))]);
    part(this.root, "bar").value = Math.max(0, left / this.whole);
  }
}
