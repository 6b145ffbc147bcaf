"""Replay: what was settled comes out again to the fen, and a moved figure is found and named."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace as changed
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from django.utils.translation import override
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from messaging.days import business_date
from settlement import benefits
from settlement.benefits import calculate
from settlement.benefits.replaying import MemberYears, Stored, differences
from settlement.models import (
    Policy,
    Refund,
    RefundShare,
    Settlement,
    Share,
    YearToDate,
)
from settlement.selectors.rules import compiled_policy
from settlement.services import replaying
from settlement.services.replaying import Replay, Wanted, replay
from tests.races.rivals import at_once
from tests.settlement.benefits_worlds import EXAMPLES, worlds
from tests.settlement.test_ledger_audit import guards_down
from tests.settlement.test_refunds import give_back, sale
from tests.settlement.test_rehearse import all_rows, silent, traded_at_random
from tests.settlement.test_settlements import BILLS
from tests.world import AREA, Till, World, line

ROOT = Path(__file__).resolve().parents[2]
TODAY = business_date(timezone.now())


def replayed(wanted: Wanted | None = None, **more: Any) -> Replay:
    return replay(**{"wanted": wanted or Wanted(), "processes": 1, "progress": silent, **more})


# --- One bill, without a database ---------------------------------------------------------------


def stored(world: Any) -> Stored:
    """A bill of a random world as its settlement stores it, through JSON."""
    result = calculate(**world.arguments())
    return Stored(
        inputs=json.loads(json.dumps(benefits.canonical_inputs(**world.arguments()))),
        result=json.loads(json.dumps(benefits.result_to_dict(result))),
        trace_hash=benefits.trace_hash(result),
        benefit_year=result.benefit_year,
        columns={
            "total_fen": result.total_fen,
            "fund_fen": result.fund_fen,
            "account_fen": result.account_fen,
            "relative_fen": result.share("relative_account"),
            "cash_fen": result.cash_fen,
        },
        shares={share.payer: share.amount_fen for share in result.shares},
        relatives={draw.holder: draw.amount_fen for draw in result.relative_draws},
    )


RANDOM = settings(
    max_examples=max(50, EXAMPLES // 10),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@RANDOM
@given(world=worlds())
def test_any_bill_under_any_policy_comes_out_again(world: Any) -> None:
    assert differences(stored(world), policy=world.policy) == []


def numbers(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where the amounts of a stored result are."""
    if isinstance(value, dict):
        return [found for key, each in value.items() for found in numbers(each, (*path, key))]
    if isinstance(value, list):
        return [found for key, each in enumerate(value) for found in numbers(each, (*path, key))]
    counts = type(value) is int and str(path[-1]).endswith(("_fen", "_bp"))
    return [path] if counts else []


@RANDOM
@given(world=worlds(), data=st.data())
def test_any_amount_of_a_result_that_is_moved_by_a_fen_is_found_and_named(
    world: Any, data: st.DataObject
) -> None:
    kept = stored(world)
    path = data.draw(st.sampled_from(numbers(kept.result)), label="where")
    place: Any = kept.result
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] += 1
    found = [figure.name for figure in differences(kept, policy=world.policy)]
    assert found == ["result" + "".join(f"[{p}]" if type(p) is int else f".{p}" for p in path)]


@RANDOM
@given(world=worlds(), data=st.data())
def test_a_years_bills_and_returns_add_up_again_and_a_moved_amount_does_not(
    world: Any, data: st.DataObject
) -> None:
    years, moved = MemberYears(), MemberYears()
    read_again = False
    for seq in range(1, 9, 2):
        result = calculate(**world.arguments())
        inputs = benefits.canonical_inputs(**world.arguments())
        bill = {
            "benefit_year": result.benefit_year,
            "delta": result.year_to_date_delta,
            "reads": result.reads_year_to_date,
        }
        assert years.settled(seq, inputs=inputs, **bill) == []
        elsewhere = {**inputs["year_to_date"], "pool.moved": 7 if seq > 1 else 0}
        found = moved.settled(seq, inputs={**inputs, "year_to_date": elsewhere}, **bill)
        assert bool(found) == (bill["reads"] and seq > 1 and not read_again)
        read_again |= bool(found)
        amounts = dict(result.year_to_date_after)
        back = data.draw(st.booleans(), label="returned")
        delta = result.year_to_date_delta if back else {}
        for each in (years, moved):
            each.refunded(seq + 1, benefit_year=result.benefit_year, before=delta, after={})
        amounts = {name: fen - delta.get(name, 0) for name, fen in amounts.items()}
        if bill["reads"]:
            assert years.ends(result.benefit_year, amounts) == []
        world = changed(world, year_to_date={name: n for name, n in amounts.items() if n})


# --- Stored settlements -------------------------------------------------------------------------


@pytest.fixture
def till(world: World) -> Till:
    return world.till()


