// The lines of a bill before it is quoted: found by bar code, pinyin initials or name, with quantity
// and prescription reference, and with a price where the merchant's list has none. Amounts are worked
// out here and judged by the server.

import { h, part, say } from "./dom.js";
import { kindOf } from "./evidence.js";
import { ItemSearch } from "./item-search.js";
import { lineFen, scaled, yuan } from "./money.js";

const TYPING_MS = 120;

export class Basket {
  /** `changed()` is called whenever the lines change; `prescriptions` shows a reference field a line. */
  constructor(root, { changed, prescriptions = true, codeScanned = null }) {
    this.root = root;
    this.changed = changed;
    this.prescriptions = prescriptions;
    this.codeScanned = codeScanned;
    this.lines = [];
    this.search = new ItemSearch();
    this.found = [];
    this.active = -1;
    this.input = part(root, "search");
    this.list = part(root, "found");
    this.line = part(root, "state");
    this.input.addEventListener("input", () => this.#typed());
    this.input.addEventListener("compositionend", () => this.#typed());
    this.input.addEventListener("keydown", (event) => this.#key(event));
    // A press on an option does not take the focus away, so it comes before this.
    this.input.addEventListener("blur", () => this.#close());
    this.show();
  }

  focus() {
    this.input.focus();
  }

  clear() {
    this.lines = [];
    this.input.value = "";
    say(this.line, "");
    this.#close();
    this.show();
  }

  get totalFen() {
    return this.lines.reduce((sum, line) => sum + (lineFen(line.quantity, line.price) ?? 0), 0);
  }

  /** What keeps the lines from being billed, for the person at the counter; "" when nothing does. */
  get missing() {
    if (!this.lines.length) return gettext("Add at least one item.");
    if (this.lines.some((line) => lineFen("1", line.price) === null)) {
      return gettext("A price is missing: enter it on the marked line.");
    }
    return this.lines.every((line) => lineFen(line.quantity, line.price) !== null)
      ? ""
      : gettext("A quantity cannot be billed: correct the marked line.");
  }

  /** The lines in the shape of the terminal API. */
  forBill() {
    return this.lines.map(({ item, quantity, price, prescription }) => ({
      code: item.code || null,
      national_code: item.code ? null : item.national_code,
      name: item.name,
      quantity: quantity.normalize("NFKC").trim(),
      unit_price: price.normalize("NFKC").trim(),
      amount_fen: lineFen(quantity, price),
      prescription: prescription.trim() || null,
    }));
  }

  /** One more of what was chosen, by the list's own price where the list sells it. */
  async choose(item) {
    if (item.code) return this.add(item);
    try {
      const own = await this.search.sold(item);
      if (own.length === 1) return this.add(own[0]);
      this.#offer(own);
    } catch (error) {
      say(this.line, error.message, "warn");
    }
  }

  /** One more of an item. */
  add(item) {
    const same = ({ item: other }) => other.code === item.code && other.national_code === item.national_code;
    const there = this.lines.find(same);
    if (there) {
      const whole = scaled(there.quantity, 0);
      if (whole !== null) there.quantity = String(whole + 1n);
    } else {
      this.lines.push({ item, quantity: "1", price: item.unit_price, prescription: "" });
    }
    this.input.value = "";
    this.#close();
    const unpriced = this.lines.findIndex((line) => same(line) && !line.price);
    const added = unpriced < 0 ? gettext("%s was added.") : gettext("%s was added: enter its price.");
    say(this.line, interpolate(added, [item.name]), "good");
    this.show();
    this.changed();
    if (unpriced < 0) this.focus();
    else part(this.root, "lines").children[unpriced].querySelector(".price").focus();
  }

  #typed() {
    clearTimeout(this.typing);
    const query = this.input.value.normalize("NFKC").trim();
    if (!query) return this.#close();
    // A bar code is looked up when its Enter comes: suggestions for half of it would only flicker.
    if (/^\d{5,}$/.test(query)) return this.#close();
    this.typing = setTimeout(async () => {
      try {
        this.#offer(await this.search.find(query));
      } catch (error) {
        if (error.name !== "AbortError") say(this.line, error.message, "warn");
      }
    }, TYPING_MS);
  }

  async #key(event) {
    if (event.isComposing) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (this.found.length) {
        const step = event.key === "ArrowDown" ? 1 : -1;
        this.#mark((this.active + step + this.found.length) % this.found.length);
      }
    } else if (event.key === "Escape") {
      this.#close();
    } else if (event.key === "Enter") {
      event.preventDefault();
      await this.#enter();
    }
  }

  async #enter() {
    clearTimeout(this.typing);
    const query = this.input.value.normalize("NFKC").trim();
    if (!query) return;
    const kind = kindOf(query);
    if (kind === "payment") {
      this.input.value = "";
      return say(this.line, gettext("That is a payment code. It was not sent. Ask for the medical insurance code."), "bad");
    }
    if (kind === "code") {
      this.input.value = "";
      return this.codeScanned?.(query);
    }
    if (this.active >= 0 && this.found[this.active]) return this.choose(this.found[this.active]);
    try {
      const items = await this.search.find(query);
      const exact = items.filter((item) => [item.barcode, item.code, item.national_code].includes(query));
      const sure = exact.length ? exact : items;
      if (sure.length === 1) return await this.choose(sure[0]);
      if (!items.length) {
        this.input.select();
        this.#close();
        return say(this.line, interpolate(gettext("No item fits “%s”. Check the bar code or the initials."), [query]), "warn");
      }
      this.#offer(items);
    } catch (error) {
      if (error.name !== "AbortError") say(this.line, error.message, "warn");
    }
  }

