"""Celery tasks: post what is due when woken, prove the books at night, and a heartbeat that goes
through the real queue."""

import logging
from typing import Any

from celery import shared_task
from celery.signals import worker_init, worker_shutdown, worker_shutting_down
from django.conf import settings
from django.utils import timezone

from messaging.heartbeats import beat
from settlement.services.auditing import audit_and_keep
from settlement.sweep import Sweep, drive_all, limit_frozen_sessions, post_all

log = logging.getLogger(__name__)

_sweeps: list[Sweep] = []


@shared_task
def post_outbox() -> int:
    """Woken by a message: post everything that is due. The message itself carries nothing."""
    limit_frozen_sessions()
    # Tenders are their sweep's: payment services may take longer than a task has.
    return post_all(clock=timezone.now, batch=settings.POSTING_BATCH)


@shared_task
def beat_through_queue() -> None:
    """Sent by beat, worked by a worker: its age says whether the queue really moves."""
    beat("queue", now=timezone.now())


# Acknowledged before it runs: it may take longer than a broker waits for an acknowledgement, and an
# audit that is lost is made up for by the next night's, while one that is repeated is a burden.
@shared_task(acks_late=False, time_limit=6 * 3600)
def audit_the_ledger() -> None:
    """The nightly audit: its report is kept, and what is wrong is an error in the log."""
    report = audit_and_keep(clock=timezone.now, path=settings.SEAL_FILE)
    for check in report.checks.values():
        if check.wrong:
            log.error(
                "the ledger is not sound: %s, %s wrong, the first: %s",
                check.name,
                check.wrong,
                check.first,
            )


@worker_init.connect
def start_sweep(**_: Any) -> None:
    """The sweeps live in the worker's parent process and start before any broker answers."""
    posting = Sweep(
        clock=timezone.now, every_s=settings.POSTING_SWEEP_S, batch=settings.POSTING_BATCH
    )
    tenders = Sweep(
        clock=timezone.now,
        every_s=settings.POSTING_SWEEP_S,
        batch=settings.TENDER_BATCH,
        name="tender sweep",
        work=drive_all,
    )
    for sweep in (posting, tenders):
        sweep.start()
        _sweeps.append(sweep)


@worker_shutting_down.connect
def stop_sweep(**_: Any) -> None:
    """Begin no other batch."""
    for sweep in _sweeps:
        sweep.stop()


@worker_shutdown.connect
def await_sweep(**_: Any) -> None:
    """Let the batch under way finish, within reason: cut off, it rolls back and is posted later."""
    for sweep in _sweeps:
        sweep.join(timeout=5)
