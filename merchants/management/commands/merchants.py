"""`manage.py merchants`: institutions, one-time codes, terminals and answer keys from a shell."""

from argparse import ArgumentParser
from datetime import date
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from merchants import services
from merchants.models import Merchant, Terminal
from messaging.days import business_date
from messaging.refusals import Refusal


class Command(BaseCommand):
    """Subcommands add, enrolment-code, revoke, suspend, resume, rotate-answer-key, list."""

    help = "Register institutions, issue one-time codes for terminals, revoke terminals, list both."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One subcommand an act."""
        acts = parser.add_subparsers(dest="act", required=True)
        add = acts.add_parser("add", help="register an institution, or bring it up to date")
        add.add_argument("code", help="national code: P or H and eleven digits")
        add.add_argument("name")
        add.add_argument("--kind", required=True, choices=Merchant.Kind.values)
        add.add_argument("--area", required=True, help="six digits of the pooling area")
        add.add_argument("--level", type=int, default=0, help="1 to 3 for graded hospitals")
        add.add_argument("--agreement", required=True, help="number of the service agreement")
        add.add_argument("--from", dest="from_date", type=date.fromisoformat, help="its first day")
        add.add_argument("--until", type=date.fromisoformat, help="the first day without it")
        add.add_argument(
            "--capabilities", required=True, help="comma-separated, like outpatient,chronic"
        )
        add.add_argument("--marks", default="", help="comma-separated words of policies, like tcm")
        issue = acts.add_parser("enrolment-code", help="a one-time code for one terminal")
        issue.add_argument("merchant", help="national code of the institution")
        issue.add_argument("name", help="what the terminal will be called")
        revoke = acts.add_parser("revoke", help="take a terminal out of service")
        revoke.add_argument("terminal", help="the terminal's number or its key id")
        for act in ("suspend", "resume"):
            acts.add_parser(act, help=f"{act} an institution").add_argument("merchant")
        rotate = acts.add_parser("rotate-answer-key", help="sign answers with a new key, in a week")
        rotate.add_argument(
            "--withdraw", action="store_true", help="the earlier keys leaked: end them, sign now"
        )
        acts.add_parser("list", help="institutions with their terminals")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do the act; a refusal becomes one sentence."""
        act = str(options["act"]).replace("-", "_")
        try:
            getattr(self, f"_{act}")(options)
        except Refusal as refusal:
            raise CommandError(refusal.sentence()) from None
        except Merchant.DoesNotExist:
            raise CommandError(f"no institution has the code {options['merchant']}") from None

    def _add(self, options: dict[str, Any]) -> None:
        merchant = services.register_merchant(
            code=options["code"],
            name=options["name"],
            kind=options["kind"],
            area_code=options["area"],
            level=options["level"],
            agreement_number=options["agreement"],
            agreement_from=options["from_date"] or business_date(timezone.now()),
            agreement_until=options["until"],
            capabilities=[word for word in options["capabilities"].split(",") if word],
            marks=[word for word in options["marks"].split(",") if word],
        )
        self.stdout.write(f"{merchant.code} {merchant.name}")

    def _enrolment_code(self, options: dict[str, Any]) -> None:
        merchant = Merchant.objects.get(code=options["merchant"])
        one_time_code = services.issue_enrolment_code(
            merchant_id=merchant.pk,
            name=options["name"],
            now=timezone.now(),
            lifetime_s=settings.ENROLMENT_CODE_LIFETIME_S,
        )
        self.stdout.write(one_time_code)

    def _revoke(self, options: dict[str, Any]) -> None:
        wanted = str(options["terminal"])
        found = {"pk": int(wanted)} if wanted.isdecimal() else {"key_id": wanted}
        try:
            terminal = Terminal.objects.get(**found)
        except Terminal.DoesNotExist:
            raise CommandError(f"there is no terminal {wanted}") from None
        services.revoke_terminal(terminal_id=terminal.pk, now=timezone.now())
        self.stdout.write(f"terminal {terminal.pk} is out of service")

    def _suspend(self, options: dict[str, Any]) -> None:
        self._set_state(options["merchant"], Merchant.State.SUSPENDED)

    def _resume(self, options: dict[str, Any]) -> None:
        self._set_state(options["merchant"], Merchant.State.ACTIVE)

    def _set_state(self, code: str, state: str) -> None:
        merchant = Merchant.objects.get(code=code)
        services.set_merchant_state(merchant_id=merchant.pk, state=state)
        self.stdout.write(f"{merchant.code} {merchant.name}: {state}")

    def _rotate_answer_key(self, options: dict[str, Any]) -> None:
        row = services.rotate_answer_key(now=timezone.now(), withdraw=options["withdraw"])
        since = timezone.localtime(row.not_before).isoformat(timespec="minutes")
        self.stdout.write(f"answers are signed by {row.key_id} from {since} on")

    def _list(self, options: dict[str, Any]) -> None:
        for merchant in Merchant.objects.order_by("code").prefetch_related("terminals"):
            self.stdout.write(
                f"{merchant.code} {merchant.name} ({merchant.kind}, {merchant.area_code},"
                f" {merchant.state})"
            )
            for terminal in sorted(merchant.terminals.all(), key=lambda row: row.pk):
                self.stdout.write(
                    f"  {terminal.pk:>6} {terminal.kind:<4} {terminal.state:<8}"
                    f" {terminal.key_id or '-'} {terminal.name}"
                )
