"""Whether the process lives, and whether it can do its work."""

from django.conf import settings
from django.db import Error, connection
from django.http import HttpRequest, JsonResponse
from django.utils import timezone

from messaging.heartbeats import pulses
from messaging.models import OutboxEntry


def healthz(request: HttpRequest) -> JsonResponse:
    """The process answers; nothing else is asked."""
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> JsonResponse:
    """The database answers. Says which database and broker these are, what waits, what is parked,
    and how long ago the workers were heard.

    A worker that is late takes no web process out of service: settlements are accepted without it.
    """
    try:
        connection.ensure_connection()
        waiting = OutboxEntry.objects.filter(parked_at__isnull=True).count()
        parked = OutboxEntry.objects.filter(parked_at__isnull=False).count()
        found = pulses(settings.HEARTBEATS_LATE_S, now=timezone.now())
    except Error:
        return JsonResponse({"status": "the database does not answer"}, status=503)
    return JsonResponse(
        {
            "status": "ready",
            "database": "embedded" if settings.DATABASE_IS_EMBEDDED else "standard",
            "broker": "embedded" if settings.BROKER_IS_EMBEDDED else "standard",
            "unposted": waiting,
            "parked": parked,
            "heartbeats": {
                pulse.name: {"age_s": pulse.age_s, "late": pulse.late} for pulse in found
            },
        }
    )
