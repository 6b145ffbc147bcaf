// The clinic's page: 挂号 opens a visit and 入院 a stay, 就诊 uploads what was done, 收费 charges it, 取药
// hands out against a second scan. The visit on the screen is read again from the server after every act.

import { Bill } from "./bill.js";
import { Refused, lookUrl, read, serverNow, today } from "./calls.js";
import { fault, part, say, timeOfDay } from "./dom.js";
import { benefitChoices, chosen, showChoices } from "./person.js";
import { PickUp } from "./pick-up.js";
import { Registration } from "./register.js";
import { ScanBox } from "./scan-box.js";
import { Stay } from "./stay.js";
import { Treatment } from "./treat.js";
import { due, dueList, visitHead, visitRow } from "./visit-view.js";
import { guard } from "./wedge.js";

const root = document.getElementById("clinic");
const STEPS = ["register", "treat", "charge", "collect"];
const LIST_MS = 15000;
// A list longer than this is searched rather than read.
const GLANCE = 10;
const get = (name) => part(root, name);
const tab = (step) => root.querySelector(`[data-step="${step}"]`);
const choicesBox = get("choices");

let step = "register";
let visit = null;
// What only the opening of the visit tells a hospital; kept while the page is open, never stored.
const fullNames = new Map();
// The last scan of each visit, and as whom the person of a visit is known here.
const scans = new Map();
const references = new Map();
let scan = null;
let choices = [];
let visits = [];
// Which opening of a visit was asked for last: an earlier answer that comes later is dropped.
let asked = 0;

const bill = new Bill(get("pay"), {
  body: chargeBody,
  settled: () => {
    stay.clear();
    refresh();
  },
  refunded: () => refresh(),
  refused: explain,
  locked: hold,
});
const treatment = new Treatment(get("treat"), { done: () => refresh() });
const registration = new Registration(get("register"), {
  opened: async (opened, answer, fee) => {
    fullNames.set(opened.visit_id, opened.member);
    keepScan(opened.visit_id, answer);
    await openVisit(opened.visit_id, fee ? "charge" : "treat");
  },
});
const renewal = new ScanBox(get("renewal-box"), {
  use: "settlement",
  accepted: (answer) => {
    if (!samePerson(answer)) return say(renewal.line, gettext("That code belongs to somebody else than this visit."), "bad");
    keepScan(visit.visit_id, answer);
    takeScan(answer);
    say(get("shown"), interpolate(gettext("The code was shown. It counts for the bills of this visit until %s."), [timeOfDay(answer.expires_at)]), "good");
  },
});
const pickUp = new PickUp(get("collect"), { fees: () => registration.fees, done: () => refresh() });
const stay = new Stay(root, {
  changed: () => bill.stale(),
  // The server holds no quote for a stay that has changed.
  leaving: () => bill.release(),
  left: async (discharge) => {
    visit = { ...visit, discharge_date: discharge.discharge_date };
    // Going home is shown anew, whatever was shown before.
    dropScan();
    if (due(visit)) bill.reset();
    show();
    renewal.focus();
    await refresh();
  },
});

/** While an act is under way, or money was taken for a quote, this visit and its bill stay. */
function hold(held) {
  for (const name of ["visit-list", "tabs", "benefit", "stay-bill", "stay", "renewal"]) get(name).inert = held;
}

/** One person has one reference at one institution; who has not been scanned yet has a name only. */
function samePerson({ member }) {
  const known = references.get(visit.visit_id);
  return known ? member.reference === known : member.name === visit.member_name;
}

function keepScan(visitId, answer) {
  scans.set(visitId, answer);
  references.set(visitId, answer.member.reference);
}

function dropScan({ wrongPerson = false } = {}) {
  scans.delete(visit.visit_id);
  if (wrongPerson) references.delete(visit.visit_id);
  takeScan(null);
}

const isLive = (answer) => !!answer && serverNow() < Date.parse(answer.expires_at);

// --- steps ---------------------------------------------------------------------------------

