"""`manage.py tenders`: what payment services owe by name, rules of merchants, lines of credit."""

import json
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from merchants.endpoint import refused
from messaging.bodies import to_json
from messaging.ids import new_id
from messaging.inbox import Answer
from settlement.selectors.staff import debts_by_name
from settlement.services.tender import staff


def _name(text: str) -> str:
    if not text.strip():
        raise ArgumentTypeError("somebody's name is wanted")
    return text


class Command(BaseCommand):
    """For the fund's and the merchant's accountants; amounts are fen."""

    help = "List and settle debts of payment services; set merchants' rules and lines of credit."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One act a call."""
        parser.add_argument(
            "--by", type=_name, default="manage.py", help="who does it, for the record"
        )
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
        getattr(self, f"_{act.replace('-', '_')}")(options)

    def _done(self, name: str, act: staff.Act, options: dict[str, Any]) -> dict[str, Any]:
        """Do an act as the page does. Raises CommandError for a refused one."""
        key = new_id().hex
        answer = staff.perform(
            act,
            name=name,
            content=b"",
            staff=staff.Staff(
                name=options["by"],
                inbox_actor="staff:manage.py",
                key=key,
                request_id=key,
                now=timezone.now(),
            ),
            done=lambda result: Answer(0, to_json(result)),
            refused=lambda refusal: refused(refusal, request_id=key),
        )
        said: dict[str, Any] = json.loads(answer.body)
        if answer.code:
            raise CommandError(said["detail"])
        return said

    def _debts(self, options: dict[str, Any]) -> None:
        found = debts_by_name()
        for tender in found["rows"]:
            owes = f"owes {tender.merchant.code} {tender.owed_fen}"
            self.stdout.write(f"{tender.pk} {tender.kind} {owes}")
        if more := found["count"] - len(found["rows"]):
            self.stdout.write(f"and {more} more")

    def _paid(self, options: dict[str, Any]) -> None:
        act = staff.debt_paid(tender_id=options["tender_id"])
        fen = self._done("debt_paid", act, options)["amount_fen"]
        self.stdout.write(f"{fen} fen are owed no more")

    def _rule(self, options: dict[str, Any]) -> None:
        code, wanted = options["merchant_code"], options["capture_failed"]
        self._done("rule", staff.set_rule(merchant_code=code, capture_failed=wanted), options)
        self.stdout.write(f"{code}: {wanted}")

    def _credit_limit(self, options: dict[str, Any]) -> None:
        act = staff.set_limit(member_number=options["member_number"], limit_fen=options["fen"])
        self._tell(self._done("limit", act, options))

    def _credit_repay(self, options: dict[str, Any]) -> None:
        act = staff.repayment(member_number=options["member_number"], amount_fen=options["fen"])
        self._tell(self._done("repayment", act, options))

    def _tell(self, line: dict[str, Any]) -> None:
        self.stdout.write(
            f"used {line['used_fen']} of {line['limit_fen']}, owed back {line['owed_fen']}"
        )
