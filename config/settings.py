"""Settings of every deployment, read from the environment and from nowhere else.

With an empty environment this is the embedded default: SQLite and a broker in a folder, for trying
and for one counter. `DEPLOYMENT=production` turns on the checks of `config/startup.py`, which
refuse to start with anything a fund could lose money by.
"""

from pathlib import Path

import environ
from celery.schedules import crontab
from csp.constants import NONE, SELF
from django.utils.translation import gettext_lazy as _

env = environ.Env()

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = Path(env.str("VAR_DIR", default=str(BASE_DIR / "var")))
for _folder in (VAR_DIR / "static", VAR_DIR / "broker" / "control"):
    _folder.mkdir(parents=True, exist_ok=True)

DEPLOYMENT = env.str("DEPLOYMENT", default="embedded")
PRODUCTION = DEPLOYMENT == "production"
DEBUG = env.bool("DEBUG", default=False)

DEFAULT_SECRET_KEY = "embedded-default-for-trying-only-never-for-people's-data"  # noqa: S105
DEFAULT_DATA_KEY = "ZW1iZWRkZWQtZGVmYXVsdC1vbmx5LWZvci10cnlpbmc="
SECRET_KEY = env.str("SECRET_KEY", default=DEFAULT_SECRET_KEY)
# 32 bytes in base64: encrypts identity numbers and private keys at rest, and keys the search hash.
DATA_KEY = env.str("DATA_KEY", default=DEFAULT_DATA_KEY)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]", "testserver"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "csp",
    "config",
    "messaging",
    "voucher",
    "merchants",
    "settlement",
    "portal",
]

MIDDLEWARE = [
    "config.middleware.RequestId",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEST_RUNNER = "config.testing.HandOverToPytest"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "portal.context.deployment",
            ],
        },
    },
]

# --- Database -----------------------------------------------------------------------------------

# A variable that is set to nothing is not set: shells and service managers leave such ones behind.
DATABASES = {
    "default": env.db_url_config(
        env.str("DATABASE_URL", default="") or f"sqlite:///{VAR_DIR / 'db.sqlite3'}"
    )
}
_database = DATABASES["default"]
if _database["ENGINE"].endswith("sqlite3"):
    # IMMEDIATE takes the write lock at BEGIN: SQLite has no row locks, and a transaction that reads
    # first and writes later would otherwise meet "database is locked" in the middle.
    _database["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;PRAGMA foreign_keys=ON;",
    }
else:
    # A web server ends threads that are idle and starts others; nobody closes what an ended thread
    # leaves open. So a connection is renewed after five minutes by the thread that uses it, and the
    # server drops one that nobody has used for ten.
    _database["CONN_MAX_AGE"] = env.int("CONN_MAX_AGE", default=300)
    _database["OPTIONS"] = {
        **_database.get("OPTIONS", {}),
        # Prepared statements: the hot path repeats a dozen of them.
        "server_side_binding": True,
        "prepare_threshold": 2,
        "tcp_user_timeout": 5000,
        "connect_timeout": 5,
        # That limit sees only what was sent and not confirmed. Who waits for an answer has sent
        # nothing: without these, a network that falls silent then would keep them for hours.
        "keepalives_idle": 3,
        "keepalives_interval": 2,
        "keepalives_count": 2,
        # Every statement of the hot path goes by an index whatever its values are, so one plan for
        # all values spares the planning, which would cost a fifth of the execution.
        "options": "-c lock_timeout=2s -c statement_timeout=5s"
        " -c plan_cache_mode=force_generic_plan -c idle_session_timeout=10min"
        # A process frozen inside a transaction loses its locks, and with them nobody's till waits.
        " -c idle_in_transaction_session_timeout=60s",
    }
DATABASE_IS_EMBEDDED = _database["ENGINE"].endswith("sqlite3")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Broker -------------------------------------------------------------------------------------

CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default="") or "filesystem://localhost"
BROKER_IS_EMBEDDED = CELERY_BROKER_URL.startswith("filesystem:")
CELERY_TASK_DEFAULT_QUEUE = "posting"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_TIME_LIMIT = 60
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 5.0
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# A worker must outlive any broker outage: the sweep posts without it meanwhile.
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
if DATABASE_IS_EMBEDDED:
    # SQLite must not be carried across a fork: a child forked while the sweep was writing believes
    # for ever that somebody in its own process holds the write lock.
    CELERY_WORKER_POOL = "threads"
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "Asia/Shanghai"
# Seconds between two messages that beat sends through the broker and a worker writes down.
HEARTBEAT_EVERY_S = env.float("HEARTBEAT_EVERY_S", default=30.0)
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR_DIR / "celerybeat-schedule")
CELERY_BEAT_SCHEDULE = {
    "heartbeat through the real queue": {
        "task": "settlement.tasks.beat_through_queue",
        "schedule": HEARTBEAT_EVERY_S,
        # One that nobody took is no sign of life when the next is due.
        "options": {"expires": HEARTBEAT_EVERY_S * 5 / 6},
    },
    "signing keys in good time": {
        "task": "voucher.tasks.keep_signing_keys",
        "schedule": crontab(hour="3", minute="15"),
    },
    "proof of the books": {
        "task": "settlement.tasks.audit_the_ledger",
        "schedule": crontab(hour="2", minute="15"),
    },
    "expired sessions": {
        "task": "portal.tasks.clear_sessions",
        "schedule": crontab(hour="3", minute="30"),
    },
}
if BROKER_IS_EMBEDDED:
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(VAR_DIR / "broker"),
        "data_folder_out": str(VAR_DIR / "broker"),
        "control_folder": str(VAR_DIR / "broker" / "control"),
        "store_processed": False,
    }
