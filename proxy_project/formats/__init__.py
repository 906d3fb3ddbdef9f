"""How the admin writes times, by language: always with their zone."""
