"""`manage.py rehearse POLICY --from DAY --to DAY`: a draft policy over past settlements.

POLICY is a policy file or the version of a policy that is loaded. Nothing is written: the report is
what the settlements of those business days would have cost whom, beside what they did cost.
"""

import json
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from settlement.benefits import OWN_PAYERS, PAYERS, Policy, PolicyError, load_policy
from settlement.benefits.rehearsing import Costs
from settlement.management.progress import Shown
from settlement.models import Policy as PolicyRow
from settlement.money import yuan
from settlement.services.rehearsal import Rehearsal, rehearse

# The bills of one refusal that are named to a reader.
MOST_REFUSED = 20


class Command(BaseCommand):
    """See "Rehearsing a draft" in docs/policies.md."""

    help = "Price past settlements by a draft policy and report who would have paid what."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """A policy and the business days [from, to)."""
        parser.add_argument("policy", metavar="POLICY", help="policy file, or a loaded version")
        parser.add_argument("--from", dest="from_date", type=_day, required=True, metavar="DAY")
        parser.add_argument(
            "--to", dest="until_date", type=_day, required=True, metavar="DAY", help="not included"
        )
        parser.add_argument("--area", help="pooling area in place of the policy's own")
        parser.add_argument("--json", action="store_true", help="every figure, for a program")

    def handle(self, *args: Any, **options: Any) -> None:
        """Rehearse and print."""
        policy = _policy(options["policy"])
        try:
            with Shown() as shown:
                found = rehearse(
                    policy=policy,
                    area_code=options["area"] or policy.area,
                    from_date=options["from_date"],
                    until_date=options["until_date"],
                    progress=shown,
                )
        except PolicyError as error:
            raise CommandError("\n".join(error.problems)) from None
        except ValueError as error:
            raise CommandError(f"--to: {error}") from None
        if options["json"]:
            self.stdout.write(json.dumps(_data(found), ensure_ascii=False, indent=2))
        else:
            self._print(found)

    def _print(self, found: Rehearsal) -> None:
        self.stdout.write(
            _("%(version)s over the settlements of %(from)s to %(to)s (not included)")
            % {"version": found.policy, "from": found.from_date, "to": found.until_date}
        )
        self.stdout.write(
            _(
                "%(bills)s bills of %(people)s people, %(total)s yuan;"
                " %(returned)s more were returned whole"
            )
            % {
                "bills": found.whole.bills,
                "people": found.people,
                "total": yuan(found.whole.total_fen),
                "returned": found.returned,
            }
        )
        for code, refused in sorted(found.not_priced.items()):
            self.stdout.write(
                _("%(count)s bills cannot be priced by it: %(code)s")
                % {"count": len(refused), "code": code}
            )
            for settlement_id in refused[:MOST_REFUSED]:
                self.stdout.write(f"  {settlement_id}")
            if len(refused) > MOST_REFUSED:
                self.stdout.write(
                    "  "
                    + _("and %(more)s more; --json names them all")
                    % {"more": len(refused) - MOST_REFUSED}
                )
        self.stdout.write(
            _(
                "%(changed)s differences: %(dearer)s bills cost the member more,"
                " %(cheaper)s less; %(figures)s bills have another figure on the way"
            )
            % {
                "changed": found.changed,
                "dearer": found.dearer,
                "cheaper": found.cheaper,
                "figures": found.other_figures,
            }
        )
        whole = found.whole
        self.stdout.write(_("by payer: bills, paid in truth, would be paid, difference (yuan)"))
        for payer in PAYERS:
            if payer in whole.stored or payer in whole.rehearsed:
                self._row(
                    payer, whole.bills, whole.stored.get(payer, 0), whole.rehearsed.get(payer, 0)
                )
        for title, rows in (
            (_("by group: bills, fund in truth, fund rehearsed, difference"), found.by_group),
            (_("by kind: bills, fund in truth, fund rehearsed, difference"), found.by_kind),
            (_("by merchant: bills, fund in truth, fund rehearsed, difference"), found.by_merchant),
        ):
            self.stdout.write(title)
            for name, costs in sorted(rows.items()):
                self._row(name, costs.bills, _fund(costs.stored), _fund(costs.rehearsed))
        if found.largest:
            self.stdout.write(_("largest changes (fund's part)"))
        for change in found.largest:
            self.stdout.write(f"  {change.settlement_id}  {_signed(change.fund_fen)}")

    def _row(self, name: str, bills: int, stored_fen: int, rehearsed_fen: int) -> None:
        self.stdout.write(
            f"  {name:<28} {bills:>9} {yuan(stored_fen):>16} {yuan(rehearsed_fen):>16}"
            f" {_signed(rehearsed_fen - stored_fen):>14}"
        )


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"expected a day such as 2026-01-31, found {text!r}") from None


def _policy(given: str) -> Policy:
    path = Path(given)
    try:
        if path.is_file():
            return load_policy(path.read_text(encoding="utf-8"), name=path.name)
        row = PolicyRow.objects.filter(version=given).first()
        if row is not None:
            return load_policy(row.text, name=row.version)
    except PolicyError as error:
        raise CommandError("\n".join(error.problems)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{given}: cannot be read: {error}") from None
    known = ", ".join(PolicyRow.objects.order_by("version").values_list("version", flat=True))
    raise CommandError(f"{given}: neither a file nor a loaded version ({known or 'none'})")


def _fund(shares: Mapping[str, int]) -> int:
    return sum(amount for payer, amount in shares.items() if payer not in OWN_PAYERS)


def _signed(fen: int) -> str:
    return ("+" if fen > 0 else "") + yuan(fen)


def _data(found: Rehearsal) -> dict[str, Any]:
    def costs(each: Costs) -> dict[str, Any]:
        return {
            "bills": each.bills,
            "total_fen": each.total_fen,
            "stored_fen": each.stored,
            "rehearsed_fen": each.rehearsed,
            "difference_fen": each.differences(),
        }

    return {
        "policy": {"version": found.policy, "sha256": found.sha256},
        "from_date": found.from_date.isoformat(),
        "until_date": found.until_date.isoformat(),
        "people": found.people,
        "returned": found.returned,
        "changed": found.changed,
        "dearer": found.dearer,
        "cheaper": found.cheaper,
        "other_figures": found.other_figures,
        "not_priced": {
            code: [str(each) for each in refused]
            for code, refused in sorted(found.not_priced.items())
        },
        "whole": costs(found.whole),
        "by_group": {name: costs(each) for name, each in sorted(found.by_group.items())},
        "by_kind": {name: costs(each) for name, each in sorted(found.by_kind.items())},
        "by_merchant": {name: costs(each) for name, each in sorted(found.by_merchant.items())},
        "largest": [
            {
                "settlement_id": str(change.settlement_id),
                "fund_fen": change.fund_fen,
                "personal_fen": change.personal_fen,
            }
            for change in found.largest
        ],
    }