function go(next) {
  step = next;
  for (const name of STEPS) {
    get(name).hidden = name !== step;
    tab(name).setAttribute("aria-selected", String(name === step));
    tab(name).tabIndex = name === step ? 0 : -1;
  }
  for (const box of [registration.box, renewal, pickUp.box]) box.reset();
  if (step === "charge" && visit && due(visit) && !bill.quote) bill.reset();
  if (step === "charge") showRenewal();
  if (step === "register") registration.box.focus();
  if (step === "treat") treatment.focus();
  if (step === "charge") renewal.focus();
  if (step === "collect") pickUp.box.focus();
}

function gate() {
  for (const name of STEPS.slice(1)) tab(name).disabled = !visit;
  tab("register").disabled = !!visit;
}

/** Empty every step for another visit, or for none. */
function clear() {
  bill.reset();
  treatment.clear();
  registration.clear();
  pickUp.clear();
  say(get("shown"), "");
}

function startNew() {
  asked += 1;
  visit = null;
  scan = null;
  clear();
  get("due").replaceChildren();
  get("visit-head").hidden = true;
  gate();
  go("register");
  showVisits();
}

// --- the visit on the screen ----------------------------------------------------------------

async function openVisit(visitId, next) {
  asked += 1;
  const mine = asked;
  let found;
  let presence;
  try {
    found = await read(lookUrl("visit", { visit_id: visitId }));
    presence = await lastScan(found);
  } catch (error) {
    if (mine === asked) say(get(`${step}-state`) ?? bill.line, error.message, "bad");
    return;
  }
  if (mine !== asked) return;
  clear();
  visit = found;
  gate();
  show();
  takeScan(presence);
  go(next ?? (due(visit) > 0 || visit.discharge_date ? "charge" : "treat"));
  await showVisits();
}

/** The scan under which the visit may be billed as it is, or null: then one has to be made. */
async function lastScan(found) {
  const kept = scans.get(found.visit_id);
  // Discharged at another till meanwhile: only a scan for settlement may have been made since.
  if (isLive(kept) && !(found.discharge_date && kept.use !== "settlement")) return kept;
  // A visit taken over from a register has no scan, and after a discharge the first no longer counts.
  if (!found.scan_id || found.discharge_date) return null;
  try {
    const answer = await read(lookUrl("scan", { scan_id: found.scan_id }));
    keepScan(found.visit_id, answer);
    return answer;
  } catch (error) {
    // Presence was shown too long ago: the visit can be looked at and worked on all the same.
    if (error instanceof Refused) return null;
    throw error;
  }
}

async function refresh() {
  if (!visit) return;
  const visitId = visit.visit_id;
  try {
    const found = await read(lookUrl("visit", { visit_id: visitId }));
    if (visit?.visit_id !== visitId) return;
    const wasPaid = !due(visit);
    visit = found;
    show();
    // What was settled last makes room for what was uploaded since.
    if (step === "charge" && wasPaid && due(visit) && !bill.quote && !bill.busy) bill.reset();
    await showVisits();
  } catch {
    // The act itself has reported; the list is renewed by its timer.
  }
}

function takeScan(answer) {
  scan = answer;
  say(get("shown"), "");
  showRenewal();
  offerChoices();
}

function offerChoices() {
  fault(get("benefit"), "");
  if (visit.admission_date) {
    choices = stay.choices;
  } else {
    choices = scan ? benefitChoices(scan, { kinds: ["outpatient", "chronic"] }) : [];
    // The ordinary way first: a chronic disease is billed on purpose.
    choices.sort((a, b) => Number(b.benefit_kind === "outpatient") - Number(a.benefit_kind === "outpatient"));
  }
  get("benefit").hidden = !choices.length;
  showChoices(choicesBox, "benefit", choices, () => {
    fault(get("benefit"), "");
    bill.stale();
  });
}

/** Ask for a scan where a bill needs one. */
function showRenewal() {
  const needed = !!visit && due(visit) > 0 && !isLive(scan);
  get("renewal").hidden = !needed;
  if (!needed) return;
  say(get("shown"), "");
  let why = gettext("The registration scan has grown old: scan the code once more for this bill.");
  if (visit.admission_date) why = gettext("Scan the code for this bill of the stay.");
  if (visit.discharge_date) why = gettext("Discharged: scan the code once more for the final bill.");
  get("renewal-why").textContent = why;
}

