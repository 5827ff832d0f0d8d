"""Every PromQL expression of the manifests: rules, dashboard, KEDA's triggers, prometheus-adapter's rules."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import yaml

from rendered import K8S, Manifests

GRAFANA = {"$__rate_interval": "5m"}
ADAPTER = {"<<.LabelMatchers>>": 'namespace="tidegate",pod=~"tidegate-.+"', "<<.GroupBy>>": "pod"}


def rules(manifests: Manifests) -> list[dict]:
    return [rule for one in manifests.of("PrometheusRule") for group in one["spec"]["groups"] for rule in group["rules"]]


def recorded(manifests: Manifests) -> dict[str, set[str]]:
    """Series that recording rules make, by the labels that they keep: the first list of each expression has them."""
    made = {}
    for rule in rules(manifests):
        if "record" in rule:
            kept = re.search(r"\bby \(([^)]*)\)", rule["expr"])
            made[rule["record"]] = set(re.findall(r"\w+", kept[1])) - {"le"} if kept else {"namespace", "model", "version"}
    return made


def dashboard(manifests: Manifests) -> dict:
    return json.loads(manifests.named("ConfigMap", "tidegate-dashboard")["data"]["tidegate.json"])


def panels(dashboard: dict) -> list[dict]:
    return [one for panel in dashboard["panels"] for one in (panel, *panel.get("panels", []))]


def adapter() -> dict:
    return yaml.safe_load((K8S / "examples" / "prometheus-adapter.yaml").read_text())


def expressions(manifests: Manifests) -> Iterator[tuple[str, str]]:
    """(where it stands, the expression with every template filled in)"""
    for rule in rules(manifests):
        yield rule.get("record") or rule["alert"], rule["expr"]
    board = dashboard(manifests)
    for panel in panels(board):
        for target in panel.get("targets", []):
            yield f"panel '{panel['title']}'", filled(target["expr"], GRAFANA)
    for annotation in board["annotations"]["list"]:
        yield f"annotation '{annotation['name']}'", filled(annotation["expr"], GRAFANA)
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            series, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"]).groups()
            yield f"variable '{variable['name']}'", f"count by ({label}) ({series})"
    for one in manifests.of("ScaledObject"):
        for trigger in one["spec"]["triggers"]:
            if trigger["type"] == "prometheus":
                yield f"trigger {trigger['metadata']['threshold']}", trigger["metadata"]["query"]
    for rule in adapter()["rules"]["custom"]:
        yield f"adapter's {rule['name']['as']}", rule["seriesQuery"]
        yield f"adapter's {rule['name']['as']}", filled(rule["metricsQuery"], ADAPTER)


def filled(expression: str, templates: dict[str, str]) -> str:
    for template, value in templates.items():
        expression = expression.replace(template, value)
    return expression
