// The clinic's page: 挂号 opens a visit, 就诊 uploads what was done, 收费 charges it, 取药 hands out
// against a second scan. The visit on the screen is read again from the server after every act.

import { Basket } from "./basket.js";
import { Bill } from "./bill.js";
import { Intent, lookUrl, read, serverNow } from "./calls.js";
import { h, part, say, timeOfDay } from "./dom.js";
import { lineFen, yuan } from "./money.js";
import { benefitChoices, chosen, showChoices } from "./person.js";
import { ScanBox } from "./scan-box.js";
import { guard } from "./wedge.js";
import { state } from "./words.js";

const root = document.getElementById("clinic");
const STEPS = ["register", "treat", "charge", "collect"];
const LIST_MS = 15000;
const get = (name) => part(root, name);
const tab = (step) => root.querySelector(`[data-step="${step}"]`);
const choicesBox = get("choices");

let step = "register";
let visit = null;
// What only the opening of the visit tells a hospital; kept while the page is open, never stored.
const fullNames = new Map();
let scan = null;
let choices = [];
let fees = [];

const bill = new Bill(get("pay"), {
  body: chargeBody,
  settled: () => refresh(),
  refunded: () => refresh(),
});
const basket = new Basket(get("fees"), { changed: () => {}, prescriptions: false });
const registration = new ScanBox(part(get("register"), "scan-box"), {
  use: "registration",
  accepted: register,
});
const renewal = new ScanBox(get("renewal-box"), {
  use: "settlement",
  accepted: (answer) => {
    if (!samePerson(answer)) return say(renewal.line, gettext("That code belongs to somebody else than this visit."), "bad");
    takeScan(answer);
  },
});
const pickup = new ScanBox(get("pickup-box"), { use: "drug_pickup", accepted: collect });

/** One person has one reference at one institution. */
const samePerson = (answer) => !scan || answer.member.reference === scan.member.reference;

// --- steps ---------------------------------------------------------------------------------

function go(next) {
  step = next;
  for (const name of STEPS) {
    get(name).hidden = name !== step;
    tab(name).setAttribute("aria-selected", String(name === step));
    tab(name).tabIndex = name === step ? 0 : -1;
  }
  for (const box of [registration, renewal, pickup]) box.reset();
  if (step === "charge" && visit && due() && !bill.quote) bill.reset();
  if (step === "register") registration.focus();
  if (step === "treat") basket.focus();
  if (step === "collect") pickup.focus();
}

function gate() {
  for (const name of STEPS.slice(1)) tab(name).disabled = !visit;
  tab("register").disabled = !!visit;
}

function startNew() {
  visit = null;
  scan = null;
  bill.reset();
  basket.clear();
  for (const name of ["register-state", "treat-state", "collect-state"]) say(get(name), "");
  for (const name of ["uploaded", "collected", "collectable", "due"]) get(name).replaceChildren();
  get("visit-head").hidden = true;
  gate();
  go("register");
  showVisits();
}

// --- 挂号 -----------------------------------------------------------------------------------

async function loadFees() {
  // The institution's own list says what registering costs; the service is called 挂号 or 诊察.
  const found = await Promise.all(
    ["挂号", "诊察", "诊查"].map((query) => read(lookUrl("items", { query, limit: 10 }))),
  );
  fees = [...new Map(found.flatMap(({ items }) => items).map((item) => [item.code, item])).values()];
  // The cheapest first: it is the ordinary one, and the dearer ones are chosen on purpose.
  fees.sort((a, b) => a.unit_price - b.unit_price);
  get("fee").replaceChildren(
    ...fees.map((item, index) => h("option", { value: index }, `${item.name} ¥${item.unit_price}`)),
    h("option", { value: "" }, gettext("No fee")),
  );
}

async function register(answer) {
  const line = get("register-state");
  const item = fees[get("fee").value];
  const body = {
    scan_id: answer.scan_id,
    kind: "outpatient",
    department: get("department").value.trim(),
    doctor: get("doctor").value.trim(),
    registration_line: item
      ? {
          code: item.code,
          quantity: "1",
          unit_price: item.unit_price,
          amount_fen: lineFen("1", item.unit_price),
        }
      : null,
  };
  say(line, gettext("Opening the visit…"));
  try {
    const opened = await new Intent("open_visit", body).send({ doubt: (words) => say(line, words, "warn") });
    fullNames.set(opened.visit_id, opened.member);
    say(line, "");
    scan = answer;
    await openVisit(opened.visit_id, item ? "charge" : "treat");
  } catch (error) {
    say(line, error.message, "bad");
  }
}

// --- the visit on the screen ----------------------------------------------------------------

