"""Settings, addresses, the Celery application and the one table from refusal to HTTP status."""

from .celery import app as celery_app

__all__ = ["celery_app"]