def traded(world: World, till: Till) -> None:
    """Bills of two people over the deductible, with a return among them."""
    for person in (world.retiree, world.worker):
        kind = (
            {}
            if person == world.retiree
            else {"benefit_kind": "pharmacy_account", "disease_code": None}
        )
        scan_id = world.scan(till, member=person)
        bills = [
            sale(world, till, line("A4", "50", "18.6"), scan_id=scan_id, **kind) for _ in range(3)
        ]
        give_back(till, bills[1])


@pytest.mark.django_db(transaction=True)
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(sales=BILLS, data=st.data())
def test_any_run_of_bills_and_returns_replays_without_a_difference_and_writes_nothing(
    world: World, sales: Any, data: st.DataObject
) -> None:
    traded_at_random(world, sales, data)
    before = all_rows()
    found = replayed()
    assert found.named == []
    assert (found.differing, found.settlements, found.refunds) == (
        0,
        Settlement.objects.count(),
        Refund.objects.count(),
    )
    assert all_rows() == before


def _first() -> Any:
    return Settlement.objects.filter(benefit_kind="chronic").order_by("member_seq")


def _set_json(row: Any, column: str, *path: Any, by: int) -> None:
    value = place = getattr(row, column)
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = place.get(path[-1], 0) + by if isinstance(place, dict) else by
    type(row).objects.filter(pk=row.pk).update(**{column: value})


def _policy_text() -> None:
    row = Policy.objects.get(pk=_first()[0].policy_id)
    Policy.objects.filter(pk=row.pk).update(text=row.text.replace('rate = "80%"', 'rate = "81%"'))


# What somebody with a database client might do, and the rows and figures that must be named.
TAMPERED: list[tuple[str, Callable[[], object], str, str]] = [
    (
        "a line's amount in the inputs",
        lambda: _set_json(_first()[0], "inputs", "bill", "lines", 0, 3, by=93_001),
        "settlement",
        "total_fen",
    ),
    (
        "a share in the result",
        lambda: _set_json(_first()[0], "result", "shares", 0, "amount_fen", by=1),
        "settlement",
        "result.shares[0].amount_fen",
    ),
    (
        "the hash",
        lambda: (
            _first()[:1] and Settlement.objects.filter(pk=_first()[0].pk).update(trace_hash="0")
        ),
        "settlement",
        "trace_hash",
    ),
    (
        "the columns, from one payer to another",
        lambda: (
            Settlement.objects.filter(pk=_first()[2].pk).update(
                fund_fen=_first()[2].fund_fen + 100, cash_fen=_first()[2].cash_fen - 100
            )
            if _first()[2].cash_fen >= 100
            else Settlement.objects.filter(pk=_first()[2].pk).update(
                fund_fen=_first()[2].fund_fen + 100, account_fen=_first()[2].account_fen - 100
            )
        ),
        "settlement",
        "fund_fen",
    ),
    (
        "a share's row",
        lambda: Share.objects.filter(settlement=_first()[2], payer="pool").update(amount_fen=1),
        "settlement",
        "share.pool",
    ),
    (
        "what a bill had found used",
        lambda: _set_json(_first()[2], "inputs", "year_to_date", "chronic.deductible", by=-100),
        "settlement",
        "inputs.year_to_date.chronic.deductible",
    ),
    ("the policy's text", _policy_text, "settlement", "inputs.policy.sha256"),
    (
        "that something was returned",
        lambda: Settlement.objects.filter(pk=_first()[0].pk).update(refunded_fen=100),
        "settlement",
        "refunded_fen",
    ),
    (
        "what a refund returned to whom",
        lambda: RefundShare.objects.filter(
            pk=RefundShare.objects.order_by("pk").first().pk  # type: ignore[union-attr]
        ).update(payer="aid"),
        "refund",
        "share.aid",
    ),
    (
        "how much a refund returned",
        lambda: Refund.objects.filter(settlement=_first()[1]).update(
            total_fen=_first()[1].total_fen + 1, cash_fen=_first()[1].cash_fen + 1
        ),
        "refund",
        "total_fen",
    ),
    (
        "whose refund it is",
        lambda: Refund.objects.filter(settlement=_first()[1]).update(
            settlement=Settlement.objects.filter(benefit_kind="pharmacy_account").earliest(
                "member_seq"
            )
        ),
        "refund",
        "member",
    ),
    (
        "the year to date",
        lambda: _set_json(YearToDate.objects.get(), "amounts", "chronic.deductible", by=5_000),
        "year_to_date",
        "year_to_date.chronic.deductible",
    ),
]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("name", "tamper", "kind", "figure"),
    TAMPERED,
    ids=[row[0].replace(" ", "-") for row in TAMPERED],
)
def test_a_tampered_row_is_found(
    world: World,
    till: Till,
    name: str,
    tamper: Callable[[], object],
    kind: str,
    figure: str,
) -> None:
    traded(world, till)
    assert replayed().differing == 0
    compiled_policy.cache_clear()
    with guards_down():
        tamper()
    try:
        found = replayed()
    finally:
        compiled_policy.cache_clear()
    assert found.differing >= 1
    assert (kind, figure) in {
        (finding.kind, each.name) for finding in found.named for each in finding.figures
    }


