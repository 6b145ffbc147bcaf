"""`manage.py check_policies`: read policy files and hold them to the authorities above them."""

import tomllib
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from settlement.benefits import Policy, PolicyError, load_policy
from settlement.benefits.floors import Authority, check_floors, load_authority


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
        """A line for each file that is in order; the problems of all others at the end."""
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
