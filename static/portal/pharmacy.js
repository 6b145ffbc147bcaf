// The pharmacy's page: person, packs, quote, settlement, in whatever order the counter works.

import { Basket } from "./basket.js";
import { Bill } from "./bill.js";
import { part, say } from "./dom.js";
import { benefitChoices, chosen, personCard, showChoices } from "./person.js";
import { ScanBox } from "./scan-box.js";
import { guard } from "./wedge.js";

const root = document.getElementById("pharmacy");
const personStep = part(root, "person-step");
const choicesBox = part(root, "choices");
let scan = null;
let choices = [];
// Between a settlement and the next person nothing may be billed: the packs are already paid for.
let finished = false;

const bill = new Bill(part(root, "pay-step"), {
  body,
  settled: () => finish(true),
  refunded: () => finish(true),
  locked: hold,
  next: startNext,
});
const basket = new Basket(part(root, "items-step"), {
  changed: () => bill.stale(),
  codeScanned: (text) => {
    if (!scan) return box.take(text);
    say(
      part(part(root, "items-step"), "state"),
      gettext("That is a citizen's code, and somebody is being served. Start the next person first."),
      "warn",
    );
  },
});
const box = new ScanBox(part(personStep, "scan-box"), { use: "pharmacy_purchase", accepted });

function finish(now) {
  finished = now;
  hold(bill.busy);
}

/** While an act is under way, or done, neither the person nor the packs of the bill may change. */
function hold(busy) {
  const fixed = busy || finished;
  part(root, "items-step").inert = fixed;
  part(root, "benefit").inert = fixed;
  part(personStep, "change").hidden = fixed || !scan;
}

function accepted(answer) {
  if (finished) startNext();
  scan = answer;
  part(personStep, "person").replaceChildren(personCard(scan));
  part(personStep, "scan-box").hidden = true;
  part(personStep, "change").hidden = false;
  choices = benefitChoices(scan, { kinds: ["chronic", "pharmacy_account"] });
  showChoices(choicesBox, "benefit", choices, () => bill.stale());
  part(root, "benefit").hidden = false;
  basket.focus();
}

function body() {
  if (!scan) return gettext("Scan the citizen's code first.");
  if (basket.missing) return basket.missing;
  const choice = chosen(choicesBox, choices);
  if (!choice) return gettext("Choose how this is to be paid.");
  return {
    scan_id: scan.scan_id,
    benefit_kind: choice.benefit_kind,
    disease_code: choice.disease_code,
    lines: basket.forBill(),
  };
}

function forgetPerson() {
  scan = null;
  choices = [];
  part(personStep, "person").replaceChildren();
  part(personStep, "scan-box").hidden = false;
  part(personStep, "change").hidden = true;
  part(root, "benefit").hidden = true;
  choicesBox.replaceChildren();
  box.reset();
}

function startNext() {
  finish(false);
  bill.reset();
  basket.clear();
  forgetPerson();
  scrollTo({ top: 0 });
  box.focus();
}

part(personStep, "change").addEventListener("click", () => {
  bill.reset();
  forgetPerson();
  box.focus();
});
guard(() => {
  if (bill.busy || (finished && scan)) return null;
  return bill.scanField ?? (scan ? basket.input : box.input);
});
bill.resume();
box.focus();
