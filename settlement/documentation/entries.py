"""What the API document says of each operation that no code says elsewhere: its place, its meaning,
what it answers, and every refusal it may meet, in the order in which they are judged.

The meanings of the codes are `docs/refusals.md`'s; shapes of requests are the very structs that
decode them.
"""

from dataclasses import dataclass

from merchants.requests import EnrolRequest, RollRequest, SaveItemsRequest
from messaging.bodies import Payload
from settlement.requests import (
    AddFeesRequest,
    BillRequest,
    CloseShiftRequest,
    ConfirmRequest,
    DischargeRequest,
    OpenShiftRequest,
    OpenVisitRequest,
    PickUpRequest,
    PrescribeRequest,
    RefundRequest,
    ReleaseRequest,
    ReverseRequest,
    ScanRequest,
    SettleRequest,
    TenderRequest,
    TotalsComparison,
)

from . import answers
from .answers import AnswerShape
from .refusals import BILL, CODE, LINES, MEMBER, SCAN

TAGS = {
    "terminals": "Becoming a terminal, the merchant's item list, and its area's catalogue.",
    "scans": "A code presented for a declared use: who is covered, and for what.",
    "visits": "A clinic's or hospital's visit: 挂号, 就诊, 取药.",
    "bills": "Who pays what: estimates, quotes, settlements, slips, refunds.",
    "shifts": "Who stands at a till from when to when, what it took, and whether your books agree.",
    "outcomes": "What became of a request whose answer was lost.",
    "keys": "Published keys. No signature needed.",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One operation. `signed` ones carry the signature's headers and refusals, writes the key's."""

    tag: str
    status: int
    answer: type[AnswerShape]
    request: type[Payload] | None = None
    description: str = ""
    refusals: tuple[str, ...] = ()
    signed: bool = True


ENTRIES: dict[str, Entry] = {
    "enrol": Entry(
        "terminals",
        201,
        answers.Enrolled,
        EnrolRequest,
        refusals=(
            "body_too_large",
            "body_not_json",
            "field_invalid",
            "public_key_invalid",
            "enrolment_code_unknown",
            "enrolment_code_used",
            "key_in_use",
        ),
        signed=False,
    ),
    "roll": Entry(
        "terminals",
        200,
        answers.Rolled,
        RollRequest,
        refusals=("public_key_invalid", "key_in_use"),
    ),
    "look_items": Entry("terminals", 200, answers.Items, refusals=("field_invalid",)),
    "look_catalogue": Entry(
        "terminals",
        200,
        answers.CatalogueFound,
        None,
        "By the whole bar code, by the beginning of the national code, of the name's pinyin "
        "initials or of the name, or by a part of the name; the likeliest first. Ask it at "
        "each keystroke.",
        ("field_invalid",),
    ),
    "save_items": Entry("terminals", 200, answers.Saved, SaveItemsRequest),
    "scan": Entry(
        "scans",
        201,
        answers.ScanAnswer,
        ScanRequest,
        "Send the digits as they were read. A genuine code is spent by this, whatever the answer. "
        "`use` is one of registration, consultation, settlement, drug_pickup, admission, deposit, "
        "pharmacy_purchase; the scan is good for that use, at your institution, for half an hour. "
        "Of the types of evidence only `voucher_code` is connected; national_code, identity_card, "
        "social_security_card and face are known and answered `evidence_not_connected`.",
        (
            "use_unknown",
            "evidence_unknown",
            "evidence_not_connected",
            *CODE,
            *MEMBER,
            "capability_missing",
        ),
    ),
    "look_scan": Entry(
        "scans",
        200,
        answers.ScanAnswer,
        None,
        "Cover and benefits are as of now, not as of the scan; a scan that ran out says nothing "
        "more.",
        ("field_invalid", "not_found", "scan_expired"),
    ),
    "open_visit": Entry(
        "visits",
        201,
        answers.VisitOpened,
        OpenVisitRequest,
        "Needs a scan for registration, consultation or admission. `kind` is outpatient or "
        "inpatient; an admission may be entered up to three days after its `admission_date`. "
        "`emergency` (急诊) and `public_emergency` (疫情) are facts that the rules may go by. "
        "A `registration_line` becomes the first fee batch, settled like any other. "
        "Only here does an institution learn the person's full name and document number.",
        (*SCAN, "capability_missing", *MEMBER, *LINES),
    ),
    "look_visit": Entry(
        "visits",
        200,
        answers.VisitRecord,
        None,
        "With its fee batches, settlements, prescriptions and pick-ups.",
        ("field_invalid", "not_found"),
    ),
    "add_fees": Entry(
        "visits",
        201,
        answers.FeeBatchAnswer,
        AddFeesRequest,
        "Any number of batches until the visit is closed. Diagnoses replace the earlier ones; the "
        "rules may go by their codes.",
        (*SCAN, "visit_closed", *LINES),
    ),
    "discharge": Entry(
        "visits",
        200,
        answers.Discharged,
        DischargeRequest,
        "Fixes the day of discharge, which decides the benefit year and the version of the rules "
        "where the policy says so. Bills before it are interim ones of the same stay: what counts "
        "once a stay is counted once over all of them. A bill after it needs a live scan of its "
        "own. Until such a bill is accepted the day may be corrected.",
        ("not_found", "visit_closed", "already_discharged"),
    ),
    "prescribe": Entry(
        "visits",
        201,
        answers.Prescribed,
        PrescribeRequest,
        "`valid_days` counts today. The number goes into the `prescription` of the lines that fill "
        "it, here or at a pharmacy.",
        ("not_found", "visit_closed", "item_unknown", "quantity_not_positive"),
    ),
    "pick_up": Entry(
        "visits",
        201,
        answers.PickedUp,
        PickUpRequest,
        "Needs a scan of its own for drug_pickup, by the person of the visit.",
        (*SCAN, "capability_missing", "visit_closed", "already_picked_up"),
    ),
    "estimate": Entry(
        "bills",
        200,
        answers.Estimated,
        BillRequest,
        "Any number of times. A pharmacy's bill has `scan_id` and `lines`; a visit's bill has "
        "`visit_id` and takes the unsettled lines of its fee batches, or of `fee_batch_ids`. "
        "A visit of today needs no further scan; another, and one that is discharged, needs a live "
        "one for settlement. A stay is billed as a whole, over days and catalogue versions; `days` "
        "are its bed-days where several bills share it, `package` is the treatment's charge "
        "package. A relative's account that is shared with the person pays after their own; "
        "`relative_limit_fen` 0 leaves it alone.",
        BILL,
    ),
    "quote": Entry(
        "bills",
        201,
        answers.Quoted,
        BillRequest,
        "The figures of an estimate, held for two minutes. The same till's earlier quote for the "
        "person is replaced.",
        BILL,
    ),
    "release": Entry(
        "bills",
        200,
        answers.Released,
        ReleaseRequest,
        "Send `{}`. Releasing twice is the same as once.",
        ("not_found", "quote_not_live"),
    ),
    "tender": Entry(
        "bills",
        201,
        answers.Tendered,
        TenderRequest,
        "Optional: a quote that is settled without it is paid in cash. `payment_code` is what the "
        "customer's WeChat or Alipay shows, `reference` what your card terminal printed; credit is "
        "信用就医 and gives what the person's line has left. Parts may be sent one by one until "
        "`left_fen` is 0. While a part is `unknown`, read this address again: the quote lives on "
        "meanwhile. Whatever was taken goes back by itself when the quote is released, replaced, "
        "refused or runs out; cash and cards you give back yourself.",
        (
            "not_found",
            "quote_expired",
            "quote_not_live",
            "tender_not_connected",
            "tender_exceeds",
            "tender_reference_used",
        ),
    ),
    "look_tender": Entry(
        "bills",
        200,
        answers.Tendered,
        None,
        "After the settlement too: `captured`, or `debt` where the payment service owes it to you, "
        "and what refunds send back.",
        ("field_invalid", "not_found"),
    ),
    "settle": Entry(
        "bills",
        201,
        answers.Settled,
        SettleRequest,
        "With `quote_id` the figures are the quote's, to the fen; beside it only `cash_fen`, and "
        "the `lines` to compare, may be given. With a bill instead (the members "
        "of an estimate) it is priced and accepted at once. Give `cash_fen`, the cash you mean to "
        "take: another figure is refused with `cash_differs` instead of accepted.",
        (
            "quote_expired",
            "quote_not_live",
            "line_changed",
            *BILL,
            "cash_differs",
            "tender_unknown",
            "tender_incomplete",
            "trace_code_used",
        ),
    ),
    "look_settlement": Entry(
        "bills",
        200,
        answers.SettlementRecord,
        None,
        "`state` turns from accepted to posted when the ledger has it, usually within a second.",
        ("field_invalid", "not_found"),
    ),
    "look_slip": Entry(
        "bills",
        200,
        answers.Slip,
        None,
        "What the member is handed: `text` line by line, or your own form from `slip`, from which "
        "everybody can work the shares out again (docs/api.md). The first asking issues the slip; "
        "from then on every asking in that language gets the very same, also after a refund, which "
        "stands under `current`.",
        ("field_invalid", "not_found", "slip_not_reproducible"),
    ),
    "refund": Entry(
        "bills",
        201,
        answers.Refunded,
        RefundRequest,
        "By the settlement's id; no scan is needed. Without `lines` whatever is left of it comes "
        "back; with them, each line whole, or so much of its `quantity`, or so many fen of it. "
        "What remains is priced again as of the settlement, so parts in any order end alike. Give "
        "the cash part back when this is accepted. Later settlements of the year follow the area's "
        "rules: they stand, and `would_differ` names those that would have come to other figures; "
        "or they have to come back first; or they count anew, and what that changes is part of "
        "this return (`restated`). A return into a month that is declared for clearing waits for "
        "the fund: `refund_needs_approval`, then the same under a new key.",
        (
            "not_found",
            "already_refunded",
            "refund_too_much",
            "refund_whole_only",
            "refund_last_first",
            "refund_needs_payment",
            "refund_needs_approval",
            "refund_declined",
        ),
    ),
    "reverse": Entry(
        "bills",
        200,
        answers.Reversed,
        ReverseRequest,
        "For an act whose answer never came and that you no longer want. By the key it was sent "
        "under, from any terminal of yours, at any moment: before it arrives (the key is barred), "
        "while it is worked (you wait for it), after it. `outcome` is barred, refused, "
        "nothing_to_withdraw, released or reversed. Fees of a visit are there to be billed again.",
        ("use_refund", "not_reversible"),
    ),
    "confirm": Entry(
        "bills",
        200,
        answers.Confirmed,
        ConfirmRequest,
        "Send `{}` once you have the answer of a settlement, at the latest by its `confirm_by` if "
        "you settled with `confirm_within_s`: one that is not confirmed by then is reversed by "
        "itself. Confirming twice is the same as once.",
        ("not_found", "settlement_reversed"),
    ),
    "look_refund": Entry(
        "bills", 200, answers.RefundRecord, None, "", ("field_invalid", "not_found")
    ),
    "open_shift": Entry(
        "shifts",
        201,
        answers.ShiftRecord,
        OpenShiftRequest,
        "One open shift a terminal. Whatever the terminal settles or refunds from now on and "
        "before the shift is closed belongs to it, and bears the `operator` you name here. Of "
        "`shift_open` the problem's `shift_id` says which one is open. Selling needs no shift.",
        ("shift_open",),
    ),
    "close_shift": Entry(
        "shifts",
        200,
        answers.ShiftRecord,
        CloseShiftRequest,
        "By the same terminal and the same `operator` that opened it. What you counted is compared "
        "with the float and the cash received less the cash given back; the difference is kept. A "
        "settlement on its way at this moment is either in these sums or, sent again after "
        "`try_again`, in the next shift.",
        ("not_found", "shift_of_another", "shift_closed"),
    ),
    "look_shift": Entry(
        "shifts",
        200,
        answers.ShiftRecord,
        None,
        "While it is open the sums are those of this moment.",
        ("field_invalid", "not_found"),
    ),
    "look_totals": Entry(
        "shifts",
        200,
        answers.Totals,
        None,
        "Of the whole institution, or narrowed; `parts` has the same by terminal and operator. A "
        "refund counts on the day, and at the till, where it was given back.",
        ("field_invalid", "not_found"),
    ),
    "compare_totals": Entry(
        "shifts",
        200,
        answers.Compared,
        TotalsComparison,
        "Give a `day` or a `shift_id`, and of your figures what you have. `payers` and `tenders` "
        "are settled less refunded. With `show_rows` each difference comes with what makes up our "
        "figure; with `settlement_list` or `refund_list` you learn which of yours we do not have, "
        "which of ours you do not, and which are not of the same total. At most 500 rows a list; "
        "`left_off` counts the others. It is answered as of the first time that its key was sent.",
        ("not_found",),
    ),
    "look_outcome": Entry(
        "outcomes",
        200,
        answers.Outcome,
        None,
        "`status`, `code` and `answer` are those of the request that carried the key, refusals "
        "included. `outcome_unknown` means that it never arrived.",
        ("outcome_unknown",),
    ),
    "answer_keys": Entry("keys", 200, answers.AnswerKeys, signed=False),
}