@pytest.mark.django_db(transaction=True)
def test_findings_are_counted_all_and_named_up_to_a_limit(
    world: World, till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    traded(world, till)
    Settlement.objects.update(trace_hash="0" * 64)
    monkeypatch.setattr(replaying, "NAMED", 4)
    found = replayed()
    assert (found.differing, len(found.named)) == (6, 4)


@pytest.mark.django_db(transaction=True)
def test_only_the_days_and_the_area_asked_for_are_replayed(world: World, till: Till) -> None:
    traded(world, till)
    tomorrow = TODAY + timedelta(days=1)
    assert replayed(Wanted(TODAY, tomorrow, AREA)).settlements == 6
    assert replayed(Wanted(None, TODAY)).settlements == 0
    assert replayed(Wanted(tomorrow, None)).refunds == 0
    assert replayed(Wanted(area_code="441900")).settlements == 0
    with pytest.raises(ValueError, match="after the first"):
        replayed(Wanted(TODAY, TODAY))


@pytest.mark.django_db(transaction=True)
def test_a_window_that_begins_in_the_middle_of_a_year_gives_no_difference(
    world: World, till: Till
) -> None:
    traded(world, till)
    Settlement.objects.filter(member_seq=1).update(business_date=TODAY - timedelta(days=3))
    found = replayed(Wanted(from_date=TODAY))
    assert (found.differing, found.settlements, found.refunds) == (0, 4, 2)


# --- Several processes --------------------------------------------------------------------------


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_processes_share_one_snapshot_and_find_what_one_finds(
    world: World, till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    traded(world, till)
    added: list[int] = []

    def sold_meanwhile() -> str:
        scan_id = world.scan(till, member=world.worker)
        kind = {"benefit_kind": "pharmacy_account", "disease_code": None}
        return str(sale(world, till, line(), scan_id=scan_id, **kind)["settlement_id"])

    real = replaying.exported

    def exported() -> str:
        name = real()
        at_once([sold_meanwhile])
        added.append(1)
        return name

    monkeypatch.setattr(replaying, "exported", exported)
    found = replayed(processes=2)
    assert added == [1]
    assert (found.processes, found.settlements, found.refunds, found.differing) == (2, 6, 2, 0)
    Settlement.objects.update(trace_hash="0" * 64)
    one, two = replayed(), replayed(processes=2)
    # The one sold during the first replay is there now; the one sold during this one is not.
    assert one.differing == two.differing == 7
    assert one.named == two.named


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_process_that_cannot_read_the_snapshot_ends_the_replay_and_counts_as_no_success(
    world: World, till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    traded(world, till)
    monkeypatch.setattr(replaying, "exported", lambda: "00000003-0000001B-9")
    with pytest.raises(replaying.ReplayBroken):
        replayed(processes=2)


@pytest.mark.processes
def test_the_demo_data_replays_in_two_processes_without_a_difference(tmp_path: Path) -> None:
    """On a database file: the commands that an operator types, from an empty folder on."""
    environment = {
        **{name: value for name, value in os.environ.items() if name != "DATABASE_URL"},
        "VAR_DIR": str(tmp_path),
    }

    def manage(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    filled = manage("-m", "tests.settlement.demo_trade")
    assert filled.returncode == 0, filled.stderr[-3000:]
    done = manage("manage.py", "replay", "--processes", "2", "--json")
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    data = json.loads(done.stdout)
    assert (data["differing"], data["processes"]) == (0, 2)
    assert data["settlements"] >= 20
    assert data["refunds"] >= 4


# --- The command --------------------------------------------------------------------------------


def command(*arguments: str) -> tuple[int, str]:
    out = StringIO()
    try:
        with override("en"):
            call_command("replay", "--processes", "1", *arguments, stdout=out)
    except SystemExit as end:
        return int(str(end.code)), out.getvalue()
    return 0, out.getvalue()


@pytest.mark.django_db(transaction=True)
def test_the_command_says_0_differences_or_which_rows_and_ends_with_1(
    world: World, till: Till
) -> None:
    traded(world, till)
    code, told = command()
    assert code == 0
    assert "6 settlements and 2 refunds replayed" in told
    assert "0 differences" in told
    row = _first()[2]
    with guards_down():
        Share.objects.filter(settlement=row, payer="pool").update(amount_fen=1)
    code, told = command()
    assert code == 1
    assert f"settlement {row.pk}" in told
    assert f"share.pool: 1 is stored, {row.fund_fen} comes out" in told
    assert "1 differences" in told
    assert "王" not in told
    code, told = command("--json")
    data = json.loads(told)
    assert (code, data["differing"], data["named"][0]["row"]) == (1, 1, str(row.pk))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--from", "yesterday"], "--from"),
        (["--from", "2026-01-02", "--to", "2026-01-01"], "--to"),
        (["--processes", "0"], "1 to 64"),
    ],
)
def test_a_wrong_argument_is_named(arguments: list[str], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        command(*arguments)
