"""Checks are checked: each guard of money and codes is taken out, and a named check must notice.

A mutant is one guard broken at run time. A check that passes on a mutant is blind to it, and the
test fails with both their names; that every check passes on the real thing is a test of its own.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import DatabaseError, connection

from merchants import signatures
from messaging import inbox, outbox, sql
from settlement import benefits
from settlement.models import LedgerTransaction, Settlement, SlipIssue
from settlement.selectors import slips
from settlement.selectors.money import MoneyFacts
from settlement.selectors.rules import compiled_policy
from settlement.services import acceptance, posting, pricing, settlements
from tests.ledger_checks import assert_sound, balances
from tests.races.rivals import forced
from tests.world import Till, World, line
from voucher import selectors as members
from voucher.tokens import Scope

Patch = pytest.MonkeyPatch
Check = Callable[[World], None]
Mutate = Callable[[Patch], None]


def _bill(world: World, till: Till, *lines: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "scan_id": world.scan(till),
        "benefit_kind": "pharmacy_account",
        "lines": list(lines) or [line()],
        **more,
    }


def _chronic(world: World, till: Till, *lines: dict[str, Any]) -> dict[str, Any]:
    return _bill(world, till, *lines, benefit_kind="chronic", disease_code="M03900")


# ---------------------------------------------------------------- checks


def a_code_is_accepted_once(world: World) -> None:
    body = {
        "evidence": {"type": "voucher_code", "value": world.code()},
        "use": "pharmacy_purchase",
    }
    statuses = [world.till(name=f"till {n}").post("scans", body).status for n in range(3)]
    assert statuses == [201, 409, 409]


def a_code_narrowed_to_a_use_is_refused_for_another(world: World) -> None:
    from voucher.tokens import Use

    body = {
        "evidence": {
            "type": "voucher_code",
            "value": world.code(scope=Scope(use=Use.REGISTRATION)),
        },
        "use": "pharmacy_purchase",
    }
    assert world.till().post("scans", body).status == 403


def the_same_key_is_one_effect(world: World) -> None:
    till = world.till()
    body = _bill(world, till)
    answers = {till.post("settlements", body, key="sale").text for _ in range(2)}
    assert len(answers) == Settlement.objects.count() == 1


def other_content_under_a_key_is_refused(world: World) -> None:
    till = world.till()
    body = _bill(world, till)
    till.post("settlements", body, key="sale")
    again = till.post("settlements", {**body, "account_limit_fen": 1}, key="sale")
    assert again.status == 409


def a_request_signed_by_another_key_is_refused(world: World) -> None:
    till = world.till()
    till.key = Ed25519PrivateKey.generate()
    assert till.post("estimates", {}).status == 401


def a_stale_request_is_refused(world: World) -> None:
    from datetime import timedelta

    till = world.till()
    till.clock_offset = timedelta(seconds=-600)
    assert till.post("estimates", {}).status == 401


def another_merchants_scan_is_not_found(world: World) -> None:
    till = world.till()
    body = _bill(world, till, benefit_kind="outpatient")
    assert world.till(world.clinic).post("estimates", body).status == 404


def a_ceiling_is_kept(world: World) -> None:
    till = world.till()
    scan_id = world.scan(till, scope=Scope(ceiling_fen=2_000))
    body = _bill(world, till, scan_id=scan_id)
    assert [till.post("settlements", body).status for _ in range(2)] == [201, 422]


def a_ceiling_is_kept_by_quotes_together(world: World) -> None:
    one, two = world.till(), world.till(name="till 2")
    body = _bill(world, one, scan_id=world.scan(one, scope=Scope(ceiling_fen=2_000)))
    quotes = [till.post("quotes", body)["quote_id"] for till in (one, two)]
    replies = [one.post("settlements", {"quote_id": quote_id}).status for quote_id in quotes]
    assert replies == [201, 422]


def one_quote_at_a_time_reads_the_year_to_date(world: World) -> None:
    one, two = world.till(), world.till(name="till 2")
    one.post("quotes", _chronic(world, one))
    assert two.post("settlements", _chronic(world, two)).status == 409


def what_a_quote_holds_is_there_when_it_is_confirmed(world: World) -> None:
    opening = balances()
    tills = [world.till(), world.till(name="till 2")]
    quotes = [till.post("quotes", _bill(world, till, line("A4", "40", "18.6"))) for till in tills]
    for quote in quotes:
        assert tills[0].post("settlements", {"quote_id": quote["quote_id"]}).status == 201
    assert_sound(opening=opening, drained=False)


def a_changed_line_is_not_confirmed(world: World) -> None:
    till = world.till()
    quote = till.post("quotes", _bill(world, till))
    changed = {"quote_id": quote["quote_id"], "lines": [line("A6", "1", "9.9")]}
    assert till.post("settlements", changed).status == 409


def a_pack_is_sold_once(world: World) -> None:
    till = world.till()
    body = _bill(world, till, line(trace_codes=["8100000001"]))
    replies = [till.post("settlements", body) for _ in range(2)]
    assert [reply.status for reply in replies] == [201, 409], replies[0].text


def a_prescription_is_filled_once(world: World) -> None:
    till = world.till()
    tablets = line("A1", "4", "25", prescription=world.prescription(quantity="4"))
    body = _bill(world, till, tablets)
    assert [till.post("settlements", body).status for _ in range(2)] == [201, 409]


def a_settlement_is_refunded_once(world: World) -> None:
    opening = balances()
    till = world.till()
    settled = till.post("settlements", _bill(world, till))
    body = {"settlement_id": settled["settlement_id"], "reason": "returned"}
    assert [till.post("refunds", body).status for _ in range(2)] == [201, 409]
    assert_sound(opening=opening, drained=False)


def the_books_are_sound_after_some_trade(world: World) -> None:
    opening = balances()
    till = world.till()
    first = till.post("settlements", _chronic(world, till, line("A4", "50", "18.6")))
    till.post("settlements", _chronic(world, till, line("A4", "50", "18.6")))
    till.post("refunds", {"settlement_id": first["settlement_id"], "reason": "returned"})
    world.post_everything()
    assert_sound(opening=opening)


def what_is_delivered_again_is_posted_once(world: World) -> None:
    opening = balances()
    till = world.till()
    till.post("settlements", _bill(world, till))
    identifiers = list(Settlement.objects.values_list("pk", flat=True))
    for _ in range(3):
        posting.post_settlements(identifiers, datetime.now(UTC))
    world.post_everything()
    assert LedgerTransaction.objects.count() == 1
    assert_sound(opening=opening)


def a_slip_of_changed_figures_is_refused(world: World) -> None:
    till = world.till()
    body = _chronic(world, till, line("A4", "60", "18.6"))
    path = f"settlements/{till.post('settlements', body)['settlement_id']}/slip"
    row = Settlement.objects.get()
    layer = row.result["layers"][0]
    kept = (row.trace_hash, layer["paid_fen"], row.inputs["account_available_fen"])
    for spoilt in (("0" * 64, *kept[1:]), (kept[0], 1, kept[2]), (*kept[:2], 1)):
        row.trace_hash, layer["paid_fen"], row.inputs["account_available_fen"] = spoilt
        row.save()
        assert till.get(path).status == 409, spoilt
    assert not SlipIssue.objects.exists()


def a_slip_stays_as_it_was_issued(world: World) -> None:
    till = world.till()
    settled = till.post("settlements", _chronic(world, till))
    path = f"settlements/{settled['settlement_id']}/slip"
    first = till.get(path)
    till.post("refunds", {"settlement_id": settled["settlement_id"], "reason": "returned"})
    later = till.get(path)
    assert (first.status, later.status) == (200, 200), later.text
    assert (first["slip"], first["sha256"]) == (later["slip"], later["sha256"])


def an_issued_slip_that_was_changed_is_refused(world: World) -> None:
    till = world.till()
    settled = till.post("settlements", _chronic(world, till))
    path = f"settlements/{settled['settlement_id']}/slip"
    assert till.get(path).status == 200
    row = SlipIssue.objects.get()
    row.sheet["shares"][0]["amount_fen"] += 1
    row.save()
    assert till.get(path).status == 409


# ---------------------------------------------------------------- mutants


def _rewrite(part: str, change: Callable[[str, list[Any]], tuple[str, list[Any]]]) -> Mutate:
    """Change the hot path's statements that contain `part` before they run."""

    def mutate(patch: Patch) -> None:
        for name in ("fetch", "run"):
            real = getattr(sql, name)

            def changed(
                statement: str, params: Sequence[Any] = (), real: Any = real, **more: Any
            ) -> Any:
                if part in statement:
                    statement, params = change(statement, list(params))
                return real(statement, params, **more)

            patch.setattr(sql, name, changed)

    return mutate


