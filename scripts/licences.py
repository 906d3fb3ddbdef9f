"""Write docs/licences.md, which says under what licence each package of the lock file is: `scripts/licences`."""

import re
import sys

from scripts.lock_file import ROOT, UNKNOWN, read_lock_file

FILE = ROOT / "docs" / "licences.md"
# What may be part of a service that is run for others, without more than naming it. LGPL: as it is, and replaceable.
ALLOWED = re.compile(
    r"Apache-2\.0|BSD|MIT|ISC|PSF|Python Software|MPL-2\.0|LGPL|Unlicense|Zlib|HPND|CC0|0BSD|Public Domain"
)
_HEADER = """\
# Licences

What the packages that `requirements.txt` pins say of themselves. Made by `scripts/licences`, after `make pins`; a test
fails when it is not of the lock file, or when a licence is none of those in `scripts/licences.py`.

| package | version | licence | only where |
|---|---|---|---|
"""


def make_page(known: dict[str, str]) -> str:
    """Return the page; of what is not installed on this machine, with the licence that is known from another."""
    lines = []
    for package in read_lock_file():
        licence = package.find_licence()
        licence = known.get(package.name, UNKNOWN) if licence == UNKNOWN else licence
        lines.append(f"| {package.name} | {package.version} | {licence} | {package.only} |")
    return _HEADER + "\n".join(lines) + "\n"


def read_page() -> dict[str, str]:
    """Return the licences that the page has, by package."""
    if not FILE.exists():
        return {}
    rows = (line.strip("| \n").split("|") for line in FILE.read_text().splitlines() if line.startswith("| "))
    return {cells[0].strip(): cells[2].strip() for cells in rows if len(cells) >= 3}


def find_unwelcome(known: dict[str, str]) -> list[str]:
    return [
        f"{name}: {licence}" for name, licence in known.items() if name != "package" and not ALLOWED.search(licence)
    ]


if __name__ == "__main__":
    FILE.write_text(make_page(read_page()))
    if unwelcome := find_unwelcome(read_page()):
        sys.exit("Have a look at these: " + "; ".join(unwelcome))
