"""Rules, dashboard and the metrics of autoscalers: that they name what there is, and do what they say."""

from __future__ import annotations

import re
import subprocess

import pytest
import yaml

from exported import exported
from promql import check_syntax, problems, promtool
from queries import adapter, dashboard, expressions, panels, recorded, rules
from pages import anchors
from rendered import K8S, ROOT, at

MONITORING = K8S / "components" / "monitoring"
RUNBOOK = "https://github.com/tidegate/tidegate/blob/main/docs/observability.md#"


@pytest.fixture
def alerts(everything) -> dict[str, dict]:
    return {rule["alert"]: rule for rule in rules(everything) if "alert" in rule}


def test_expressions_name_what_is_exported(everything):
    known = exported() | recorded(everything)
    wrong = [f"{where}: {problem}" for where, one in expressions(everything) for problem in problems(one, known)]
    assert wrong == []


@pytest.mark.parametrize(
    ("expression", "phrase"),
    [
        ("sum(rate(tidegate_request_total[5m]))", "nobody exports 'tidegate_request_total'"),
        ("tidegate_ready == 0 and absent(tidegate_redy)", "nobody exports 'tidegate_redy'"),
        ('tidegate_version_state{stat="failed"}', "has no label 'stat'"),
        ("sum by (models) (tidegate_route_weight)", "a label 'models'"),
        ('tidegate_batch_rows_sum{le="1"}', "has no label 'le'"),
    ],
)
def test_unknown_names_are_found(expression, phrase):
    assert any(phrase in problem for problem in problems(expression, exported()))


def test_prometheus_reads_every_expression(everything, tmp_path):
    done = check_syntax([one for _, one in expressions(everything)], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_refuses_a_broken_expression(tmp_path):
    assert check_syntax(["sum(rate(tidegate_ready[5m])"], tmp_path).returncode != 0


def test_rules_do_what_their_tests_say(everything, tmp_path):
    done = run_rule_tests(tmp_path, lambda rule: rule, everything)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested_firing(everything, alerts, tmp_path):
    """An alert that never fires is noticed by a test of its own."""
    done = run_rule_tests(tmp_path, lambda rule: {**rule, "expr": "vector(1) > 2"}, everything)
    assert named_in(done) == set(alerts)


def test_every_alert_is_tested_silent(everything, alerts, tmp_path):
    """An alert that fires for everybody at once, in its labels and words, is noticed by a test of its own."""
    labels = 'label_replace(vector(1), "namespace", "calm", "", "")'
    done = run_rule_tests(tmp_path, lambda rule: {**rule, "expr": labels, "for": "0s"}, everything)
    failed_silent = re.findall(r"alertname: (\w+), time: [^\n]*\n\s*exp:\[\s*\]", done.stdout + done.stderr)
    assert set(failed_silent) == set(alerts)


def run_rule_tests(folder, change, manifests) -> subprocess.CompletedProcess:
    (spec,) = [one["spec"] for one in manifests.of("PrometheusRule")]
    changed = [
        {**group, "rules": [change(rule) if "alert" in rule else rule for rule in group["rules"]]}
        for group in spec["groups"]
    ]
    (folder / "tidegate.rules.yaml").write_text(yaml.safe_dump({"groups": changed}))
    (folder / "rules.test.yaml").write_text((MONITORING / "rules.test.yaml").read_text())
    return promtool("test", "rules", "rules.test.yaml", cwd=folder)


def named_in(done) -> set[str]:
    return set(re.findall(r"alertname: (\w+)", done.stdout + done.stderr))


def test_plain_rules_are_cut_out_as_documented(everything):
    """Prometheus without the operator takes what this command writes; it stands in three places."""
    command = "sed '1,/^spec:$/d; s/^  //' prometheusrule.yaml"
    for place in (MONITORING / "kustomization.yaml", MONITORING / "rules.test.yaml", ROOT / "docs" / "observability.md"):
        assert command in place.read_text(), place
    cut = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=MONITORING, check=True)
    assert yaml.safe_load(cut.stdout) == everything.of("PrometheusRule")[0]["spec"]


def test_every_alert_leads_to_its_page(alerts):
    there = anchors(ROOT / "docs" / "observability.md")
    for name, rule in alerts.items():
        assert rule["annotations"]["runbook_url"] == RUNBOOK + name.lower(), name
        assert name.lower() in there, f"docs/observability.md says nothing of {name}"
        assert rule["labels"]["severity"] in ("critical", "warning"), name
    described = {heading for heading in there if re.fullmatch(r"tidegate\w+", heading)}
    assert described == {name.lower() for name in alerts}


def test_the_dashboard_can_be_loaded(everything):
    board = dashboard(everything)
    everywhere = panels(board)
    ids = [panel["id"] for panel in everywhere]
    assert len(set(ids)) == len(ids)
    for panel in everywhere:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        assert panel["type"] == "row" or panel["targets"], panel["title"]
        references = [target["refId"] for target in panel.get("targets", [])]
        assert len(set(references)) == len(references), panel["title"]
    cells = [cell for panel in everywhere for cell in cells_of(panel["gridPos"])]
    assert len(set(cells)) == len(cells), "panels lie over one another"


def cells_of(place: dict) -> list[tuple[int, int]]:
    across, down = range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
    return [(x, y) for x in across for y in down]


def test_the_dashboard_is_found_by_grafana(production):
    labels = production.named("ConfigMap", "tidegate-dashboard")["metadata"]["labels"]
    assert labels["grafana_dashboard"] == "1"


def test_the_autoscaler_asks_for_what_the_adapter_makes(variant):
    made = {rule["name"]["as"] for rule in adapter()["rules"]["custom"]}
    _, manifests = variant
    for one in manifests.of("HorizontalPodAutoscaler"):
        asked = {name for metric in one["spec"]["metrics"] if (name := at(metric, "pods", "metric", "name"))}
        assert asked and asked <= made


def test_keda_asks_about_its_own_namespace(everything):
    (one,) = everything.of("ScaledObject")
    queries = [trigger["metadata"]["query"] for trigger in one["spec"]["triggers"] if trigger["type"] == "prometheus"]
    named = {name for query in queries for name in re.findall(r'namespace="([^"]*)"', query)}
    assert len(queries) == 2 and named == {one["metadata"]["namespace"]}
