"""The sealer: ledger transactions that have no seal get one, batch by batch, in one signed chain.

One sealer at a time, wherever it runs. What has no seal is found by its row in `ToSeal`, never by
its id, because a lower id can commit later. The root of a batch is also written to a file outside
the database, once the batch is committed and before the next one is sealed: whoever can rewrite the
database, keys included, cannot rewrite a file that is kept elsewhere.

A seal covers a ledger transaction with all its postings, not one posting: a transaction is written
whole in one statement and means nothing in part, its digest has every leg in it, so a leg that is
changed, taken or added breaks it; and there are a fifth as many seals.
"""

import itertools
import os
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from django.db import transaction

from messaging import sql
from settlement.models import Seal, SealBatch
from settlement.sealing import (
    BEFORE_THE_FIRST,
    Chain,
    LineUnreadable,
    Root,
    Sealed,
    chained,
    digest_of,
    line_of,
    sign,
)
from settlement.selectors.seals import last_line, roots_after
from settlement.services.seal_keys import current_seal_key, make_next_seal_key

# What one commit seals at most: some 5,000 postings.
SEAL_BATCH = 1_000
# The sealer's advisory lock on PostgreSQL: a number that nothing else of the product uses.
_LOCK = 7_214_001


class SealFileDisagrees(Exception):
    """The file outside tells another chain than the database, so one of them was changed, or the
    database was restored to an earlier state. Nothing is sealed until a person has decided."""


def seal_all(*, clock: Callable[[], datetime], path: Path, limit: int = SEAL_BATCH) -> int:
    """Seal batch after batch until nothing is left, or another sealer is at it.

    Answers how many ledger transactions were sealed. Raises SealFileDisagrees, and OSError when the
    file cannot be written: then nothing further is sealed either.
    """
    done = 0
    while sealed := seal_batch(now=clock(), path=path, limit=limit):
        done += sealed
    return done


def seal_batch(*, now: datetime, path: Path, limit: int = SEAL_BATCH) -> int:
    """Write outside what is committed, then seal up to `limit` transactions; one commit.

    Answers how many; 0 when nothing waits or another sealer works. Raises as `seal_all` does.
    """
    with transaction.atomic(durable=True):
        if not _alone():
            return 0
        _write_outside(path)
        waiting = [
            row[0]
            for row in sql.fetch(
                "SELECT transaction_id FROM settlement_toseal ORDER BY transaction_id LIMIT %s",
                (limit,),
            )
        ]
        if waiting:
            _seal(waiting, now=now)
        return len(waiting)


def rotate_seal_key(*, now: datetime) -> int:
    """A new key that signs from the next batch on; answers its number. Raises BlockingIOError when
    a sealer is at work this very moment."""
    with transaction.atomic(durable=True):
        if not _alone():
            raise BlockingIOError("a sealer is at work: try again")
        return make_next_seal_key(now=now)


def _alone() -> bool:
    """Take the sealer's lock until the commit, or answer False. SQLite's IMMEDIATE transaction is
    alone already."""
    if not sql.for_update():
        return True
    row = sql.fetch_one("SELECT pg_try_advisory_xact_lock(%s)", (_LOCK,))
    return bool(row and row[0])


def _seal(waiting: Sequence[int], *, now: datetime) -> None:
    last = sql.fetch_one(
        "SELECT number, last_seq, root FROM settlement_sealbatch ORDER BY number DESC LIMIT 1"
    )
    number, last_seq, previous = last or (0, 0, BEFORE_THE_FIRST)
    key, private_key = current_seal_key(now=now)
    content = _contents(waiting)
    digests = [
        digest_of(content[identifier], seq=seq)
        for seq, identifier in enumerate(waiting, start=last_seq + 1)
    ]
    batch, first_seq, last_seq = number + 1, last_seq + 1, last_seq + len(waiting)
    chain = Chain(
        batch=batch,
        first_seq=first_seq,
        last_seq=last_seq,
        sealed_at=now,
        key=key,
        previous=bytes(previous),
    )
    root = chained(digests, chain)
    sql.insert_rows(
        SealBatch,
        (
            "number",
            "first_seq",
            "last_seq",
            "previous_root",
            "root",
            "key",
            "signature",
            "sealed_at",
        ),
        [
            (
                batch,
                first_seq,
                last_seq,
                bytes(previous),
                root,
                key,
                sign(root, private_key=private_key),
                now,
            )
        ],
    )
    sql.insert_rows(
        Seal,
        ("seq", "transaction", "batch", "digest"),
        [
            (seq, identifier, batch, digest)
            for seq, identifier, digest in zip(
                itertools.count(first_seq), waiting, digests, strict=False
            )
        ],
    )
    sql.run(
        f"DELETE FROM settlement_toseal WHERE {sql.among('transaction_id')}",
        (sql.values(waiting),),
    )


def _contents(identifiers: Sequence[int]) -> dict[int, Sealed]:
    rows = sql.fetch(
        "SELECT t.id, t.key, t.kind, t.area_code, t.business_date, t.accounting_month, t.posted_at,"
        " p.leg, p.account, p.amount_fen FROM settlement_ledgertransaction t"
        " LEFT JOIN settlement_posting p ON p.transaction_id = t.id"
        f" WHERE {sql.among('t.id')} ORDER BY t.id, p.leg",
        (sql.values(identifiers),),
        kinds=(None, None, None, None, "date", "date", "datetime", None, None, None),
    )
    found: dict[int, Sealed] = {}
    for identifier, of_one in itertools.groupby(rows, key=lambda row: row[0]):
        legs = list(of_one)
        found[identifier] = Sealed.of(
            legs[0][1:7],
            [(leg, account, fen) for *_, leg, account, fen in legs if leg is not None],
        )
    return found


def _write_outside(path: Path) -> None:
    """Append the roots of committed batches that the file has not; on disk when this returns."""
    try:
        last, torn = last_line(path)
    except LineUnreadable as error:
        raise SealFileDisagrees(f"{path}: the last line is {error}") from error
    if last is not None:
        stored = next(roots_after(last.batch - 1), None)
        if stored != last:
            raise SealFileDisagrees(f"{path}: batch {last.batch} is not that of the database")
    missing = roots_after(last.batch if last else 0)
    first = next(missing, None)
    if first is not None:
        _append(path, itertools.chain([first], missing), torn=torn)


def _append(path: Path, roots: "itertools.chain[Root]", *, torn: bool) -> None:
    fresh = not path.exists()
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
    with os.fdopen(descriptor, "w", encoding="ascii", newline="") as file:
        if torn:
            # The torn line stays: the file is append only, also for a file system that says so.
            file.write("\n")
        file.writelines(line_of(root) for root in roots)
        file.flush()
        os.fsync(file.fileno())
    if fresh:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
