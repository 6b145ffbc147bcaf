// A quote and what becomes of it: the shares, the reason a line, the countdown, the settlement and
// its refund. The same on every counter.

import { Intent, lookUrl, read, serverNow } from "./calls.js";
import { dayAndTime, h, part, say, timeOfDay } from "./dom.js";
import { yuan } from "./money.js";
import { payer, reason, state } from "./words.js";

const FAST_MS = 700;
const SLOW_MS = 5000;

/** Who pays what, cash last and largest. */
export function shareList(answer) {
  const shares = answer.shares.filter((share) => share.payer !== "cash");
  const row = (name, fen, kind = "") =>
    h("div", { class: `share ${kind}` }, h("dt", {}, payer(name)), h("dd", {}, yuan(fen)));
  for (const always of ["pool", "account"]) {
    if (!shares.some((share) => share.payer === always)) {
      shares.push({ payer: always, amount_fen: always === "pool" ? answer.pool_fen : answer.account_fen });
    }
  }
  const order = ["pool", "account"];
  shares.sort((a, b) => rank(order, a.payer) - rank(order, b.payer));
  return h(
    "dl",
    { class: "shares" },
    shares.map((share) => row(share.payer, share.amount_fen)),
    row("cash", answer.cash_fen, "cash"),
  );
}

// Funds first, then the person's own account, then what relatives add to it.
const LAST = { account: 99, relative_account: 100 };
const rank = (order, name) => LAST[name] ?? (order.includes(name) ? order.indexOf(name) : 50);

/** What a package pays the hospital, where it leaves the shares of the bill alone. */
function hospitalPayment(answer) {
  const fen = answer.hospital_payment_fen;
  if (fen === null || fen === undefined) return null;
  return h(
    "p",
    { class: "note", "data-part": "hospital-payment" },
    interpolate(gettext("For this package the hospital is paid %s by the fund. It does not change who pays the bill."), [yuan(fen)]),
  );
}

function lineList(answer) {
  return h(
    "ul",
    { class: "bill-lines" },
    (answer.lines ?? []).map((line) =>
      h(
        "li",
        {},
        h("div", { class: "row-head" }, h("span", {}, line.name), h("span", { class: "num-cell" }, yuan(line.amount_fen))),
        h(
          "p",
          { class: "small muted" },
          `${gettext("in range")} ${yuan(line.in_range_fen ?? 0)}`,
          line.reason || line.mapped === false
            ? ` · ${line.mapped === false ? reason("unmapped") : reason(line.reason)}`
            : "",
        ),
      ),
    ),
  );
}

