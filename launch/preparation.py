"""Brings the database up to date before anything serves from it: tables, policies, demo data.

Runs as a process of its own, so that the supervisor never loads Django. Every step may be repeated.
It knows the names of the management commands, not what they do.
"""

import io
import os
import sys
from pathlib import Path

import django
from django.apps import apps
from django.conf import settings
from django.core.management import CommandError, call_command

from launch.console import Step, say_trouble

# How the process ends when all went well but nobody has bought anything yet.
NOTHING_SETTLED_YET = 3
# What `load_demo` said last, shown under the addresses: who can log in and with what.
DEMO_NOTES = "demo-notes.txt"


class _ShownOutput(io.TextIOBase):
    """A command's output, kept, with its last line shown as the progress of a step."""

    def __init__(self, step: Step) -> None:
        self.step = step
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        # `migrate` ends each of its lines with a separate OK.
        if (last := text.strip().splitlines()[-1:]) and last != ["OK"]:
            self.step.progress(last[0].strip()[:40])
        return len(text)


def run_command(title: str, *arguments: str) -> str:
    """Run a management command as one step. Answers what it printed."""
    with Step(title) as step:
        output = _ShownOutput(step)
        call_command(*arguments, stdout=output)
        return output.text


def main() -> int:
    """Prepare the database that the environment names."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    run_command("bringing the database up to date", "migrate", "--no-input", "--no-color")
    run_command("loading policies", "load_policies")
    notes = run_command("loading demo data", "load_demo")
    (Path(settings.VAR_DIR) / DEMO_NOTES).write_text(notes)
    settled = apps.get_model("settlement", "Settlement").objects.exists()
    return 0 if settled else NOTHING_SETTLED_YET


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CommandError as error:
        say_trouble(str(error))
        sys.exit(1)
