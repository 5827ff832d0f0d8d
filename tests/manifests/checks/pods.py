"""What every pod has to keep: the standard `restricted`, its limits, and the way it ends."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

import toml_reader
from rendered import Manifests, at, containers, who

PRESTOP_TO_KILL_MARGIN_S = 10
# Of a gateway without models, measured: base/deployment.yaml.
EMPTY_GATEWAY = 60 * 2**20

SUFFIXES = {
    "": 1, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60,
}  # fmt: skip


def quantity(value) -> float:
    """As apimachinery reads it. ValueError for anything else."""
    found = re.fullmatch(r"([+-]?(?:\d+\.?\d*|\.\d+))([A-Za-z]*)", str(value))
    if not found or found[2] not in SUFFIXES:
        raise ValueError(f"{value!r} is no quantity")
    return float(found[1]) * SUFFIXES[found[2]]


def seconds(value: str) -> float:
    """A duration as docs/configuration.md writes it."""
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m|h)", value).groups()
    return float(number) * {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}[unit]


def every_quantity_can_be_read(manifests: Manifests) -> Iterator[str]:
    for place, value in quantities(manifests):
        try:
            quantity(value)
        except ValueError as error:
            yield f"{place}: {error}"


def quantities(manifests: Manifests) -> Iterator[tuple[str, object]]:
    for pod, _, spec in manifests.pods():
        for container in containers(spec):
            for side, resources in container.get("resources", {}).items():
                for name, value in resources.items():
                    yield f"{pod} {container['name']} {side} {name}", value
        for volume in spec.get("volumes", []):
            if "emptyDir" in volume:
                yield f"{pod} volume {volume['name']} sizeLimit", volume["emptyDir"].get("sizeLimit")
    for one in manifests.of("PersistentVolumeClaim"):
        yield who(one), one["spec"]["resources"]["requests"]["storage"]
    for one in manifests.of("HorizontalPodAutoscaler"):
        for metric in one["spec"]["metrics"]:
            if value := at(metric, "pods", "target", "averageValue"):
                yield f"{who(one)} {metric['pods']['metric']['name']}", value


def every_container_asks_for_what_it_needs(manifests: Manifests) -> Iterator[str]:
    for pod, _, spec in manifests.pods():
        for container in containers(spec):
            requests, limits = (at(container, "resources", side) or {} for side in ("requests", "limits"))
            for name in {"cpu", "memory"} - requests.keys():
                yield f"{pod} {container['name']} asks for no {name}"
            if "memory" not in limits:
                yield f"{pod} {container['name']} has no limit on memory"
            for name in requests.keys() & limits.keys():
                if quantity(requests[name]) > quantity(limits[name]):
                    yield f"{pod} {container['name']} asks for more {name} than its limit"


def every_container_is_restricted(manifests: Manifests) -> Iterator[str]:
    """Pod Security Standard `restricted`, as far as our pods could break it, and a read-only root besides."""
    for pod, _, spec in manifests.pods():
        for key in ("hostNetwork", "hostPID", "hostIPC"):
            if spec.get(key):
                yield f"{pod} has {key}"
        for volume in spec.get("volumes", []):
            kinds = volume.keys() - {"name"}
            if kinds - {"configMap", "secret", "emptyDir", "persistentVolumeClaim", "image", "projected"}:
                yield f"{pod} volume {volume['name']} is of kind {sorted(kinds)}"
        for container in containers(spec):
            for problem in unrestricted(spec.get("securityContext", {}), container.get("securityContext", {})):
                yield f"{pod} {container['name']} {problem}"


def unrestricted(pod: dict, container: dict) -> Iterator[str]:
    both = {**pod, **container}
    if both.get("runAsNonRoot") is not True or both.get("runAsUser") in (None, 0):
        yield "may run as root"
    if at(both, "seccompProfile", "type") not in ("RuntimeDefault", "Localhost"):
        yield "has no seccomp profile"
    if container.get("allowPrivilegeEscalation") is not False:
        yield "may gain privileges"
    if container.get("privileged"):
        yield "is privileged"
    if "ALL" not in (at(container, "capabilities", "drop") or []) or at(container, "capabilities", "add"):
        yield "keeps capabilities"
    if container.get("readOnlyRootFilesystem") is not True:
        yield "may write to its root file system"


def every_pod_has_time_to_end(manifests: Manifests) -> Iterator[str]:
    for one in manifests.of("Deployment"):
        spec = one["spec"]["template"]["spec"]
        for container in spec["containers"]:
            pause = at(container, "lifecycle", "preStop", "sleep", "seconds")
            grace = environment(container).get("TIDEGATE_GRACE_PERIOD")
            if pause is None or grace is None:
                yield f"{who(one)} {container['name']} does not say how long it takes to end"
            elif spec["terminationGracePeriodSeconds"] <= pause + seconds(grace) + PRESTOP_TO_KILL_MARGIN_S:
                yield (
                    f"{who(one)} is killed after {spec['terminationGracePeriodSeconds']} s, which is not above"
                    f" {pause} + {grace} + {PRESTOP_TO_KILL_MARGIN_S} s"
                )


def environment(container: dict) -> dict[str, str]:
    return {one["name"]: one.get("value") for one in container.get("env", [])}


def every_probe_asks_the_right_question(manifests: Manifests) -> Iterator[str]:
    expected = {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
    for container in manifests.gateway()["spec"]["template"]["spec"]["containers"]:
        for kind, path in expected.items():
            asked = at(container, kind, "httpGet") or {}
            if (asked.get("path"), asked.get("port")) != (path, "admin"):
                yield f"{container['name']}: {kind} asks {asked}, expected {path} on the admin port"


def every_path_of_the_gateway_is_mounted(manifests: Manifests) -> Iterator[str]:
    spec = manifests.gateway()["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    for path, mount in mounts.items():
        if "subPath" in mount or "subPathExpr" in mount:
            yield f"{path} is mounted by subPath, and never updated"
        if "emptyDir" not in volumes[mount["name"]] and not mount.get("readOnly"):
            yield f"{path} is mounted to be written"
    for name in ("TIDEGATE_CONFIG", "TIDEGATE_TRAFFIC", "TIDEGATE_API_KEYS"):
        file = PurePosixPath(environment(container).get(name) or "/nowhere")
        mount = mounts.get(str(file.parent))
        if not mount or file.name not in files(manifests, volumes[mount["name"]]):
            yield f"{name} names {file}, which no volume brings"
    models = manifests.named("ConfigMap", config_name(container))["data"]["model_path"]
    if at(mounts.get(models, {}), "name") != "models":
        yield f"model_path is {models}, where no models are mounted"
    if "/var/lib/tidegate" not in mounts:
        yield "/var/lib/tidegate cannot be written"


def config_name(container: dict) -> str:
    (name,) = {
        source["name"] for one in container["env"] if (source := at(one, "valueFrom", "configMapKeyRef"))
    }
    return name


def files(manifests: Manifests, volume: dict) -> set[str]:
    source = volume.get("configMap") or volume.get("secret") or {}
    if "items" in source:
        return {item["path"] for item in source["items"]}
    target = manifests.named("ConfigMap", source.get("name", ""))
    return set(target["data"]) if target else set()


def every_gateway_has_memory_for_its_bodies(manifests: Manifests) -> Iterator[str]:
    (container,) = manifests.gateway()["spec"]["template"]["spec"]["containers"]
    config = toml_reader.loads(manifests.named("ConfigMap", config_name(container))["data"]["tidegate.toml"])
    bodies = quantity(config["limits"]["max_bytes_in_flight"].removesuffix("B"))
    limit = quantity(container["resources"]["limits"]["memory"])
    if EMPTY_GATEWAY + 2 * bodies > limit:
        yield f"memory is limited to {limit / 2**20:.0f} MiB, and bodies alone may take {2 * bodies / 2**20:.0f}"


def every_gateway_is_alone_with_its_names(manifests: Manifests) -> Iterator[str]:
    for pod, _, spec in manifests.pods():
        if spec.get("enableServiceLinks") is not False:
            yield f"{pod} gets variables of every Service, TIDEGATE_PORT among them"
        if spec.get("automountServiceAccountToken") is not False:
            yield f"{pod} gets a token for the Kubernetes API"