async function openVisit(visitId, next) {
  bill.reset();
  basket.clear();
  for (const name of ["register-state", "treat-state", "collect-state"]) say(get(name), "");
  for (const name of ["uploaded", "collected"]) get(name).replaceChildren();
  try {
    visit = await read(lookUrl("visit", { visit_id: visitId }));
    takeScan(await read(lookUrl("scan", { scan_id: visit.scan_id })));
  } catch (error) {
    return say(get("register-state"), error.message, "bad");
  }
  gate();
  show();
  go(next ?? (due() > 0 ? "charge" : "treat"));
  await showVisits();
}

async function refresh() {
  if (!visit) return;
  try {
    visit = await read(lookUrl("visit", { visit_id: visit.visit_id }));
    show();
    await showVisits();
  } catch {
    // The act itself has reported; the list is renewed by its timer.
  }
}

function takeScan(answer) {
  scan = answer;
  get("renewal").hidden = serverNow() < Date.parse(scan.expires_at);
  choices = benefitChoices(scan, { kinds: ["outpatient", "chronic"] });
  // The ordinary way first: a chronic disease is billed on purpose.
  choices.sort((a, b) => Number(b.benefit_kind === "outpatient") - Number(a.benefit_kind === "outpatient"));
  showChoices(choicesBox, "benefit", choices, () => bill.stale());
}

const unsettled = () => visit.fee_batches.flatMap((batch) => batch.lines).filter((line) => !line.settlement_id);
const due = () => unsettled().reduce((sum, line) => sum + line.amount_fen, 0);

function show() {
  const member = fullNames.get(visit.visit_id);
  get("visit-head").hidden = false;
  get("visit-head").replaceChildren(
    h(
      "div",
      { class: "head-line" },
      h("p", { class: "person-name" }, member?.name ?? visit.member_name),
      h("p", { class: "muted" }, [visit.department, visit.doctor, timeOfDay(visit.opened_at)].filter(Boolean).join(" · ")),
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
      h("span", { class: `tag ${due() ? "warn" : "good"}` }, `${gettext("To be charged")} ${yuan(due())}`),
      ...visit.settlements.map((one) =>
        h("span", { class: "tag" }, `${yuan(one.total_fen)} ${one.refunded_fen ? gettext("refunded") : state(one.state)}`),
      ),
      ...visit.prescriptions.map((one) => h("span", { class: "tag" }, one.prescription)),
    ),
  );
  const open = unsettled();
  get("due").replaceChildren(
    open.length
      ? h(
          "ul",
          { class: "bill-lines" },
          open.map((line) =>
            h(
              "li",
              {},
              h("div", { class: "row-head" }, h("span", {}, `${line.name} × ${line.quantity}`), h("span", { class: "num-cell" }, yuan(line.amount_fen))),
            ),
          ),
          h("li", {}, h("p", { class: "total" }, h("span", {}, gettext("Total")), h("span", { class: "amount" }, yuan(due())))),
        )
      : h("p", { class: "empty" }, gettext("Nothing to charge: everything uploaded is settled.")),
  );
  showCollectable();
}

async function showVisits() {
  try {
    const { visits } = await read(lookUrl("visits_today"));
    const open = visits.filter((one) => !one.closed_at);
    get("no-visits").hidden = open.length > 0;
    get("visits").replaceChildren(
      ...open.map((one) =>
        h(
          "li",
          {},
          h(
            "button",
            {
              type: "button",
              "aria-current": one.visit_id === visit?.visit_id ? "true" : null,
              "data-visit": one.visit_id,
              onclick: () => openVisit(one.visit_id),
            },
            h("span", {}, one.member_name, " ", h("span", { class: "muted small" }, one.department)),
            h("span", { class: "muted small" }, timeOfDay(one.opened_at)),
          ),
        ),
      ),
    );
  } catch {
    // Read again by the timer.
  }
}

// --- 就诊 -----------------------------------------------------------------------------------

async function work(act) {
  const line = get("treat-state");
  if (basket.missing) return say(line, basket.missing, "warn");
  const buttons = [get("upload"), get("prescribe")];
  for (const button of buttons) button.disabled = true;
  try {
    await act((words) => say(line, words, "warn"), line);
  } catch (error) {
    say(line, error.message, "bad");
  } finally {
    for (const button of buttons) button.disabled = false;
  }
}

function upload() {
  return work(async (doubt, line) => {
    const code = get("diagnosis-code").value.trim();
    const name = get("diagnosis-name").value.trim();
    if (!!code !== !!name) return say(line, gettext("A diagnosis needs both its code and its name."), "warn");
    const body = {
      lines: basket.forBill(),
      diagnoses: code ? [{ code, name, main: true }] : [],
      department: visit.department,
      doctor: visit.doctor,
    };
    const batch = await new Intent("add_fees", body, { query: { visit_id: visit.visit_id } }).send({ doubt });
    basket.clear();
    say(line, interpolate(gettext("Uploaded: %s. It can be charged now."), [yuan(batch.total_fen)]), "good");
    await refresh();
  });
}

