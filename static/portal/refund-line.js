// A line of the refund's dialog: whether it comes back, how much of it, which packs, or an amount
// without goods. It knows its own faults and no act.

import { fault, h } from "./dom.js";
import { fenBack, plainYuan, quantityText, scaled, yuan } from "./money.js";

const ONE = 10000n;

export class RefundLine {
  /** `line` as the settlement's record tells it; `changed()` is called at every choice. */
  constructor(line, changed) {
    this.changed = changed;
    this.box = h("input", { type: "checkbox", autocomplete: "off", onchange: () => this.#chosen() });
    this.left = h("span", { class: "muted small" });
    this.fields = h("div", { class: "refund-fields", hidden: true });
    this.error = h("p", { class: "field-error", id: `refund-line-${line.no}`, role: "alert", hidden: true });
    this.element = h(
      "li",
      { class: "refund-line", "data-line": line.no },
      h(
        "label",
        { class: "choice" },
        this.box,
        h("span", { class: "refund-name" }, h("span", {}, line.name || line.code || line.national_code), this.left),
      ),
      this.fields,
      this.error,
    );
    this.renew(line);
  }

  get no() {
    return this.line.no;
  }

  get isChosen() {
    return this.box.checked;
  }

  /** What is left is another than was shown. */
  renew(line) {
    this.line = line;
    const none = line.remaining_fen <= 0;
    this.box.disabled = none;
    if (none && this.isChosen) this.#choose(false);
    this.left.textContent = none
      ? gettext("nothing left")
      : interpolate(gettext("left: %s · %s"), [line.remaining_quantity, yuan(line.remaining_fen)]);
    this.#drawPacks();
  }

  /** Whether its name or number has the words in it. */
  fits(words) {
    return `${this.line.name} ${this.line.code} ${this.line.national_code}`.toLowerCase().includes(words.toLowerCase());
  }

  /** Choose it and tick one of its packs; false where it has no such pack. */
  tick(code) {
    if (!this.line.trace_codes.includes(code)) return false;
    if (!this.isChosen) this.#choose(true);
    const pack = this.#packs().find((one) => one.value === code);
    pack.checked = true;
    this.#ticked();
    return true;
  }

  /** What of it comes back in fen, as far as that can be said; 0 where it is not chosen. */
  get fen() {
    if (!this.isChosen) return 0;
    if (this.#isMoney) return this.#amount() ?? 0;
    const e4 = scaled(this.field.value, 4);
    return e4 ? fenBack(this.line, e4) ?? 0 : 0;
  }

  /** The line as the API takes it back, or null after saying at the field what is wrong. */
  read() {
    const wrong = this.#isMoney ? this.#wrongAmount() : this.#wrongQuantity() || this.#wrongPacks();
    this.blame(wrong);
    if (wrong) return null;
    if (this.#isMoney) return { no: this.no, amount_fen: this.#amount() };
    const ticked = this.#ticks();
    const body = { no: this.no, quantity: quantityText(scaled(this.field.value, 4)) };
    return ticked.length ? { ...body, trace_codes: ticked } : body;
  }

  /** Say what is wrong with it; an empty text takes it away. */
  blame(text) {
    if (this.field) return fault(this.field, text);
    this.error.hidden = !text;
    this.error.textContent = text;
  }

  focus() {
    (this.field ?? this.box).focus();
  }

  get #isMoney() {
    return this.way.value === "amount";
  }

  #amount() {
    const fen = scaled(this.field.value, 2);
    return fen ? Number(fen) : null;
  }

  /** Whether every piece that is left has its own code: then the packs are the quantity. */
  get #eachCoded() {
    return scaled(this.line.remaining_quantity, 4) === BigInt(this.line.trace_codes.length) * ONE;
  }

  #choose(chosen) {
    this.box.checked = chosen;
    this.#chosen();
  }