  #offer(items) {
    this.found = items;
    this.list.replaceChildren(
      ...items.map((item, index) =>
        h(
          "li",
          {
            role: "option",
            id: `${this.list.id}-${index}`,
            onpointerdown: (event) => {
              event.preventDefault();
              this.choose(item);
            },
          },
          h("span", {}, item.name, " ", h("span", { class: "muted" }, item.spec), item.mapped ? null : unmapped(), restricted(item)),
          item.code
            ? h("span", { class: "amount" }, `¥${item.unit_price}`, item.unit ? `/${item.unit}` : "")
            : h("span", { class: "tag" }, gettext("not in your list")),
        ),
      ),
    );
    this.list.hidden = !items.length;
    this.input.setAttribute("aria-expanded", String(!!items.length));
    if (items.length) this.#mark(0);
    else say(this.line, gettext("No item fits yet. Keep typing, or scan the bar code."));
    if (items.length) say(this.line, "");
  }

  #mark(index) {
    this.active = index;
    [...this.list.children].forEach((option, place) =>
      option.setAttribute("aria-selected", String(place === index)),
    );
    this.list.children[index]?.scrollIntoView({ block: "nearest" });
    this.input.setAttribute("aria-activedescendant", this.list.children[index]?.id ?? "");
  }

  #close() {
    this.found = [];
    this.active = -1;
    this.list.hidden = true;
    this.list.replaceChildren();
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }

  show() {
    part(this.root, "lines").replaceChildren(...this.lines.map((line) => this.#row(line)));
    part(this.root, "empty").hidden = this.lines.length > 0;
    this.#total();
  }

  #total() {
    part(this.root, "total").textContent = yuan(this.totalFen);
  }

  /** The field for the price of what the merchant's list does not sell. */
  #priceOf(line, update) {
    return h("input", {
      class: "price",
      inputmode: "decimal",
      autocomplete: "off",
      maxlength: 17,
      value: line.price,
      placeholder: gettext("Unit price ¥"),
      "aria-label": interpolate(gettext("Unit price of %s in yuan"), [line.item.name]),
      oninput: (event) => {
        line.price = event.target.value;
        update();
        this.changed();
      },
      onkeydown: (event) => {
        // The next thing is the next item, as after a scan.
        if (event.key !== "Enter" || event.isComposing) return;
        say(this.line, "");
        this.focus();
      },
    });
  }

  #row(line) {
    const { item } = line;
    const amount = h("span", { class: "line-amount amount" });
    const field = h("input", {
      inputmode: "decimal",
      autocomplete: "off",
      value: line.quantity,
      "aria-label": interpolate(gettext("Quantity of %s"), [item.name]),
    });
    const price = item.unit_price ? null : this.#priceOf(line, () => update(line.quantity));
    const update = (text) => {
      line.quantity = text;
      const fen = lineFen(text, line.price);
      const priced = lineFen("1", line.price) !== null;
      price?.setAttribute("aria-invalid", String(!priced));
      field.setAttribute("aria-invalid", String(priced && fen === null));
      amount.textContent = fen !== null ? yuan(fen) : priced ? gettext("quantity?") : gettext("price?");
      this.#total();
    };
    const step = (by) => () => {
      const next = (scaled(field.value, 0) ?? 1n) + by;
      if (next < 1n) return;
      field.value = String(next);
      update(field.value);
      this.changed();
    };
    field.addEventListener("input", () => {
      update(field.value);
      this.changed();
    });
    update(line.quantity);
    return h(
      "li",
      { class: "line" },
      h(
        "span",
        { class: "line-name" },
        h("strong", {}, item.name),
        h("span", { class: "muted small" }, [item.spec, item.unit_price && `¥${item.unit_price}`].filter(Boolean).join(" · ")),
        item.mapped ? null : unmapped(),
        restricted(item),
      ),
      amount,
      h(
        "span",
        { class: "line-tools" },
        h(
          "span",
          { class: "quantity" },
          h("button", { type: "button", class: "quiet", onclick: step(-1n), "aria-label": gettext("One less") }, "−"),
          field,
          h("button", { type: "button", class: "quiet", onclick: step(1n), "aria-label": gettext("One more") }, "+"),
        ),
        price,
        this.prescriptions
          ? h("input", {
              class: "rx",
              autocomplete: "off",
              maxlength: 40,
              value: line.prescription,
              placeholder: gettext("Prescription number"),
              "aria-label": interpolate(gettext("Prescription number for %s"), [item.name]),
              oninput: (event) => {
                line.prescription = event.target.value;
                this.changed();
              },
            })
          : null,
        h(
          "button",
          {
            type: "button",
            class: "remove",
            "aria-label": interpolate(gettext("Remove %s"), [item.name]),
            onclick: () => {
              this.lines = this.lines.filter((other) => other !== line);
              this.show();
              this.changed();
              this.focus();
            },
          },
          "✕",
        ),
      ),
    );
  }
}

function restricted(item) {
  return item.restricted
    ? h("span", { class: "small muted restricted" }, interpolate(gettext("Restricted: %s"), [item.restricted]))
    : null;
}

function unmapped() {
  return h("span", { class: "tag warn" }, gettext("not mapped: no fund pays"));
}
