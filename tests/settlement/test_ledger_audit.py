"""The audit finds what is wrong, names it, and finds nothing where nothing is."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from settlement.models import (
    Account,
    AuditRun,
    LedgerTransaction,
    Seal,
    Settlement,
)
from settlement.selectors.audit import Report, audit
from settlement.services import sealer
from settlement.services.sealer import seal_all, seal_batch
from settlement.services.summariser import fold_all
from tests.world import Till, World, line

LATER = timedelta(hours=1)


def moment() -> datetime:
    return datetime.now(UTC)


def openings() -> dict[str, int]:
    """What the world's accounts hold from before the ledger, by account name."""
    return {f"member:{row.member_id}:{row.kind}": row.balance_fen for row in Account.objects.all()}


def sell(world: World, till: Till, *lines: dict[str, Any], **more: Any) -> str:
    bill = {
        "scan_id": world.scan(till),
        "benefit_kind": "pharmacy_account",
        "lines": list(lines) or [line()],
        **more,
    }
    reply = till.post("settlements", bill)
    assert reply.status == 201, reply.text
    return str(reply["settlement_id"])


def chronic(world: World, till: Till) -> str:
    return sell(
        world, till, line("A4", "50", "18.6"), benefit_kind="chronic", disease_code="M03900"
    )


