"""docs/operations.md: its commands are there and right, its settings are read, and its links lead somewhere."""

import os
import re
import shlex
import subprocess
import sys
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import yaml
from django.core.management import get_commands, load_command_class

from tests.harness.databases import administrate, connection_parameters, replace_database

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "operations.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
SHELL = [text for language, text in BLOCKS if language == "sh"]
# The same blocks in others.
PROSE = re.sub(r"^```.*?^```", "", PAGE, flags=re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("block", SHELL)
def test_a_block_of_shell_is_one(block: str) -> None:
    done = subprocess.run(["sh", "-n"], input=block, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", sorted(set(re.findall(r"manage\.py ((?:[\w-]+)(?: --?[a-z-]+| [a-z]+\b)*)", PAGE))))
def test_a_command_is_there_and_takes_what_it_is_given(command: str) -> None:
    name, *arguments = command.split()
    if name == "reapply_erasures" and name not in get_commands():
        pytest.skip("comes with erasure")
    if name in ("createsuperuser", "create_platform"):
        arguments = []
    parser = load_command_class(get_commands()[name], name).create_parser("manage.py", name)
    known = {option for action in parser._actions for option in action.option_strings}
    assert {argument for argument in arguments if argument.startswith("-")} <= known


@pytest.mark.parametrize("script", sorted(set(re.findall(r"\bscripts/(\w+)", PAGE))))
def test_a_script_is_there(script: str) -> None:
    path = ROOT / "scripts" / script
    assert os.access(path, os.X_OK) or path.with_suffix(".py").exists()


def test_settings_are_explained() -> None:
    explained = set(re.findall(r"^(?:# )?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    [settings] = [text for language, text in BLOCKS if language == "ini" and "PUBLIC_URL" in text]
    assert set(re.findall(r"^([A-Z_]+)=", settings, re.MULTILINE)) <= explained
    mentioned = set(re.findall(r"`([A-Z]+_[A-Z_]+)`", PROSE))
    assert mentioned - explained == set()


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", PAGE):
        parts = urlsplit(target)
        if parts.scheme:
            continue
        path = (ROOT / "docs" / parts.path) if parts.path else ROOT / "docs" / "operations.md"
        assert path.exists(), target
        if parts.fragment:
            assert parts.fragment in anchors(path.read_text()), target


def test_other_pages_lead_to_sections_that_are_there() -> None:
    for path in (*ROOT.glob("docs/*.md"), *ROOT.glob("docs/decisions/*.md"), *ROOT.glob("*.md"), ROOT / "Dockerfile",
                 ROOT / "scripts" / "lint_migrations.py", ROOT / ".github" / "dependabot.yml"):  # fmt: skip
        for fragment in re.findall(r"operations\.md#([\w-]+)", path.read_text()):
            assert fragment in anchors(PAGE), path


def test_each_alert_has_a_section_and_each_section_an_alert() -> None:
    rules = yaml.safe_load((ROOT / "monitoring" / "alerts.yml").read_text())["groups"][0]["rules"]
    section = PAGE[PAGE.index("\n## Alerts") : PAGE.index("\n## At 3 a.m.")]
    described = anchors(section) - {"alerts"}
    assert {rule["annotations"]["runbook_url"].partition("#")[2] for rule in rules} == described


def test_the_unit_of_systemd_starts_what_there_is() -> None:
    [unit] = [text for language, text in BLOCKS if language == "ini" and "[Unit]" in text]
    assert "ExecStart=/srv/texting/scripts/start %i" in unit
    started = (ROOT / "scripts" / "start").read_text()
    procfile = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
    for kind in ("web", "sender", "worker"):
        assert f"{kind}) exec {procfile[kind]} ;;" in started
    done = subprocess.run([ROOT / "scripts" / "start", "other"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "Say which: scripts/start web|sender|worker\n")


@pytest.mark.slow
def test_the_tables_are_made_by_the_owner_and_used_by_the_application() -> None:
    """Steps 1 and 4 of the two machines, as they stand in the page, and then the first rows as the application."""
    name = uuid.uuid4().hex[:12]
    owner, application, database = f"texting_owner_{name}", f"texting_app_{name}", f"texting_{name}"
    [statements] = [text for language, text in BLOCKS if language == "sql"]
    replacements = {"texting_owner": owner, "texting_app": application, "DATABASE texting": f"DATABASE {database}"}
    for old, new in replacements.items():
        statements = statements.replace(old, new)
    with psycopg.connect(**connection_parameters("postgres"), autocommit=True) as superuser:
        for statement in statements.split(";"):
            if statement.strip():
                superuser.execute(statement.encode())
    try:
        [tables] = [text for text in SHELL if "migrate" in text and "git pull" not in text and "restore" not in text]
        urls = {
            role: _become(replace_database(os.environ["DATABASE_URL"], database), role) for role in (owner, application)
        }
        tables = re.sub(r"(?<=DATABASE_URL=)'.*'", shlex.quote(urls[owner]), tables)
        tables = tables.replace(".venv/bin/python", sys.executable).replace("texting_app", application)
        done = subprocess.run(["sh", "-e"], input=tables, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        for command in (["create_platform", "My platform"], ["settle_restored_texts"]):
            done = subprocess.run(
                [sys.executable, "manage.py", *command],
                cwd=ROOT,
                env=os.environ | {"DATABASE_URL": urls[application]},
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stderr
    finally:
        administrate("DROP DATABASE IF EXISTS {} WITH (FORCE)", database)
        for role in (owner, application):
            administrate("DROP ROLE IF EXISTS {}", role)


def _become(url: str, role: str) -> str:
    """Return the URL with another user; the tests' PostgreSQL believes whoever says who they are."""
    return re.sub(r"//[^@]*@", f"//{role}@", url, count=1)
