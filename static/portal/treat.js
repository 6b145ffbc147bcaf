// 就诊: what was done is uploaded, and prescriptions are written.

import { Basket } from "./basket.js";
import { Intent, today } from "./calls.js";
import { fault, h, part, say } from "./dom.js";
import { yuan } from "./money.js";

export class Treatment {
  /** `done()` is called after something was uploaded or prescribed. */
  constructor(root, { done }) {
    this.root = root;
    this.done = done;
    this.visit = null;
    this.line = part(root, "treat-state");
    this.day = part(root, "service-date");
    this.basket = new Basket(part(root, "fees"), { changed: () => {}, prescriptions: false });
    this.day.addEventListener("input", () => fault(this.day, ""));
    part(root, "upload").addEventListener("click", () => this.#upload());
    part(root, "prescribe").addEventListener("click", () => this.#prescribe());
  }

  get input() {
    return this.basket.input;
  }

  focus() {
    this.basket.focus();
  }

  /** Empty for another visit: nobody gets somebody else's diagnosis. */
  clear() {
    this.basket.clear();
    say(this.line, "");
    for (const name of ["diagnosis-code", "diagnosis-name"]) part(this.root, name).value = "";
    part(this.root, "uploaded").replaceChildren();
    this.day.value = "";
  }

  /** Take up the visit as it is now. */
  show(visit) {
    this.visit = visit;
    const { admission_date: first, discharge_date: end } = visit;
    part(this.root, "service-date-field").hidden = !first;
    if (!first) return;
    this.day.min = first;
    this.day.max = end ?? today();
    // A day that was chosen stays for the next batch.
    if (!this.day.value || this.day.value > this.day.max) this.day.value = this.day.max;
    fault(this.day, "");
  }

  async #work(act) {
    say(this.line, this.basket.missing, "warn");
    if (this.basket.missing) return;
    const buttons = [part(this.root, "upload"), part(this.root, "prescribe")];
    for (const button of buttons) button.disabled = true;
    try {
      await act((words) => say(this.line, words, "warn"));
    } catch (error) {
      if (error.problem?.param === "service_date") this.#wrongDay();
      else say(this.line, error.message, "bad");
    } finally {
      for (const button of buttons) button.disabled = false;
    }
  }

  #wrongDay() {
    fault(this.day, interpolate(gettext("The day must lie between %s and %s."), [this.day.min, this.day.max]));
    say(this.line, gettext("Correct the marked field, then try again."), "warn");
    this.day.focus();
  }

  #upload() {
    return this.#work(async (doubt) => {
      const code = part(this.root, "diagnosis-code").value.trim();
      const name = part(this.root, "diagnosis-name").value.trim();
      if (!!code !== !!name) {
        return say(this.line, gettext("A diagnosis needs both its code and its name."), "warn");
      }
      const { visit } = this;
      if (visit.admission_date && !(this.day.value && this.day.checkValidity())) return this.#wrongDay();
      const body = {
        lines: this.basket.forBill(),
        service_date: visit.admission_date ? this.day.value : null,
        diagnoses: code ? [{ code, name, main: true }] : [],
        department: visit.department,
        doctor: visit.doctor,
      };
      const batch = await new Intent("add_fees", body, { query: { visit_id: visit.visit_id } }).send({ doubt });
      this.basket.clear();
      // Said once it is true of the whole page.
      await this.done();
      say(this.line, interpolate(gettext("Uploaded: %s. It can be charged now."), [yuan(batch.total_fen)]), "good");
    });
  }

  #prescribe() {
    return this.#work(async (doubt) => {
      const { visit, basket } = this;
      const mapped = basket.lines.filter((one) => one.item.national_code);
      const diagnosis = part(this.root, "diagnosis-name").value.trim() || visit.diagnoses?.[0]?.name;
      if (!diagnosis || !visit.doctor) {
        return say(this.line, gettext("A prescription needs a diagnosis, and a doctor named at registration."), "warn");
      }
      if (mapped.length < basket.lines.length) {
        return say(this.line, gettext("Only items with a national code can be prescribed: remove the others."), "warn");
      }
      const body = {
        prescriber: visit.doctor,
        diagnosis,
        lines: mapped.map((one) => ({ national_code: one.item.national_code, quantity: one.quantity })),
      };
      const issued = await new Intent("prescribe", body, { query: { visit_id: visit.visit_id } }).send({ doubt });
      // The lines stay, now under the prescription, so that they can be charged.
      for (const one of basket.lines) one.prescription = issued.prescription;
      say(this.line, "");
      part(this.root, "uploaded").replaceChildren(
        h(
          "p",
          { class: "note good" },
          interpolate(gettext("Prescription %s, good until %s."), [issued.prescription, issued.until_date]),
        ),
      );
      await this.done();
    });
  }
}