  #chosen() {
    this.blame("");
    if (this.isChosen && !this.field) this.#build();
    this.fields.hidden = !this.isChosen;
    this.changed();
  }

  #build() {
    const { line } = this;
    this.way = h(
      "select",
      { autocomplete: "off", "aria-label": interpolate(gettext("What comes back of %s"), [line.name]), onchange: () => this.#wayChosen() },
      h("option", { value: "goods" }, gettext("Goods")),
      h("option", { value: "amount" }, gettext("Amount only")),
    );
    this.field = h("input", {
      inputmode: "decimal",
      autocomplete: "off",
      maxlength: 20,
      "aria-describedby": this.error.id,
      oninput: () => this.#typed(),
    });
    this.sum = h("span", { class: "amount" });
    this.packs = h("fieldset", { class: "refund-packs" });
    this.fields.replaceChildren(h("div", { class: "refund-what" }, this.way, this.field, this.sum), this.packs);
    this.#drawPacks();
    this.#wayChosen();
  }

  #drawPacks() {
    if (!this.packs) return;
    const ticked = this.#ticks();
    this.packs.replaceChildren(
      h("legend", {}, gettext("Packs that come back")),
      ...this.line.trace_codes.map((code) =>
        h(
          "label",
          { class: "choice" },
          h("input", {
            type: "checkbox",
            autocomplete: "off",
            value: code,
            checked: ticked.includes(code) || (this.#eachCoded && this.line.trace_codes.length === 1),
            onchange: () => this.#ticked(),
          }),
          h("span", { class: "whole-number" }, code),
        ),
      ),
    );
    this.#showPacks();
    this.#show();
  }

  #packs() {
    return this.packs ? [...this.packs.querySelectorAll("input")] : [];
  }

  #ticks() {
    return this.#packs().filter((one) => one.checked).map((one) => one.value);
  }

  #showPacks() {
    this.packs.hidden = this.#isMoney || !this.line.trace_codes.length;
  }

  #wayChosen() {
    const money = this.#isMoney;
    const { line } = this;
    this.field.setAttribute(
      "aria-label",
      interpolate(money ? gettext("Amount of %s in yuan") : gettext("Quantity of %s"), [line.name]),
    );
    this.field.placeholder = money ? `≤ ${plainYuan(line.remaining_fen)}` : `≤ ${line.remaining_quantity}`;
    // Of several packs somebody says which; their number is the quantity.
    const open = money || (this.#eachCoded && line.trace_codes.length > 1);
    this.field.value = open ? "" : line.remaining_quantity;
    this.#showPacks();
    if (open && !money) this.#ticked();
    else this.#show();
  }

  #ticked() {
    this.blame("");
    const count = this.#ticks().length;
    if (this.#eachCoded) this.field.value = count ? String(count) : "";
    this.#show();
  }

  #typed() {
    this.blame("");
    // All that is left brings all of its packs.
    if (!this.#isMoney && this.#eachCoded && scaled(this.field.value, 4) === scaled(this.line.remaining_quantity, 4)) {
      for (const pack of this.#packs()) pack.checked = true;
    }
    this.#show();
  }

  #show() {
    this.sum.textContent = this.#isMoney || !this.fen ? "" : yuan(this.fen);
    this.changed();
  }

  #wrongAmount() {
    const fen = this.#amount();
    if (!fen) return gettext("Enter the amount in yuan, at most two decimals.");
    if (fen > this.line.remaining_fen) return interpolate(gettext("Only %s are left of this line."), [yuan(this.line.remaining_fen)]);
    return "";
  }

  #wrongQuantity() {
    const { line } = this;
    if (this.#eachCoded && !this.field.value && line.trace_codes.length) return gettext("Tick the packs that come back.");
    const e4 = scaled(this.field.value, 4);
    if (!e4) return gettext("Enter a quantity above 0, at most four decimals.");
    if (e4 > scaled(line.remaining_quantity, 4)) return interpolate(gettext("Only %s are left of this line."), [line.remaining_quantity]);
    if (fenBack(line, e4) === null) {
      return interpolate(gettext("Only %s are left of this line: return it whole, or less."), [yuan(line.remaining_fen)]);
    }
    return "";
  }

  #wrongPacks() {
    const { trace_codes: codes, remaining_quantity: left } = this.line;
    if (!codes.length) return "";
    const e4 = scaled(this.field.value, 4);
    const ticked = this.#ticks().length;
    const most = Number((e4 + ONE - 1n) / ONE);
    const isRest = e4 === scaled(left, 4);
    if (this.#eachCoded && ticked !== most) {
      return interpolate(gettext("Packs to tick for this quantity: %s. Ticked: %s."), [most, ticked]);
    }
    if (!isRest && !ticked) return gettext("Tick the packs that come back.");
    if (ticked > most) return gettext("More packs are ticked than the quantity says.");
    return "";
  }
}
