"""What senders measure, added up over all of them in the database, since nobody can ask them over HTTP."""

from bisect import bisect_left
from collections import defaultdict

from proxy_project.sql import execute_prepared

# Upper bounds of the buckets, in seconds: of the gateway's answer, and from a text's arrival to its acceptance.
HISTOGRAMS: dict[str, tuple[float, ...]] = {
    "gateway_seconds": (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20),
    "relay_seconds": (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600),
}
SUM = "sum"
BEYOND = "inf"

# Always in one order, so that two senders never wait for each other.
_ADD = """
    INSERT INTO messaging_measurement AS known (name, label, value)
    SELECT * FROM unnest(%(names)s::text[], %(labels)s::text[], %(values)s::float[]) AS added (name, label, value)
     ORDER BY 1, 2
    ON CONFLICT (name, label) DO UPDATE SET value = known.value + excluded.value
"""
_READ = "SELECT name, label, value FROM messaging_measurement"


class Measurements:
    """What one process has measured and not written down yet; a process that is killed forgets a few seconds of it."""

    def __init__(self) -> None:
        self._added: dict[tuple[str, str], float] = defaultdict(float)

    def observe(self, name: str, seconds: float) -> None:
        bounds = HISTOGRAMS[name]
        place = bisect_left(bounds, seconds)
        self._added[name, f"{bounds[place]:g}" if place < len(bounds) else BEYOND] += 1
        self._added[name, SUM] += seconds

    def count(self, name: str, label: str) -> None:
        self._added[name, label] += 1

    def write(self) -> None:
        """Add it to what all processes have measured."""
        if self._added:
            keys = list(self._added)
            params = {
                "names": [name for name, _ in keys],
                "labels": [label for _, label in keys],
                "values": [float(self._added[key]) for key in keys],
            }
            execute_prepared(_ADD, params)
            self._added.clear()


def read_measurements() -> dict[tuple[str, str], float]:
    """Return what all processes have measured since the first, by name and label."""
    return {(name, label): value for name, label, value in execute_prepared(_READ, {})}
