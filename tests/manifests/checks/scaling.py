"""How many gateways there are, and who may take one away."""

from __future__ import annotations

from collections.abc import Iterator

from rendered import Manifests, at, who


def every_disruption_leaves_gateways(manifests: Manifests) -> Iterator[str]:
    """One pod may go, so that nodes can be drained; not all of several."""
    replicas = least_replicas(manifests)
    for one in manifests.of("PodDisruptionBudget"):
        least, most = one["spec"].get("minAvailable"), one["spec"].get("maxUnavailable")
        for value in (least, most):
            if value is not None and not isinstance(value, int):
                yield f"{who(one)}: {value!r} is rounded up, so say a number"
                return
        going = replicas - least if least is not None else most
        if going < 1:
            yield f"{who(one)} lets no pod go of {replicas}: nodes cannot be drained"
        if replicas > 1 and going >= replicas:
            yield f"{who(one)} lets all {replicas} pods go"


def least_replicas(manifests: Manifests) -> int:
    for one in manifests.of("HorizontalPodAutoscaler"):
        return one["spec"]["minReplicas"]
    for one in manifests.of("ScaledObject"):
        return one["spec"]["minReplicaCount"]
    return manifests.gateway()["spec"].get("replicas", 1)


def every_gateway_has_at_most_one_autoscaler(manifests: Manifests) -> Iterator[str]:
    name = manifests.gateway()["metadata"]["name"]
    scalers = manifests.of("HorizontalPodAutoscaler", "ScaledObject")
    if len(scalers) > 1:
        yield f"{' and '.join(map(who, scalers))} pull at the same number"
    for one in scalers:
        if at(one, "spec", "scaleTargetRef", "name") != name:
            yield f"{who(one)} scales {at(one, 'spec', 'scaleTargetRef', 'name')!r}, which is not there"
        least, most = (
            one["spec"].get("minReplicas", one["spec"].get("minReplicaCount")),
            one["spec"].get("maxReplicas", one["spec"].get("maxReplicaCount")),
        )
        if not 1 <= least <= most:
            yield f"{who(one)} scales from {least} to {most}"
    if scalers and "replicas" in manifests.gateway()["spec"]:
        yield "the Deployment says `replicas`, and with every apply undoes what the autoscaler did"


def every_rollout_keeps_gateways(manifests: Manifests) -> Iterator[str]:
    """A new pod before an old one goes; with GPUs, of which there is none to spare, one goes first, of several."""
    one = manifests.gateway()
    rolling = one["spec"]["strategy"]["rollingUpdate"]
    limits = at(one, "spec", "template", "spec", "containers", 0, "resources", "limits") or {}
    if "nvidia.com/gpu" in limits:
        if rolling["maxUnavailable"] >= least_replicas(manifests):
            yield f"a rollout may take all {least_replicas(manifests)} gateways at once"
    elif rolling["maxUnavailable"] != 0:
        yield f"a rollout may take {rolling['maxUnavailable']} gateways before there are others"
    if rolling["maxUnavailable"] == 0 and rolling["maxSurge"] == 0:
        yield "a rollout can never begin"
