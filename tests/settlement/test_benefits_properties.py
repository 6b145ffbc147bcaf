"""What is true of every policy and every bill, and proof that each property can fail.

The properties run on the real calculator over random worlds, then each on mutants of it: a module's
own source with one thing broken, which the property must catch.
"""

import os
import sys
import types
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from settlement.benefits import calculate
from settlement.benefits import calculation as calculation_module
from tests.settlement.benefits_worlds import (
    PROPERTIES,
    a_bigger_bill_never_lowers_what_the_fund_pays,
    a_full_refund_leaves_the_year_to_date_as_it_was,
    a_full_stay_is_one_admission_however_it_is_billed,
    a_layer_accounts_for_its_base,
    a_restriction_refuses_the_lines_outside_it_and_no_others,
    explanation_says_the_figures_of_the_result,
    layers_take_from_what_is_left,
    line_order_changes_nothing,
    no_cap_is_exceeded,
    nothing_is_negative,
    only_a_reading_bill_depends_on_the_year_to_date,
    shares_sum_to_the_total,
    stored_inputs_and_results_read_back_equal,
    the_account_pays_no_more_than_it_may,
    the_year_obeys_its_caps_over_many_bills,
    worlds,
)

EXAMPLES = int(os.environ.get("BENEFIT_EXAMPLES", "500"))
ROOT = Path(__file__).resolve().parents[2]


@given(world=worlds())
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_always_true_of_random_policies_and_bills(world):
    for holds in PROPERTIES:
        holds(calculate, world)


# ---------------------------------------------------------------------------------- the mutants


def broken(module_name, old, new):
    """The calculator with one place of one module's source changed."""
    path = ROOT / "settlement" / "benefits" / f"{module_name}.py"
    source = path.read_text(encoding="utf-8")
    assert source.count(old) == 1, f"{old!r} must occur once, so that the mutant is the one meant"
    mutant = types.ModuleType(f"mutant_{module_name}")
    # Dataclasses look their module up by name while they are made.
    sys.modules[mutant.__name__] = mutant
    exec(compile(source.replace(old, new), str(path), "exec"), mutant.__dict__)
    return mutant


