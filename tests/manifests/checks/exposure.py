"""Who can reach what from where. The admin port moves traffic and unloads models: nothing leads there from outside."""

from __future__ import annotations

from collections.abc import Iterator

from checks.wiring import backends, container_ports
from rendered import Manifests, at, matches, who

ADMIN_PORT = 8502
HTTP_PATHS = {"/v2", "/v1", "/predict"}
GRPC_SERVICES = {
    "inference.GRPCInferenceService",
    "tensorflow.serving.PredictionService",
    "grpc.health.v1.Health",
}


def every_way_in_leads_to_the_data_port(manifests: Manifests) -> Iterator[str]:
    for one, name, port in backends(manifests):
        service = manifests.named("Service", name) or {"spec": {"ports": []}}
        for offered in service["spec"]["ports"]:
            if port in (offered["name"], offered["port"]) and is_admin(offered):
                yield f"{who(one)} leads to the admin port"
    for service in manifests.of("Service"):
        admin = [port for port in service["spec"]["ports"] if is_admin(port)]
        if service["spec"].get("type", "ClusterIP") != "ClusterIP":
            yield f"{who(service)} is reachable from outside: {service['spec']['type']}"
        if admin and (len(service["spec"]["ports"]) > 1 or service["spec"].get("clusterIP") != "None"):
            yield f"{who(service)} mixes the admin port with others, or gives it an address"
    for pod, _, spec in manifests.pods():
        if any("hostPort" in port for one in spec["containers"] for port in one.get("ports", [])):
            yield f"{pod} opens a port of its node"


def is_admin(port: dict) -> bool:
    return ADMIN_PORT in (port["port"], port.get("targetPort")) or "admin" in (port["name"], port.get("targetPort"))


def every_path_from_outside_is_a_prediction(manifests: Manifests) -> Iterator[str]:
    for one, path in outside_paths(manifests):
        if path not in HTTP_PATHS and path.strip("/") not in GRPC_SERVICES:
            yield f"{who(one)} lets {path!r} in"


def outside_paths(manifests: Manifests) -> Iterator[tuple[dict, str]]:
    for one in manifests.of("Ingress"):
        if "defaultBackend" in one["spec"]:
            yield one, "everything"
        for rule in one["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                yield one, path["path"]
    for one in manifests.of("HTTPRoute"):
        for rule in one["spec"]["rules"]:
            for match in rule.get("matches", [{}]):
                yield one, at(match, "path", "value") or "everything"
    for one in manifests.of("GRPCRoute"):
        for rule in one["spec"]["rules"]:
            for match in rule.get("matches", [{}]):
                yield one, at(match, "method", "service") or "everything"


def every_connection_is_denied_unless_named(manifests: Manifests) -> Iterator[str]:
    policies = manifests.of("NetworkPolicy")
    default = [one for one in policies if one["spec"]["podSelector"] == {}]
    if not any(set(one["spec"]["policyTypes"]) == {"Ingress", "Egress"} and not opens(one) for one in default):
        yield "nothing denies what no rule allows"
    for one in policies:
        if one["spec"].get("egress"):
            yield f"{who(one)} lets the gateway connect to others, which it never does"
        for rule in one["spec"].get("ingress", []):
            if not rule.get("from") or not rule.get("ports"):
                yield f"{who(one)} lets everybody in, or to every port"
            if any(port["port"] in ("admin", ADMIN_PORT) for port in rule.get("ports", [])):
                if set(map(namespace_of, rule.get("from", []))) != {"monitoring"} or len(rule["ports"]) > 1:
                    yield f"{who(one)} lets others than the scraper to the admin port"


def opens(policy: dict) -> bool:
    return bool(policy["spec"].get("ingress") or policy["spec"].get("egress"))


def namespace_of(peer: dict) -> str | None:
    return at(peer, "namespaceSelector", "matchLabels", "kubernetes.io/metadata.name")


def every_gateway_port_is_covered(manifests: Manifests) -> Iterator[str]:
    """A port that no rule names answers nobody."""
    for pod, labels, spec in manifests.pods():
        allowed = {
            port["port"]
            for one in manifests.of("NetworkPolicy")
            if one["spec"]["podSelector"] and matches(one["spec"]["podSelector"], labels)
            for rule in one["spec"].get("ingress", [])
            for port in rule.get("ports", [])
        }
        names = {name for name in container_ports(spec) if isinstance(name, str)}
        for name in sorted(names - allowed):
            yield f"{pod}: nobody is let in to port '{name}'"


def every_namespace_is_restricted(manifests: Manifests) -> Iterator[str]:
    for one in manifests.of("Namespace"):
        level = one["metadata"].get("labels", {}).get("pod-security.kubernetes.io/enforce")
        if level != "restricted":
            yield f"{who(one)} enforces {level!r}, expected 'restricted'"


def every_secret_is_made_for_dev(manifests: Manifests) -> Iterator[str]:
    dev = manifests.named("Namespace", "tidegate-dev") is not None
    for one in manifests.of("Secret"):
        if not dev:
            yield f"{who(one)} is in the repository"
