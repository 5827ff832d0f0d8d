"""Layers, and the roles that may change each: base/kustomization.yaml and base/rbac.yaml."""

from __future__ import annotations

from collections.abc import Iterator

from rendered import Manifests, who

LAYERS = ("foundation", "workload", "traffic")
# What `kubectl apply` asks.
APPLY = {"get", "create", "patch"}


def every_object_is_in_a_layer(manifests: Manifests) -> Iterator[str]:
    for one in manifests.objects:
        if layer(one) not in LAYERS:
            yield f"{who(one)} is in layer {layer(one)!r}, expected one of {', '.join(LAYERS)}"


def layer(one: dict) -> str | None:
    return one["metadata"].get("labels", {}).get("tidegate.io/layer")


def every_layer_has_its_role(manifests: Manifests) -> Iterator[str]:
    deployer = rules(manifests, "tidegate-deployer")
    for one in manifests.objects:
        verbs = allowed(deployer, resource(one))
        if layer(one) == "workload" and not APPLY <= verbs:
            yield f"the deployer may not apply {who(one)}"
        if layer(one) == "foundation" and verbs & {"create", "patch", "update", "delete"}:
            yield f"the deployer may change {who(one)}, which is of the foundation"
    operator = rules(manifests, "tidegate-traffic-operator")
    traffic = {one["metadata"]["name"] for one in manifests.objects if layer(one) == "traffic"}
    for rule in operator:
        if set(rule["verbs"]) != {"get", "patch"} or set(rule.get("resourceNames", [])) != traffic:
            yield f"the traffic operator may {rule['verbs']} {rule.get('resourceNames', 'everything')}"
    if not operator:
        yield "nobody may move traffic"


def every_role_is_least(manifests: Manifests) -> Iterator[str]:
    for one in manifests.of("Role"):
        for rule in one["rules"]:
            words = {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
            if "*" in words:
                yield f"{who(one)} has a wildcard"
            if words & {"escalate", "bind", "impersonate"} or "rbac.authorization.k8s.io" in words:
                yield f"{who(one)} may give rights"
            if words & {"secrets", "pods/ephemeralcontainers", "serviceaccounts/token"}:
                yield f"{who(one)} may read secrets"
            if "pods/exec" in words and rule.get("resourceNames") != ["tidegate-model-push"]:
                yield f"{who(one)} may enter every pod"
    if manifests.of("ClusterRole", "ClusterRoleBinding"):
        yield "rights over the whole cluster"


def every_gateway_is_without_rights(manifests: Manifests) -> Iterator[str]:
    for one in manifests.of("RoleBinding"):
        for subject in one.get("subjects", []):
            if subject["kind"] != "Group":
                yield f"{who(one)} gives rights to {subject['kind']} '{subject['name']}', expected a Group"
    for one in manifests.of("ServiceAccount"):
        if one.get("automountServiceAccountToken") is not False:
            yield f"{who(one)} hands its token to its pods"


def rules(manifests: Manifests, role: str) -> list[dict]:
    return (manifests.named("Role", role) or {"rules": []})["rules"]


def resource(one: dict) -> tuple[str, str]:
    group = one["apiVersion"].rpartition("/")[0]
    kind = one["kind"].lower()
    return group, kind[:-1] + "ies" if kind.endswith("cy") else kind + ("es" if kind.endswith("ss") else "s")


def allowed(rules: list[dict], asked: tuple[str, str]) -> set[str]:
    group, name = asked
    return {verb for rule in rules if group in rule["apiGroups"] and name in rule["resources"] for verb in rule["verbs"]}
