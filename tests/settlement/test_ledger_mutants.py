"""The checks of the books are checked: a guard is taken out, and something must notice.

The first table breaks what posts, which the audit must notice by itself; the second what seals,
folds, shows and closes. That every check passes on the real thing is a test of its own.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from messaging import sql
from settlement import sealing
from settlement.models import LedgerTransaction
from settlement.selectors import totals
from settlement.selectors.audit import audit
from settlement.services import sealer, settlements, summariser
from settlement.services.closing import close_day
from settlement.services.sealer import seal_all, seal_batch
from settlement.services.summariser import fold_all
from tests.settlement.test_day_totals import Trade, shown, summed
from tests.settlement.test_ledger_audit import chronic, openings, sell
from tests.test_mutants import MUTANTS as POSTING_MUTANTS
from tests.test_mutants import the_books_are_sound_after_some_trade
from tests.world import World, line

Patch = pytest.MonkeyPatch
Mutate = Callable[[Patch], None]
Check = Callable[[World, Path], None]


def now() -> datetime:
    return datetime.now(UTC)


# -- what posts


def _audited_after_some_trade(world: World, path: Path) -> None:
    opening = openings()
    till = world.till()
    first = chronic(world, till)
    chronic(world, till)
    till.post("refunds", {"settlement_id": first, "reason": "returned"})
    world.post_everything()
    seal_all(clock=now, path=path)
    fold_all()
    report = audit(path=path, now=now() + timedelta(hours=1), opening=opening)
    assert report.sound, report.described()


MONEY_MUTANTS = [
    (name, mutate)
    for name, mutate, check in POSTING_MUTANTS
    if check is the_books_are_sound_after_some_trade
]


@pytest.mark.parametrize(
    ("name", "mutate"), MONEY_MUTANTS, ids=[name.replace(" ", "-") for name, _ in MONEY_MUTANTS]
)
def test_the_audit_notices_what_is_posted_wrongly(
    world: World, seal_file: Path, monkeypatch: Patch, name: str, mutate: Mutate
) -> None:
    mutate(monkeypatch)
    with pytest.raises(AssertionError):
        _audited_after_some_trade(world, seal_file)


# -- what seals, folds, shows and closes


def a_late_commit_is_sealed(world: World, path: Path) -> None:
    day = date(2026, 11, 20)

    def book(pk: int) -> None:
        LedgerTransaction.objects.create(
            pk=pk,
            key=str(pk),
            kind="opening",
            area_code="370300",
            business_date=day,
            accounting_month=day,
            posted_at=now(),
        )

    book(900)
    seal_all(clock=now, path=path)
    book(800)
    assert seal_all(clock=now, path=path) == 1


def the_page_is_the_rows_at_every_step(world: World, path: Path) -> None:
    trade = Trade(world, path)
    for act in [
        "sell",
        "sell_on_the_fund",
        "post",
        "sell",
        "fold",
        "seal",
        "sell",
        "fold",
        "give_back",
        "sell_for_nothing",
        "post",
        "seal",
        "fold",
        "fold",
        "seal",
        "sell",
    ]:
        getattr(trade, act)()
        assert shown() == summed(), act


def the_audit_is_content(world: World, path: Path) -> None:
    opening = openings()
    trade = Trade(world, path)
    for _ in range(2):
        for act in ("sell_on_the_fund", "sell", "give_back"):
            getattr(trade, act)()
        world.post_everything()
        seal_all(clock=now, path=path)
        fold_all()
    report = audit(path=path, now=now() + timedelta(hours=1), opening=opening)
    assert report.sound, report.described()


def nothing_is_booked_on_a_closed_day(world: World, path: Path) -> None:
    till = world.till()
    scan_id = world.scan(till)
    tomorrow = now() + timedelta(days=1)
    close_day(day=(now() + timedelta(hours=8)).date(), now=tomorrow)
    bill = {"scan_id": scan_id, "benefit_kind": "pharmacy_account", "lines": [line()]}
    assert till.post("settlements", bill).status == 503


def a_digest_covers_the_money(world: World, path: Path) -> None:
    sell(world, world.till())
    world.post_everything()
    (identifier,) = LedgerTransaction.objects.values_list("pk", flat=True)
    sealed = sealer._contents([identifier])[identifier]
    doubled = sealing.Sealed.of(
        (
            sealed.key,
            sealed.kind,
            sealed.area_code,
            sealed.business_date,
            sealed.accounting_month,
            sealed.posted_at,
        ),
        [(leg, account, 2 * fen) for leg, account, fen in sealed.legs],
    )
    assert sealer.digest_of(sealed, seq=1) != sealer.digest_of(doubled, seq=1)


def _statements(part: str, other: str) -> Mutate:
    """Put other words in the statements that contain `part`."""

    def mutate(patch: Patch) -> None:
        for name in ("fetch", "fetch_one", "run"):
            real = getattr(sql, name)

            def changed(statement: str, *args: Any, real: Any = real, **more: Any) -> Any:
                return real(statement.replace(part, other), *args, **more)

            patch.setattr(sql, name, changed)

    return mutate


def _without_money(patch: Patch) -> None:
    real = sealing.digest_of

    def digest_of(sealed: Any, *, seq: int) -> bytes:
        bare = sealing.Sealed.of(
            (
                sealed.key,
                sealed.kind,
                sealed.area_code,
                sealed.business_date,
                sealed.accounting_month,
                sealed.posted_at,
            ),
            [(leg, account, 0) for leg, account, _ in sealed.legs],
        )
        return real(bare, seq=seq)

    patch.setattr(sealer, "digest_of", digest_of)


def _no_op(owner: Any, name: str) -> Mutate:
    return lambda patch: patch.setattr(owner, name, lambda *_, **__: None)


def _first_leg_lost(patch: Patch) -> None:
    real = summariser._sealed_after
    patch.setattr(
        summariser,
        "_sealed_after",
        lambda *args, **more: real(*args, **more)[1:] or real(*args, **more),
    )


MUTANTS: list[tuple[str, Mutate, Check]] = [
    (
        "the sealer goes by ids",
        _statements(
            "SELECT transaction_id FROM settlement_toseal ORDER",
            "SELECT transaction_id FROM settlement_toseal WHERE transaction_id >"
            " (SELECT coalesce(max(transaction_id), 0) FROM settlement_seal) ORDER",
        ),
        a_late_commit_is_sealed,
    ),
    ("a digest without the money", _without_money, a_digest_covers_the_money),
    ("digests without the money are sealed", _without_money, the_audit_is_content),
    ("roots are not written outside", _no_op(sealer, "_write_outside"), the_audit_is_content),
    (
        "a root is signed that is another's",
        lambda patch: patch.setattr(sealer, "sign", lambda root, **_: bytes(64)),
        the_audit_is_content,
    ),
    (
        "batches are not chained",
        lambda patch: patch.setattr(
            sealer,
            "Chain",
            lambda **facts: sealing.Chain(**{**facts, "previous": bytes(32)}),
        ),
        the_audit_is_content,
    ),
    (
        "what is folded is folded again",
        lambda patch: patch.setattr(summariser, "folded_up_to", lambda: 0),
        the_page_is_the_rows_at_every_step,
    ),
    ("a leg is lost in folding", _first_leg_lost, the_audit_is_content),
    (
        "the page forgets what is sealed and not folded",
        _statements("WHERE s.seq > %s AND t.kind = %s", "WHERE s.seq > %s + 99 AND t.kind = %s"),
        the_page_is_the_rows_at_every_step,
    ),
    (
        "the page forgets what is not sealed",
        _statements("w.transaction_id WHERE t.kind = %s", "w.transaction_id WHERE t.kind < %s"),
        the_page_is_the_rows_at_every_step,
    ),
    (
        "the page forgets the outbox",
        _statements(
            "SELECT subject FROM messaging_outboxentry WHERE topic = %s",
            "SELECT subject FROM messaging_outboxentry WHERE topic < %s AND 1 = 0",
        ),
        the_page_is_the_rows_at_every_step,
    ),
    (
        "the page forgets bills of nothing",
        lambda patch: patch.setattr(totals, "_bills_of_nothing", lambda **_: 0),
        the_page_is_the_rows_at_every_step,
    ),
    (
        "a closed day is not looked at",
        _no_op(settlements, "check_day_open"),
        nothing_is_booked_on_a_closed_day,
    ),
]

CHECKS = list(dict.fromkeys(check for _, _, check in MUTANTS))


@pytest.mark.parametrize("check", CHECKS, ids=[check.__name__ for check in CHECKS])
def test_a_check_of_the_books_passes_on_the_real_thing(
    world: World, seal_file: Path, check: Check
) -> None:
    check(world, seal_file)


def test_the_audit_is_content_with_the_real_trade(world: World, seal_file: Path) -> None:
    _audited_after_some_trade(world, seal_file)


@pytest.mark.parametrize(
    ("name", "mutate", "check"), MUTANTS, ids=[name.replace(" ", "-") for name, _, _ in MUTANTS]
)
def test_a_mutant_of_the_books_is_caught(
    world: World, seal_file: Path, monkeypatch: Patch, name: str, mutate: Mutate, check: Check
) -> None:
    mutate(monkeypatch)
    with pytest.raises(AssertionError):
        check(world, seal_file)


def test_a_batch_is_never_larger_than_asked(world: World, seal_file: Path) -> None:
    for _ in range(3):
        sell(world, world.till(name=f"till {_}"))
    world.post_everything()
    assert seal_batch(now=now(), path=seal_file, limit=2) == 2
