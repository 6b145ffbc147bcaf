"""`manage.py check_policies`: read policy files and hold them to the authorities above them.

Where a bigger bill lowers what the funds pay is told as a warning: some published rules do that,
so it is for the writer of the file to say whether it is meant.
"""

import tomllib
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from settlement.benefits import Policy, PolicyError, load_policy
from settlement.benefits.falling import falling
from settlement.benefits.floors import Authority, check_floors, load_authority

# A mistake in a figure shows for every level and category: the first of its warnings are enough.
MOST_WARNINGS = 30


class Command(BaseCommand):
    """Stores nothing.  Ends with an error that lists every problem of every file."""

    help = "Check policy files (default: policies/*.toml) and the floors of their authorities."
    requires_system_checks: list[str] = []  # type: ignore[assignment]

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Files other than the repository's own may be named."""
        parser.add_argument("files", nargs="*", type=Path, metavar="FILE")
        parser.add_argument(
            "--authorities",
            type=Path,
            metavar="FOLDER",
            help="folder of authority files (default: policies/authorities)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """A line for each file that is in order, and its warnings; problems at the end."""
        folder = Path(settings.BASE_DIR) / "policies"
        problems: list[str] = []
        authorities = _authorities(options["authorities"] or folder / "authorities", problems)
        loaded: list[Policy] = []
        for path in options["files"] or sorted(folder.glob("*.toml")):
            try:
                text = path.read_text(encoding="utf-8")
                policy = load_policy(text, name=path.name)
            except PolicyError as error:
                problems.extend(error.problems)
                continue
            except (OSError, UnicodeDecodeError) as error:
                problems.append(f"{path}: cannot be read: {error}")
                continue
            breaches = check_floors(policy, authorities)
            problems.extend(breaches)
            problems.extend(_same_version(policy, loaded))
            loaded.append(policy)
            if not breaches:
                self.stdout.write(_in_order(policy, text))
            for warning in _warnings(policy):
                self.stdout.write(self.style.WARNING(f"warning: {warning}"))
        if problems:
            raise CommandError("\n".join(problems))


def _authorities(folder: Path, problems: list[str]) -> list[Authority]:
    found = []
    for path in sorted(folder.glob("*.toml")):
        try:
            found.append(load_authority(path.read_text(encoding="utf-8"), name=path.name))
        except PolicyError as error:
            problems.extend(error.problems)
    return found


def _same_version(policy: Policy, others: list[Policy]) -> Iterator[str]:
    """A version names one text; two files that overlap in time are fine, the later one rules."""
    for other in others:
        if other.version == policy.version:
            yield f"{policy.name}: version: {other.name} has the same one"


def _warnings(policy: Policy) -> Iterator[str]:
    report = falling(policy)
    for fall in report.falls[:MOST_WARNINGS]:
        yield fall.said()
    if len(report.falls) > MOST_WARNINGS:
        yield f"{policy.name}: {len(report.falls) - MOST_WARNINGS} more of the same sort"
    for kind in report.not_searched_whole:
        yield (
            f"{policy.name}: kinds: {kind}: the rules tell too many cases apart: only a part of"
            " them was searched for bigger bills that lower the fund's part"
        )


def _in_order(policy: Policy, text: str) -> str:
    named = list(_sources(tomllib.loads(text)))
    assumed = named.count("assumption")
    checked = "checked against " + ", ".join(policy.authorities)
    if not policy.authorities:
        checked = "unchecked (names no authority)"
    return (
        f"{policy.name}: {policy.version}, {len(policy.layers)} layers, "
        f"{len(named)} rules of which {assumed} assumed; {checked}"
    )


def _sources(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            if key == "source" and isinstance(each, str):
                yield each
            else:
                yield from _sources(each)
    elif isinstance(value, list):
        for each in value:
            yield from _sources(each)
