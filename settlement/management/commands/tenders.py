"""`manage.py tenders`: what payment services owe by name, rules of merchants, lines of credit."""

from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from merchants.models import Merchant
from settlement.models import CreditLine, Tender
from settlement.services.tender import credit, debts
from voucher.models import Member


class Command(BaseCommand):
    """For the fund's and the merchant's accountants; amounts are fen."""

    help = "List and settle debts of payment services; set merchants' rules and lines of credit."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One act a call."""
        acts = parser.add_subparsers(dest="act", required=True)
        acts.add_parser("debts", help="list what is owed")
        acts.add_parser("paid", help="a debt was paid").add_argument("tender_id", type=UUID)
        rule = acts.add_parser("rule", help="what becomes of a capture that fails for good")
        rule.add_argument("merchant_code")
        rule.add_argument("capture_failed", choices=["debt", "reverse"])
        limit = acts.add_parser("credit-limit", help="open a member's line, or change its limit")
        repay = acts.add_parser("credit-repay", help="a member pays back")
        for line in (limit, repay):
            line.add_argument("member_number")
            line.add_argument("fen", type=int)

    def handle(self, *args: Any, act: str, **options: Any) -> None:
        """Do it, and say in a line what is so now."""
        try:
            getattr(self, f"_{act.replace('-', '_')}")(options)
        except (
            ValueError,
            Merchant.DoesNotExist,
            Member.DoesNotExist,
            CreditLine.DoesNotExist,
        ) as error:
            raise CommandError(str(error)) from None

    def _debts(self, options: dict[str, Any]) -> None:
        owed = Tender.objects.filter(state="debt").select_related("merchant").order_by("changed_at")
        for tender in owed.prefetch_related("refunds"):
            if fen := debts.outstanding_fen(tender):
                self.stdout.write(f"{tender.pk} {tender.kind} owes {tender.merchant.code} {fen}")

    def _paid(self, options: dict[str, Any]) -> None:
        fen = debts.repay(tender_id=options["tender_id"], who="staff", now=timezone.now())
        self.stdout.write(f"{fen} fen are owed no more")

    def _rule(self, options: dict[str, Any]) -> None:
        merchant = Merchant.objects.get(code=options["merchant_code"])
        debts.set_rule(merchant_id=merchant.pk, capture_failed=options["capture_failed"])
        self.stdout.write(f"{merchant.code}: {options['capture_failed']}")

    def _credit_limit(self, options: dict[str, Any]) -> None:
        member = Member.objects.get(number=options["member_number"])
        self._tell(credit.grant(member_id=member.pk, limit_fen=options["fen"]))

    def _credit_repay(self, options: dict[str, Any]) -> None:
        member = Member.objects.get(number=options["member_number"])
        self._tell(credit.repay(member_id=member.pk, amount_fen=options["fen"], now=timezone.now()))

    def _tell(self, line: CreditLine) -> None:
        self.stdout.write(f"used {line.used_fen} of {line.limit_fen}, owed back {line.owed_fen}")
