"""Settings: everything that differs between machines comes from the environment (see .env.example)."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog
from django.utils.translation import gettext_lazy as _

from proxy_project import embedded_postgres, error_reports, tracing
from proxy_project.configuration import Configuration

BASE_DIR = Path(__file__).resolve().parent.parent

_config = Configuration(BASE_DIR / ".env")
env = _config.env

# --- Who we are -------------------------------------------------------------------------------------------
DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = _config.secret("SECRET_KEY")
PUBLIC_URL = _config.url("PUBLIC_URL", "http://localhost:8000")
_public = urlsplit(PUBLIC_URL)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[]) or [
    _public.hostname or "",
    "localhost",
    "127.0.0.1",
    "[::1]",
]
# What other machines within call it, such as the container of Prometheus.
ALLOWED_HOSTS += env.list("INTERNAL_HOSTS", default=[])

# Who may read /metrics; without it nobody may, except with DEBUG.
METRICS_TOKEN = env.str("METRICS_TOKEN", default="").strip()
# When /readyz says that the service is not ready.
READY_QUEUE_SECONDS = _config.number("READY_QUEUE_SECONDS", 120, minimum=1)
READY_HEARTBEAT_SECONDS = _config.number("READY_HEARTBEAT_SECONDS", 30, minimum=10)

# --- What is kept, and how it is hidden -------------------------------------------------------------------
ENCRYPTION_KEYS = _config.encryption_keys("ENCRYPTION_KEYS")
DIGEST_KEY = _config.secret("DIGEST_KEY")

# --- Vonage (vonage.com; in development the simulator) -----------------------------------------------------
VONAGE_API_URL = _config.url("VONAGE_API_URL", "https://api.nexmo.com")
VONAGE_REST_URL = _config.url("VONAGE_REST_URL", "https://rest.nexmo.com")
VONAGE_API_KEY = _config.secret("VONAGE_API_KEY")
VONAGE_API_SECRET = env.str("VONAGE_API_SECRET", default="")
VONAGE_APPLICATION_ID = _config.secret("VONAGE_APPLICATION_ID")
VONAGE_PRIVATE_KEY = _config.text_or_file("VONAGE_PRIVATE_KEY")
VONAGE_SIGNATURE_SECRET = _config.secret("VONAGE_SIGNATURE_SECRET")
# What is believed of the SMS API's webhooks; those of the Messages API are always taken, signed.
VONAGE_WEBHOOK_TOKEN = env.str("VONAGE_WEBHOOK_TOKEN", default="").strip()
VONAGE_LEGACY_WEBHOOKS = _config.legacy_webhooks("VONAGE_LEGACY_WEBHOOKS", token=VONAGE_WEBHOOK_TOKEN)
# Vonage accepts 30 API requests a second per key unless it agreed to more; 0 is without a limit.
# https://api.support.vonage.com/hc/en-us/articles/203993598
_at_vonage = (urlsplit(VONAGE_API_URL).hostname or "").endswith((".nexmo.com", ".vonage.com"))
VONAGE_MESSAGES_PER_SECOND = _config.number("VONAGE_MESSAGES_PER_SECOND", 30 if _at_vonage else 0, minimum=0)
# In the account's currency, which is EUR; 0 is no warning.
BALANCE_WARNING = _config.number("BALANCE_WARNING", 10, minimum=0)
# Vonage answers STOP, START and HELP itself (Opt-Out Assist), and tells us of them.
VONAGE_OPT_OUT_ASSIST = env.bool("VONAGE_OPT_OUT_ASSIST", default=False)
# Vonage retries a webhook for 24 hours; whether it signs it anew is not documented.
WEBHOOK_MAX_AGE_HOURS = _config.number("WEBHOOK_MAX_AGE_HOURS", 25, minimum=0.1)

# --- The web process ---------------------------------------------------------------------------------------
# Of each gunicorn worker, in which Django runs; plain webhooks have threads of their own.
WEB_THREADS = int(_config.number("WEB_THREADS", 4, minimum=1))

# --- How texts travel -------------------------------------------------------------------------------------
COOL_DOWN_HOURS = _config.number("COOL_DOWN_HOURS", 24, minimum=0)
WARN_BELOW_FREE_NUMBERS = _config.number("WARN_BELOW_FREE_NUMBERS", 2, minimum=0)
STRANGER_REPLY = env.str("STRANGER_REPLY", default="").strip()
PARTS_WAIT_SECONDS = _config.number("PARTS_WAIT_SECONDS", 120, minimum=1)
SENDER_THREADS = int(_config.number("SENDER_THREADS", 32, minimum=1))
SEND_TIMEOUT_SECONDS = int(_config.number("SEND_TIMEOUT_SECONDS", 10, minimum=1))
SEND_LEASE_SECONDS = _config.number("SEND_LEASE_SECONDS", 60, minimum=1)
UNCONFIRMED_WAIT_SECONDS = _config.number("UNCONFIRMED_WAIT_SECONDS", 120, minimum=0)
SEND_FOR_HOURS = _config.number("SEND_FOR_HOURS", 24, minimum=0.001)
TEMPLATE_MAX_SEGMENTS = _config.number("TEMPLATE_MAX_SEGMENTS", 6, minimum=1)
if SEND_LEASE_SECONDS < 2 * SEND_TIMEOUT_SECONDS + 1:
    _config.problem("SEND_LEASE_SECONDS must be more than twice SEND_TIMEOUT_SECONDS (to connect, and to be answered).")

# --- For how long what people wrote is kept; 0 is for ever ---------------------------------------------------
KEEP_FOR_DAYS = int(_config.number("KEEP_FOR_DAYS", 365, minimum=0))
KEEP_STRANGERS_FOR_DAYS = _config.number("KEEP_STRANGERS_FOR_DAYS", 30, minimum=0)
# --- What people may not do to each other; 0 is no limit ---------------------------------------------------
TEXTS_PER_MINUTE = int(_config.number("TEXTS_PER_MINUTE", 300, minimum=0))
TEXTS_PER_DAY = int(_config.number("TEXTS_PER_DAY", 2_000, minimum=0))
REPEATED_TEXTS = int(_config.number("REPEATED_TEXTS", 10, minimum=0))
REPEATED_TEXTS_MINUTES = _config.number("REPEATED_TEXTS_MINUTES", 30, minimum=0.1)
QUICK_ANSWERS = int(_config.number("QUICK_ANSWERS", 15, minimum=0))
QUICK_ANSWER_SECONDS = _config.number("QUICK_ANSWER_SECONDS", 10, minimum=0.1)
ALLOWED_COUNTRIES = _config.countries("ALLOWED_COUNTRIES")

# --- What people attach -----------------------------------------------------------------------------------
VONAGE_MEDIA_HOSTS = env.list("VONAGE_MEDIA_HOSTS", default=["api*.nexmo.com", "api*.vonage.com"])
MEDIA_MAX_MEGABYTES = _config.number("MEDIA_MAX_MEGABYTES", 10, minimum=0.1)
MEDIA_FETCH_MINUTES = _config.number("MEDIA_FETCH_MINUTES", 15, minimum=0)
MEDIA_LINK_HOURS = _config.number("MEDIA_LINK_HOURS", 7 * 24, minimum=0.1)
MEDIA_ROOT = env.str("MEDIA_ROOT", default="") or str(BASE_DIR / ".data" / "media")
MEDIA_STORAGE = env.str("MEDIA_STORAGE", default="") or "django.core.files.storage.FileSystemStorage"
MEDIA_STORAGE_OPTIONS = _config.json_object("MEDIA_STORAGE_OPTIONS")

# --- What platforms are told ------------------------------------------------------------------------------
# Deliveries are tried for three days; what is forgotten must be settled.
EVENT_RETENTION_DAYS = _config.number("EVENT_RETENTION_DAYS", 30, minimum=4)
ALLOW_PRIVATE_ENDPOINTS = env.bool("ALLOW_PRIVATE_ENDPOINTS", default=DEBUG)

# --- What a platform may use, unless it has limits of its own; 0 is no limit --------------------------------
READS_PER_MINUTE = int(_config.number("READS_PER_MINUTE", 1_200, minimum=0))
WRITES_PER_MINUTE = int(_config.number("WRITES_PER_MINUTE", 600, minimum=0))
CHATS_PER_DAY = int(_config.number("CHATS_PER_DAY", 10_000, minimum=0))
IDEMPOTENCY_KEEP_HOURS = _config.number("IDEMPOTENCY_KEEP_HOURS", 24, minimum=24)

# --- Reports to others, only if asked for; what is in them: docs/decisions/0029-operation.md ------------------
SENTRY_DSN = env.str("SENTRY_DSN", default="").strip()
OTEL_EXPORTER_OTLP_ENDPOINT = env.str("OTEL_EXPORTER_OTLP_ENDPOINT", default="").strip()
_config.package("sentry_sdk", needed_for="SENTRY_DSN", when=SENTRY_DSN)
_config.package("opentelemetry.exporter", needed_for="OTEL_EXPORTER_OTLP_ENDPOINT", when=OTEL_EXPORTER_OTLP_ENDPOINT)

if not DEBUG:
    _config.secret("DATABASE_URL")
if _at_vonage and not _config.makes_secrets and ":only-for-the-demo@" in env.str("DATABASE_URL", default=""):
    _config.problem("POSTGRES_PASSWORD is not set: with docker-compose.yml and a real account it has to be.")
_config.raise_problems()

# --- Django -----------------------------------------------------------------------------------------------
_database_url = env.str("DATABASE_URL", default="")
if not (_database_url or _config.makes_secrets):
    _database_url = embedded_postgres.database_url(data_dir=BASE_DIR / ".data" / "postgres")
_database: dict[str, Any] = env.db_url_config(_database_url or "postgres:///")
_database |= {
    "ENGINE": "proxy_project.postgresql",
    # One connection a thread, kept; a dead one is noticed before a request uses it.
    "CONN_MAX_AGE": None,
    "CONN_HEALTH_CHECKS": True,
    # Allows prepared statements, which only proxy_project.sql uses; Django's default forbids them.
    "OPTIONS": {"prepare_threshold": 5, **_database.get("OPTIONS", {})},
}
DATABASES = {"default": _database}
INSTALLED_APPS = [
    # Before unfold, whose first page it replaces.
    "desk",
    # For its command `procrastinate`, which is taken before that of the library.
    "proxy_project",
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "rest_framework_api_key",
    "drf_standardized_errors",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_filters",
    "procrastinate.contrib.django",
    # Slows down whoever guesses passwords.
    "axes",
    "audit",
    "operators",
    "platforms",
    "chats",
    "messaging",
]
MIDDLEWARE = [
    "proxy_project.request_ids.give_request_id",
    "proxy_project.security_headers.add_security_headers",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "proxy_project.webhook_path.serve_webhooks",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "operators.middleware.serve_operator",
    "operators.middleware.require_second_factor",
    "django.contrib.messages.middleware.MessageMiddleware",
    "platforms.middleware.show_unreadable_in_admin",
    # Wants to be the last.
    "axes.middleware.AxesMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        # Comes before the apps, so that it can add to a template of theirs.
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]
ROOT_URLCONF = "proxy_project.urls"
WSGI_APPLICATION = "proxy_project.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# A webhook or an API request that ends in a slash it should not have is a 404, never a redirect that drops its body.
APPEND_SLASH = False
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
# Fetching media waits for others most of the time, and must not hold up what is to happen on time.
PROCRASTINATE_WORKER_DEFAULTS = {"concurrency": 8}
DATA_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024
# The API and the logs speak English. Operators choose, for the admin alone (operators.middleware).
LANGUAGE_CODE = "en-us"
LANGUAGES = [("en", "English"), ("es", "Español")]
LOCALE_PATHS = [BASE_DIR / "locale"]
FORMAT_MODULE_PATH = ["proxy_project.formats"]
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True

STATIC_URL = "static/"
STORAGES = {
    # Everything in it is encrypted, and reached through signed links only.
    "default": {"BACKEND": MEDIA_STORAGE, "OPTIONS": MEDIA_STORAGE_OPTIONS},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
# Serves what the apps ship without a collectstatic, so that gunicorn alone is enough on any machine.
WHITENOISE_USE_FINDERS = True

# An endpoint of a platform that is slow to answer must not keep the worker from everything else.
PROCRASTINATE_WORKER_DEFAULTS = {"concurrency": 10}

# --- Transport security: decided by how the world reaches us, since TLS ends at the proxy in front ---------
_https = _public.scheme == "https"
CSRF_TRUSTED_ORIGINS = [f"{_public.scheme}://{_public.netloc}"]
if _https:
    # Whoever sends it without being the proxy changes nothing but the links in their own answer.
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _https
SESSION_COOKIE_HTTPONLY = True
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if _https else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = _https
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
# W008 wants a redirect to https from us; the proxy that ends TLS does it, and health checks speak plain HTTP.
SILENCED_SYSTEM_CHECKS = ["security.W008"]

# --- Operators: how they log in, and for how long -----------------------------------------------------------
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "operators.backends.OperatorBackend"]
LOGIN_REDIRECT_URL = "admin:index"
REQUIRE_SECOND_FACTOR = env.bool("REQUIRE_SECOND_FACTOR", default=False)
# Addresses are read from X-Forwarded-For only when a proxy of ours has written it.
TRUSTED_PROXIES = int(_config.number("TRUSTED_PROXIES", 1 if _https else 0, minimum=0))
# A user, or an address, that has failed five times waits. Counted in the database: all processes know of it.
AXES_FAILURE_LIMIT = 5
AXES_LOCKOUT_PARAMETERS = ["username", "ip_address"]
AXES_COOLOFF_TIME = timedelta(minutes=15)
# Whoever goes on trying does not lock the operator out for longer.
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_RESET_ON_SUCCESS = True
AXES_LOCKOUT_TEMPLATE = "operators/locked.html"
AXES_HTTP_RESPONSE_CODE = 429
AXES_CLIENT_IP_CALLABLE = "operators.locking.find_address"
AXES_USERNAME_CALLABLE = "operators.locking.hide_username"
AXES_SENSITIVE_PARAMETERS = ["username", "password", "code", "csrfmiddlewaretoken"]
# The audit log keeps who logged in; of failures only what counts is kept, until it no longer does.
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ACCESS_FAILURE_LOG = False
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
SESSION_ENGINE = "proxy_project.sessions"
# A working day.
SESSION_COOKIE_AGE = 8 * 3600
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Strict"
CSRF_COOKIE_HTTPONLY = True
if _https:
    # Browsers take cookies of these names from this host over https only, never from another of the domain.
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-sessionid", "__Host-csrftoken"
# A new key is shown by a message: in the encrypted session it is safer than in a cookie, and always fits.
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"

# --- The API ----------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["platforms.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": [
        "rest_framework.permissions.IsAuthenticated",
        "platforms.authentication.ReadKeysOnlyRead",
    ],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "drf_standardized_errors.handler.exception_handler",
    "UNAUTHENTICATED_USER": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Masked texting",
    "DESCRIPTION": (
        "Two people text each other through a virtual number, and neither sees the other's phone number.\n\n"
        "Send your API key as `Authorization: Bearer <key>`, and JSON in UTF-8. A field or a parameter that is unknown "
        "is refused, so that a typing error is noticed. Every error has the shape of `ErrorResponse`; answers may get "
        "more fields. `docs/guide.md` of the repository goes through all of it in ten minutes."
    ),
    "VERSION": "1",
    "SERVERS": [{"url": PUBLIC_URL}],
    "TAGS": [
        {"name": "chats", "description": "Two people, the virtual numbers between them, and what they text."},
        {
            "name": "virtual numbers",
            "description": "The numbers that people see, and how far they reach.",
        },
        {"name": "events", "description": "What happened, in order, to be fetched and delivered again."},
        {"name": "templates", "description": "What the service itself texts to people, in your words."},
        {"name": "usage", "description": "What texts come to: for your books."},
        {"name": "privacy", "description": "What is kept of people, and how it is taken away."},
        {"name": "approval hook", "description": "A URL of yours that is asked before a text is passed on."},
        {"name": "webhook endpoints", "description": "URLs of yours to which every event is posted, signed."},
    ],
    # The first that has a place for webhooks.
    "OAS_VERSION": "3.1.0",
    "WEBHOOKS": "platforms.approval_schema.WEBHOOKS",
    "ENUM_NAME_OVERRIDES": {
        "EventType": "platforms.event_types.EventType",
        "TemplateKind": "platforms.templates.TemplateKind",
        "TemplateSide": "platforms.models.Template.Side",
        "DisclosureRule": "platforms.models.DisclosureRule",
    },
    "SERVE_INCLUDE_SCHEMA": False,
    # What is sent and what is shown differ, such as in what may be empty.
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "platforms.schema.describe_keys_and_limits",
    ],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}
DRF_STANDARDIZED_ERRORS = {"ENABLE_IN_DEBUG_FOR_UNHANDLED_EXCEPTIONS": True}

UNFOLD = {
    "SITE_TITLE": "Masked texting",
    "SITE_HEADER": "Masked texting",
    "SITE_SUBHEADER": _("Two people, one virtual number"),
    "SITE_SYMBOL": "sms",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "platforms.admin.find_icon"}],
    "SITE_URL": None,
    "STYLES": ["operators.views.find_stylesheet"],
    "LOGIN": {"form": "operators.forms.LoginForm"},
    "ACCOUNT": {"navigation": "operators.views.list_own_pages"},
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "SIDEBAR": {"navigation": "desk.navigation.list_pages"},
    "DASHBOARD_CALLBACK": "desk.home.add_home",
}

# --- Logs: ids only. Libraries that would quote a number or a text are silent at every level. ---------------
LOG_LEVEL = env.str("LOG_LEVEL", default="INFO").upper()
_renderer = (
    # Its own tracebacks show the variables of every frame.
    structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    if env.str("LOG_FORMAT", default="console" if DEBUG else "json") == "console"
    else structlog.processors.JSONRenderer()
)
_shared_processors: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]
structlog.configure(
    processors=[
        structlog.stdlib.filter_by_level,
        *_shared_processors,
        structlog.processors.format_exc_info,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
    cache_logger_on_first_use=True,
)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "structured": {
            "()": "structlog.stdlib.ProcessorFormatter",
            "foreign_pre_chain": _shared_processors,
            "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer],
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structured"}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        # At DEBUG the SDK logs numbers, texts and credentials, at WARNING the carrier's raw answer.
        "vonage": {"handlers": [], "level": "CRITICAL", "propagate": False},
        # These log SQL with its parameters, and request lines.
        "django.db.backends": {"level": "INFO"},
        "psycopg": {"level": "WARNING"},
        "urllib3": {"level": "ERROR"},
        # The path of a request that ended in 4xx is whatever somebody put there.
        "django.request": {"level": "ERROR"},
        # It would name users and addresses.
        "axes": {"level": "CRITICAL"},
        # Lines at every start of every command.
        "procrastinate": {"level": "WARNING"},
    },
}

if SENTRY_DSN:
    error_reports.start(dsn=SENTRY_DSN)
if OTEL_EXPORTER_OTLP_ENDPOINT:
    tracing.start()
