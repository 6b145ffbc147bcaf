"""Seals: the format as it is written down, the sealer, the file outside, the append-only books."""

import hashlib
import itertools
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import DatabaseError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from settlement import sealing
from settlement.models import (
    LedgerTransaction,
    Posting,
    RefundShare,
    RelativeShare,
    Seal,
    SealBatch,
    SealKey,
    Settlement,
    Share,
    ToSeal,
)
from settlement.selectors.audit import audit
from settlement.selectors.ledger import Balance, balance
from settlement.selectors.seals import lines, sealed_up_to
from settlement.services.sealer import SealFileDisagrees, rotate_seal_key, seal_all, seal_batch
from settlement.sweep import keep_books
from tests.world import World, line

NOON = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)
DAY = date(2026, 11, 20)


def booked(key: str, *legs: tuple[str, int], at: datetime = NOON) -> LedgerTransaction:
    """A ledger transaction as the posting worker would write it."""
    row = LedgerTransaction.objects.create(
        key=key,
        kind="opening",
        area_code="370300",
        business_date=DAY,
        accounting_month=DAY.replace(day=1),
        posted_at=at,
    )
    for leg, (account, amount_fen) in enumerate(legs, start=1):
        Posting.objects.create(transaction=row, leg=leg, account=account, amount_fen=amount_fen)
    return row


def pair(key: str, fen: int = 5, at: datetime = NOON) -> LedgerTransaction:
    return booked(key, ("opening:370300", -fen), ("member:1:personal", fen), at=at)


def ticking() -> Any:
    """A clock that goes on by a second at each look."""
    seconds = itertools.count()
    return lambda: NOON + timedelta(seconds=next(seconds))


# -- the format


def test_the_digest_is_the_one_that_is_written_down() -> None:
    sealed = sealing.Sealed(
        key="post_settlement:0192",
        kind="settlement",
        area_code="370300",
        business_date=DAY,
        accounting_month=date(2026, 11, 1),
        posted_at=datetime(2026, 11, 20, 2, 30, tzinfo=UTC),
        legs=[(1, "fund:370300:pool", -800), (2, "merchant:3:due", 800)],
    )
    text = (
        '["ybm-seal-1",7,"post_settlement:0192","settlement","370300","2026-11-20","2026-11-01",'
        '"2026-11-20T02:30:00.000000Z",[[1,"fund:370300:pool",-800],[2,"merchant:3:due",800]]]'
    )
    assert sealing.digest_of(sealed, seq=7) == hashlib.sha256(text.encode()).digest()


def test_the_root_is_the_one_that_is_written_down() -> None:
    chain = sealing.Chain(
        batch=1, first_seq=1, last_seq=2, sealed_at=NOON, key=1, previous=bytes(32)
    )
    text = (
        b"ybm-root-1\n1\n1\n2\n2026-11-20T04:00:00.000000Z\n1\n" + bytes(32) + b"a" * 32 + b"b" * 32
    )
    assert sealing.chained([b"a" * 32, b"b" * 32], chain) == hashlib.sha256(text).digest()


def test_only_the_key_that_signed_verifies_a_root() -> None:
    one, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    signature = sealing.sign(b"r" * 32, private_key=one)

    def verifies(root: bytes, signature: bytes, key: bytes) -> bool:
        return sealing.is_signed(root, signature=signature, public_key=key)

    good = one.public_key().public_bytes_raw()
    assert verifies(b"r" * 32, signature, good)
    assert not verifies(b"q" * 32, signature, good)
    assert not verifies(b"r" * 32, signature, other.public_key().public_bytes_raw())
    assert not verifies(b"r" * 32, signature[:-1], good)
    assert not verifies(b"r" * 32, signature, b"short")


FACTS = st.fixed_dictionaries(
    {
        "key": st.text(min_size=1, max_size=20),
        "kind": st.sampled_from(["settlement", "refund", "opening"]),
        "area_code": st.sampled_from(["370300", "440100"]),
        "business_date": st.dates(),
        "accounting_month": st.dates(),
        "posted_at": st.datetimes(timezones=st.just(UTC), min_value=datetime(1900, 1, 1)),  # noqa: DTZ001
        "legs": st.lists(
            st.tuples(st.integers(1, 9), st.text(max_size=12), st.integers(-(2**63), 2**63 - 1)),
            max_size=4,
        ),
    }
)


