"""The clinic journey through the signed API alone: 挂号, 就诊, 收费, 取药."""

from settlement.models import Pickup, Posting, Settlement
from tests.ledger_checks import assert_sound, balances
from tests.world import World, line


def test_a_patient_registers_is_treated_pays_and_collects_her_drugs(world: World) -> None:
    opening = balances()
    counter, pharmacy_window = world.till(world.clinic), world.till(world.clinic, name="window")

    # 挂号: a scan opens the visit, and the registration fee is a settlement of its own.
    scan_id = world.scan(counter, use="registration")
    visit = counter.post(
        "visits",
        {
            "scan_id": scan_id,
            "department": "全科",
            "registration_line": line("S1", "1", "15"),
        },
    )
    assert visit.status == 201, visit.text
    assert visit["member"]["name"] == "王测试"
    visit_id = visit["visit_id"]
    fee = counter.post(
        "settlements",
        {
            "benefit_kind": "registration",
            "visit_id": visit_id,
            "fee_batch_ids": [visit["fee_batch"]["fee_batch_id"]],
        },
    )
    assert fee.status == 201, fee.text
    assert (fee["total_fen"], fee["pool_fen"]) == (1_500, 0)

    # 就诊: the diagnosis and what was done, and a prescription for later.
    batch = counter.post(
        f"visits/{visit_id}/fee-batches",
        {
            "diagnoses": [{"code": "J02.900", "name": "急性咽炎", "main": True}],
            "doctor": "测试医师",
            "lines": [line("S2", "1", "20"), line("A4", "40", "18.6")],
        },
    )
    assert batch.status == 201, batch.text
    assert (batch["number"], batch["total_fen"]) == (2, 76_400)
    prescription = counter.post(
        f"visits/{visit_id}/prescriptions",
        {
            "prescriber": "测试医师",
            "diagnosis": "急性咽炎",
            "lines": [{"national_code": "XJ01CAA004", "quantity": "40"}],
        },
    )
    assert prescription.status == 201, prescription.text

    # 收费: estimate, quote, settle, all the same to the fen. 600 yuan are the retiree's own first.
    bill = {"benefit_kind": "outpatient", "visit_id": visit_id}
    estimate = counter.post("estimates", bill)
    quote = counter.post("quotes", bill)
    assert estimate.status == 200, estimate.text
    assert quote.status == 201, quote.text
    assert quote["pool_fen"] == (76_400 - 60_000) * 85 // 100
    settled = counter.post(
        "settlements", {"quote_id": quote["quote_id"], "cash_fen": quote["cash_fen"]}
    )
    assert settled.status == 201, settled.text
    assert estimate["shares"] == quote["shares"] == settled["shares"]
    assert sum(share["amount_fen"] for share in settled["shares"]) == 76_400

    # 取药: another window, a second scan.
    handed = pharmacy_window.post(
        f"visits/{visit_id}/pickups",
        {
            "scan_id": world.scan(pharmacy_window, use="drug_pickup"),
            "settlement_id": settled["settlement_id"],
        },
    )
    assert handed.status == 201, handed.text
    # The drugs, and not the blood test that was billed with them.
    assert [(one["name"], one["quantity"]) for one in handed["lines"]] == [("阿莫西林胶囊", "40")]
    assert Pickup.objects.count() == 1

    assert world.post_everything() == 2
    assert sum(Posting.objects.values_list("amount_fen", flat=True)) == 0
    assert set(Settlement.objects.values_list("state", flat=True)) == {"posted"}
    assert_sound(opening=opening)

    record = counter.get(f"visits/{visit_id}")
    assert [one["benefit_kind"] for one in record["settlements"]] == ["registration", "outpatient"]
    assert record["prescriptions"][0]["prescription"] == prescription["prescription"]
    assert len(record["pickups"]) == 1
    slip = counter.get(f"settlements/{settled['settlement_id']}/slip")
    assert slip["current"]["state"] == "posted"
    assert sum(share["amount_fen"] for share in slip["slip"]["shares"]) == 76_400
