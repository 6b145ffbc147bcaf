// The dialog that asks what of a settlement comes back, and why: all that is left of it, or chosen
// lines. What it sends is the API's own; a refusal that names a line is said at that line.

import { lookUrl, read } from "./calls.js";
import { fault, h, part } from "./dom.js";
import { left, yuan } from "./money.js";
import { RefundLine } from "./refund-line.js";

// Fewer lines are seen at a glance.
const FINDABLE = 8;

export class RefundDialog {
  /** `send(body, settlement)` is called with a refund that somebody confirmed. */
  constructor(dialog, { send }) {
    this.dialog = dialog;
    this.send = send;
    this.form = dialog.querySelector("form");
    this.reason = this.form.elements.reason;
    this.find = part(dialog, "refund-find");
    this.list = part(dialog, "refund-lines");
    this.settlement = null;
    this.lines = [];
    this.sent = [];
    this.opening = false;
    part(dialog, "cancel").addEventListener("click", () => dialog.close());
    for (const choice of this.form.elements.extent) choice.addEventListener("change", () => this.#extent());
    this.find.addEventListener("input", () => this.#narrow());
    this.find.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.isComposing) return;
      // A scanner ends with Enter, and must not send the refund.
      event.preventDefault();
      this.#scanned(this.find.value.trim());
    });
    this.reason.addEventListener("input", () => fault(this.reason, ""));
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
  }

  /** Ask about a settlement as it stands now. Throws Refused or Unreachable. */
  async open(settlementId) {
    if (this.opening || this.dialog.open) return;
    this.opening = true;
    try {
      this.settlement = await read(lookUrl("settlement", { settlement_id: settlementId }));
    } finally {
      this.opening = false;
    }
    this.lines = this.settlement.lines.map((line) => new RefundLine(line, () => this.#sum()));
    this.list.replaceChildren(...this.lines.map((one) => one.element));
    part(this.dialog, "refund-find-field").hidden = this.lines.length < FINDABLE && !this.settlement.lines.some((line) => line.trace_codes.length);
    part(this.dialog, "amount").textContent = yuan(left(this.settlement));
    this.form.reset();
    this.find.value = "";
    this.#narrow();
    fault(this.reason, "");
    this.#extent();
    this.dialog.showModal();
  }

  /**
   * Say a refusal at the field that is to blame, with the dialog as it was. Answers whether there is
   * such a field: after a reload there is none.
   */
  async blame(error, body) {
    const { param = "", problem } = error.problem;
    const words = problem || error.message;
    if (this.settlement?.settlement_id !== body.settlement_id) return false;
    const place = /^lines(?:\[(\d+)\].*)?$/.exec(param);
    if (param === "reason") {
      fault(this.reason, words);
    } else if (body.lines && place) {
      // Somebody may have returned some of it at another till meanwhile.
      if (error.code === "refund_too_much") await this.#renew();
      const line = place[1] === undefined ? null : this.sent[Number(place[1])];
      if (line) line.blame(words);
      else fault(this.list, words);
    } else {
      return false;
    }
    if (!this.dialog.open) this.dialog.showModal();
    this.dialog.querySelector(".field-error:not([hidden])").scrollIntoView({ block: "nearest" });
    return true;
  }

  get #inParts() {
    return this.form.elements.extent.value === "parts";
  }

  #extent() {
    part(this.dialog, "refund-parts").hidden = !this.#inParts;
    fault(this.list, "");
    this.#sum();
  }

  #sum() {
    if (this.#inParts) fault(this.list, "");
    const fen = this.lines.reduce((sum, line) => sum + line.fen, 0);
    part(this.dialog, "refund-sum").textContent = yuan(fen);
  }

  #narrow() {
    const words = this.find.value.trim();
    for (const line of this.lines) line.element.hidden = !line.isChosen && !line.fits(words);
  }

  /** A pack under the scanner, or a line found by its name. */
  #scanned(text) {
    if (!text) return;
    const line = this.lines.find((one) => one.tick(text));
    if (line) {
      this.find.value = "";
      this.#narrow();
      return line.element.scrollIntoView({ block: "nearest" });
    }
    const found = this.lines.filter((one) => one.fits(text) && !one.box.disabled);
    if (found.length) return found[0].box.focus();
    fault(this.list, interpolate(gettext("No line and no pack of this settlement fits “%s”."), [text]));
    this.find.select();
  }

  #submit() {
    const { settlement } = this;
    const body = { settlement_id: settlement.settlement_id, reason: this.reason.value.trim() };
    if (this.#inParts) {
      const lines = this.#read();
      if (!lines) return;
      body.lines = lines;
    }
    if (!body.reason) {
      fault(this.reason, gettext("Enter the reason."));
      return this.reason.focus();
    }
    this.dialog.close();
    this.send(body, settlement);
  }

  /** The chosen lines as the API takes them, or null after saying what is wrong. */
  #read() {
    this.sent = this.lines.filter((line) => line.isChosen);
    if (!this.sent.length) {
      fault(this.list, gettext("Choose the lines that come back."));
      this.lines.find((line) => !line.box.disabled)?.focus();
      return null;
    }
    const read = this.sent.map((line) => line.read());
    const wrong = read.indexOf(null);
    if (wrong < 0) return read;
    this.sent[wrong].element.hidden = false;
    this.sent[wrong].focus();
    return null;
  }

  async #renew() {
    try {
      const { settlement_id: id } = this.settlement;
      this.settlement = await read(lookUrl("settlement", { settlement_id: id }));
      this.lines.forEach((line, index) => line.renew(this.settlement.lines[index]));
      part(this.dialog, "amount").textContent = yuan(left(this.settlement));
    } catch {
      // The refusal is said all the same.
    }
  }
}

/** What came back, line by line, as a list; `lines` of a refund or of its request. */
export function partsList(lines, settlement) {
  return h(
    "ul",
    { class: "rows refund-rows" },
    lines.map((one) => {
      const line = settlement.lines.find((other) => other.no === one.no);
      const goods = one.quantity && one.quantity !== "0" ? `× ${one.quantity}` : gettext("an amount, no goods");
      const fen = one.amount_fen;
      return h(
        "li",
        { class: "row" },
        h(
          "div",
          { class: "row-head" },
          h("span", { class: "refund-name" }, h("span", {}, line?.name ?? ""), h("span", { class: "muted small" }, goods)),
          fen === undefined ? null : h("span", { class: "num-cell" }, yuan(fen)),
        ),
        one.trace_codes?.length ? h("p", { class: "small muted whole-number" }, one.trace_codes.join(", ")) : null,
      );
    }),
  );
}