def _answer(part: str, rows: Callable[[list[Any]], list[tuple[Any, ...]]]) -> Mutate:
    """Answer the statements that contain `part` without running them."""

    def mutate(patch: Patch) -> None:
        for name in ("fetch", "run"):
            real = getattr(sql, name)

            def made_up(
                statement: str, params: Sequence[Any] = (), real: Any = real, **more: Any
            ) -> Any:
                if part in statement:
                    return rows(list(params))
                return real(statement, params, **more)

            patch.setattr(sql, name, made_up)

    return mutate


def _no_op(owner: Any, name: str) -> Mutate:
    return lambda patch: patch.setattr(owner, name, lambda *_, **__: None)


def _all(*mutations: Mutate) -> Mutate:
    def mutate(patch: Patch) -> None:
        for one in mutations:
            one(patch)

    return mutate


def _another_key(statement: str, params: list[Any]) -> tuple[str, list[Any]]:
    # Counted from the end: what a bill locks stands before.
    return statement, [*params[:-6], str(uuid4()), *params[-5:]]


def _any_merchant(statement: str, params: list[Any]) -> tuple[str, list[Any]]:
    return statement.replace("merchant_id = %s", "merchant_id > -%s"), params


def _never_refunded(statement: str, params: list[Any]) -> tuple[str, list[Any]]:
    return statement.replace(" refunded_fen, inputs", " 0, inputs"), params


