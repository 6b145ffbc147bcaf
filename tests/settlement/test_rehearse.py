"""Rehearsal: a draft over what was really settled; the rules in force change nothing at all."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db.models import F, Sum
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from messaging.days import business_date
from settlement import benefits
from settlement.benefits import calculate
from settlement.benefits.rehearsing import Became, MemberRehearsal, at_any_time
from settlement.models import Settlement, YearToDate
from settlement.services.rehearsal import Rehearsal, rehearse
from tests.rows import OURS
from tests.settlement.benefits_worlds import EXAMPLES, worlds
from tests.settlement.test_partial_refunds import return_lines
from tests.settlement.test_refunds import give_back, sale
from tests.settlement.test_settlements import BILLS, as_lines
from tests.world import AREA, POLICY_FILE, Till, World, line

TEXT = POLICY_FILE.read_text()
IN_FORCE = benefits.load_policy(TEXT, name="370300")
# The retired pay a fifth of a chronic bill over the deductible; under the draft, a tenth.
RATE = 'rate = "80%"'
DRAFT = TEXT.replace(RATE, 'rate = "90%"', 1)


def silent(title: str, done: int, total: int) -> None:
    """A progress bar that nobody looks at."""


def traded_at_random(world: World, sales: Any, data: st.DataObject) -> None:
    """These sales to a retiree and to a worker, some of them returned, at once or in parts."""
    till = getattr(world, "_till", None) or world.till()
    world._till = till  # type: ignore[attr-defined]
    for person in (world.retiree, world.worker):
        scan_id = world.scan(till, member=person)
        for kind, rows, limit_fen in sales:
            chronic = kind == "chronic" and person == world.retiree
            settled = sale(
                world,
                till,
                scan_id=scan_id,
                benefit_kind="chronic" if chronic else "pharmacy_account",
                disease_code="M03900" if chronic else None,
                lines=as_lines(rows),
                account_limit_fen=limit_fen,
            )
            if not settled["total_fen"]:
                continue
            back = data.draw(st.sampled_from(["nothing", "a line", "half", "all"]), label="back")
            first = {"no": data.draw(st.integers(1, len(rows)), label="line")}
            if back == "half":
                first["amount_fen"] = 1
            if back in ("a line", "half"):
                # Refused where nothing is left of the line, or it is the dearer for it.
                return_lines(till, settled, first)
            if back == "all" or (back != "nothing" and data.draw(st.booleans(), label="rest")):
                give_back(till, settled)


def rehearsed(text: str = TEXT, **changes: Any) -> Rehearsal:
    today = business_date(timezone.now())
    return rehearse(
        **{
            "policy": benefits.load_policy(text, name="draft.toml"),
            "area_code": AREA,
            "from_date": today - timedelta(days=1),
            "until_date": today + timedelta(days=1),
            "progress": silent,
            **changes,
        }
    )


def all_rows() -> str:
    """A digest of every row of the project's own tables."""
    digest = hashlib.sha256()
    for app in OURS:
        for model in apps.get_app_config(app).get_models():
            digest.update(repr(list(model._default_manager.order_by("pk").values_list())).encode())
    return digest.hexdigest()


# --- One member, without a database -----------------------------------------------------------


def feed(rehearsal: MemberRehearsal, key: int, world: Any, result: Any) -> Any:
    """A bill that was settled with this result, as a settlement stores it."""
    return rehearsal.settle(
        key,
        seq=key,
        inputs=json.loads(json.dumps(benefits.canonical_inputs(**world.arguments()))),
        stored=result,
    )


def feed_return(rehearsal: MemberRehearsal, key: int, world: Any, result: Any) -> None:
    """All of a bill that was settled with this result came back."""
    refused = rehearsal.refund(
        Became(key, key, before=result, after=None),
        remaining_fen={line.no: 0 for line in world.bill.lines},
        restated=[],
        restates=False,
    )
    assert refused == {}


