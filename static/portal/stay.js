// A stay (住院) on the charge tab: what it may be billed as, package and bed-days, and going home.

import { Intent, today } from "./calls.js";
import { fault, h, part, say, unbroken } from "./dom.js";
import { yuan } from "./money.js";

const DAY_MS = 86400000;

/** Whole days between two days as the API writes them; a stay within one day counts as one. */
export const daysBetween = (from, until) => Math.max(1, Math.round((Date.parse(until) - Date.parse(from)) / DAY_MS));

/** A title of the policy's, which writes its English ones as part of a sentence. */
function titleOf({ title }) {
  const text = (document.documentElement.lang.startsWith("en") ? title.en : title.zh) ?? title.zh;
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** How a stay stands, in a word. */
export const stayState = (visit) => (visit.discharge_date ? gettext("Discharged") : gettext("In hospital"));

export class Stay {
  /**
   * `root` is the page; `changed()` is called when package or days change, `leaving()` before a discharge
   * is sent, `left(answer)` once it has been accepted.
   */
  constructor(root, { changed, leaving, left }) {
    this.root = root;
    this.leaving = leaving;
    this.left = left;
    this.visit = null;
    const { kinds, packages } = JSON.parse(root.dataset.stayRules);
    /** The ways of paying for a stay, as `showChoices` takes them. */
    this.choices = kinds.map((one) => ({ benefit_kind: one.kind, disease_code: null, text: titleOf(one), note: "", disabled: false }));
    this.package = part(root, "package");
    this.days = part(root, "days");
    this.date = part(root, "discharge-date");
    this.dialog = part(root, "leave-dialog");
    part(root, "packages").replaceChildren(...packages.map((one) => h("option", { value: one.code }, titleOf(one))));
    for (const field of [this.package, this.days]) {
      field.addEventListener("input", () => {
        fault(field, "");
        changed();
      });
    }
    part(root, "leave").addEventListener("click", () => this.#open());
    part(root, "leave-cancel").addEventListener("click", () => this.dialog.close());
    this.date.addEventListener("input", () => this.#count());
    this.dialog.querySelector("form").addEventListener("submit", (event) => {
      // The dialog closes once the day has been accepted.
      event.preventDefault();
      this.#leave();
    });
  }

  /** Show what belongs to this visit; `dueFen` is what is still to be charged. */
  show(visit, dueFen) {
    const another = visit.visit_id !== this.visit?.visit_id;
    this.visit = visit;
    this.dueFen = dueFen;
    const isStay = !!visit.admission_date;
    part(this.root, "stay").hidden = !isStay;
    part(this.root, "stay-bill").hidden = !isStay;
    if (another) this.clear();
    if (!isStay) return;
    this.#limit();
    const { admission_date: from, discharge_date: until } = visit;
    part(this.root, "stay-state").replaceChildren(
      h("strong", {}, stayState(visit)),
      " ",
      h(
        "span",
        { class: "muted" },
        until
          ? interpolate(gettext("%s to %s, days: %s"), [unbroken(from), unbroken(until), daysBetween(from, until)])
          : interpolate(gettext("since %s, day %s"), [unbroken(from), Math.round((Date.parse(today()) - Date.parse(from)) / DAY_MS) + 1]),
      ),
    );
    part(this.root, "leave").textContent = until ? gettext("Correct the day") : gettext("Discharge");
  }

  /** Forget what was entered for a bill. */
  clear() {
    for (const field of [this.package, this.days]) {
      field.value = "";
      fault(field, "");
    }
    if (this.dialog.open) this.dialog.close();
  }

  /** What a stay's bill says besides the lines, or null when a field cannot be sent. */
  forBill() {
    const days = this.days.value.normalize("NFKC").trim();
    if (days && !/^[1-9]\d{0,3}$/.test(days)) {
      fault(this.days, gettext("Enter whole days, one or more, or leave it empty."));
      this.days.focus();
      return null;
    }
    return { package: this.package.value.normalize("NFKC").trim() || null, days: days ? Number(days) : null };
  }

  /** Mark the field that a refused bill blames. Answers whether it was one of these. */
  marks(error) {
    const told = this.#wordsFor(error);
    if (!told) return false;
    fault(told.field, told.text);
    told.field.focus();
    return true;
  }

  #wordsFor(error) {
    if (error.code === "package_unknown") {
      return { field: this.package, text: gettext("The rules have no such package for this bill. Check its code.") };
    }
    if (error.code === "field_invalid" && error.problem.param === "days") {
      const text = this.days.value.trim()
        ? gettext("More days than the stay has lasted.")
        : gettext("This package goes by bed-days: enter how many this bill covers.");
      return { field: this.days, text };
    }
    return null;
  }

  #open() {
    const { visit } = this;
    this.#limit();
    this.date.value = visit.discharge_date ?? today();
    part(this.root, "leave-person").textContent = part(this.root, "visit-head").querySelector(".person-name").textContent;
    part(this.root, "leave-from").textContent = visit.admission_date;
    say(part(this.root, "leave-note"), "");
    this.#count();
    this.dialog.showModal();
  }

  /** What else was uploaded counts here too, also while the dialog stands open. */
  #limit() {
    const { fee_batches: batches, admission_date: first } = this.visit;
    this.date.min = batches.map((batch) => batch.service_date).concat(first).sort().at(-1);
    this.date.max = today();
    part(this.root, "leave-due").textContent = yuan(this.dueFen);
  }

  get #fits() {
    return !!this.date.value && this.date.checkValidity();
  }

  #count() {
    fault(this.date, "");
    part(this.root, "leave-days").textContent = this.#fits ? daysBetween(this.visit.admission_date, this.date.value) : "–";
  }

  async #leave() {
    const line = part(this.root, "leave-note");
    const wrongDay = interpolate(gettext("The day must lie between %s, the last day of care, and today."), [this.date.min]);
    if (!this.#fits) return fault(this.date, wrongDay);
    const button = part(this.root, "leave-confirm");
    button.disabled = true;
    this.leaving();
    try {
      const body = { discharge_date: this.date.value };
      const discharge = await new Intent("discharge", body, { query: { visit_id: this.visit.visit_id } }).send({
        doubt: (words) => say(line, words, "warn"),
      });
      this.dialog.close();
      await this.left(discharge);
    } catch (error) {
      say(line, "");
      if (error.code === "already_discharged") {
        fault(this.date, gettext("A bill was made for the stay as it ended, so its day can no longer change. Refund that bill first."));
      } else if (error.problem?.param === "discharge_date") fault(this.date, wrongDay);
      else say(line, error.message, "bad");
    } finally {
      button.disabled = false;
    }
  }
}
