"""What ships the service: the Procfile, docker-compose.yml and the Dockerfile."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from django.core.management import get_commands

from tests.harness.service import PLAIN_ENVIRONMENT
from tests.harness.simulator import ROOT

SERVICES = ("web", "sender", "worker")
DATABASE_OF_THE_DEMO = "postgres://texting:only-for-the-demo@postgres:5432/texting"
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def test_procfile_and_compose_run_commands_that_exist() -> None:
    procfile = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
    commands = {
        name: shlex.join(service["command"])
        for name, service in COMPOSE["services"].items()
        if service["image"].startswith("masked-texting")
    }
    always = {name: command for name, command in commands.items() if "profiles" not in COMPOSE["services"][name]}
    assert always == {name.replace("release", "migrate"): command for name, command in procfile.items()}
    for command in commands.values():
        words = command.split()
        if words[:2] == ["python", "manage.py"]:
            assert words[2] in get_commands()
        elif words[:2] == ["python", "-m"]:
            assert (ROOT / f"{words[2].replace('.', '/')}.py").exists()
        else:
            assert words == ["gunicorn", "proxy_project.asgi"]


def test_compose_waits_for_the_migration_and_holds_no_secret() -> None:
    services = COMPOSE["services"]
    for name in SERVICES:
        assert services[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    for name in (*SERVICES, "migrate"):
        assert services[name]["env_file"] == [{"path": ".env", "required": False}]
    assert services["migrate"]["depends_on"]["postgres"] == {"condition": "service_healthy"}
    text = (ROOT / "docker-compose.yml").read_text()
    assert set(re.findall(r"^ +\w*(?:PASSWORD|SECRET|KEYS?): (.+)", text, re.M)) == {
        "${POSTGRES_PASSWORD:-only-for-the-demo}",
        "${GRAFANA_PASSWORD:-}",
    }


# What the Compose specification knows of a service, as far as it is used here; a typing error is none of them.
# https://github.com/compose-spec/compose-spec/blob/main/05-services.md
SERVICE_KEYS = {
    *("build", "cap_drop", "command", "depends_on", "env_file", "environment", "healthcheck", "image", "init"),
    *("logging", "ports", "profiles", "read_only", "restart", "secrets", "security_opt", "shm_size"),
    *("stop_grace_period", "tmpfs", "user", "volumes"),
}
CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}
DURATION = re.compile(r"(\d+h)?(\d+m)?(\d+s)?")


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_a_service_of_compose_is_one_that_compose_understands(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service.keys() <= SERVICE_KEYS
    assert set(COMPOSE) <= {"services", "volumes", "secrets"} | {key for key in COMPOSE if key.startswith("x-")}
    for other, dependency in service.get("depends_on", {}).items():
        assert other in COMPOSE["services"] and dependency["condition"] in CONDITIONS
        assert dependency.keys() <= {"condition", "required"}
        # Compose refuses to wait for the health of what has no check, and for what another profile leaves out.
        waited_for = COMPOSE["services"][other]
        if dependency["condition"] == "service_healthy":
            assert other == "web" or waited_for["healthcheck"]["test"]
        if dependency.get("required", True):
            assert set(waited_for.get("profiles", service.get("profiles", []))) >= set(service.get("profiles", []))
            assert "profiles" not in waited_for or "profiles" in service
    for volume in service.get("volumes", ()):
        source, target = volume.split(":")[:2]
        assert target.startswith("/")
        if source.startswith("."):
            assert (ROOT / source).exists()
        else:
            assert source in COMPOSE["volumes"]
    for duration in (service.get("stop_grace_period", "1s"), *(
        value for key, value in service.get("healthcheck", {}).items() if key in ("interval", "timeout", "start_period")
    )):  # fmt: skip
        assert DURATION.fullmatch(duration)
    assert set(service.get("secrets", ())) <= set(COMPOSE.get("secrets", {}))
    for port in service.get("ports", ()):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port), "reached from this machine only"


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_a_service_of_compose_has_no_rights_it_does_not_need_and_comes_back(name: str) -> None:
    service = COMPOSE["services"][name]
    # Compose refuses a secret from the environment where nobody may write, as it has to write it into the container:
    # https://github.com/docker/compose/pull/12531
    given = [secret for secret in service.get("secrets", ()) if "environment" in COMPOSE["secrets"][secret]]
    assert service["read_only"] is not bool(given) and service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] in ("unless-stopped", "on-failure")
    assert service["logging"]["options"]["max-size"]
    if service["restart"] == "on-failure":
        # Runs once, and has no health.
        assert service["healthcheck"] == {"disable": True}
    elif name != "web":
        assert service["healthcheck"]["test"]


def test_senders_and_workers_are_asked_for_their_heartbeat() -> None:
    for name in ("sender", "worker"):
        assert COMPOSE["services"][name]["healthcheck"]["test"][1:] == ["python", "manage.py", "check_heartbeat", name]


def test_the_image_is_built_from_the_lock_file_and_runs_as_nobody() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert text.count("\nFROM ${BASE}") == 2
    assert "--require-hashes --only-binary :all:" in text and "-r requirements.txt" in text
    assert text.count("--invalidation-mode unchecked-hash") == 2
    assert "ARG SOURCE_DATE_EPOCH" in text
    assert re.search(r"^USER (\d+)$", text, re.M)
    final = text.rpartition("FROM ")[2]
    assert "/healthz" in final and "pip" not in final


def test_the_image_gets_every_app_and_nothing_private() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    packages = {path.parent.name for path in ROOT.glob("*/apps.py")} | {"proxy_project", "simulator"}
    scripts = {f"scripts/{name}.py" for name in ("prepare_compose_demo", "prepare_demo", "private_file")}
    assert allowed == packages | scripts | {"locale", "manage.py", "gunicorn.conf.py", "requirements.txt"}


@pytest.mark.slow
def test_settings_of_the_compose_demo_start_the_service_and_stay(tmp_path: Path) -> None:
    env_file = tmp_path / "demo.env"
    command = [sys.executable, "-m", "scripts.prepare_compose_demo", str(env_file)]
    for _ in range(2):
        subprocess.run(command, cwd=ROOT, env=PLAIN_ENVIRONMENT | {"ENV_FILE": ""}, check=True)
        made = env_file.read_text()
    assert env_file.read_text() == made and env_file.stat().st_mode & 0o077 == 0
    show = "import django; django.setup(); from django.conf import settings as s; print(s.VONAGE_API_URL, s.PUBLIC_URL)"
    done = subprocess.run(
        [sys.executable, "-c", show],
        cwd=ROOT,
        env=PLAIN_ENVIRONMENT
        | {"ENV_FILE": str(env_file), "DJANGO_SETTINGS_MODULE": "proxy_project.settings"}
        | {"DATABASE_URL": DATABASE_OF_THE_DEMO},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "http://simulator:8099 http://localhost:8000\n", done.stderr


@pytest.mark.slow
def test_what_calls_web_within_compose_is_answered() -> None:
    assert COMPOSE["x-service"]["environment"]["INTERNAL_HOSTS"] == "web"
    prometheus = yaml.safe_load((ROOT / "monitoring" / "prometheus.yml").read_text())
    assert prometheus["scrape_configs"][0]["static_configs"] == [{"targets": ["web:8000"]}]
    assert "http://web:8000/webhooks/inbound" in COMPOSE["services"]["simulator"]["command"]
    show = "import django; django.setup(); from django.conf import settings as s; print(s.ALLOWED_HOSTS)"
    environment = os.environ | {"INTERNAL_HOSTS": "web", "DJANGO_SETTINGS_MODULE": "proxy_project.settings"}
    done = subprocess.run([sys.executable, "-c", show], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert "'web'" in done.stdout, done.stderr


@pytest.mark.slow
def test_secrets_are_made_before_there_is_a_password() -> None:
    done = manage_with_the_password_of_the_demo("generate_keys")
    assert "ENCRYPTION_KEYS=" in done.stdout, done.stderr


def test_the_password_of_the_demo_is_refused_with_a_real_account() -> None:
    done = manage_with_the_password_of_the_demo("check")
    assert done.returncode and "POSTGRES_PASSWORD is not set" in done.stderr


def manage_with_the_password_of_the_demo(command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of manage.py with nothing set but the database, by the password it has unless one is chosen."""
    return subprocess.run(
        [sys.executable, "manage.py", command],
        cwd=ROOT,
        env=PLAIN_ENVIRONMENT | {"ENV_FILE": "", "DATABASE_URL": DATABASE_OF_THE_DEMO},
        capture_output=True,
        text=True,
    )