@given(one=FACTS, other=FACTS, seqs=st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_whatever_differs_has_another_digest(
    one: dict[str, Any], other: dict[str, Any], seqs: tuple[int, int]
) -> None:
    digests = [
        sealing.digest_of(sealing.Sealed(**facts), seq=seq)
        for facts, seq in zip((one, other), seqs, strict=True)
    ]
    assert (digests[0] == digests[1]) == ((one, seqs[0]) == (other, seqs[1]))
    for name in one:
        mixed = sealing.digest_of(sealing.Sealed(**{**one, name: other[name]}), seq=seqs[0])
        assert (mixed == digests[0]) == (one[name] == other[name])


def test_a_line_has_one_spelling() -> None:
    root = sealing.Root(1, 1, 2, NOON, 1, b"k" * 32, bytes(32), b"r" * 32, b"s" * 64)
    line_ = sealing.line_of(root)
    assert sealing.read_line(line_) == root
    for spoilt in ("", "{}\n", line_.strip(), line_.replace(":1,", ": 1,"), line_.upper(), "7\n"):
        with pytest.raises(sealing.LineUnreadable):
            sealing.read_line(spoilt)


# -- the sealer


@pytest.mark.django_db
def test_what_has_no_seal_is_sealed_once_in_batches_without_gaps(seal_file: Path) -> None:
    for number in range(7):
        pair(f"opening:{number}")
    assert seal_all(clock=ticking(), path=seal_file, limit=3) == 7
    assert seal_all(clock=ticking(), path=seal_file, limit=3) == 0
    assert list(Seal.objects.order_by("seq").values_list("seq", "batch_id")) == [
        (1, 1),
        (2, 1),
        (3, 1),
        (4, 2),
        (5, 2),
        (6, 2),
        (7, 3),
    ]
    assert Seal.objects.values("transaction").distinct().count() == 7
    assert not ToSeal.objects.exists()
    assert sealed_up_to() == 7
    assert SealKey.objects.count() == 1
    assert audit(path=seal_file, now=NOON).sound is False  # the account's row is not there
    assert audit(path=seal_file, now=NOON)["chain"].wrong == 0


@pytest.mark.django_db
def test_a_transaction_with_a_lower_id_that_comes_later_is_sealed_too(seal_file: Path) -> None:
    """Ids are taken before the commit, so a lower one can appear after a higher one."""
    high = pair("late")
    seal_all(clock=ticking(), path=seal_file)
    low = LedgerTransaction.objects.create(
        pk=-5,
        key="early",
        kind="opening",
        area_code="370300",
        business_date=DAY,
        accounting_month=DAY,
        posted_at=NOON,
    )
    assert seal_all(clock=ticking(), path=seal_file) == 1
    assert [row.transaction_id for row in Seal.objects.order_by("seq")] == [high.pk, low.pk]


@pytest.mark.django_db
def test_every_committed_root_is_in_the_file_before_the_next_is_sealed(seal_file: Path) -> None:
    pair("one")
    seal_batch(now=NOON, path=seal_file)
    assert not seal_file.exists()
    pair("two")
    seal_batch(now=NOON, path=seal_file)
    assert [root.batch for _, root, _ in lines(seal_file) if root] == [1]
    assert seal_batch(now=NOON, path=seal_file) == 0
    assert [root.batch for _, root, _ in lines(seal_file) if root] == [1, 2]
    stored = list(SealBatch.objects.order_by("number"))
    assert [root.root for _, root, _ in lines(seal_file) if root] == [
        bytes(row.root) for row in stored
    ]
    assert bytes(stored[1].previous_root) == bytes(stored[0].root)


@pytest.mark.django_db
def test_a_lost_file_is_written_anew_whole(seal_file: Path) -> None:
    for number in range(3):
        pair(f"n{number}")
        seal_all(clock=ticking(), path=seal_file)
    before = seal_file.read_bytes()
    seal_file.unlink()
    seal_all(clock=ticking(), path=seal_file)
    assert seal_file.read_bytes() == before


@pytest.mark.django_db
@pytest.mark.parametrize("kept", [0, 1, 20, -2, -1], ids=lambda n: f"torn at {n}")
def test_a_line_that_was_torn_is_written_again_and_passed_over(seal_file: Path, kept: int) -> None:
    pair("one")
    seal_all(clock=ticking(), path=seal_file)
    pair("two")
    seal_all(clock=ticking(), path=seal_file)
    first, second = seal_file.read_text().splitlines(keepends=True)
    seal_file.write_text(first + second[:kept])
    seal_all(clock=ticking(), path=seal_file)
    assert [(root.batch if root else None) for _, root, _ in lines(seal_file)] == [1, 2]
    assert audit(path=seal_file, now=NOON)["seal_file"].wrong == 0
    pair("three")
    seal_all(clock=ticking(), path=seal_file)
    assert [(root.batch if root else None) for _, root, _ in lines(seal_file)] == [1, 2, 3]


@pytest.mark.django_db
def test_nothing_is_sealed_over_a_file_that_tells_otherwise(seal_file: Path) -> None:
    pair("one")
    seal_all(clock=ticking(), path=seal_file)
    text = seal_file.read_text()
    pair("two")
    for other in (
        text.replace('"batch":1', '"batch":9'),
        "nonsense\n",
        text.replace('"last_seq":1', '"last_seq":2'),
    ):
        seal_file.write_text(other)
        with pytest.raises(SealFileDisagrees):
            seal_all(clock=ticking(), path=seal_file)
    assert ToSeal.objects.count() == 1
    # The worker says so in its log and goes on with everything else.
    keep_books(clock=ticking(), path=seal_file)
    seal_file.write_text(text)
    assert seal_all(clock=ticking(), path=seal_file) == 1


@pytest.mark.django_db
def test_a_new_key_signs_and_the_old_one_still_verifies(seal_file: Path) -> None:
    pair("one")
    seal_all(clock=ticking(), path=seal_file)
    assert rotate_seal_key(now=NOON) == 2
    pair("two")
    seal_all(clock=ticking(), path=seal_file)
    assert list(SealBatch.objects.order_by("number").values_list("key_id", flat=True)) == [1, 2]
    assert audit(path=seal_file, now=NOON)["chain"].wrong == 0


def test_the_posting_workers_timer_seals_and_folds(world: World, seal_file: Path) -> None:
    till = world.till()
    bill = {"scan_id": world.scan(till), "benefit_kind": "pharmacy_account", "lines": [line()]}
    till.post("settlements", bill)
    world.post_everything()
    keep_books(clock=ticking(), path=seal_file)
    assert Seal.objects.count() == 1
    from settlement.selectors.totals import folded_up_to

    assert folded_up_to() == 1


# -- append only


@pytest.mark.parametrize(
    "model", [LedgerTransaction, Posting, SealBatch, Seal, Share, RefundShare, RelativeShare]
)
@pytest.mark.parametrize("act", ["update", "delete"])
def test_the_database_refuses_to_change_the_books(
    world: World, seal_file: Path, model: Any, act: str
) -> None:
    till = world.till()
    bill = {"scan_id": world.scan(till), "benefit_kind": "pharmacy_account", "lines": [line()]}
    settled = till.post("settlements", bill)
    till.post("refunds", {"settlement_id": settled["settlement_id"], "reason": "returned"})
    settlement = Settlement.objects.get()
    RelativeShare.objects.create(
        settlement=settlement, account=settlement.member.accounts.get(), amount_fen=1
    )
    world.post_everything()
    seal_all(clock=ticking(), path=seal_file)
    before = list(model.objects.values().order_by("pk"))
    assert before
    table, key = model._meta.db_table, model._meta.pk.column
    statement = f"DELETE FROM {table}" if act == "delete" else f"UPDATE {table} SET {key} = {key}"
    with (
        pytest.raises(DatabaseError, match="append only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
    assert list(model.objects.values().order_by("pk")) == before


@pytest.mark.django_db(transaction=True)
def test_emptying_the_database_after_a_test_leaves_the_guards_standing_first() -> None:
    pair("committed")


@pytest.mark.django_db(transaction=True)
def test_emptying_the_database_after_a_test_leaves_the_guards_standing_then(
    seal_file: Path,
) -> None:
    assert not LedgerTransaction.objects.exists()
    assert audit(path=seal_file, now=NOON)["guards"].wrong == 0
    pair("committed")
    assert ToSeal.objects.count() == 1


# -- balances


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    moves=st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from("def"), st.integers(1, 10**12)),
        min_size=1,
        max_size=8,
    ),
    limit=st.integers(1, 4),
)
def test_at_every_seal_balances_are_the_sums_so_far_and_together_nothing(
    db: None, tmp_path: Path, moves: list[tuple[str, str, int]], limit: int
) -> None:
    before = sealed_up_to()
    start = {name: balance(name).amount_fen for name in "abcdef"}
    made = LedgerTransaction.objects.count()
    for number, (giver, taker, fen) in enumerate(moves):
        booked(f"move:{made}:{number}", (giver, -fen), (taker, fen))
    tmp_path.joinpath("seals.log").unlink(missing_ok=True)
    seal_all(clock=ticking(), path=tmp_path / "seals.log", limit=limit)
    due = dict(start)
    for place, (giver, taker, fen) in enumerate(moves, start=1):
        due[giver] -= fen
        due[taker] += fen
        found = {name: balance(name, up_to_seq=before + place).amount_fen for name in due}
        assert found == due
        assert sum(found.values()) == 0


@pytest.mark.django_db
def test_a_balance_is_known_now_at_a_moment_and_at_a_seal(seal_file: Path) -> None:
    for number, fen in enumerate((100, 20, 3)):
        pair(f"n{number}", fen, at=NOON + timedelta(hours=number))
        seal_all(clock=ticking(), path=seal_file)
    account = "member:1:personal"
    assert balance(account) == Balance(123, 3)
    assert balance(account, at=NOON - timedelta(microseconds=1)) == Balance(0, 0)
    assert balance(account, at=NOON) == Balance(100, 1)
    assert balance(account, at=NOON + timedelta(minutes=90)) == Balance(120, 2)
    assert [balance(account, up_to_seq=seq).amount_fen for seq in range(5)] == [
        0,
        100,
        120,
        123,
        123,
    ]
    assert balance("opening:370300").amount_fen == -123
    assert balance("nobody") == Balance(0, 0)
    with pytest.raises(ValueError):
        balance(account, at=NOON, up_to_seq=1)
