"""The daily look at the signing keys; the clock is read here."""

from celery import shared_task
from django.utils import timezone

from voucher.services import ensure_signing_key


@shared_task(name="voucher.tasks.keep_signing_keys")
def keep_signing_keys() -> None:
    """Make the next signing key in good time before the last one ends."""
    ensure_signing_key(now=timezone.now())