class _RandomTopic(str):
    """A topic that spells itself differently every time."""

    def __format__(self, spec: str) -> str:
        return f"{self!s}-{uuid4()}"


_real_legs = posting.settlement_legs


def _doubled(**facts: Any) -> list[tuple[str, int]]:
    return [(account, 2 * amount_fen) for account, amount_fen in _real_legs(**facts)]


def _swapped(**facts: Any) -> list[tuple[str, int]]:
    """Right in sum and number; the wrong ones give and take."""
    return [(account, -amount_fen) for account, amount_fen in _real_legs(**facts)]


def _ignore_age(patch: Patch) -> None:
    real = signatures.check

    def check(parsed: Any, *, window_s: int, **more: Any) -> Any:
        return real(parsed, window_s=10**9, **more)

    patch.setattr(signatures, "check", check)


def _unjudged(row: Settlement, _issued: Any) -> Any:
    """A slip's result without the judgement whether it is the stored one."""
    return benefits.calculate(
        policy=compiled_policy(row.policy_id), **benefits.inputs_from(row.inputs)
    )


def _hash_of(result: str) -> Mutate:
    """Take a result, "fresh" or "stored", for one that has the stored hash."""

    def mutate(patch: Patch) -> None:
        real = benefits.trace_hash

        def trace_hash(judged: Any) -> str:
            # Only a calculation knows what counted. While the bill is accepted there is no row yet.
            fresh = any(layer.counted_fen for layer in judged.layers)
            row = Settlement.objects.first()
            return row.trace_hash if row and fresh == (result == "fresh") else real(judged)

        patch.setattr("settlement.selectors.slips.benefits.trace_hash", trace_hash)

    return mutate


