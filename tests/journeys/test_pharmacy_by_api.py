"""The pharmacy journey through the signed API alone, as a merchant's own software does it."""

from settlement.models import Account, LedgerTransaction, Posting, Settlement
from tests.world import World, line


def test_a_chronic_patient_buys_on_a_prescription_and_the_settlement_is_posted(
    world: World,
) -> None:
    till = world.till()
    scan = till.post(
        "scans",
        {
            "evidence": {"type": "voucher_code", "value": world.code()},
            "use": "pharmacy_purchase",
        },
    )
    assert scan.status == 201, scan.text
    assert scan["member"]["name"] == "王**"
    assert scan["benefits"][0]["disease_code"] == "M03900"
    bill = {
        "scan_id": scan["scan_id"],
        "benefit_kind": "chronic",
        "disease_code": "M03900",
        "lines": [
            line("A1", "4", "25", prescription=world.prescription()),
            line("A4", "1", "18.6"),
            line("A6", "2", "9.9"),
        ],
    }
    estimate = till.post("estimates", bill)
    assert estimate.status == 200, estimate.text
    quote = till.post("quotes", bill)
    assert quote.status == 201, quote.text
    assert [quote[part] for part in ("pool_fen", "account_fen", "cash_fen")] == [
        estimate[part] for part in ("pool_fen", "account_fen", "cash_fen")
    ]
    assert quote["lines"][2]["mapped"] is False
    settled = till.post(
        "settlements", {"quote_id": quote["quote_id"], "cash_fen": quote["cash_fen"]}
    )
    assert settled.status == 201, settled.text
    assert sum(share["amount_fen"] for share in settled["shares"]) == settled["total_fen"] == 13_840
    assert settled["shares"] == quote["shares"]
    assert settled["account_balance_fen"] == 100_000 - settled["account_fen"]

    assert world.post_everything() == 1
    record = till.get(f"settlements/{settled['settlement_id']}")
    assert record["state"] == "posted"
    assert record["shares"] == settled["shares"]
    legs = Posting.objects.all()
    assert sum(leg.amount_fen for leg in legs) == 0
    assert LedgerTransaction.objects.count() == 1
    assert Account.objects.get(member=world.retiree).balance_fen == settled["account_balance_fen"]

    refund = till.post("refunds", {"settlement_id": settled["settlement_id"], "reason": "returned"})
    assert refund.status == 201, refund.text
    assert refund["shares"] == settled["shares"]
    assert world.post_everything() == 1
    assert Account.objects.get(member=world.retiree).balance_fen == 100_000
    assert sum(Posting.objects.values_list("amount_fen", flat=True)) == 0
    assert Settlement.objects.get().refunded_fen == 13_840
    outcome = till.get(f"outcomes/{'nobody-sent-this'}")
    assert outcome.status == 404
