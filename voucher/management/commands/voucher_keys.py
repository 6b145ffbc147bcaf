"""`manage.py voucher_keys list | rotate | kill`: the keys that sign codes, for the operator."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from voucher.models import SigningKey
from voucher.services import kill_signing_key, rotate_signing_key


class Command(BaseCommand):
    """Prints no key material, not even public: that is at /.well-known/voucher-keys.json."""

    help = "List, rotate or kill the keys that sign medical-insurance codes."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        verbs.add_parser("list", help="every key there ever was, and its state")
        rotate = verbs.add_parser("rotate", help="make the next key and let the others end")
        rotate.add_argument(
            "--overlap-minutes",
            type=int,
            default=60,
            help="how long the older keys stay in force; verifiers keep the set for 30 minutes",
        )
        kill = verbs.add_parser("kill", help="refuse at once every code this key ever signed")
        kill.add_argument("key_id", type=int)

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        if options["verb"] == "rotate":
            if options["overlap_minutes"] < 0:
                raise CommandError("An overlap is not negative.")
            rotate_signing_key(now=now, overlap=timedelta(minutes=options["overlap_minutes"]))
        elif options["verb"] == "kill":
            try:
                kill_signing_key(key_id=options["key_id"], now=now)
            except SigningKey.DoesNotExist:
                raise CommandError(f"There is no key {options['key_id']}.") from None
        for key in SigningKey.objects.order_by("key_id"):
            if key.killed_at is not None:
                state = f"killed {key.killed_at:%Y-%m-%d %H:%M:%SZ}"
            elif key.not_after <= now:
                state = "ended"
            elif key.not_before > now:
                state = "to come"
            else:
                state = "in force"
            self.stdout.write(
                f"key {key.key_id}  {key.algorithm}  {key.not_before:%Y-%m-%d %H:%M:%SZ} to"
                f" {key.not_after:%Y-%m-%d %H:%M:%SZ}  {state}"
            )
