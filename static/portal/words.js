// The closed vocabularies of the answers, in the reader's language. A word that is missing here is
// shown as it came, which is ugly and still true.

const PAYERS = {
  pool: () => gettext("Pool"),
  large_amount: () => gettext("Large-amount aid"),
  major_illness: () => gettext("Major illness"),
  civil_servant: () => gettext("Civil servant aid"),
  medical_aid: () => gettext("Medical aid"),
  second_aid: () => gettext("Second aid"),
  hospital_waiver: () => gettext("Waived by the hospital"),
  commercial: () => gettext("Commercial insurance"),
  account: () => gettext("Account"),
  relative_account: () => gettext("A relative's account"),
  cash: () => gettext("Cash"),
};
const TENDERS = {
  cash: () => gettext("Cash"),
  bank_card: () => gettext("Bank card"),
  wechat: () => gettext("WeChat Pay"),
  alipay: () => gettext("Alipay"),
  credit: () => gettext("Credit for medical care"),
};
const REASONS = {
  not_in_catalogue: () => gettext("Not in the catalogue: no fund pays for it"),
  unmapped: () => gettext("Not mapped to a national code: no fund pays for it"),
  class_c: () => gettext("Class C: paid by the patient"),
  needs_prescription: () => gettext("Needs a prescription reference"),
  not_for_this_disease: () => gettext("Not for this disease"),
  amenity: () => gettext("An amenity: paid by the patient"),
  restricted_use: () => gettext("Outside the use that the item is restricted to"),
  counted_in_part: () => gettext("Counted in part"),
  pool_frozen: () => gettext("The pool is frozen for this person"),
  disease_not_filed: () => gettext("The disease is not registered"),
  institution_not_chosen: () => gettext("This institution was not chosen for the disease"),
  no_rate_for_this_case: () => gettext("The policy names no rate for this case"),
  no_fund_for_this_kind: () => gettext("No pool pays for this kind of bill"),
};
const SCHEMES = {
  employee: () => gettext("Employee insurance"),
  resident: () => gettext("Resident insurance"),
};
const CATEGORIES = {
  active: () => gettext("In work"),
  retired: () => gettext("Retired"),
  resident: () => gettext("Resident"),
  student: () => gettext("Student or child"),
};
const ENTITLEMENTS = {
  waiting: () => gettext("Waiting period"),
  in_force: () => gettext("In force"),
  arrears: () => gettext("In arrears: account only"),
  suspended: () => gettext("Suspended"),
  deceased: () => gettext("Deceased"),
};
const SEXES = { female: () => gettext("female"), male: () => gettext("male") };
const USES = {
  registration: () => gettext("registration"),
  consultation: () => gettext("consultation"),
  settlement: () => gettext("settlement"),
  drug_pickup: () => gettext("collecting medicine"),
  admission: () => gettext("admission"),
  deposit: () => gettext("deposit"),
  pharmacy_purchase: () => gettext("pharmacy purchase"),
};
const PROCESSES = {
  "posting sweep": () => gettext("Posting"),
  "tender sweep": () => gettext("Payments of cash parts"),
  sealer: () => gettext("Sealing"),
  queue: () => gettext("Message queue"),
};
// What waits in the outbox.
const TASKS = {
  post_settlement: () => gettext("Post a settlement"),
  post_refund: () => gettext("Post a refund"),
  capture_tender: () => gettext("Collect a payment"),
  return_tender: () => gettext("Send a payment back"),
  owe_debt: () => gettext("Post a debt of a payment service"),
  relieve_debt: () => gettext("Take a return off such a debt"),
  repay_debt: () => gettext("Post such a debt as paid"),
};
// Why a scan was refused: the frequent ones.
const REFUSALS = {
  code_malformed: () => gettext("Not a medical insurance code"),
  code_version_unknown: () => gettext("Code of an unknown form"),
  code_key_unknown: () => gettext("Code signed with an unknown key"),
  code_signature_invalid: () => gettext("Signature of the code not genuine"),
  code_expired: () => gettext("Code expired"),
  code_from_the_future: () => gettext("Code from the future"),
  code_used: () => gettext("Code used before"),
  code_not_for_this_use: () => gettext("Code limited to another use"),
  code_not_for_this_merchant: () => gettext("Code limited to another institution"),
  payment_code: () => gettext("Payment code"),
  voucher_suspended: () => gettext("Voucher suspended"),
  voucher_closed: () => gettext("Voucher closed"),
  not_enrolled: () => gettext("Not enrolled"),
  entitlement_suspended: () => gettext("Entitlement suspended"),
  out_of_area_not_connected: () => gettext("Insured in another area"),
};
const STATES = {
  accepted: () => gettext("Accepted"),
  posted: () => gettext("Posted"),
};

// What the certainty clock is kept of, and what is final of it.
const KINDS = {
  scan: () => gettext("Scan"),
  quote: () => gettext("Quote"),
  settlement: () => gettext("Settlement"),
  two_step: () => gettext("Two-step settlement"),
  refund: () => gettext("Refund"),
  payment: () => gettext("Payment known"),
  tender: () => gettext("Payment done"),
  tender_refund: () => gettext("Payment given back"),
};
const FINALITIES = {
  scan: () => gettext("its time for billing is over"),
  quote: () => gettext("confirmed, released, replaced or run out"),
  settlement: () => gettext("posted to the ledger; valid since it was answered"),
  two_step: () => gettext("confirmed, or reversed by itself"),
  refund: () => gettext("posted to the ledger; valid since it was answered"),
  payment: () => gettext("whether it was paid is certain"),
  tender: () => gettext("captured, returned, declined, or owed by name"),
  tender_refund: () => gettext("returned the way it came"),
};

const look = (table) => (word) => (table[word] ? table[word]() : String(word ?? ""));

export const kind = look(KINDS);
export const finality = look(FINALITIES);
export const payer = look(PAYERS);
export const tender = look(TENDERS);
export const reason = look(REASONS);
export const scheme = look(SCHEMES);
export const category = look(CATEGORIES);
export const entitlement = look(ENTITLEMENTS);
export const sex = look(SEXES);
export const use = look(USES);
export const process = look(PROCESSES);
export const refusal = look(REFUSALS);
export const state = look(STATES);
export const task = look(TASKS);