MUTANTS: list[tuple[str, Mutate, Check]] = [
    (
        "the spent code's row is not looked at",
        _answer("INSERT INTO voucher_spentcode", lambda _: [("free",)]),
        a_code_is_accepted_once,
    ),
    (
        "the scope of a code is not looked at",
        lambda patch: patch.setattr(
            "settlement.services.scans._check_scope", lambda *_, **__: None
        ),
        a_code_narrowed_to_a_use_is_refused_for_another,
    ),
    (
        "the inbox forgets keys",
        _rewrite("INSERT INTO messaging_inboxentry", _another_key),
        the_same_key_is_one_effect,
    ),
    (
        "the inbox does not compare content",
        lambda patch: patch.setattr(inbox, "content_hash", lambda **_: "same"),
        other_content_under_a_key_is_refused,
    ),
    (
        "signatures are not verified",
        _no_op(signatures, "check"),
        a_request_signed_by_another_key_is_refused,
    ),
    ("signatures do not age", _ignore_age, a_stale_request_is_refused),
    (
        "scans are not bound to their merchant",
        _rewrite("FROM settlement_scan WHERE", _any_merchant),
        another_merchants_scan_is_not_found,
    ),
    ("no ceiling when pricing", _no_op(pricing, "check_ceiling"), a_ceiling_is_kept),
    (
        "no ceiling when confirming",
        _no_op(settlements, "check_ceiling"),
        a_ceiling_is_kept_by_quotes_together,
    ),
    (
        "open quotes elsewhere are ignored",
        _no_op(pricing, "check_no_open_quote"),
        one_quote_at_a_time_reads_the_year_to_date,
    ),
    (
        "holds are ignored",
        lambda patch: patch.setattr(
            MoneyFacts, "available_fen", lambda self, **_: max(0, self.balance_fen)
        ),
        what_a_quote_holds_is_there_when_it_is_confirmed,
    ),
    (
        "a confirmation's lines are not compared",
        _no_op(settlements, "_check_same_lines"),
        a_changed_line_is_not_confirmed,
    ),
    (
        "every pack is free",
        _answer("INSERT INTO settlement_tracecode", lambda _: [("8100000001",)]),
        a_pack_is_sold_once,
    ),
    (
        "prescriptions never run out",
        _rewrite(
            "FROM settlement_prescription p",
            lambda s, p: (s.replace("l.quantity_e4 - l.filled_e4", "l.quantity_e4"), p),
        ),
        a_prescription_is_filled_once,
    ),
    (
        "what was refunded is not looked at",
        _rewrite(" refunded_fen, inputs", _never_refunded),
        a_settlement_is_refunded_once,
    ),
    (
        "the year to date is not written",
        _all(
            _no_op(acceptance, "write_year_to_date"),
            lambda patch: patch.setattr(
                "settlement.services.returning.write_year_to_date", lambda **_: None
            ),
        ),
        the_books_are_sound_after_some_trade,
    ),
    (
        "the account is not debited",
        _answer("SET balance_fen = balance_fen - ", lambda _: []),
        the_books_are_sound_after_some_trade,
    ),
    (
        "a refund does not reach the account",
        _answer("SET balance_fen = balance_fen + ", lambda _: []),
        the_books_are_sound_after_some_trade,
    ),
    (
        "nothing is left for the worker",
        _no_op(outbox, "put"),
        the_books_are_sound_after_some_trade,
    ),
    (
        "the worker deletes without posting",
        lambda patch: patch.setitem(posting.HANDLERS, "post_settlement", lambda *_: None),
        the_books_are_sound_after_some_trade,
    ),
    (
        "marked as posted without a leg",
        _no_op(posting, "_post"),
        the_books_are_sound_after_some_trade,
    ),
    (
        "everything is posted twice over, in balance",
        lambda patch: patch.setattr(posting, "settlement_legs", _doubled),
        the_books_are_sound_after_some_trade,
    ),
    (
        "givers and takers are swapped, in balance",
        lambda patch: patch.setattr(posting, "settlement_legs", _swapped),
        the_books_are_sound_after_some_trade,
    ),
    (
        "postings have no key of their own",
        lambda patch: patch.setattr(posting, "POST_SETTLEMENT", _RandomTopic("post_settlement")),
        what_is_delivered_again_is_posted_once,
    ),
    (
        "slips are not judged",
        lambda patch: patch.setattr(slips, "_recomputed", _unjudged),
        a_slip_of_changed_figures_is_refused,
    ),
    (
        "slips are judged without working them out",
        _hash_of("fresh"),
        a_slip_of_changed_figures_is_refused,
    ),
    (
        "slips are judged without the stored figures",
        _hash_of("stored"),
        a_slip_of_changed_figures_is_refused,
    ),
    (
        "issued slips are forgotten",
        _answer("INSERT INTO settlement_slipissue", lambda _: [(1,)]),
        a_slip_stays_as_it_was_issued,
    ),
    (
        "issued slips are not compared with their hash",
        lambda patch: patch.setattr(
            slips, "sheet_sha256", lambda _: SlipIssue.objects.values_list("sha256", flat=True)[0]
        ),
        an_issued_slip_that_was_changed_is_refused,
    ),
]

