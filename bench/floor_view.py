"""The bare view that scans are compared with: one member by its key, as JSON.

Served by the same web server with the same processes, threads and persistent connections as the
product. `bench/floor_settings.py` says what is left away.
"""

from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.urls import path

application = get_wsgi_application()


def member(request: HttpRequest, number: int) -> JsonResponse:
    """One indexed SELECT."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, number, name, birth_date::text, sex FROM voucher_member WHERE id = %s",
            [number],
        )
        row = cursor.fetchone()
    return JsonResponse({"member": row})


def healthz(request: HttpRequest) -> JsonResponse:
    """The process answers."""
    return JsonResponse({"status": "ok"})


urlpatterns = [path("member/<int:number>", member), path("healthz", healthz)]
