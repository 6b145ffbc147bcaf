"""What the pages need done in the background: old sessions leave the database."""

from celery import shared_task
from django.core.management import call_command


@shared_task(name="portal.tasks.clear_sessions")
def clear_sessions() -> None:
    """Delete the sessions whose time has passed."""
    call_command("clearsessions")
