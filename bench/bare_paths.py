"""Where bench/bare.py answers; by itself, since importing that sets Django up with other settings."""

ONE_INSERT = "/insert"
SAME_SQL = "/relay"
