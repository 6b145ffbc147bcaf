"""The benefits calculator: who pays which fen of a bill, by an area's policy file.

Pure and deterministic: it takes the policy, the member, the bill and the year to date as values and
gives a result with every figure on the way.  It reads no row, no setting and no clock; the format
of a policy file is described in docs/policies.md.

    policy = load_policy(text, name="370300-2022")
    result = calculate(policy=policy, member=member, site=site, bill=bill,
                       year_to_date={}, account_available_fen=0)
    sentences = explain(result, policy=policy, language="zh", audience="citizen")
"""

from settlement.benefits.calculation import ENGINE_VERSION, calculate
from settlement.benefits.canonical import (
    CalculationInputs,
    canonical_inputs,
    inputs_from,
    result_from_dict,
    result_to_dict,
    trace_hash,
)
from settlement.benefits.canonical_lines import restriction_from_dict, restriction_to_dict
from settlement.benefits.elsewhere import as_listed_by
from settlement.benefits.explanation import Audience, explain
from settlement.benefits.loading import load_policy
from settlement.benefits.policy import Policy
from settlement.benefits.sheets import line_reason, sheet_figures
from settlement.benefits.tables import PolicyError
from settlement.benefits.values import (
    LAYER_REASONS,
    LINE_REASONS,
    OWN_PAYERS,
    PAYERS,
    BenefitsError,
    Bill,
    Filing,
    FirstPayTrace,
    LayerTrace,
    Line,
    LineSplit,
    Member,
    PriceTrace,
    RelativeAccount,
    RelativeDraw,
    Result,
    Share,
    Site,
    TierTrace,
    UseRestriction,
)
from settlement.benefits.wording import Language

__all__ = [
    "ENGINE_VERSION",
    "LAYER_REASONS",
    "LINE_REASONS",
    "OWN_PAYERS",
    "PAYERS",
    "Audience",
    "BenefitsError",
    "Bill",
    "CalculationInputs",
    "Filing",
    "FirstPayTrace",
    "Language",
    "LayerTrace",
    "Line",
    "LineSplit",
    "Member",
    "Policy",
    "PolicyError",
    "PriceTrace",
    "RelativeAccount",
    "RelativeDraw",
    "Result",
    "Share",
    "Site",
    "TierTrace",
    "UseRestriction",
    "as_listed_by",
    "calculate",
    "canonical_inputs",
    "explain",
    "inputs_from",
    "line_reason",
    "load_policy",
    "restriction_from_dict",
    "restriction_to_dict",
    "result_from_dict",
    "result_to_dict",
    "sheet_figures",
    "trace_hash",
]
