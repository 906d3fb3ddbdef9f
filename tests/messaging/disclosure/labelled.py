"""The labelled texts, and how well the finder does on them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from messaging.disclosure import Disclosure, Kind, find_disclosures

FOLDER = Path(__file__).parent
_LABEL = re.compile(r"\{(email|link|phone|handle):((?:[^{}]|\{\w+\})*)\}")
# A mark that swallows more of the sentence than this around what gives away does not count as right.
_MOST_SPARE_CHARACTERS = 12


@dataclass(frozen=True)
class Labelled:
    """A text with what gives somebody away in it; `earlier` are the texts before it."""

    line: int
    region: str
    language: str
    voice: str
    text: str
    labels: Sequence[tuple[int, int, Kind]]
    earlier: Sequence[str]

    def find(self) -> Sequence[Disclosure]:
        return find_disclosures(self.text, region=self.region, earlier=self.earlier)


@dataclass
class Score:
    """Found rightly, found wrongly, and missed."""

    right: int = 0
    wrong: int = 0
    missed: int = 0
    mistakes: list[str] = field(default_factory=list)

    @property
    def precision(self) -> float:
        return self.right / (self.right + self.wrong) if self.right + self.wrong else 1.0

    @property
    def recall(self) -> float:
        return self.right / (self.right + self.missed) if self.right + self.missed else 1.0


def load(name: str) -> list[Labelled]:
    lines = (FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return [_parse(number, line) for number, line in enumerate(lines, 1) if line and not line.startswith("#")]


def _parse(number: int, line: str) -> Labelled:
    head, _, body = line.partition(" | ")
    region, language, voice = head.split()
    *earlier, last = body.replace("\\n", "\n").split(" // ")
    text, labels, position = "", [], 0
    for match in _LABEL.finditer(last):
        text += last[position : match.start()]
        labels.append((len(text), len(text) + len(match[2]), Kind(match[1])))
        text += match[2]
        position = match.end()
    return Labelled(number, region, language, voice, text + last[position:], labels, earlier)


def score(texts: Sequence[Labelled]) -> dict[str, Score]:
    """Return the score of each kind, and that of whole texts: a harmless one is right when nothing was found in it."""
    scores = {kind.value: Score() for kind in Kind} | {"harmless texts": Score()}
    for labelled in texts:
        found = labelled.find()
        for kind in Kind:
            _score_kind(scores[kind.value], labelled, kind, [one for one in found if one.kind is kind])
        if not labelled.labels:
            harmless = scores["harmless texts"]
            harmless.right += not found
            harmless.missed += bool(found)
    return scores


def _score_kind(score: Score, labelled: Labelled, kind: Kind, found: Sequence[Disclosure]) -> None:
    labels = [(start, end) for start, end, labelled_kind in labelled.labels if labelled_kind is kind]
    for start, end in labels:
        if any(_covers(labelled.text, one, start, end) for one in found):
            score.right += 1
        else:
            score.missed += 1
            score.mistakes.append(f"line {labelled.line}: missed {labelled.text[start:end]!r} in {labelled.text!r}")
    for one in found:
        if not any(_covers(labelled.text, one, start, end) for start, end in labels):
            score.wrong += 1
            cut = labelled.text[one.start : one.end]
            score.mistakes.append(f"line {labelled.line}: wrongly {kind.value} {cut!r} in {labelled.text!r}")


def _covers(text: str, one: Disclosure, start: int, end: int) -> bool:
    """Whether every letter and digit of the label was found, and little else."""
    while start < end and not text[start].isalnum():
        start += 1
    while start < end and not text[end - 1].isalnum():
        end -= 1
    return one.start <= start and end <= one.end and (one.end - one.start) - (end - start) <= _MOST_SPARE_CHARACTERS
