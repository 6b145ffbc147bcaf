"""Totals: folded once, whatever happens between, and the page shows what the rows come to."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.db.models import Count, Sum
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from messaging.days import business_date
from settlement.models import DayTotal, FoldedUpTo, Posting, Refund, Settlement, Share
from settlement.selectors.overview import overview
from settlement.services import summariser
from settlement.services.posting import post_due
from settlement.services.sealer import seal_batch
from settlement.services.summariser import fold_all, fold_batch, forget_totals
from tests.world import Till, World, line


def moment() -> datetime:
    return datetime.now(UTC)


def shown(area_code: str | None = None) -> dict[str, Any]:
    """The page's figures of money."""
    now = moment()
    figures = overview(day=business_date(now), now=now, area_code=area_code)
    return {
        "settlements": (figures["settlements"], figures["settlements_total_fen"]),
        "refunds": (figures["refunds"], figures["refunds_total_fen"]),
        "by_payer": dict(figures["by_payer"]),
        "unposted": figures["unposted"],
    }


def summed() -> dict[str, Any]:
    """The same, summed from the rows of settlements and refunds themselves."""
    bills = Settlement.objects.aggregate(n=Count("id"), fen=Sum("total_fen"))
    returned = Refund.objects.aggregate(n=Count("id"), fen=Sum("total_fen"))
    return {
        "settlements": (bills["n"], bills["fen"] or 0),
        "refunds": (returned["n"], returned["fen"] or 0),
        "by_payer": dict(Share.objects.values_list("payer").annotate(Sum("amount_fen"))),
        "unposted": sum(
            model.objects.filter(state="accepted").count() for model in (Settlement, Refund)
        ),
    }


class Trade:
    """A till that does what it is told, one thing at a time."""

    def __init__(self, world: World, path: Path) -> None:
        self.world, self.path = world, path
        self.till: Till = world.till()
        self.scan_id = world.scan(self.till)
        self.open: list[str] = []

    def sell(self) -> None:
        self._settle([line()], benefit_kind="pharmacy_account")

    def sell_on_the_fund(self) -> None:
        bill = [line("A4", "50", "18.6")]
        self._settle(bill, benefit_kind="chronic", disease_code="M03900")

    def sell_for_nothing(self) -> None:
        self._settle([line("A4", "1", "0")], benefit_kind="pharmacy_account")

    def _settle(self, lines: list[dict[str, Any]], **more: Any) -> None:
        reply = self.till.post("settlements", {"scan_id": self.scan_id, "lines": lines, **more})
        assert reply.status == 201, reply.text
        if reply["total_fen"]:
            self.open.append(reply["settlement_id"])

    def give_back(self) -> None:
        if self.open:
            body = {"settlement_id": self.open.pop(), "reason": "returned"}
            assert self.till.post("refunds", body).status == 201

    def post(self) -> None:
        post_due(now=moment(), limit=2)

    def seal(self) -> None:
        seal_batch(now=moment(), path=self.path, limit=2)

    def fold(self) -> None:
        fold_batch(limit=1)

    def fold_anew(self) -> None:
        forget_totals()


ACTS = ["sell", "sell_on_the_fund", "sell_for_nothing", "give_back"] + 2 * ["post", "seal", "fold"]


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(acts=st.lists(st.sampled_from([*ACTS, "fold_anew"]), min_size=4, max_size=14))
def test_the_page_shows_what_the_rows_come_to_after_every_act(
    world: World, tmp_path: Path, acts: list[str]
) -> None:
    trade = Trade(world, tmp_path / "seals.log")
    for act in acts:
        getattr(trade, act)()
        assert shown() == summed(), act
    assert sum(Posting.objects.values_list("amount_fen", flat=True)) == 0


def test_totals_of_a_kind_sum_to_zero_and_know_their_merchant(
    world: World, seal_file: Path
) -> None:
    trade = Trade(world, seal_file)
    trade.sell_on_the_fund()
    trade.sell()
    trade.give_back()
    world.post_everything()
    while seal_batch(now=moment(), path=seal_file):
        pass
    assert fold_all() == 3
    rows = DayTotal.objects.exclude(heading="")
    for kind in ("settlement", "refund"):
        assert sum(row.amount_fen for row in rows if row.kind == kind) == 0
    assert {row.merchant_id for row in rows} == {world.pharmacy.pk}
    counted = DayTotal.objects.get(kind="settlement", heading="")
    assert (counted.transactions, counted.amount_fen) == (
        2,
        sum(Settlement.objects.values_list("total_fen", flat=True)),
    )
    assert shown("370300") == summed()
    assert shown("999999")["settlements"] == (0, 0)


def test_folding_again_changes_nothing_and_folding_anew_comes_to_the_same(
    world: World, seal_file: Path
) -> None:
    trade = Trade(world, seal_file)
    for _ in range(3):
        trade.sell()
    world.post_everything()
    while seal_batch(now=moment(), path=seal_file):
        pass
    fold_all(limit=2)

    def totals() -> Counter[tuple[Any, ...]]:
        return Counter(DayTotal.objects.values_list("merchant_id", "kind", "heading", "amount_fen"))

    before = totals()
    assert fold_all() == 0
    assert totals() == before
    forget_totals()
    assert fold_all() == 3
    assert totals() == before


def test_a_summariser_that_dies_before_its_commit_has_folded_nothing(
    world: World, seal_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trade = Trade(world, seal_file)
    trade.sell()
    world.post_everything()
    seal_batch(now=moment(), path=seal_file)
    real = summariser._add

    def then_die(figures: Any) -> None:
        real(figures)
        raise RuntimeError("killed")

    monkeypatch.setattr(summariser, "_add", then_die)
    with pytest.raises(RuntimeError):
        fold_all()
    monkeypatch.undo()
    assert not DayTotal.objects.exists()
    assert not FoldedUpTo.objects.exists()
    assert fold_all() == 1
    assert shown() == summed()
