"""What a production start refuses: defaults, debugging, and stores that may forget.

Called by the web application and by the Celery worker before either does any work. Embedded and
development starts are not judged; `/readyz` and the dashboard say what they are.
"""

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from messaging import vault


def refuse_unsafe_start() -> None:
    """Raise ImproperlyConfigured naming everything that is wrong; only production is judged."""
    if not settings.PRODUCTION:
        return
    problems = [*_settings_problems(), *_database_problems(), *_broker_problems()]
    if problems:
        raise ImproperlyConfigured("refusing to start in production: " + "; ".join(problems))


def _settings_problems() -> list[str]:
    problems = []
    if settings.SECRET_KEY == settings.DEFAULT_SECRET_KEY:
        problems.append("SECRET_KEY is the default of the embedded trial")
    if settings.DATA_KEY == settings.DEFAULT_DATA_KEY:
        problems.append("DATA_KEY is the default of the embedded trial")
    try:
        vault.data_key_from_settings()
    except ValueError:
        problems.append("DATA_KEY is not 32 bytes in base64: no person's data could be read")
    if settings.DEBUG:
        problems.append("DEBUG is on")
    if settings.DATABASE_IS_EMBEDDED:
        problems.append("DATABASE_URL is not set: the embedded SQLite is for trying only")
    if settings.BROKER_IS_EMBEDDED:
        problems.append("CELERY_BROKER_URL is not set: the embedded broker is for trying only")
    if settings.TENDER_SIMULATOR:
        problems.append("TENDER_SIMULATOR is on: a simulator would say that people have paid")
    if "*" in settings.ALLOWED_HOSTS:
        problems.append("ALLOWED_HOSTS allows every host")
    return problems


def _database_problems() -> list[str]:
    if settings.DATABASE_IS_EMBEDDED:
        return []
    with connection.cursor() as cursor:
        problems = []
        for setting in ("synchronous_commit", "fsync", "full_page_writes"):
            cursor.execute("SELECT current_setting(%s)", [setting])
            value = cursor.fetchone()[0]
            if value in ("off", "local"):
                problems.append(
                    f"PostgreSQL has {setting} = {value}: an acknowledged settlement could be lost"
                )
    return problems


def _broker_problems() -> list[str]:
    if not settings.CELERY_BROKER_URL.startswith("redis"):
        return []
    import redis

    client = redis.Redis.from_url(
        settings.CELERY_BROKER_URL, socket_timeout=5, socket_connect_timeout=5
    )
    try:
        policy = client.config_get("maxmemory-policy").get("maxmemory-policy")
    except redis.RedisError:
        # A broker that is down costs seconds of posting, never a settlement: start without it.
        return []
    finally:
        client.close()
    if policy != "noeviction":
        return [f"Redis evicts ({policy}): set maxmemory-policy noeviction"]
    return []