@given(world=worlds(), data=st.data())
@settings(
    max_examples=max(50, EXAMPLES // 10),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_the_policy_that_priced_a_year_prices_it_so_again_whatever_came_back(
    world: Any, data: st.DataObject
) -> None:
    rehearsal = MemberRehearsal(at_any_time(world.policy))
    for key in range(4):
        result = calculate(**world.arguments())
        again = feed(rehearsal, key, world, result)
        assert benefits.trace_hash(again) == benefits.trace_hash(result)
        amounts = dict(result.year_to_date_after)
        if data.draw(st.booleans(), label="returned"):
            feed_return(rehearsal, key, world, result)
            amounts = {
                name: amount - result.year_to_date_delta.get(name, 0)
                for name, amount in amounts.items()
            }
        world = replace(world, year_to_date={name: n for name, n in amounts.items() if n})


@pytest.mark.parametrize("by", ["admission", "discharge", "service"])
@pytest.mark.parametrize("billed", [date(2022, 12, 20), date(2023, 1, 5)])
def test_a_stay_across_the_year_end_is_rehearsed_on_the_year_it_was_settled_in(
    by: str, billed: date
) -> None:
    policy = benefits.load_policy(STAYS.replace("BY", by), name="stays.toml")
    # 500 yuan of the deductible are met: read from another year, the bill would bear them again.
    arguments: dict[str, Any] = {
        "policy": policy,
        "member": benefits.Member("employee", "active", 50, None, True, True),
        "site": benefits.Site("hospital", 2, "H1", "370300"),
        "bill": benefits.Bill(
            "ward",
            None,
            billed,
            (benefits.Line(1, "", "", 1000_00, "A", 0, 0, True, True, True, False),),
            admission_date=date(2022, 12, 20),
            discharge_date=date(2023, 1, 5),
        ),
        "year_to_date": {"pool.deductible": 500_00},
        "account_available_fen": 0,
    }
    settled = benefits.calculate(**arguments)
    assert settled.fund_fen == 800_00
    rehearsed = MemberRehearsal(at_any_time(policy)).settle(
        1, seq=1, inputs=benefits.canonical_inputs(**arguments), stored=settled
    )
    assert benefits.trace_hash(rehearsed) == benefits.trace_hash(settled)


STAYS = """
format = 1
version = "stays"
area = "370300"
title = { zh = "样例", en = "sample" }
effective_from = 2020-01-01
rounding = "half_up"
benefit_year = { starts = "01-01", source = "assumption" }
kinds.ward = { zh = "住院", en = "ward", year_by = "BY" }

[catalogue]
order = ["out_of_scope", "over_limit", "first_pay", "away_first_pay"]
source = "assumption"

[[layer]]
name = "pool"
title = { zh = "统筹", en = "pool" }
payer = "pool"
base = ["in_range"]
source = "assumption"

[[layer.rate]]
rate = "80%"
source = "assumption"

[[layer.deductible]]
amount = 500
per = "year"
counts_in = "pool.deductible"
source = "assumption"
"""


@given(world=worlds(), other=worlds(), back=st.booleans())
@settings(
    max_examples=max(50, EXAMPLES // 10),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_a_draft_carries_its_own_year_from_bill_to_bill(world: Any, other: Any, back: bool) -> None:
    # The money of the account is the next test's.
    world = replace(world, account=0, year_to_date={})
    draft = at_any_time(other.policy)
    rehearsal = MemberRehearsal(draft)
    carried: dict[str, int] = {}
    for key in range(3):
        truth = calculate(**world.arguments())
        arguments = {**world.arguments(), "policy": draft, "year_to_date": dict(carried)}
        if (code := refusal(lambda arguments=arguments: calculate(**arguments))) is not None:
            assert code == refusal(lambda: feed(rehearsal, key, world, truth))  # noqa: B023
            return
        expected = calculate(**arguments)
        assert feed(rehearsal, key, world, truth).shares == expected.shares
        if back and key == 0:
            feed_return(rehearsal, key, world, truth)
            continue
        carried = dict(expected.year_to_date_after)
        world = replace(
            world,
            year_to_date={name: n for name, n in truth.year_to_date_after.items() if n},
        )


def refusal(act: Callable[[], object]) -> str | None:
    """The code with which the calculator refuses, or None."""
    try:
        act()
    except benefits.BenefitsError as refused:
        return refused.code
    return None


def test_what_a_draft_leaves_of_the_account_is_what_the_next_bill_finds() -> None:
    """Two bills of 100 yuan on an account of 150: the draft takes more of the first one."""
    text = TEXT
    member = benefits.Member("employee", "active", 40, None, True, True, ())
    site = benefits.Site(kind="pharmacy", level=0, institution_code="P1", area=AREA)

    def bill(limit_fen: int | None) -> dict[str, Any]:
        return {
            "member": member,
            "site": site,
            "bill": benefits.Bill(
                kind="pharmacy_account",
                disease_code=None,
                service_date=date(2026, 3, 1),
                lines=(
                    benefits.Line(
                        no=1, code="X", name="X", amount_fen=10_000, item_class="A",
                        first_pay_bp=0, over_limit_fen=0, covered=True, account_ok=True,
                        prescription=False, prescription_only=False, disease_codes=(), group="",
                    ),
                ),
                account_limit_fen=limit_fen,
            ),
        }  # fmt: skip

    policy = benefits.load_policy(text, name="370300")
    rehearsal = MemberRehearsal(at_any_time(policy))
    available, paid = 15_000, []
    for key in range(2):
        stored = bill(None)
        # In truth the account gave 40 yuan of the first bill, by a rule that the draft has not.
        real = calculate(
            policy=policy,
            year_to_date={},
            account_available_fen=available,
            **bill(4_000 if key == 0 else None),
        )
        result = rehearsal.settle(
            key,
            seq=key,
            inputs=benefits.canonical_inputs(
                policy=policy, year_to_date={}, account_available_fen=available, **stored
            ),
            stored=real,
        )
        paid.append(result.account_fen)
        available -= real.account_fen
    assert paid == [10_000, 5_000]


# --- Stored settlements -----------------------------------------------------------------------


@pytest.fixture
def till(world: World) -> Till:
    return world.till()


@pytest.mark.django_db(transaction=True)
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(sales=BILLS, data=st.data())
def test_the_version_in_force_gives_no_difference_and_writes_nothing(
    world: World, sales: Any, data: st.DataObject
) -> None:
    traded_at_random(world, sales, data)
    before = all_rows()
    found = rehearsed()
    assert all_rows() == before
    assert (found.changed, found.other_figures, found.not_priced) == (0, 0, {})
    gone = Settlement.objects.filter(refunded_fen=F("total_fen"), total_fen__gt=0)
    assert found.returned == gone.count()
    assert found.whole.bills + found.returned == Settlement.objects.count()
    sums = Settlement.objects.aggregate(sold=Sum("total_fen"), back=Sum("refunded_fen"))
    assert found.whole.total_fen == sums["sold"] - sums["back"]
    assert found.whole.stored == found.whole.rehearsed
    assert sum(found.whole.stored.values()) == found.whole.total_fen
    for rows in (found.by_group, found.by_kind, found.by_merchant):
        assert sum(costs.bills for costs in rows.values()) == found.whole.bills
        assert sum(costs.total_fen for costs in rows.values()) == found.whole.total_fen


@pytest.mark.django_db(transaction=True)
def test_a_higher_rate_costs_the_fund_what_a_person_works_out(world: World, till: Till) -> None:
    # 1,000 yuan of deductible: 930.00, then 930.00, of which 860.00 is over it.
    sale(world, till, line("A4", "50", "18.6"))
    sale(world, till, line("A4", "50", "18.6"))
    found = rehearsed(DRAFT)
    assert found.whole.stored["pool"] == 86_000 * 80 // 100
    assert found.whole.rehearsed["pool"] == 86_000 * 90 // 100
    assert (found.changed, found.cheaper, found.dearer) == (1, 1, 0)
    (change,) = found.largest
    assert (change.fund_fen, change.personal_fen) == (8_600, -8_600)
    assert change.settlement_id == Settlement.objects.get(member_seq=2).pk
    assert set(found.by_group) == {"employee/retired"}
    assert found.by_merchant["P37030099001"].differences()["pool"] == 8_600


@pytest.mark.django_db(transaction=True)
def test_a_higher_deductible_is_carried_from_bill_to_bill_and_comes_back_with_a_return(
    world: World, till: Till
) -> None:
    sale(world, till, line("A4", "50", "18.6"))
    give_back(till, sale(world, till, line("A4", "10", "18.6")))
    sale(world, till, line("A4", "50", "18.6"))
    sale(world, till, line("A4", "50", "18.6"))
    draft = TEXT.replace("amount = 1000", "amount = 2000", 1)
    assert draft != TEXT
    found = rehearsed(draft)
    # 930.00 and 930.00 stay below it, 140.00 of the last bill meet it; what came back counts not.
    assert found.whole.stored["pool"] == (86_000 + 93_000) * 80 // 100
    assert found.whole.rehearsed.get("pool") == 79_000 * 80 // 100
    assert found.returned == 1
    assert found.whole.bills == 3


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("mutant", ["_count", "refund"])
def test_a_rehearsal_that_forgets_what_it_did_is_caught(
    world: World, till: Till, monkeypatch: pytest.MonkeyPatch, mutant: str
) -> None:
    monkeypatch.setattr(MemberRehearsal, mutant, lambda *args, **kwargs: {})
    with pytest.raises(AssertionError):
        test_a_higher_deductible_is_carried_from_bill_to_bill_and_comes_back_with_a_return(
            world, till
        )


@pytest.mark.django_db(transaction=True)
def test_a_year_to_date_corrected_from_outside_counts_for_the_draft_too(
    world: World, till: Till
) -> None:
    sale(world, till, line("A4", "50", "18.6"))
    # A correction of the register: the person had met 50 yuan more elsewhere.
    row = YearToDate.objects.get()
    row.amounts = {**row.amounts, "chronic.deductible": row.amounts["chronic.deductible"] + 5_000}
    row.save(update_fields=["amounts"])
    sale(world, till, line("A4", "50", "18.6"))
    assert rehearsed().other_figures == 0
    found = rehearsed(DRAFT)
    assert found.whole.rehearsed["pool"] == (93_000 - 2_000) * 90 // 100


@pytest.mark.django_db(transaction=True)
def test_a_bill_that_the_draft_has_no_kind_for_is_named_and_costs_nothing_on_either_side(
    world: World, till: Till
) -> None:
    sale(world, till, line("A4", "50", "18.6"))
    refused = sale(world, till, line(), benefit_kind="pharmacy_account", disease_code=None)
    draft = TEXT.replace("pharmacy_account", "other_account")
    found = rehearsed(draft)
    assert found.not_priced == {"unknown_kind": [UUID(refused["settlement_id"])]}
    assert found.whole.bills == 1
    assert "pharmacy_account" not in found.by_kind


@pytest.mark.django_db(transaction=True)
def test_only_the_days_asked_for_count(world: World, till: Till) -> None:
    sale(world, till)
    today = business_date(timezone.now())
    assert rehearsed(from_date=today, until_date=today + timedelta(days=1)).whole.bills == 1
    assert rehearsed(from_date=today - timedelta(days=9), until_date=today).whole.bills == 0
    assert rehearsed(area_code="441900").whole.bills == 0
    with pytest.raises(ValueError, match="after the first"):
        rehearsed(from_date=today, until_date=today)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_settlement_made_meanwhile_is_not_in_the_snapshot_and_nothing_can_be_written(
    world: World, till: Till
) -> None:
    from django.db import DatabaseError

    sale(world, till)
    written: list[str] = []

    def write(title: str, done: int, total: int) -> None:
        try:
            YearToDate.objects.update(benefit_year=1)
        except DatabaseError as error:
            written.append(str(error))
            raise

    with pytest.raises(DatabaseError, match="read-only"):
        rehearsed(progress=write)
    assert len(written) == 1


# --- The command ------------------------------------------------------------------------------


def command(*arguments: str) -> str:
    out = StringIO()
    call_command("rehearse", *arguments, stdout=out)
    return out.getvalue()


def window() -> tuple[str, ...]:
    today = business_date(timezone.now())
    return ("--from", str(today), "--to", str(today + timedelta(days=1)))


@pytest.mark.django_db(transaction=True)
def test_the_command_takes_a_file_or_a_loaded_version(
    world: World, till: Till, tmp_path: Path
) -> None:
    sale(world, till, line("A4", "60", "18.6"))
    draft = tmp_path / "draft.toml"
    draft.write_text(DRAFT)
    in_force = command(IN_FORCE.version, *window())
    assert "0 differences" in in_force
    told = command(str(draft), *window())
    assert "1 differences" in told
    # 116.00 yuan over the deductible: 92.80 at 80 %, 104.40 at 90 %.
    assert "+11.60" in told
    assert "王" not in told
    data = json.loads(command(str(draft), *window(), "--json"))
    assert data["whole"]["difference_fen"]["pool"] == 1_160
    assert data["by_kind"]["chronic"]["bills"] == 1


@pytest.mark.django_db(transaction=True)
def test_the_bills_that_a_draft_refuses_are_named_to_a_reader_in_part_and_to_a_program_all(
    world: World, till: Till, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("settlement.management.commands.rehearse.MOST_REFUSED", 2)
    ids = [
        sale(world, till, line(), benefit_kind="pharmacy_account", disease_code=None)[
            "settlement_id"
        ]
        for _ in range(3)
    ]
    draft = tmp_path / "draft.toml"
    draft.write_text(TEXT.replace("pharmacy_account", "other_account"))
    told = command(str(draft), *window()).splitlines()
    at = told.index("3 bills cannot be priced by it: unknown_kind")
    assert told[at + 1 : at + 4] == [
        f"  {ids[0]}", f"  {ids[1]}", "  and 1 more; --json names them all",
    ]  # fmt: skip
    assert json.loads(command(str(draft), *window(), "--json"))["not_priced"] == {
        "unknown_kind": ids
    }


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (lambda p: ("nowhere.toml", *window()), "neither a file nor a loaded version"),
        (lambda p: (str(p / "broken.toml"), *window()), "broken.toml"),
        (lambda p: (str(p / "binary.toml"), *window()), "cannot be read"),
        (lambda p: (IN_FORCE.version, "--from", "yesterday", "--to", "2026-01-01"), "--from"),
        (lambda p: (IN_FORCE.version, "--from", "2026-01-02", "--to", "2026-01-01"), "--to"),
    ],
    ids=["unknown", "broken", "binary", "no day", "turned round"],
)
def test_a_wrong_argument_is_named(
    world: World, tmp_path: Path, arguments: Callable[[Path], tuple[str, ...]], said: str
) -> None:
    (tmp_path / "broken.toml").write_text("format = 1\nversion = 3\n")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CommandError, match=said):
        command(*arguments(tmp_path))