function explanation(answer) {
  if (!answer.explanation?.length) return null;
  return h(
    "details",
    { open: true },
    h("summary", {}, gettext("How this was worked out")),
    h("ul", { class: "small" }, answer.explanation.map((sentence) => h("li", {}, sentence))),
  );
}

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
    this.next = next;
    this.line = part(root, "state");
    this.button = part(root, "quote");
    this.quote = null;
    this.busy = false;
    this.button.addEventListener("click", () => this.ask());
    part(root, "estimate")?.addEventListener("click", () => this.estimate());
    part(root, "confirm").addEventListener("click", () => this.confirm());
    part(root, "withdraw").addEventListener("click", () => this.release());
    setInterval(() => this.#count(), 250);
  }

  /** The bill was changed: what was quoted before no longer holds here. */
  stale() {
    if (this.quote) say(this.line, gettext("The bill was changed: ask for a new quote."), "warn");
    // What was wrong with the bill before may be put right by the change.
    else if (!this.busy) say(this.line, "");
    this.#forget();
    this.#result(null);
  }

  reset() {
    if (this.quote) this.#letGo(this.quote);
    this.#forget();
    this.#result(null);
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
      part(this.root, "confirm").textContent = quote.cash_fen
        ? interpolate(gettext("Cash %s received: settle"), [yuan(quote.cash_fen)])
        : gettext("Settle");
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
      this.#result(settlement);
      this.settled(settlement);
    } catch (error) {
      this.#forget();
      say(this.line, `${error.message} ${gettext("Nothing was settled: ask for a new quote.")}`, "bad");
    } finally {
      this.#lock(false);
    }
  }

  async release() {
    if (this.busy || !this.quote) return;
    this.#letGo(this.quote);
    this.#forget();
    say(this.line, gettext("The quote was withdrawn. Change the bill or ask again."));
  }

  /** Send a refund's intent to its definite end. */
  async refund(intent, settlement) {
    this.#lock(true);
    say(this.line, gettext("Refunding…"));
    try {
      const refund = await intent.send({ doubt: this.#doubt });
      say(this.line, "");
      this.#refundResult(refund);
      this.refunded(refund, settlement);
    } catch (error) {
      part(this.root, "waiting")?.remove();
      if (error.code !== "refund_needs_approval") return say(this.line, error.message, "bad");
      say(this.line, "");
      this.#waits(error, intent, settlement);
    } finally {
      this.#lock(false);
    }
  }

  /** Show a settlement that was made before, as it stands now. */
  show(settlement) {
    this.#forget();
    this.#result(settlement);
  }

  /** Take up what a reload interrupted. Answers whether there was anything. */
  resume() {
    const intent = Intent.interrupted();
    if (!intent) return false;
    say(this.line, gettext("Checking what became of the last act before the page was reloaded…"), "warn");
    if (intent.operation === "refund") this.refund(intent, null);
    else this.settle(intent);
    return true;
  }

  #doubt = (words) => say(this.line, words, "warn");

  async #work(act) {
    if (this.busy) return;
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
    this.locked(busy);
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
    part(this.root, "figures").replaceChildren();
    part(this.root, "details").replaceChildren();
    part(this.root, "decide").hidden = true;
    part(this.root, "ask").hidden = part(this.root, "result").hasChildNodes();
  }

  #count() {
    if (!this.quote) return;
    const left = Date.parse(this.quote.expires_at) - serverNow();
    if (left <= 0 && !this.busy) {
      this.#forget();
      return say(this.line, gettext("The quote has ended. Ask for a new one."), "warn");
    }
    part(this.root, "left").textContent = interpolate(gettext("Held for another %s s"), [Math.max(0, Math.ceil(left / 1000))]);
    part(this.root, "bar").value = Math.max(0, left / this.whole);
  }

  #result(settlement) {
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
        settlement.account_balance_fen === undefined
          ? h("p", { class: "muted" }, `${state("accepted")} · ${dayAndTime(settlement.accepted_at)}`)
          : h("p", { class: "muted" }, `${gettext("Left on the account")} ${yuan(settlement.account_balance_fen)}`),
        settlement.refunded_fen ? h("p", { class: "tag warn" }, `${gettext("Refunded")} ${yuan(settlement.refunded_fen)}`) : null,
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

  #askRefund(settlement) {
    const dialog = part(this.root, "refund-dialog");
    const form = dialog.querySelector("form");
    part(dialog, "amount").textContent = yuan(left(settlement));
    form.onsubmit = (event) => {
      event.preventDefault();
      const reasonText = form.elements.reason.value.trim();
      if (!reasonText) return form.elements.reason.focus();
      dialog.close();
      const body = { settlement_id: settlement.settlement_id, reason: reasonText };
      this.refund(new Intent("refund", body, { lasting: true }), settlement);
    };
    part(dialog, "cancel").onclick = () => dialog.close();
    dialog.showModal();
  }

  /** The fund has to decide first: until when, and how to go on. What is sent again is the same. */
  #waits(refused, intent, settlement) {
    const { approval_id: number, since } = refused.problem;
    const heading = h("h2", { tabindex: "-1" }, gettext("The refund waits for the fund"));
    const again = () => this.refund(new Intent("refund", JSON.parse(intent.text), { lasting: true }), settlement);
    part(this.root, "result").append(
      h(
        "div",
        { class: "card waiting-card", "data-part": "waiting" },
        heading,
        h("p", {}, refused.message),
        h("p", { class: "small muted" }, interpolate(gettext("Waiting since %s. Last asked at %s."), [dayAndTime(since), timeOfDay(serverNow())])),
        h("p", { class: "small muted whole-number" }, `${gettext("Number of the approval")} ${number}`),
        h(
          "div",
          { class: "actions" },
          h("button", { type: "button", "data-part": "again", onclick: again }, gettext("Send the refund again")),
          location.pathname === RETURNS
            ? null
            : h("a", { class: "slip-link", "data-part": "later", href: laterUrl(intent) }, gettext("To send it later: this address")),
        ),
      ),
    );
    heading.focus({ preventScroll: true });
    part(this.root, "waiting").scrollIntoView({ block: "nearest" });
  }

  #refundResult(refund) {
    clearTimeout(this.watching);
    part(this.root, "ask").hidden = true;
    const heading = h("h2", { tabindex: "-1" }, gettext("Refunded"));
    part(this.root, "result").replaceChildren(
      h(
        "div",
        { class: "card refunded-card", "data-refund": refund.refund_id },
        heading,
        h("p", { class: "figure" }, yuan(refund.total_fen)),
        h("p", {}, gettext("Each payer gets its part back; hand back the cash.")),
        refund.restated.length
          ? h(
              "p",
              { class: "note" },
              gettext("Later bills of this person count anew by the area's rules; what that changes is in these amounts."),
            )
          : null,
        shareList({ ...refund, ...sums(refund) }),
        this.next
          ? h(
              "div",
              { class: "actions" },
              h("button", { type: "button", class: "big", "data-part": "next", onclick: this.next }, gettext("Next person")),
            )
          : null,
      ),
    );
    heading.focus({ preventScroll: true });
  }
}

/** Where the settlement of a refund's intent is found again. */
const RETURNS = "/counter/returns/";
const laterUrl = (intent) => `${RETURNS}?settlement=${JSON.parse(intent.text).settlement_id}`;

/** What is left of a settlement, in fen; one that was just made has nothing returned yet. */
const left = (settlement) => settlement.total_fen - (settlement.refunded_fen ?? 0);

/** A refund's answer names shares only; the panel wants the three sums too. */
function sums(refund) {
  const of = (name) => refund.shares.find((share) => share.payer === name)?.amount_fen ?? 0;
  return { pool_fen: of("pool"), account_fen: of("account"), cash_fen: of("cash") };
}
