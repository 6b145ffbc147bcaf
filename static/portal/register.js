// 挂号 and 入院登记: the form that a scan completes.

import { Intent, lookUrl, read, today } from "./calls.js";
import { fault, h, part, say } from "./dom.js";
import { lineFen } from "./money.js";
import { ScanBox } from "./scan-box.js";

// An admission may be entered some days late: visits.LATEST_ENTRY_DAYS of the server.
const LATEST_ENTRY_DAYS = 3;

export class Registration {
  /** `opened(visit, scan, fee)` is called with the answer to the opening; `fee` is null without one. */
  constructor(root, { opened }) {
    this.root = root;
    this.opened = opened;
    this.line = part(root, "register-state");
    this.kinds = root.querySelectorAll("input[name=visit-kind]");
    this.date = part(root, "admission-date");
    /** The institution's items that registering costs. */
    this.fees = [];
    this.box = new ScanBox(part(root, "scan-box"), { use: "registration", accepted: (scan) => this.#open(scan) });
    for (const radio of this.kinds) radio.addEventListener("change", () => this.#show());
    this.date?.addEventListener("input", () => fault(this.date, ""));
    part(root, "again").addEventListener("click", () => this.#open(this.scan));
    this.#loadFees().catch(() => say(this.line, gettext("The list of fees did not load. Reload the page."), "warn"));
  }

  get #admits() {
    return !!this.root.querySelector("input[name=visit-kind][value=inpatient]:checked");
  }

  /** Empty for the next person; kind, department and doctor stay, as they do at a counter. */
  clear() {
    say(this.line, "");
    this.#keep(null);
    for (const name of ["emergency", "public-emergency"]) {
      if (part(this.root, name)) part(this.root, name).checked = false;
    }
    this.#show();
  }

  #keep(scan) {
    this.scan = scan;
    part(this.root, "again-field").hidden = !scan;
  }

  #show() {
    const admits = this.#admits;
    this.box.use = admits ? "admission" : "registration";
    this.box.root.querySelector("label").textContent = admits
      ? gettext("Citizen's code, for admission")
      : gettext("Citizen's code, for registration");
    part(this.root, "fee-field").hidden = admits;
    // A scan for the other purpose opens nothing here.
    if (this.scan && this.scan.use !== this.box.use) this.#keep(null);
    if (!this.date) return;
    part(this.root, "admission-date-field").hidden = !admits;
    part(this.root, "emergencies").hidden = !admits;
    this.date.value = "";
    this.newDay();
    fault(this.date, "");
  }

  /** Go by the day it is now; a day of admission that was chosen stays, "today" goes on. */
  newDay() {
    if (!this.date) return;
    if (!this.date.value || this.date.value === this.date.max) this.date.value = today();
    this.date.min = today(LATEST_ENTRY_DAYS);
    this.date.max = today();
  }

  async #loadFees() {
    // The institution's own list says what registering costs; the service is called 挂号 or 诊察.
    const found = await Promise.all(
      ["挂号", "诊察", "诊查"].map((query) => read(lookUrl("items", { query, limit: 10 }))),
    );
    this.fees = [...new Map(found.flatMap(({ items }) => items).map((item) => [item.code, item])).values()];
    // The cheapest first: it is the ordinary one, and the dearer ones are chosen on purpose.
    this.fees.sort((a, b) => a.unit_price - b.unit_price);
    part(this.root, "fee").replaceChildren(
      ...this.fees.map((item, index) => h("option", { value: index }, `${item.name} ¥${item.unit_price}`)),
      h("option", { value: "" }, gettext("No fee")),
    );
  }

  #body(scan, fee) {
    const common = {
      scan_id: scan.scan_id,
      department: part(this.root, "department").value.trim(),
      doctor: part(this.root, "doctor").value.trim(),
    };
    if (scan.use === "admission") {
      return {
        ...common,
        kind: "inpatient",
        admission_date: this.date.value || null,
        emergency: part(this.root, "emergency").checked,
        public_emergency: part(this.root, "public-emergency").checked,
      };
    }
    const line = fee && {
      code: fee.code,
      quantity: "1",
      unit_price: fee.unit_price,
      amount_fen: lineFen("1", fee.unit_price),
    };
    return { ...common, kind: "outpatient", registration_line: line };
  }

  async #open(scan) {
    const fee = (scan.use !== "admission" && this.fees[part(this.root, "fee").value]) || null;
    this.#keep(null);
    say(this.line, gettext("Opening the visit…"));
    let opened;
    try {
      opened = await new Intent("open_visit", this.#body(scan, fee)).send({
        doubt: (words) => say(this.line, words, "warn"),
      });
    } catch (error) {
      // The code is spent, the scan is not: what was wrong may be put right and sent again.
      this.#keep(scan);
      if (error.problem?.param !== "admission_date") return say(this.line, error.message, "bad");
      fault(this.date, gettext("The day must be today or one of the three days before."));
      return say(this.line, gettext("Correct the marked field, then try again."), "bad");
    }
    say(this.line, "");
    await this.opened(opened, scan, fee);
  }
}