function show() {
  const dueFen = due(visit);
  get("visit-head").hidden = false;
  get("visit-head").replaceChildren(...visitHead(visit, { member: fullNames.get(visit.visit_id), dueFen }));
  get("due").replaceChildren(dueList(visit));
  get("charge").classList.toggle("nothing-due", !dueFen);
  stay.show(visit, dueFen);
  const ofStay = visit.discharge_date ? gettext("Final quote") : gettext("Interim quote");
  bill.button.textContent = visit.admission_date ? ofStay : gettext("Get the quote");
  treatment.show(visit);
  showRenewal();
  pickUp.show(visit);
}

async function showVisits() {
  try {
    const found = await read(lookUrl("visits_today"));
    visits = found.visits.filter((one) => !one.closed_at);
    listVisits();
  } catch {
    // Read again by the timer.
  }
}

function listVisits() {
  const wanted = get("filter").value.normalize("NFKC").trim().toLowerCase();
  const fits = (one) => `${one.member_name} ${one.department}`.toLowerCase().includes(wanted);
  get("filter-field").hidden = visits.length <= GLANCE && !wanted;
  const shown = visits.filter(fits);
  get("no-visits").hidden = visits.length > 0;
  get("none-fits").hidden = !visits.length || shown.length > 0;
  get("visits").replaceChildren(
    ...shown.map((one) =>
      visitRow(one, { current: one.visit_id === visit?.visit_id, open: () => openVisit(one.visit_id) }),
    ),
  );
}

// --- 收费 -----------------------------------------------------------------------------------

function chargeBody() {
  if (!visit) return gettext("Choose a visit first.");
  if (!due(visit)) return gettext("Nothing to charge: everything uploaded is settled.");
  if (!isLive(scan)) {
    showRenewal();
    renewal.focus();
    return gettext("Scan the citizen's code first.");
  }
  if (!choices.length) return gettext("No way of paying is covered here: see the agreement and the rules in force.");
  const choice = chosen(choicesBox, choices);
  if (!choice) return gettext("Choose how this is to be paid.");
  const more = visit.admission_date ? stay.forBill() : {};
  if (!more) return gettext("Correct the marked field, then try again.");
  return {
    scan_id: scan.scan_id,
    visit_id: visit.visit_id,
    benefit_kind: choice.benefit_kind,
    disease_code: choice.disease_code,
    ...more,
  };
}

const KIND_REFUSALS = {
  benefit_kind_not_for_visit: () => gettext("This does not fit the visit: a stay and an outpatient visit are paid differently. Choose another."),
  benefit_kind_unknown: () => gettext("The rules of the person's area do not have this. Choose another."),
};

/** Show a refused bill at what is to blame; answers what to say beside the button. */
function explain(error) {
  const marked = gettext("Correct the marked field, then try again.");
  if (KIND_REFUSALS[error.code]) {
    fault(get("benefit"), KIND_REFUSALS[error.code]());
    return marked;
  }
  if (stay.marks(error)) return marked;
  if (error.problem?.param !== "scan_id") return "";
  // The server does not say whose code it was.
  const wrongPerson = error.code === "not_found";
  dropScan({ wrongPerson });
  renewal.focus();
  return wrongPerson
    ? gettext("That code is another person's. Ask for the code of the person of this visit.")
    : error.message;
}

// --- start ----------------------------------------------------------------------------------

for (const name of STEPS) {
  tab(name).addEventListener("click", () => go(name));
  tab(name).addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    const enabled = STEPS.filter((other) => !tab(other).disabled);
    const next = enabled[(enabled.indexOf(name) + by + enabled.length) % enabled.length];
    go(next);
    tab(next).focus();
  });
}
get("new").addEventListener("click", startNew);
get("filter").addEventListener("input", listVisits);
guard(() => {
  const boxes = { register: registration.box, charge: renewal, collect: pickUp.box };
  return bill.scanField ?? boxes[step]?.input ?? treatment.input;
});
startNew();
let day = today();
setInterval(() => {
  if (document.hidden) return;
  showVisits();
  if (today() === day) return;
  // A page that was left open over midnight.
  day = today();
  registration.newDay();
  if (visit) show();
}, LIST_MS);
if (bill.resume()) {
  get("charge").hidden = false;
}
