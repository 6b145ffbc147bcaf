// 取药: what a settled visit's person takes away, against a scan of its own.

import { Intent } from "./calls.js";
import { h, part, say } from "./dom.js";
import { yuan } from "./money.js";
import { ScanBox } from "./scan-box.js";

const MOST_NAMES = 4;

export class PickUp {
  /** `fees()` answers the items nobody carries away; `done()` is called after something was handed out. */
  constructor(root, { fees, done }) {
    this.root = root;
    this.fees = fees;
    this.done = done;
    this.visit = null;
    this.line = part(root, "collect-state");
    this.box = new ScanBox(part(root, "pickup-box"), { use: "drug_pickup", accepted: (scan) => this.#collect(scan) });
  }

  clear() {
    say(this.line, "");
    for (const name of ["collected", "collectable"]) part(this.root, name).replaceChildren();
  }

  /** Offer what waits in this visit. */
  show(visit) {
    this.visit = visit;
    const waiting = this.#waiting();
    part(this.root, "collect-form").hidden = !waiting.length;
    part(this.root, "collectable").replaceChildren(
      waiting.length
        ? h(
            "fieldset",
            {},
            h("legend", {}, gettext("Settlement to hand out")),
            h("div", { class: "choices" }, waiting.toReversed().map((one, index) => this.#choice(one, index === 0))),
          )
        : part(this.root, "collected").hasChildNodes()
          ? ""
          : h("p", { class: "empty" }, gettext("Nothing waits to be handed out in this visit.")),
    );
  }

  #choice(settlement, checked) {
    const names = [...new Set(this.#linesOf(settlement).map((line) => line.name))];
    const more = names.length - MOST_NAMES;
    const listed = names.slice(0, MOST_NAMES).join(", ");
    return h(
      "label",
      { class: "choice" },
      h("input", { type: "radio", name: "collect", value: settlement.settlement_id, checked }),
      h(
        "span",
        {},
        `${yuan(settlement.total_fen)} · `,
        more > 0 ? interpolate(gettext("%s and %s more"), [listed, more]) : listed,
      ),
    );
  }

  #linesOf(settlement) {
    return this.visit.fee_batches
      .flatMap((batch) => batch.lines)
      .filter((line) => line.settlement_id === settlement.settlement_id);
  }

  #waiting() {
    const taken = new Set(this.visit.pickups.map((one) => one.settlement_id));
    const registering = new Set(this.fees().map((item) => item.code));
    return this.visit.settlements.filter(
      (one) =>
        !one.refunded_fen &&
        !taken.has(one.settlement_id) &&
        this.#linesOf(one).some((line) => !registering.has(line.code)),
    );
  }

  async #collect(scan) {
    const chosenOne = part(this.root, "collectable").querySelector("input:checked");
    if (!chosenOne) return say(this.line, gettext("Nothing waits to be handed out in this visit."), "warn");
    const body = { scan_id: scan.scan_id, settlement_id: chosenOne.value };
    try {
      const done = await new Intent("pick_up", body, { query: { visit_id: this.visit.visit_id } }).send({
        doubt: (words) => say(this.line, words, "warn"),
      });
      say(this.line, "");
      part(this.root, "collected").replaceChildren(
        h(
          "div",
          { class: "card done-card", "data-pickup": done.pickup_id },
          h("h2", { class: "done-mark" }, "✓ ", gettext("Hand these out")),
          h("ul", {}, done.lines.map((one) => h("li", {}, `${one.name} × ${one.quantity}`))),
        ),
      );
      await this.done();
    } catch (error) {
      // The server does not say whose code it was.
      const text =
        error.code === "not_found" && error.problem.param === "scan_id"
          ? gettext("That code is another person's. Ask for the code of the person of this visit.")
          : error.message;
      say(this.line, text, "bad");
    }
  }
}