MUTANTS = [
    (
        shares_sum_to_the_total,
        "calculation",
        'paid_by["cash"] = total - sum(paid_by.values())',
        'paid_by["cash"] = total - paid_by.get("pool", 0)',
    ),
    (shares_sum_to_the_total, "lines", "first += extra", "first += extra + 1"),
    (nothing_is_negative, "lines", "if limit > amount:", "if limit > amount + 10:"),
    (
        nothing_is_negative,
        "layers",
        "left = max(0, left - ledger.read(cap.counts_in))",
        "left = left - ledger.read(cap.counts_in)",
    ),
    (
        no_cap_is_exceeded,
        "layers",
        "paid = uncapped if payment_left is None else min(uncapped, payment_left)",
        "paid = uncapped",
    ),
    (no_cap_is_exceeded, "layers", "eligible, cap_rule = left, index", "cap_rule = index"),
    (
        no_cap_is_exceeded,
        "layers",
        "left = max(0, left - run.ledger.read(rule.counts_in))",
        "run.ledger.read(rule.counts_in)",
    ),
    (
        the_account_pays_no_more_than_it_may,
        "layers",
        "base = base_ok if account_left is not None else base_ok + base_other",
        "base = base_ok + base_other",
    ),
    (
        the_account_pays_no_more_than_it_may,
        "calculation",
        "account_left = min(account_left, bill.account_limit_fen)",
        "account_left = max(account_left, bill.account_limit_fen)",
    ),
    (
        a_layer_accounts_for_its_base,
        "layers",
        "end = start + eligible - deductible",
        "end = start + eligible",
    ),
    (
        a_bigger_bill_never_lowers_what_the_fund_pays,
        "layers",
        "exact += (high - low) * units",
        "exact = (high - start) * units",
    ),
    (
        a_bigger_bill_never_lowers_what_the_fund_pays,
        "layers",
        "deductible_met = deductible = min(eligible, deductible_left)",
        "deductible_met = deductible = min(eligible, deductible_left + eligible // 100 * 99)",
    ),
    (
        a_layer_accounts_for_its_base,
        "layers",
        "running = rounded_quotient(exact, RATE_UNITS, rounding=run.rounding)",
        "running = exact // RATE_UNITS",
    ),
    (
        line_order_changes_nothing,
        "lines",
        "sorted(lines, key=_line_number)",
        "lines",
    ),
    (
        a_full_refund_leaves_the_year_to_date_as_it_was,
        "ledger",
        "name: amount - before.get(name, 0)",
        "name: amount",
    ),
    (
        the_year_obeys_its_caps_over_many_bills,
        "layers",
        "        ledger.add(name, amount)\n",
        "        pass\n",
    ),
    (
        only_a_reading_bill_depends_on_the_year_to_date,
        "ledger",
        "        self.was_read = True\n",
        "",
    ),
    (
        stored_inputs_and_results_read_back_equal,
        "canonical",
        '"account_limit_fen": bill.account_limit_fen',
        '"account_limit_fen": None',
    ),
    (
        stored_inputs_and_results_read_back_equal,
        "canonical",
        "for name, amount in sorted(year_to_date.items()) if amount}",
        "for name, amount in sorted(year_to_date.items()) if amount > 100}",
    ),
    (
        explanation_says_the_figures_of_the_result,
        "explanation",
        'texts["pays"].format(paid=yuan(trace.paid_fen))',
        'texts["pays"].format(paid=yuan(trace.paid_fen + 1))',
    ),
    (
        a_full_stay_is_one_admission_however_it_is_billed,
        "calculation",
        "    if not ordinal:\n",
        "    if True:\n",
    ),
    (
        the_account_pays_no_more_than_it_may,
        "calculation",
        "            account_left -= trace.paid_fen\n",
        "            pass\n",
    ),
    (
        a_restriction_refuses_the_lines_outside_it_and_no_others,
        "lines",
        "not may_use(line.restriction, facts, age)",
        "False",
    ),
    (
        a_restriction_refuses_the_lines_outside_it_and_no_others,
        "lines",
        "line.restriction is not None and not may_use",
        "line.restriction is not None and may_use",
    ),
    (layers_take_from_what_is_left, "layers", "parts[name][0] -= drawn", "pass"),
    (
        shares_sum_to_the_total,
        "lines",
        "line.no, amount + rest, 0",
        "line.no, amount, 0",
    ),
    (
        no_cap_is_exceeded,
        "layers",
        "left = min(left, max(0, rule.ceiling_fen - run.ledger.read(rule.ceiling_in)))",
        "pass",
    ),
    (
        a_layer_accounts_for_its_base,
        "layers",
        "uncapped -= deductible\n",
        "pass\n",
    ),
    (
        stored_inputs_and_results_read_back_equal,
        "canonical",
        "if bill.relative_accounts:",
        "if False:",
    ),
    (
        a_layer_accounts_for_its_base,
        "layers",
        "running - rounded, rest))",
        "running, rest))",
    ),
]


# What the calculation takes from a module that a mutant stands in for.
PATCHED = {"lines": "take_lines_apart", "layers": "run_layer", "ledger": "YearToDate"}


@pytest.mark.parametrize(
    ("holds", "module_name", "old", "new"),
    MUTANTS,
    ids=[f"{mutant[0].__name__}-{position}" for position, mutant in enumerate(MUTANTS)],
)
def test_a_broken_calculator_is_caught_by_its_property(holds, module_name, old, new, monkeypatch):
    mutant = broken(module_name, old, new)
    broken_calculate, changed = calculate, {}
    if module_name == "calculation":
        broken_calculate = mutant.calculate
    elif module_name in PATCHED:
        name = PATCHED[module_name]
        monkeypatch.setattr(calculation_module, name, getattr(mutant, name))
    else:
        name = {"explanation": "explain", "canonical": "canonical_inputs"}[module_name]
        changed[name] = getattr(mutant, name)

    @given(world=worlds())
    @settings(
        max_examples=2_000,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def search(world):
        holds(broken_calculate, world, **changed)

    # The calculator's own arithmetic refuses some broken figures before a property can.
    with pytest.raises((AssertionError, ValueError)):
        search()
