"""What requirements.txt pins: the packages of the service, with their versions, hashes and licences."""

import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
LOCK_FILE = ROOT / "requirements.txt"

UNKNOWN = "not installed here"

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)([^\\]*)\\?$")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
# What people write in the field that was for free text.
_SAID_AS = {
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause",
    "3-Clause BSD License": "BSD-3-Clause",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "MIT License": "MIT",
    "MIT Licence": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}


class Package(NamedTuple):
    """A package of the lock file; `only` says on which machines it is installed, when that is not all."""

    name: str
    version: str
    only: str
    hashes: tuple[str, ...]

    def find_licence(self) -> str:
        """Return what the package itself says, as it is installed here."""
        try:
            about: dict[str, Any] = metadata.metadata(self.name).json
        except metadata.PackageNotFoundError:
            return UNKNOWN
        classifiers = [
            line.rpartition(" :: ")[2]
            for line in about.get("classifier", ())
            if line.startswith("License ::") and not line.endswith("OSI Approved")
        ]
        said = about.get("license_expression") or " AND ".join(classifiers) or about.get("license") or "not said"
        return _SAID_AS.get(said, said).splitlines()[0]


def read_lock_file(path: Path = LOCK_FILE) -> Iterator[Package]:
    """Yield each package of the lock file, in its order."""
    blocks = re.split(r"\n(?=[A-Za-z0-9])", path.read_text())
    for block in blocks:
        if pin := _PIN.match(block.partition("\n")[0].strip()):
            name, version, marker = pin.groups()
            yield Package(name, version, marker.strip(" ;\\"), tuple(_HASH.findall(block)))
