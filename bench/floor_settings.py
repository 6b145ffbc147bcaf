"""Settings of the bare view: the product's database connection, and nothing else of it.

No application, no middleware: what remains is Django's request handling and one statement.
"""

from config.settings import ALLOWED_HOSTS, DATABASES, SECRET_KEY, USE_TZ

INSTALLED_APPS: list[str] = []
MIDDLEWARE: list[str] = []
ROOT_URLCONF = "bench.floor_view"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

__all__ = ["ALLOWED_HOSTS", "DATABASES", "SECRET_KEY", "USE_TZ"]
