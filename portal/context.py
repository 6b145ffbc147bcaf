"""What every page says about the deployment it comes from."""

from django.conf import settings
from django.http import HttpRequest


def deployment(request: HttpRequest) -> dict[str, bool]:
    """`embedded` is true on the database that is for trying only."""
    return {"embedded": settings.DATABASE_IS_EMBEDDED}
