"""Each guard of the fund's page and the citizen's credit is taken out, and a named test notices."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ObjectDoesNotExist
from django.db import DatabaseError
from django.test import Client

from messaging import inbox
from portal import roles
from portal.views import citizen, payments
from settlement.models import CreditLine, Tender
from settlement.selectors import own_payments
from settlement.selectors import staff as seen
from settlement.services import posting
from settlement.services.tender import connections, credit, debts, staff
from tests.portal import test_own_payments as own
from tests.portal import test_payments as tests
from tests.settlement.test_tender_mutants import called
from tests.world import World

Patch = pytest.MonkeyPatch
Check = Callable[..., None]


@pytest.fixture(autouse=True)
def _fresh_services() -> Any:
    connections.connected.cache_clear()
    yield
    connections.connected.cache_clear()


def everybody_is_staff(patch: Patch) -> None:
    patch.setattr(payments, "roles_of", lambda user: roles.Roles(fund=True))


def repayments_are_not_bounded(patch: Patch) -> None:
    """Whatever is paid counts, as far as there is something to repay."""

    def repay(*, member_id: int, amount_fen: int, now: Any, shown_fen: Any) -> CreditLine:
        line = CreditLine.objects.get(pk=member_id)
        line.used_fen = max(0, line.used_fen - amount_fen)
        line.save()
        return line

    patch.setattr(credit, "repay", repay)


def keys_are_forgotten(patch: Patch) -> None:
    """Every request is worked, whatever was answered under its key before, and leaves no row."""
    patch.setattr(
        inbox, "answer_once", lambda request, *, now, work, refused: _worked(work, refused)
    )
    patch.setattr(staff, "_written", lambda *_, **__: {"amount_fen": 0})


def _worked(work: Any, refused: Any) -> inbox.Answer:
    from messaging.refusals import Refusal

    try:
        return work()
    except Refusal as refusal:
        return refused(refusal)


def debts_are_paid_again_and_again(patch: Patch) -> None:
    def repay(*, tender_id: Any, who: Any, now: Any) -> int:
        return debts.outstanding_fen(Tender.objects.get(pk=tender_id))

    patch.setattr(debts, "repay", repay)


def refunds_shrink_no_debt(patch: Patch) -> None:
    patch.setattr(debts, "outstanding_fen", lambda tender: tender.amount_fen)


def acts_leave_no_row(patch: Patch) -> None:
    patch.setattr(staff, "_written", lambda *_, **__: {"amount_fen": 0})


def everybody_s_uses_are_shown(patch: Patch) -> None:
    real = seen.line_of_credit

    def line_of_credit(member_id: int) -> Any:
        found = real(member_id)
        for line in CreditLine.objects.exclude(pk=member_id):
            found = found | {"uses": (real(line.pk) or {})["uses"]}
        return found

    patch.setattr(seen, "line_of_credit", line_of_credit)


def any_line_will_do(patch: Patch) -> None:
    def own_credit(member_id: int) -> Any:
        line = CreditLine.objects.order_by("-limit_fen").first()
        return own_payments.own_credit(line.pk) if line else None

    patch.setattr(citizen, "own_credit", own_credit)


def anybody_s_acts_are_one_s_own(patch: Patch) -> None:
    real = seen.latest_acts
    patch.setattr(seen, "act_done", lambda *, actor, key: next(iter(real()["rows"]), None))


def the_number_is_in_the_address(patch: Patch) -> None:
    patch.setattr(
        payments,
        "_find",
        lambda request, now: payments.redirect(
            f"{tests.ADDRESS}?number={request.POST['member_number']}"
        ),
    )


def lists_have_no_end(patch: Patch) -> None:
    patch.setattr(seen, "_bounded", lambda rows: {"rows": list(rows), "count": rows.count()})


def for_(name: str) -> Check:
    return lambda signed_in, world: tests.test_only_fund_staff_see_it_and_act_there(
        signed_in, world, name
    )


MUTANTS: list[tuple[Callable[[Patch], None], Check]] = [
    (everybody_is_staff, for_("citizen")),
    (everybody_is_staff, for_("pharmacist")),
    (repayments_are_not_bounded, tests.test_more_than_is_due_is_not_repaid),
    (keys_are_forgotten, tests.test_pressing_twice_books_a_repayment_once),
    (
        debts_are_paid_again_and_again,
        tests.test_a_debt_that_was_paid_is_refused_under_another_key_and_the_refusal_is_kept,
    ),
    (
        refunds_shrink_no_debt,
        tests.test_a_debt_that_a_refund_has_taken_back_whole_is_neither_shown_nor_paid,
    ),
    (
        lambda patch: patch.setitem(posting.HANDLERS, "repay_debt", lambda *_: None),
        tests.test_a_debt_is_shown_by_name_and_is_off_the_books_when_it_was_paid,
    ),
    (acts_leave_no_row, tests.test_a_line_is_found_opened_used_and_repaid),
    (acts_leave_no_row, tests.test_a_rule_decides_what_becomes_of_the_next_capture_that_fails),
    (the_number_is_in_the_address, tests.test_a_line_is_found_opened_used_and_repaid),
    (everybody_s_uses_are_shown, tests.test_a_person_s_page_tells_nothing_of_another),
    (anybody_s_acts_are_one_s_own, tests.test_what_another_did_is_not_shown_as_one_s_own),
    (lists_have_no_end, tests.test_a_list_shows_the_longest_waiting_and_how_many_there_are),
    (any_line_will_do, own.test_another_s_line_and_ways_of_paying_are_not_shown),
    (any_line_will_do, own.test_who_has_no_line_sees_nothing_of_it),
]


@pytest.mark.parametrize(("mutate", "check"), MUTANTS)
def test_a_mutant_is_caught(
    world: World,
    signed_in: Callable[[str], Client],
    monkeypatch: Patch,
    request: pytest.FixtureRequest,
    mutate: Callable[[Patch], None],
    check: Check,
) -> None:
    fixtures: dict[str, Any] = {
        "world": world,
        "signed_in": signed_in,
        "monkeypatch": monkeypatch,
        "till": world.till(),
    }
    if "fund" in check.__code__.co_varnames[: check.__code__.co_argcount]:
        fixtures["fund"] = signed_in("fund")
    mutate(monkeypatch)
    # What a guard's absence breaks first may be a constraint, or a row that should be there.
    with pytest.raises((AssertionError, DatabaseError, ObjectDoesNotExist)):
        called(check, **fixtures)
