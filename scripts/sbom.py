"""Print what the image is made of, as CycloneDX JSON, from the lock file alone: `scripts/sbom > sbom.json`.

The same lock file is the same document, byte for byte: it has no time, and its serial number is a hash.
"""

import json
import sys
import uuid
from typing import Any

from scripts.lock_file import LOCK_FILE, UNKNOWN, read_lock_file

# A name of ours for uuid5.
_NAMESPACE = uuid.UUID("5a0f0a3e-5c5e-4a57-9d0f-7a1c7e6f0b42")


def make_sbom() -> dict[str, Any]:
    """Return the document: https://cyclonedx.org/docs/1.6/json/"""
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, LOCK_FILE.read_text())}",
        "version": 1,
        "metadata": {"component": {"type": "application", "bom-ref": "masked-texting", "name": "masked-texting"}},
        "components": [
            {
                "type": "library",
                "bom-ref": f"pkg:pypi/{package.name}@{package.version}",
                "name": package.name,
                "version": package.version,
                "purl": f"pkg:pypi/{package.name}@{package.version}",
                **_licences(package.find_licence()),
                # Of each file that may be installed, for any machine and any Python.
                "externalReferences": [
                    {
                        "type": "distribution",
                        "url": f"pkg:pypi/{package.name}@{package.version}",
                        "hashes": [{"alg": "SHA-256", "content": value} for value in package.hashes],
                    }
                ],
                **({"properties": [{"name": "environment", "value": package.only}]} if package.only else {}),
            }
            for package in read_lock_file()
        ],
    }


def _licences(licence: str) -> dict[str, Any]:
    return {} if licence == UNKNOWN else {"licenses": [{"license": {"name": licence}}]}


if __name__ == "__main__":
    json.dump(make_sbom(), sys.stdout, indent=1)
    print()
