"""How much of what gives people away is found, and how much of what does not is left alone."""

import tomllib
from collections.abc import Callable

import pytest

from tests.messaging.disclosure.labelled import FOLDER, load, score

LEVELS = tomllib.loads((FOLDER / "levels.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["tuning", "held_out"])
def test_no_kind_falls_below_the_recorded_level(name: str, record_property: Callable[[str, object], None]) -> None:
    texts = load(name)
    scores = score(texts)
    table = [f"{name}: {len(texts)} texts, {sum(not one.labels for one in texts)} of them harmless"]
    table += [
        f"  {kind:15} precision {one.precision:.3f}  recall {one.recall:.3f}  "
        f"({one.right} right, {one.wrong} wrong, {one.missed} missed)"
        for kind, one in scores.items()
    ]
    record_property("measured", "\n".join(table))
    below = [
        f"{kind}: {what} {measured:.3f} < {LEVELS[name][kind][what]}"
        for kind, one in scores.items()
        for what, measured in (("precision", one.precision), ("recall", one.recall))
        if measured < LEVELS[name][kind][what]
    ]
    assert not below, "\n".join([*below, *(mistake for one in scores.values() for mistake in one.mistakes)])


def test_the_set_is_large_and_half_of_it_harmless() -> None:
    texts = load("tuning") + load("held_out")
    harmless = [one for one in texts if not one.labels]
    assert len(texts) >= 400
    assert 0.4 <= len(harmless) / len(texts) <= 0.6
    assert {one.language for one in texts} >= {"en", "es", "fr", "de", "pt", "it"}
    assert {one.voice for one in texts} == {"taxi", "rental", "care", "market"}
