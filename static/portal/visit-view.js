// How a visit looks: its row in the list, its head, what of it is still to be charged.

import { h, timeOfDay, unbroken } from "./dom.js";
import { yuan } from "./money.js";
import { stayState } from "./stay.js";
import { state } from "./words.js";

const stayTag = (visit) => h("span", { class: `tag ${visit.discharge_date ? "" : "good"}` }, stayState(visit));

/** A row of the list of visits; `open()` is called when it is pressed. */
export function visitRow(visit, { current, open }) {
  return h(
    "li",
    {},
    h(
      "button",
      { type: "button", "aria-current": current ? "true" : null, "data-visit": visit.visit_id, onclick: open },
      h("span", {}, visit.member_name, " ", h("span", { class: "muted small" }, visit.department)),
      visit.admission_date
        ? h(
            "span",
            { class: "visit-end" },
            stayTag(visit),
            h("span", { class: "muted small" }, (visit.discharge_date ?? visit.admission_date).slice(5)),
          )
        : h("span", { class: "muted small" }, timeOfDay(visit.opened_at)),
    ),
  );
}

function stayTags(visit) {
  if (!visit.admission_date) return [];
  return [
    stayTag(visit),
    visit.emergency ? h("span", { class: "tag warn" }, gettext("Emergency")) : null,
    visit.public_emergency ? h("span", { class: "tag warn" }, gettext("Declared public emergency")) : null,
  ];
}

function when(visit) {
  if (!visit.admission_date) return [timeOfDay(visit.opened_at)];
  return [
    interpolate(gettext("admitted %s"), [unbroken(visit.admission_date)]),
    visit.discharge_date && interpolate(gettext("discharged %s"), [unbroken(visit.discharge_date)]),
  ];
}

/** What stands at the head of a visit. `member` is its person in full, where the page has been told. */
export function visitHead(visit, { member, dueFen }) {
  return [
    h(
      "div",
      { class: "head-line" },
      h("p", { class: "person-name" }, member?.name ?? visit.member_name),
      h("p", { class: "muted" }, [visit.department, visit.doctor, ...when(visit)].filter(Boolean).join(" · ")),
    ),
    ...(member
      ? [h("p", { class: "muted small" }, `${gettext("Document")} ${member.identity_number} · ${gettext("Person number")} ${member.person_number}`)]
      : []),
    ...(visit.diagnoses?.length
      ? [h("p", {}, `${gettext("Diagnosis")}: ${visit.diagnoses.map((one) => `${one.name} (${one.code})`).join(", ")}`)]
      : []),
    h(
      "p",
      { class: "tags" },
      ...stayTags(visit),
      h("span", { class: `tag ${dueFen ? "warn" : "good"}` }, `${gettext("To be charged")} ${yuan(dueFen)}`),
      ...visit.settlements.map((one) =>
        h("span", { class: "tag" }, `${yuan(one.total_fen)} ${one.refunded_fen ? gettext("refunded") : state(one.state)}`),
      ),
      ...visit.prescriptions.map((one) => h("span", { class: "tag" }, one.prescription)),
    ),
  ];
}

const lineRow = (line) =>
  h(
    "li",
    {},
    h("div", { class: "row-head" }, h("span", {}, `${line.name} × ${line.quantity}`), h("span", { class: "num-cell" }, yuan(line.amount_fen))),
  );

const sum = (lines) => lines.reduce((total, line) => total + line.amount_fen, 0);

/** The visit's lines that no settlement has, each with its day of care. */
export function unsettled(visit) {
  return visit.fee_batches.flatMap((batch) =>
    batch.lines.filter((line) => !line.settlement_id).map((line) => ({ ...line, day: batch.service_date })),
  );
}

/** Sum of what is still to be charged. */
export const due = (visit) => sum(unsettled(visit));

/** A stay's lines fill pages: a row a day, opened on demand. */
function dayRow(day, lines) {
  const items = interpolate(gettext("items: %s"), [lines.length]);
  return h(
    "li",
    {},
    h(
      "details",
      {},
      h("summary", { class: "row-head" }, h("span", {}, day, " ", h("span", { class: "muted small" }, items)), h("span", { class: "num-cell" }, yuan(sum(lines)))),
      h("ul", { class: "bill-lines" }, lines.map(lineRow)),
    ),
  );
}

/** What is still to be charged, with its total. */
export function dueList(visit) {
  const open = unsettled(visit);
  if (!open.length) {
    const nothing = visit.fee_batches.length
      ? gettext("Nothing to charge: everything uploaded is settled.")
      : gettext("Nothing to charge: no fees have been uploaded yet.");
    return h("p", { class: "empty" }, nothing);
  }
  const days = [...new Set(open.map((line) => line.day))].sort();
  return h(
    "ul",
    { class: "bill-lines" },
    visit.admission_date
      ? days.map((day) => dayRow(day, open.filter((line) => line.day === day)))
      : open.map(lineRow),
    h("li", {}, h("p", { class: "total" }, h("span", {}, gettext("Total")), h("span", { class: "amount" }, yuan(sum(open))))),
  );
}
