"""monitoring/: dashboard and alerts ask for what /metrics tells, and each alert leads to what to do about it."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from messaging.models import Attachment, Heartbeat
from tests.messaging.rows import ago

ROOT = Path(__file__).resolve().parent.parent
MONITORING = ROOT / "monitoring"
ALERTS = yaml.safe_load((MONITORING / "alerts.yml").read_text())
RULES = {rule["alert"]: rule for group in ALERTS["groups"] for rule in group["rules"]}
DASHBOARD = json.loads((MONITORING / "grafana" / "dashboards" / "texting.json").read_text())
TARGETS = {
    f"{panel['title']} {target['refId']}": target for panel in DASHBOARD["panels"] for target in panel["targets"]
}
EXPRESSIONS = {name: rule["expr"] for name, rule in RULES.items()} | {
    name: target["expr"] for name, target in TARGETS.items()
}


@pytest.fixture
def exported(client, settings, db) -> dict[str, set[str]]:
    """The names of samples that /metrics knows, each with the labels it has; also of families without a sample."""
    settings.METRICS_TOKEN = "token"
    Heartbeat.objects.create(id="0" * 32, kind="sender", host="here", started_at=ago(), beat_at=ago())
    text = client.get("/metrics", headers={"Authorization": "Bearer token"}).content.decode()
    names: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        names.setdefault(family.name, set())
        for sample in family.samples:
            names.setdefault(sample.name, set()).update(sample.labels)
    return names


def find_names(expression: str) -> Iterator[str]:
    yield from re.findall(r"\btexting_\w+", expression)


@pytest.mark.parametrize("where", EXPRESSIONS)
def test_what_is_asked_for_is_told(exported: dict[str, set[str]], where: str) -> None:
    names = list(find_names(EXPRESSIONS[where]))
    assert names or where in ("TextingDown", "WebDown")
    assert set(names) <= exported.keys()


@pytest.mark.parametrize("where", EXPRESSIONS)
def test_values_of_labels_are_those_that_there_are(exported: dict[str, set[str]], where: str) -> None:
    known = {
        "kind": set(Heartbeat.Kind.values), "outcome": {"unknown"}, "job": {"texting"}, "direction": {"out"},
        "status": {"failed", *Attachment.Status.values},
    }  # fmt: skip
    for name, value in re.findall(r"(\w+)=\"([^\"]*)\"", EXPRESSIONS[where]):
        assert value in known[name]
    assert EXPRESSIONS[where].count("(") == EXPRESSIONS[where].count(")")


@pytest.mark.parametrize("alert", RULES)
def test_an_alert_says_what_how_bad_and_where_to_read_on(alert: str) -> None:
    rule: dict[str, Any] = RULES[alert]
    assert rule.keys() == {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"\d+[smh]", rule["for"])
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"]["summary"].endswith(".")
    path, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    headings = re.findall(r"^#+ (.+)$", (ROOT / path).read_text(), re.M)
    assert anchor in {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def run_tool(name: str, *arguments: str, cwd: Path = MONITORING) -> None:
    """Run a program of Prometheus; it is not among the requirements, and CI installs it."""
    program = shutil.which(name)
    if not program:
        pytest.skip(f"{name} is not installed (Debian's packages prometheus and prometheus-alertmanager have it)")
    done = subprocess.run([program, *arguments], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_come_when_they_should_and_once() -> None:
    run_tool("promtool", "check", "rules", "alerts.yml")
    run_tool("promtool", "test", "rules", "alerts_test.yml")


def test_prometheus_and_alertmanager_take_their_configurations(tmp_path: Path) -> None:
    run_tool("promtool", "check", "config", "--syntax-only", "prometheus.yml")
    run_tool("amtool", "check-config", "alertmanager.yml")
    # That of docs/operations.md, as it stands there.
    page = (ROOT / "docs" / "operations.md").read_text()
    [block] = [text for text in re.findall(r"^```yaml\n(.*?)^```", page, re.M | re.S) if "scrape_configs" in text]
    (tmp_path / "prometheus.yml").write_text(block)
    run_tool("promtool", "check", "config", "--syntax-only", "prometheus.yml", cwd=tmp_path)


def test_two_machines_that_tell_the_same_are_one_alert_and_one_line() -> None:
    """Each web process tells the state of all, and each machine is asked: whatever is asked for is aggregated."""
    an_aggregate = r"\b(?:max|sum)(?: by \([\w, ]+\) )?\((?:[^()]|\([^()]*\))*\)"
    for where, expression in EXPRESSIONS.items():
        assert not list(find_names(re.sub(an_aggregate, "", expression))), where


def test_a_figure_is_of_now_and_not_the_last_that_there_was() -> None:
    stats = [panel for panel in DASHBOARD["panels"] if panel["type"] == "stat"]
    assert stats and all(target["instant"] for panel in stats for target in panel["targets"])


def test_panels_have_a_place_of_their_own_and_one_source() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken and max(x for x, _ in cells) < 24
        taken |= cells
    sources = yaml.safe_load((MONITORING / "grafana/provisioning/datasources/prometheus.yml").read_text())
    assert {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]} == {sources["datasources"][0]["uid"]}


def test_what_compose_mounts_is_what_prometheus_and_grafana_read() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    prometheus = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    mounted = [volume.split(":")[1] for volume in services["prometheus"]["volumes"]]
    assert {f"/etc/prometheus/{path}" for path in prometheus["rule_files"]} <= set(mounted)
    assert prometheus["scrape_configs"][0]["authorization"]["credentials_file"] == "/run/secrets/metrics_token"
    provider = yaml.safe_load((MONITORING / "grafana/provisioning/dashboards/texting.yml").read_text())
    assert provider["providers"][0]["options"]["path"] in [v.split(":")[1] for v in services["grafana"]["volumes"]]