function prescribe() {
  return work(async (doubt, line) => {
    const mapped = basket.lines.filter((one) => one.item.national_code);
    const diagnosis = get("diagnosis-name").value.trim() || visit.diagnoses?.[0]?.name;
    if (!diagnosis || !visit.doctor) {
      return say(line, gettext("A prescription needs a diagnosis, and a doctor named at registration."), "warn");
    }
    if (mapped.length < basket.lines.length) {
      return say(line, gettext("Only items with a national code can be prescribed: remove the others."), "warn");
    }
    const body = {
      prescriber: visit.doctor,
      diagnosis,
      lines: mapped.map((one) => ({ national_code: one.item.national_code, quantity: one.quantity })),
    };
    const issued = await new Intent("prescribe", body, { query: { visit_id: visit.visit_id } }).send({ doubt });
    // The lines stay, now under the prescription, so that they can be charged.
    for (const one of basket.lines) one.prescription = issued.prescription;
    say(line, "");
    get("uploaded").replaceChildren(
      h(
        "p",
        { class: "note good" },
        interpolate(gettext("Prescription %s, good until %s."), [issued.prescription, issued.until_date]),
      ),
    );
    await refresh();
  });
}

// --- 收费 -----------------------------------------------------------------------------------

function chargeBody() {
  if (!visit) return gettext("Choose a visit first.");
  if (!due()) return gettext("Nothing to charge: everything uploaded is settled.");
  const choice = chosen(choicesBox, choices);
  if (!choice) return gettext("Choose how this is to be paid.");
  if (serverNow() >= Date.parse(scan.expires_at)) {
    get("renewal").hidden = false;
    renewal.focus();
    return gettext("Scan the citizen's code first.");
  }
  return {
    scan_id: scan.scan_id,
    visit_id: visit.visit_id,
    benefit_kind: choice.benefit_kind,
    disease_code: choice.disease_code,
  };
}

// --- 取药 -----------------------------------------------------------------------------------

function collectable() {
  const taken = new Set(visit.pickups.map((one) => one.settlement_id));
  const registering = new Set(fees.map((item) => item.code));
  const holdsGoods = (settlementId) =>
    linesOf(settlementId).some((line) => !registering.has(line.code));
  return visit.settlements.filter(
    (one) => !one.refunded_fen && !taken.has(one.settlement_id) && holdsGoods(one.settlement_id),
  );
}

function showCollectable() {
  const waiting = collectable();
  get("collect-form").hidden = !waiting.length;
  get("collectable").replaceChildren(
    waiting.length
      ? h(
          "fieldset",
          {},
          h("legend", {}, gettext("Settlement to hand out")),
          h(
            "div",
            { class: "choices" },
            waiting
              .toReversed()
              .map((one, index) =>
                h(
                  "label",
                  { class: "choice" },
                  h("input", { type: "radio", name: "collect", value: one.settlement_id, checked: index === 0 }),
                  h("span", {}, `${yuan(one.total_fen)} · ${namesOf(one.settlement_id)}`),
                ),
              ),
          ),
        )
      : get("collected").hasChildNodes()
        ? ""
        : h("p", { class: "empty" }, gettext("Nothing waits to be handed out in this visit.")),
  );
}

const linesOf = (settlementId) =>
  visit.fee_batches
    .flatMap((batch) => batch.lines)
    .filter((line) => line.settlement_id === settlementId);
const namesOf = (settlementId) =>
  linesOf(settlementId)
    .map((line) => line.name)
    .join(", ");

async function collect(answer) {
  const line = get("collect-state");
  const chosenOne = get("collectable").querySelector("input:checked");
  if (!chosenOne) return say(line, gettext("Nothing waits to be handed out in this visit."), "warn");
  const body = { scan_id: answer.scan_id, settlement_id: chosenOne.value };
  try {
    const done = await new Intent("pick_up", body, { query: { visit_id: visit.visit_id } }).send({
      doubt: (words) => say(line, words, "warn"),
    });
    say(line, "");
    get("collected").replaceChildren(
      h(
        "div",
        { class: "card done-card", "data-pickup": done.pickup_id },
        h("h2", { class: "done-mark" }, "✓ ", gettext("Hand these out")),
        h("ul", {}, done.lines.map((one) => h("li", {}, `${one.name} × ${one.quantity}`))),
      ),
    );
    await refresh();
  } catch (error) {
    // The server does not say whose code it was.
    const text =
      error.code === "not_found" && error.problem.param === "scan_id"
        ? gettext("That code is another person's. Ask for the code of the person of this visit.")
        : error.message;
    say(line, text, "bad");
  }
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
get("upload").addEventListener("click", upload);
get("prescribe").addEventListener("click", prescribe);
guard(() => ({ register: registration, charge: renewal, collect: pickup })[step]?.input ?? basket.input);
startNew();
loadFees().catch(() => say(get("register-state"), gettext("The list of fees did not load. Reload the page."), "warn"));
setInterval(() => !document.hidden && showVisits(), LIST_MS);
if (bill.resume()) {
  get("charge").hidden = false;
}
