"""Names and labels by which objects find one another."""

from __future__ import annotations

from collections.abc import Iterator

from rendered import POD_LABELS, Manifests, at, containers, matches, who

# Not in the repository, and for a reason that stands beside the reference.
FROM_OUTSIDE = {("Secret", "tidegate-api-key"), ("Secret", "tidegate-tls"), ("PersistentVolumeClaim", "tidegate-models")}


def every_selector_matches_a_pod(manifests: Manifests) -> Iterator[str]:
    for one, selector in selectors(manifests):
        if not selector.get("matchLabels"):
            yield f"{who(one)} selects by no label"
        elif not any(matches(selector, labels) for _, labels, _ in manifests.pods()):
            yield f"{who(one)} selects {selector['matchLabels']}, which no pod has"


def selectors(manifests: Manifests) -> Iterator[tuple[dict, dict]]:
    for one in manifests.of("Service"):
        yield one, {"matchLabels": at(one, "spec", "selector")}
    for one in manifests.of("PodDisruptionBudget"):
        yield one, one["spec"]["selector"]
    for one in manifests.of("NetworkPolicy"):
        # An empty one means every pod, and says so.
        if one["spec"]["podSelector"]:
            yield one, one["spec"]["podSelector"]
    for one in manifests.of("Deployment"):
        for spread in at(one, "spec", "template", "spec", "topologySpreadConstraints") or []:
            yield one, spread["labelSelector"]


def every_deployment_selects_its_own_pods(manifests: Manifests) -> Iterator[str]:
    for one in manifests.of("Deployment"):
        if not matches(one["spec"]["selector"], at(one, *POD_LABELS) or {}):
            yield f"{who(one)} does not select the pods that it makes"


def every_service_monitor_finds_a_port(manifests: Manifests) -> Iterator[str]:
    for one in manifests.of("ServiceMonitor"):
        found = [
            service
            for service in manifests.of("Service")
            if matches(one["spec"]["selector"], service["metadata"]["labels"])
        ]
        if len(found) != 1:
            yield f"{who(one)} selects {len(found)} Services, and each gateway would be scraped so often"
        for service in found:
            names = {port["name"] for port in service["spec"]["ports"]}
            for endpoint in one["spec"]["endpoints"]:
                if endpoint["port"] not in names:
                    yield f"{who(one)}: no port '{endpoint['port']}' in {who(service)}"


def every_named_port_exists(manifests: Manifests) -> Iterator[str]:
    for one, selector, port in port_uses(manifests):
        for pod, labels, spec in manifests.pods():
            if matches(selector, labels) and port not in container_ports(spec):
                yield f"{who(one)} names port {port!r}, which {pod} does not have"
    for pod, _, spec in manifests.pods():
        for container in containers(spec):
            for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
                port = at(container, kind, "httpGet", "port")
                if port is not None and port not in container_ports({"containers": [container]}):
                    yield f"{pod}: {kind} asks port {port!r}, which the container does not have"


def port_uses(manifests: Manifests) -> Iterator[tuple[dict, dict, str | int]]:
    for one in manifests.of("Service"):
        for port in one["spec"]["ports"]:
            yield one, {"matchLabels": one["spec"]["selector"]}, port.get("targetPort", port["port"])
    for one in manifests.of("NetworkPolicy"):
        for rule in one["spec"].get("ingress", []):
            for port in rule.get("ports", []):
                yield one, one["spec"]["podSelector"], port["port"]


def container_ports(spec: dict) -> set[str | int]:
    ports = [port for container in spec["containers"] for port in container.get("ports", [])]
    return {port["name"] for port in ports} | {port["containerPort"] for port in ports}


def every_backend_exists(manifests: Manifests) -> Iterator[str]:
    for one, name, port in backends(manifests):
        service = manifests.named("Service", name)
        if not service:
            yield f"{who(one)} leads to Service '{name}', which is not there"
        elif port not in service_ports(service):
            yield f"{who(one)} leads to port {port!r} of Service '{name}', which has {sorted(map(str, service_ports(service)))}"


def service_ports(service: dict) -> set[str | int]:
    return {port["name"] for port in service["spec"]["ports"]} | {port["port"] for port in service["spec"]["ports"]}


def backends(manifests: Manifests) -> Iterator[tuple[dict, str, str | int]]:
    for one in manifests.of("Ingress"):
        for rule in one["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                service = path["backend"]["service"]
                yield one, service["name"], service["port"].get("name", service["port"].get("number"))
    for one in manifests.of("HTTPRoute", "GRPCRoute"):
        for rule in one["spec"]["rules"]:
            for backend in rule["backendRefs"]:
                yield one, backend["name"], backend["port"]


def every_reference_leads_somewhere(manifests: Manifests) -> Iterator[str]:
    for one, kind, name, key in references(manifests):
        target = manifests.named(kind, name)
        if target is None:
            if (kind, name) not in FROM_OUTSIDE:
                yield f"{one} refers to {kind} '{name}', which is not there"
        elif key and key not in {**target.get("data", {}), **target.get("stringData", {})}:
            yield f"{one} refers to '{key}' of {who(target)}, which has no such key"


def references(manifests: Manifests) -> Iterator[tuple[str, str, str, str | None]]:
    for pod, _, spec in manifests.pods():
        yield pod, "ServiceAccount", spec["serviceAccountName"], None
        for container in containers(spec):
            for variable in container.get("env", []):
                if source := at(variable, "valueFrom", "configMapKeyRef"):
                    yield pod, "ConfigMap", source["name"], source["key"]
        for volume in spec.get("volumes", []):
            if source := volume.get("configMap"):
                for key in [item["key"] for item in source.get("items", [])] or [None]:
                    yield pod, "ConfigMap", source["name"], key
            if source := volume.get("secret"):
                for key in [item["key"] for item in source.get("items", [])] or [None]:
                    yield pod, "Secret", source["secretName"], key
            if source := volume.get("persistentVolumeClaim"):
                yield pod, "PersistentVolumeClaim", source["claimName"], None
    for one in manifests.of("RoleBinding"):
        yield who(one), "Role", one["roleRef"]["name"], None
    for one in manifests.of("Ingress"):
        for tls in one["spec"].get("tls", []):
            yield who(one), "Secret", tls["secretName"], None


def every_mount_has_its_volume(manifests: Manifests) -> Iterator[str]:
    for pod, _, spec in manifests.pods():
        volumes = {volume["name"] for volume in spec.get("volumes", [])}
        mounted = {mount["name"] for container in containers(spec) for mount in container.get("volumeMounts", [])}
        for name in sorted(mounted ^ volumes):
            yield f"{pod}: volume '{name}' is only {'mounted' if name in mounted else 'declared'}"


def every_object_is_in_the_namespace(manifests: Manifests) -> Iterator[str]:
    names = {one["metadata"]["name"] for one in manifests.of("Namespace")}
    if len(names) != 1:
        yield f"expected one Namespace, got {sorted(names)}"
    for one in manifests.objects:
        if one["kind"] != "Namespace" and one["metadata"].get("namespace") not in names:
            yield f"{who(one)} is in namespace {one['metadata'].get('namespace')!r}, not in {sorted(names)}"
