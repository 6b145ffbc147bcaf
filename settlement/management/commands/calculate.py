"""`manage.py calculate`: price the visits of a case file by a policy file; no row is touched."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from settlement.benefits import BenefitsError, PolicyError, Result, explain, load_policy
from settlement.benefits.cases import Case, CaseVisit, differences, load_case, run_case
from settlement.benefits.reports import report
from settlement.benefits.tables import CaseError
from settlement.money import yuan


class Command(BaseCommand):
    """Ends with an error when a file is wrong or an expected figure does not come out."""

    help = "Price the visits of a case file (docs/policies.md) without touching any stored row."
    # Nothing is read from the database, so its state is no concern here.
    requires_system_checks: list[str] = []  # type: ignore[assignment]

    def add_arguments(self, parser: ArgumentParser) -> None:
        """A case file, and how to answer."""
        parser.add_argument("case_file", type=Path)
        parser.add_argument(
            "--policy",
            type=Path,
            action="append",
            metavar="FILE",
            help="policy file in place of the one that the case names; may be repeated",
        )
        parser.add_argument("--json", action="store_true", help="every figure, for a program")
        parser.add_argument("--explain", action="store_true", help="one sentence a step")
        parser.add_argument("--language", choices=("zh", "en"), default="zh")

    def handle(self, *args: Any, **options: Any) -> None:
        """Price, print, and say where an expectation was not met."""
        path: Path = options["case_file"]
        try:
            case = load_case(_text(path), name=path.name)
            policies = [
                load_policy(_text(each), name=each.name)
                for each in options["policy"] or _named(case, path)
            ]
            results = run_case(case, policy=policies)
        except (CaseError, PolicyError) as error:
            raise CommandError(str(error)) from None
        except BenefitsError as error:
            raise CommandError(f"{path.name}: {error}") from None
        by_hash = {policy.sha256: policy for policy in policies}
        account_fen = case.account_fen
        visits: list[dict[str, Any]] = []
        missed: list[str] = []
        for number, (visit, result) in enumerate(zip(case.visits, results, strict=True), start=1):
            policy = by_hash[result.policy_sha256]
            account_fen -= result.account_fen
            found = differences(visit, result, account_after_fen=account_fen)
            missed.extend(f"visit {number}: {each}" for each in found)
            said = explain(result, policy=policy, language=options["language"])
            if options["json"]:
                data = report(result, policy=policy, account_after_fen=account_fen)
                if options["explain"]:
                    data["explanation"] = list(said)
                visits.append({"visit": number, **data})
            else:
                self._print(number, visit, result, said if options["explain"] else ())
        if options["json"]:
            answer = {"title": case.title, "visits": visits, "not_as_expected": missed}
            self.stdout.write(json.dumps(answer, ensure_ascii=False, indent=2))
        if missed:
            raise CommandError("\n".join(f"{path.name}: {each}" for each in missed))

    def _print(self, number: int, visit: CaseVisit, result: Result, said: tuple[str, ...]) -> None:
        self.stdout.write(f"{number}. {visit.bill.service_date} {visit.bill.kind}")
        for sentence in said:
            self.stdout.write(f"   {sentence}")
        shares = ", ".join(f"{share.payer} {yuan(share.amount_fen)}" for share in result.shares)
        self.stdout.write(f"   total {yuan(result.total_fen)}: {shares or 'nothing to pay'}")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path}: cannot be read: {error}") from None


def _named(case: Case, case_path: Path) -> list[Path]:
    """The case's policies, looked for beside it, in its policies/ folder and in the product's."""
    if not case.policies:
        raise CommandError(f"{case_path.name}: policy: missing, name one here or with --policy")
    folders = [
        case_path.parent / "policies",
        case_path.parent,
        Path(settings.BASE_DIR) / "policies",
    ]
    found = []
    for name in case.policies:
        file_name = name if name.endswith(".toml") else f"{name}.toml"
        path = next(
            (
                each / file_name
                for each in folders
                # A case may have the name of its policy.
                if (each / file_name).is_file() and each / file_name != case_path
            ),
            None,
        )
        if path is None:
            looked = ", ".join(str(each) for each in folders)
            raise CommandError(f"{case_path.name}: policy: no file {file_name} in {looked}")
        found.append(path)
    return found