@contextmanager
def guards_down() -> Iterator[None]:
    """What whoever owns the database can do: take the triggers down, change rows, put them back."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # As a restore or a repair does; row triggers and checks of foreign keys sleep.
            cursor.execute("SET session_replication_role = replica")
            yield
            cursor.execute("SET session_replication_role = DEFAULT")
            return
        cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
        guards = cursor.fetchall()
        for name, _ in guards:
            cursor.execute(f'DROP TRIGGER "{name}"')
        yield
        for _, statement in guards:
            cursor.execute(statement)


def run(statement: str, *params: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, params)


class Books:
    """A little trade: bills of both kinds, a refund, all posted, sealed in three batches, folded;
    and one more bill that waits in the outbox."""

    def __init__(self, world: World, path: Path) -> None:
        self.path = path
        self.opening = openings()
        till = world.till()
        first = chronic(world, till)
        sell(world, till)
        chronic(world, till)
        till.post("refunds", {"settlement_id": first, "reason": "returned"})
        world.post_everything()
        for _ in range(3):
            seal_batch(now=moment(), path=path, limit=2)
        seal_all(clock=moment, path=path)
        fold_all()
        self.waiting = sell(world, till)

    def audit(self, *, now: datetime | None = None) -> Report:
        return audit(path=self.path, now=now or moment() + LATER, opening=self.opening)

    def wrong(self) -> dict[str, str]:
        """The first wrong row of each check that found something."""
        report = self.audit()
        return {name: check.first for name, check in report.checks.items() if check.wrong}


@pytest.fixture
def books(world: World, seal_file: Path) -> Books:
    return Books(world, seal_file)


def key_of(seq: int) -> str:
    return Seal.objects.select_related("transaction").get(seq=seq).transaction.key


# -- nothing wrong


def test_a_ledger_nobody_touched_is_sound(books: Books) -> None:
    report = books.audit()
    assert report.sound, report.described()
    looked_at = {name: check.looked_at for name, check in report.checks.items()}
    assert looked_at["zero_sums"] == LedgerTransaction.objects.count() == 4
    assert looked_at["seals"] == 4
    assert looked_at["chain"] == looked_at["seal_file"] == 2
    assert looked_at["legs"] == 5
    assert all(looked_at.values()), looked_at


def test_an_empty_ledger_is_sound(world: World, seal_file: Path) -> None:
    assert audit(path=seal_file, now=moment(), opening=openings()).sound


def test_what_is_posted_and_not_sealed_yet_is_sound(books: Books, world: World) -> None:
    world.post_everything()
    assert books.audit().sound


def test_the_command_says_so_and_keeps_the_report(world: World) -> None:
    Account.objects.update(balance_fen=0)
    out = StringIO()
    call_command("audit_ledger", "--json", stdout=out)
    assert json.loads(out.getvalue())["sound"] is True
    assert AuditRun.objects.get().sound


def test_the_command_names_the_first_wrong_row_and_ends_with_one(books: Books) -> None:
    key = key_of(2)
    with guards_down():
        run(
            "UPDATE settlement_posting SET amount_fen = amount_fen + 1 WHERE transaction_id ="
            " (SELECT transaction_id FROM settlement_seal WHERE seq = 2) AND leg = 1"
        )
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("audit_ledger", stdout=out)
    assert ended.value.code == 1
    assert key in out.getvalue()
    assert not AuditRun.objects.get().sound


# -- tampering: each is named


def change_an_amount(books: Books) -> tuple[str, str]:
    run(
        "UPDATE settlement_posting SET amount_fen = amount_fen * 2 WHERE transaction_id ="
        " (SELECT transaction_id FROM settlement_seal WHERE seq = 3)"
    )
    return "seals", key_of(3)


def change_one_leg(books: Books) -> tuple[str, str]:
    run(
        "UPDATE settlement_posting SET amount_fen = amount_fen + 1 WHERE transaction_id ="
        " (SELECT transaction_id FROM settlement_seal WHERE seq = 3) AND leg = 1"
    )
    return "zero_sums", key_of(3)


def move_it_to_another_account(books: Books) -> tuple[str, str]:
    run("UPDATE settlement_posting SET account = 'cash:999999' WHERE leg = 1")
    return "legs", str(Settlement.objects.order_by("id").first().pk)  # type: ignore[union-attr]


def change_the_day(books: Books) -> tuple[str, str]:
    run(
        "UPDATE settlement_ledgertransaction SET business_date = %s WHERE id ="
        " (SELECT transaction_id FROM settlement_seal WHERE seq = 2)",
        date(2020, 1, 1),
    )
    return "seals", key_of(2)


def delete_a_posting(books: Books) -> tuple[str, str]:
    key = key_of(1)
    run(
        "DELETE FROM settlement_posting WHERE leg = 2 AND transaction_id ="
        " (SELECT transaction_id FROM settlement_seal WHERE seq = 1)"
    )
    return "seals", key


def add_postings_that_cancel_out(books: Books) -> tuple[str, str]:
    row = Seal.objects.get(seq=2)
    for leg, fen in ((90, 5), (91, -5)):
        run(
            "INSERT INTO settlement_posting (transaction_id, leg, account, amount_fen)"
            " VALUES (%s, %s, 'merchant:1:due', %s)",
            row.transaction_id,
            leg,
            fen,
        )
    return "seals", key_of(2)


def delete_a_seal(books: Books) -> tuple[str, str]:
    run("DELETE FROM settlement_seal WHERE seq = 2")
    return "seals", "2"


def delete_a_seal_and_close_the_gap(books: Books) -> tuple[str, str]:
    run("DELETE FROM settlement_seal WHERE seq = 2")
    run("UPDATE settlement_seal SET seq = seq - 1 WHERE seq = 3")
    run("UPDATE settlement_seal SET seq = seq - 1 WHERE seq = 4")
    return "chain", "1"


def delete_a_transaction_whole(books: Books) -> tuple[str, str]:
    identifier = Seal.objects.get(seq=4).transaction_id
    run("DELETE FROM settlement_seal WHERE seq = 4")
    run("DELETE FROM settlement_posting WHERE transaction_id = %s", identifier)
    run("DELETE FROM settlement_ledgertransaction WHERE id = %s", identifier)
    return "chain", "2"


def reorder(books: Books) -> tuple[str, str]:
    for old, new in ((1, 99), (2, 1), (99, 2)):
        run("UPDATE settlement_seal SET seq = %s WHERE seq = %s", new, old)
    return "seals", key_of(1)


def change_a_digest_with_its_amount(books: Books) -> tuple[str, str]:
    """Who knows the format makes the digest fit; then the root does not."""
    change_an_amount(books)
    content = sealer._contents([Seal.objects.get(seq=3).transaction_id])
    (sealed,) = content.values()
    run("UPDATE settlement_seal SET digest = %s WHERE seq = 3", sealer.digest_of(sealed, seq=3))
    return "chain", "2"


def change_a_root(books: Books) -> tuple[str, str]:
    run("UPDATE settlement_sealbatch SET root = %s WHERE number = 1", bytes(32))
    return "chain", "1"


def sign_it_anew(books: Books) -> tuple[str, str]:
    run("UPDATE settlement_sealbatch SET signature = %s WHERE number = 2", bytes(64))
    return "chain", "2"


def delete_the_last_batch(books: Books) -> tuple[str, str]:
    """And let its transactions be sealed anew: the file still knows it."""
    run(
        "INSERT INTO settlement_toseal (transaction_id)"
        " SELECT transaction_id FROM settlement_seal WHERE batch_id = 2"
    )
    run("DELETE FROM settlement_seal WHERE batch_id = 2")
    run("DELETE FROM settlement_sealbatch WHERE number = 2")
    return "seal_file", "2"


def slip_a_transaction_past_the_sealer(books: Books) -> tuple[str, str]:
    run(
        "INSERT INTO settlement_ledgertransaction"
        " (key, kind, area_code, business_date, accounting_month, posted_at)"
        " VALUES ('gift', 'gift', '370300', %s, %s, %s)",
        date(2026, 1, 1),
        date(2026, 1, 1),
        moment(),
    )
    return "seals", "gift"


def edit_the_file(books: Books) -> tuple[str, str]:
    text = books.path.read_text()
    books.path.write_text(text.replace('"last_seq":2', '"last_seq":3'))
    return "seal_file", "1"


def spoil_a_line(books: Books) -> tuple[str, str]:
    _first, *rest = books.path.read_text().splitlines(keepends=True)
    books.path.write_text("nonsense\n" + "".join(rest))
    return "seal_file", "1"


def cut_the_file(books: Books) -> tuple[str, str]:
    first, *_ = books.path.read_text().splitlines(keepends=True)
    books.path.write_text(first)
    return "seal_file", "2"


def lose_the_file(books: Books) -> tuple[str, str]:
    books.path.unlink()
    return "seal_file", "1"


def pay_somebody(books: Books) -> tuple[str, str]:
    row = Account.objects.order_by("pk").first()
    assert row is not None
    Account.objects.filter(pk=row.pk).update(balance_fen=row.balance_fen + 1)
    return "balances", f"member:{row.member_id}:"


def forget_a_year(books: Books) -> tuple[str, str]:
    run("DELETE FROM settlement_yeartodate")
    return "year_to_date", str(
        Settlement.objects.exclude(benefit_kind="pharmacy_account").get(refunded_fen=0).member_id
    )


def lose_an_outbox_row(books: Books) -> tuple[str, str]:
    run("DELETE FROM messaging_outboxentry")
    return "posted_once", books.waiting


def mark_as_posted(books: Books) -> tuple[str, str]:
    run("DELETE FROM messaging_outboxentry")
    run("UPDATE settlement_settlement SET state = 'posted', posted_at = accepted_at")
    return "posted_once", books.waiting


def change_a_share(books: Books) -> tuple[str, str]:
    run("UPDATE settlement_share SET amount_fen = amount_fen + 1")
    return "legs", str(Settlement.objects.order_by("id").first().pk)  # type: ignore[union-attr]


def change_a_total(books: Books) -> tuple[str, str]:
    run("UPDATE settlement_daytotal SET amount_fen = amount_fen + 1 WHERE heading = 'pool'")
    return "totals", "pool"


def move_a_total_to_another_merchant(books: Books) -> tuple[str, str]:
    run("UPDATE settlement_daytotal SET merchant_id = merchant_id + 1 WHERE heading = 'due'")
    return "totals", "merchant:"


def skip_a_number(books: Books) -> tuple[str, str]:
    run(
        "UPDATE settlement_settlement SET member_seq = 99 WHERE id = %s",
        books.waiting if connection.vendor == "postgresql" else books.waiting.replace("-", ""),
    )
    return "sequences", "99"


TAMPERING: list[Callable[[Books], tuple[str, str]]] = [
    change_an_amount,
    change_one_leg,
    move_it_to_another_account,
    change_the_day,
    delete_a_posting,
    add_postings_that_cancel_out,
    delete_a_seal,
    delete_a_seal_and_close_the_gap,
    delete_a_transaction_whole,
    reorder,
    change_a_digest_with_its_amount,
    change_a_root,
    sign_it_anew,
    delete_the_last_batch,
    slip_a_transaction_past_the_sealer,
    edit_the_file,
    spoil_a_line,
    cut_the_file,
    lose_the_file,
    pay_somebody,
    forget_a_year,
    lose_an_outbox_row,
    mark_as_posted,
    change_a_share,
    change_a_total,
    move_a_total_to_another_merchant,
    skip_a_number,
]


@pytest.mark.parametrize("tamper", TAMPERING, ids=[one.__name__ for one in TAMPERING])
def test_tampering_is_named(books: Books, tamper: Callable[[Books], tuple[str, str]]) -> None:
    with guards_down():
        check, named = tamper(books)
    wrong = books.wrong()
    assert check in wrong, wrong
    assert named in wrong[check], wrong


def test_a_guard_that_was_taken_down_is_named(books: Books) -> None:
    if connection.vendor == "postgresql":
        run("SET CONSTRAINTS ALL IMMEDIATE")
        run("ALTER TABLE settlement_posting DISABLE TRIGGER settlement_posting_is_append_only")
        assert "settlement_posting_is_append_only" in books.wrong()["guards"]
    else:
        run("DROP TRIGGER settlement_posting_refuses_update")
        assert "settlement_posting_refuses_update" in books.wrong()["guards"]
