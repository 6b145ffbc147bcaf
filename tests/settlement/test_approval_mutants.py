"""Each guard of declared months and approvals is taken out, and a named test must notice."""

from collections import Counter as Count
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ObjectDoesNotExist
from django.db import DatabaseError

from settlement.models import DeclaredMonth
from settlement.selectors.clearing import Unfinished
from settlement.services import approvals, declaring, refunds, reversals
from settlement.states import IllegalTransition
from tests.settlement import test_approvals as asks
from tests.settlement import test_declaring as months
from tests.settlement.declared_world import at, open_counter
from tests.world import World

pytestmark = pytest.mark.django_db

Patch = pytest.MonkeyPatch
Mutate = Callable[[Patch], None]
Check = Callable[..., None]
Failed = pytest.fail.Exception
# What a service says that should have said something else before.
DECIDED = (IllegalTransition, declaring.MonthCannotBeDeclared)


def answer(owner: Any, name: str, value: Any) -> Mutate:
    return lambda patch: patch.setattr(owner, name, lambda *_, **__: value)


def no_month_is_over(patch: Patch) -> None:
    """Nothing is asked of the calendar."""
    patch.setattr(declaring, "accounting_month", lambda day: day.replace(year=9999))


def months_of_others_count(patch: Patch) -> None:
    patch.setattr(
        declaring,
        "is_declared",
        lambda *, merchant_id, month: DeclaredMonth.objects.filter(month=month).exists(),
    )


def every_month_counts(patch: Patch) -> None:
    patch.setattr(
        declaring,
        "is_declared",
        lambda *, merchant_id, month: DeclaredMonth.objects.filter(
            merchant_id=merchant_id
        ).exists(),
    )


def declined_for_ever(patch: Patch) -> None:
    patch.setattr(approvals, "DECLINED_FOR", asks.A_DAY * 1000)


def of_any_settlement(patch: Patch) -> None:
    real = approvals.RefundApproval.objects.select_for_update

    class Any_:
        def __init__(self, found: Any) -> None:
            self.found = found

        def filter(self, **by: Any) -> Any:
            by.pop("settlement_id", None)
            return self.found.filter(**by)

    patch.setattr(
        approvals.RefundApproval.objects, "select_for_update", lambda **how: Any_(real(**how))
    )


ASKS: list[tuple[str, Mutate, Check]] = [
    (
        "months are not asked about",
        answer(approvals, "month_is_declared", False),
        asks.test_the_first_ask_is_refused_and_stays_for_the_fund,
    ),
    (
        "every month needs approval",
        every_month_counts,
        asks.test_a_closed_month_that_is_not_declared_needs_no_approval,
    ),
    (
        "what comes back is not compared",
        answer(approvals, "parts_hash", "0" * 64),
        asks.test_an_approval_of_one_line_is_none_of_another_alike,
    ),
    (
        "what is approved is not marked as used",
        answer(refunds, "use_approval", None),
        asks.test_an_approval_is_good_for_one_return_of_several_alike,
    ),
    (
        "shares are not compared",
        answer(approvals, "_comes_to", True),
        asks.test_what_comes_to_other_shares_by_now_is_a_new_ask,
    ),
    (
        "approvals are of any settlement",
        of_any_settlement,
        asks.test_an_approval_of_one_settlement_is_none_of_another,
    ),
    (
        "a declined return is forgotten",
        answer(approvals, "_is_declined", False),
        asks.test_a_declined_return_is_refused_with_what_the_fund_says,
    ),
    (
        "a declined return is never asked for again",
        declined_for_ever,
        asks.test_a_declined_return_is_asked_for_anew_after_a_day,
    ),
    (
        "a decision is made again",
        lambda patch: patch.setattr(
            approvals.states, "sources", lambda *_: ("waiting", "approved", "declined")
        ),
        asks.test_an_ask_is_decided_once,
    ),
]
MONTHS: list[tuple[str, Mutate, Check]] = [
    (
        "a month is declared before it is over",
        no_month_is_over,
        months.test_a_month_is_not_declared_before_it_is_over_and_closed,
    ),
    (
        "a month is declared before it is closed",
        answer(declaring, "month_is_open", False),
        months.test_a_month_is_not_declared_before_it_is_over_and_closed,
    ),
    (
        "what is unfinished is not looked at",
        answer(declaring, "unfinished", Unfinished(0, 0, Count())),
        months.test_an_automatic_return_never_meets_a_declared_month,
    ),
    (
        "tenders are not looked at",
        lambda patch: patch.setattr(
            "settlement.states.final_states", lambda entity: frozenset({"capturing", "captured"})
        ),
        months.test_a_month_is_not_declared_while_a_payment_of_it_is_not_final,
    ),
    (
        "another merchant's months count",
        months_of_others_count,
        months.test_a_closed_month_is_declared_once_for_its_merchant_alone,
    ),
    (
        "reversals do not ask about months",
        answer(reversals, "month_is_declared", False),
        months.test_a_declared_month_makes_a_result_known,
    ),
]


def _is_caught(
    check: Check, fixtures: dict[str, Callable[[], Any]], mutate: Callable[[], None]
) -> bool:
    names = check.__code__.co_varnames[: check.__code__.co_argcount]
    made = {name: fixtures[name]() for name in names}
    mutate()
    try:
        check(**made)
    # What a guard's absence breaks first may be a constraint, or a row that should be there.
    except (AssertionError, LookupError, DatabaseError, ObjectDoesNotExist, *DECIDED, Failed):
        return True
    return False


@pytest.mark.parametrize(("name", "mutate", "check"), ASKS, ids=[name for name, _, _ in ASKS])
def test_a_mutant_of_approvals_is_caught(
    seal_file: Path, monkeypatch: Patch, name: str, mutate: Mutate, check: Check
) -> None:
    fixtures = {"counter": lambda: open_counter(seal_file), "seal_file": lambda: seal_file}
    with at(1):
        assert _is_caught(check, fixtures, lambda: mutate(monkeypatch)), name


@pytest.mark.parametrize(("name", "mutate", "check"), MONTHS, ids=[name for name, _, _ in MONTHS])
def test_a_mutant_of_declaring_is_caught(
    seal_file: Path, monkeypatch: Patch, name: str, mutate: Mutate, check: Check
) -> None:
    with at(30, month=11):
        world = World.made()
    fixtures = {"world": lambda: world, "seal_file": lambda: seal_file}
    assert _is_caught(check, fixtures, lambda: mutate(monkeypatch)), name