CHECKS = list(dict.fromkeys(check for _, _, check in MUTANTS))


@pytest.mark.parametrize("check", CHECKS, ids=[check.__name__ for check in CHECKS])
def test_a_check_passes_on_the_real_thing(world: World, check: Check) -> None:
    check(world)


@pytest.mark.parametrize(
    ("name", "mutate", "check"), MUTANTS, ids=[name.replace(" ", "-") for name, _, _ in MUTANTS]
)
def test_a_mutant_is_caught(
    world: World, monkeypatch: Patch, name: str, mutate: Mutate, check: Check
) -> None:
    mutate(monkeypatch)
    try:
        check(world)
    except (AssertionError, DatabaseError):
        return
    pytest.fail(f"{check.__name__} did not notice that {name}")


# ---------------------------------------------------------------- guards that only rivals need


def two_tills_settle_one_after_the_other(world: World) -> None:
    # What the world gave them: the check is run again where something was sold before.
    opening = dict.fromkeys(balances(), 100_000)
    one, two = world.till(), world.till(name="till 2")
    bills = [_bill(world, till, line("A4", "40", "18.6")) for till in (one, two)]
    race = forced(
        lambda: one.post("settlements", bills[0]),
        lambda: two.post("settlements", bills[1]),
        before='INSERT INTO "settlement_settlement"',
    )
    assert (race.first.status, race.second.status) == (201, 201)
    assert_sound(opening=opening, drained=False)


def a_second_worker_does_not_wait(world: World) -> None:
    till = world.till()
    body = _bill(world, till)
    for _ in range(4):
        till.post("settlements", body)
    race = forced(
        lambda: posting.post_due(now=datetime.now(UTC), limit=2),
        lambda: posting.post_due(now=datetime.now(UTC), limit=2),
        before="UPDATE messaging_outboxentry SET begun_at",
    )
    assert not race.second_waited
    assert (race.first, race.second) == (2, 2)


RIVALS: list[tuple[str, Mutate, Check]] = [
    (
        "the member is not locked",
        _rewrite(
            "FROM voucher_member WHERE id IN",
            lambda s, p: (s.replace(" FOR NO KEY UPDATE", ""), p),
        ),
        two_tills_settle_one_after_the_other,
    ),
    (
        "workers wait for each other's rows",
        _rewrite(" SKIP LOCKED", lambda s, p: (s.replace(" SKIP LOCKED", ""), p)),
        a_second_worker_does_not_wait,
    ),
]


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("name", "mutate", "check"), RIVALS, ids=[name.replace(" ", "-") for name, _, _ in RIVALS]
)
def test_a_mutant_among_rivals_is_caught(
    monkeypatch: Patch, name: str, mutate: Mutate, check: Check
) -> None:
    monkeypatch.setattr("settlement.operations._wake_worker", lambda: None)
    check(World.made())
    world_again = World(
        policy=None,  # type: ignore[arg-type]
        pharmacy=_only("P"),
        clinic=_only("H"),
        retiree=members.Member.objects.get(number="370300000001"),
        worker=members.Member.objects.get(number="370300000002"),
    )
    # On ground that the check has trodden already: it must not complain of its own traces.
    check(world_again)
    connection.close()
    mutate(monkeypatch)
    try:
        check(world_again)
    except (AssertionError, DatabaseError):
        return
    pytest.fail(f"{check.__name__} did not notice that {name}")


def _only(kind: str) -> Any:
    from merchants.models import Merchant

    return Merchant.objects.get(code__startswith=kind)