elif CELERY_BROKER_URL.startswith("redis"):
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "visibility_timeout": 300,
        "socket_timeout": 5,
        "socket_connect_timeout": 5,
    }
else:
    CELERY_TASK_DEFAULT_QUEUE_TYPE = "quorum"
    CELERY_WORKER_DETECT_QUORUM_QUEUES = True
    CELERY_BROKER_TRANSPORT_OPTIONS = {"confirm_publish": True}

# Seconds between two looks of the posting worker at the outbox, broker or no broker.
POSTING_SWEEP_S = env.float("POSTING_SWEEP_S", default=3.0)
POSTING_BATCH = env.int("POSTING_BATCH", default=200)
# The age in seconds at which a heartbeat is late: a stopped worker shows in the first, a dead
# broker or beat in the second.
HEARTBEATS_LATE_S = {
    "posting sweep": max(30.0, POSTING_SWEEP_S * 3),
    "queue": HEARTBEAT_EVERY_S * 3,
    # A look may wait for several payment services that do not answer.
    "tender sweep": max(180.0, POSTING_SWEEP_S * 3),
}
# Tries of a row that fails, or that its worker does not survive, before it is parked for a person.
POSTING_ATTEMPTS = env.int("POSTING_ATTEMPTS", default=5)
# Where the roots of sealed batches are written besides the database.
SEAL_FILE = Path(env.str("SEAL_FILE", default="") or VAR_DIR / "seals.log")
# Tenders that one look takes in hand: each is a call or two of a payment service.
TENDER_BATCH = env.int("TENDER_BATCH", default=20)

# --- The product's own figures ------------------------------------------------------------------

CODE_LIFETIME_S = env.int("CODE_LIFETIME_S", default=60)
SCAN_LIFETIME_S = env.int("SCAN_LIFETIME_S", default=1800)
QUOTE_LIFETIME_S = env.int("QUOTE_LIFETIME_S", default=120)
# From the quote on: so long may it stay unknown whether a part of its cash was paid. Then the part
# is cancelled at the payment service, which makes it certain, and goes back.
TENDER_CERTAINTY_S = env.int("TENDER_CERTAINTY_S", default=360)
# From the settlement on: so long is a capture tried again before it is made certain likewise.
TENDER_CAPTURE_S = env.int("TENDER_CAPTURE_S", default=86_400)
# debt or reverse: what becomes of a settlement whose payment cannot be captured, for merchants that
# have said nothing else.
TENDER_CAPTURE_FAILED = env.str("TENDER_CAPTURE_FAILED", default="debt")
# WeChat and Alipay by a simulator of our own, for trying; without it they are not connected.
TENDER_SIMULATOR = env.bool("TENDER_SIMULATOR", default=not PRODUCTION)
# A number makes the simulator time out, repeat, reorder and lie; without one it is honest.
TENDER_SIMULATOR_SEED = env.int("TENDER_SIMULATOR_SEED", default=None)
MAX_LINES = env.int("MAX_LINES", default=500)
SIGNATURE_WINDOW_S = 120
ENROLMENT_CODE_LIFETIME_S = 86_400

# --- Pages --------------------------------------------------------------------------------------

LANGUAGE_CODE = "zh-hans"
LANGUAGES = [("zh-hans", _("Chinese")), ("en", _("English"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "Asia/Shanghai"
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = VAR_DIR / "static"
# Served from the folders themselves, so that a first run needs no collection step.
WHITENOISE_USE_FINDERS = True
WHITENOISE_MIMETYPES = {".wasm": "application/wasm", ".mjs": "text/javascript"}
LOGIN_URL = "portal:login"
LOGIN_REDIRECT_URL = "portal:home"
LOGOUT_REDIRECT_URL = "portal:home"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = PRODUCTION
CSRF_COOKIE_SECURE = PRODUCTION
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_HSTS_SECONDS = 31_536_000 if PRODUCTION else 0
SECURE_PROXY_SSL_HEADER = (
    ("HTTP_X_FORWARDED_PROTO", "https") if env.bool("BEHIND_TLS_PROXY", default=False) else None
)
X_FRAME_OPTIONS = "DENY"
# Every address on this machine's network may reach a LAN demonstration; the launcher names them.
DATA_UPLOAD_MAX_MEMORY_SIZE = 2_621_440
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        # zxing-wasm is the only reason for wasm-unsafe-eval; there is no eval of script.
        "script-src": [SELF, "'wasm-unsafe-eval'"],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "worker-src": [SELF],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

# --- API ----------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "医保码 API",
    "DESCRIPTION": "Scans, visits, estimates, quotes, settlements and refunds for a merchant's own "
    "software. Start with docs/api.md; what each refusal asks for: [refusals](/docs/refusals).",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.0",
    "POSTPROCESSING_HOOKS": ["settlement.documentation.complete"],
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    # A page cannot sign for a terminal, so it offers no trying out; and it asks no stranger's
    # server whether the document is valid.
    "SWAGGER_UI_SETTINGS": {
        "deepLinking": True,
        "supportedSubmitMethods": [],
        "validatorUrl": None,
        "docExpansion": "list",
        "defaultModelsExpandDepth": 0,
    },
}

# --- Logs ---------------------------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request_id": {"()": "config.logs.RequestIdFilter"}},
    "formatters": {"line": {"()": "config.logs.JsonFormatter"}},
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "filters": ["request_id"],
        }
    },
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {
        # A refusal is an ordinary answer, and has its row: no log line a request beside it.
        "django.request": {"level": "ERROR"},
        "celery": {"level": "INFO"},
        "kombu": {"level": "WARNING"},
        # It tells of every table of a font that a document takes over.
        "fontTools": {"level": "WARNING"},
    },
}
