"""What the service is made of: the lock files, the SBOM, the licences and the way to newer versions."""

import json
import re
from pathlib import Path

import pytest
import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from scripts import licences
from scripts.lock_file import UNKNOWN, read_lock_file
from scripts.sbom import make_sbom

ROOT = Path(__file__).resolve().parent.parent
LOCK_FILES = ("requirements", "requirements-dev", "requirements-observability")


@pytest.mark.parametrize("name", LOCK_FILES)
def test_everything_is_pinned_with_hashes(name: str) -> None:
    packages = list(read_lock_file(ROOT / f"{name}.txt"))
    assert packages and all(package.hashes for package in packages)
    # None was overlooked: each pin of the file is one of these.
    assert len(re.findall(r"^[A-Za-z0-9][^\n]*==", (ROOT / f"{name}.txt").read_text(), re.M)) == len(packages)
    wanted = re.findall(r"^([A-Za-z0-9][A-Za-z0-9._-]*)", (ROOT / f"{name}.in").read_text(), re.M)
    pinned = {re.sub(r"[._-]+", "-", package.name.lower()) for package in packages}
    assert {re.sub(r"[._-]+", "-", each.lower()) for each in wanted} <= pinned


def test_what_several_lock_files_pin_they_pin_alike() -> None:
    seen: dict[str, str] = {}
    for name in LOCK_FILES:
        for package in read_lock_file(ROOT / f"{name}.txt"):
            assert seen.setdefault(package.name, package.version) == package.version


def test_the_sbom_is_valid_complete_and_the_same_each_time() -> None:
    sbom = make_sbom()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(sbom)) is None
    packages = {(package.name, package.version) for package in read_lock_file()}
    assert {(each["name"], each["version"]) for each in sbom["components"]} == packages
    assert make_sbom() == sbom


def test_licences_are_those_of_the_lock_file_and_welcome() -> None:
    known = licences.read_page()
    assert licences.FILE.read_text() == licences.make_page(known), "run scripts/licences"
    assert licences.find_unwelcome(known) == []
    assert UNKNOWN not in known.values()


def test_newer_versions_are_looked_for_every_week() -> None:
    updates = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text())["updates"]
    assert {each["package-ecosystem"] for each in updates} == {"pip", "docker", "docker-compose"}
    assert {each["schedule"]["interval"] for each in updates} == {"weekly"}
