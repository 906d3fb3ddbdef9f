"""Django's PostgreSQL backend with a check for dead connections that costs nothing."""
