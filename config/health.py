"""Whether the process lives, and whether it can do its work."""

from django.conf import settings
from django.db import Error, connection
from django.http import HttpRequest, JsonResponse

from messaging.models import Heartbeat, OutboxEntry


def healthz(request: HttpRequest) -> JsonResponse:
    """The process answers; nothing else is asked."""
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> JsonResponse:
    """The database answers. Says which database and broker these are, and what waits."""
    try:
        connection.ensure_connection()
        waiting = OutboxEntry.objects.filter(parked_at__isnull=True).count()
        beats = {row.name: row.seen_at.isoformat() for row in Heartbeat.objects.all()}
    except Error:
        return JsonResponse({"status": "the database does not answer"}, status=503)
    return JsonResponse(
        {
            "status": "ready",
            "database": "embedded" if settings.DATABASE_IS_EMBEDDED else "standard",
            "broker": "embedded" if settings.BROKER_IS_EMBEDDED else "standard",
            "unposted": waiting,
            "heartbeats": beats,
        }
    )
