"""Who works behind an API server, scripted: the controller that makes ReplicaSets and pods of a Deployment, and the kubelet
that brings pods up. There are no processes and no clock: a write is followed at once by what a controller would write, and
what takes time in a cluster happens when somebody watches for it. So `kubectl wait` and `rollout status` always begin by
waiting, and never wait long.

The gateways become ready when a model has been pushed, and the pod that pushes goes on when the file is there.
"""

from __future__ import annotations

import hashlib
import json

from .kinds import Resource
from .server import ApiServer

REVISION = "deployment.kubernetes.io/revision"
HASH = "pod-template-hash"
DEFAULT_REPLICAS = 1


class World:
    def __init__(self, api: ApiServer):
        self.api, self.store = api, api.store
        # Set by whoever plays `kubectl cp` and `exec`.
        self.file_complete = False
        self.model_pushed = False
        self.store.reactions.append(self.written)
        api.when_watched = self.watched

    def namespace(self, name: str) -> None:
        one = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        self.store.put(self.api.resource("Namespace"), one)

    def written(self, resource: Resource, one: dict) -> None:
        if resource.kind == "Deployment" and generation(one) != one.get("status", {}).get("observedGeneration"):
            self.roll(resource, one)
        if resource.kind == "Pod" and "status" not in one:
            self.store.put(resource, {**one, "status": {"phase": "Pending"}})

    def watched(self, resource: Resource, selected: list[dict]) -> None:
        for one in selected:
            if resource.kind == "Deployment" and self.model_pushed:
                self.finish(resource, one)
            if resource.kind == "Pod" and "ownerReferences" not in one["metadata"]:
                self.store.put(resource, {**one, "status": self.next_status(one)})

    def roll(self, resource: Resource, deployment: dict) -> None:
        """The ReplicaSet of this template gets the next revision, and its pods; those of others stay until it is done."""
        sets = self.api.resource("ReplicaSet")
        template = deployment["spec"]["template"]
        namespace, digest = deployment["metadata"]["namespace"], template_hash(template)
        revisions = [int(one["metadata"]["annotations"][REVISION]) for one in self.owned(sets, deployment)]
        revision = str(max(revisions, default=0) + 1)
        meta = {**child(deployment, digest), "annotations": {REVISION: revision}}
        selector = {"matchLabels": {**deployment["spec"]["selector"]["matchLabels"], HASH: digest}}
        labels = {**template["metadata"]["labels"], HASH: digest}
        template = {**template, "metadata": {**template["metadata"], "labels": labels}}
        spec = {"replicas": replicas(deployment), "selector": selector, "template": template}
        head = {"apiVersion": "apps/v1", "kind": "ReplicaSet"}
        made = self.store.put(sets, {**head, "metadata": {**meta, "labels": labels}, "spec": spec})
        for number in range(replicas(deployment)):
            pod = {**child(made, str(number)), "labels": labels}
            head = {"apiVersion": "v1", "kind": "Pod"}
            self.store.put(self.api.resource("Pod"), {**head, "metadata": pod, "spec": template["spec"]})
            self.warn(namespace, pod["name"])
        annotations = {**deployment["metadata"].get("annotations", {}), REVISION: revision}
        self.store.put(
            resource,
            {
                **deployment,
                "metadata": {**deployment["metadata"], "annotations": annotations},
                "status": {"observedGeneration": generation(deployment), **counts(deployment, available=0)},
            },
        )

    def finish(self, resource: Resource, deployment: dict) -> None:
        """The new pods are ready, and the old ones gone."""
        digest = template_hash(deployment["spec"]["template"])
        pods = self.api.resource("Pod")
        for pod in self.store.list(pods, deployment["metadata"]["namespace"]):
            mark = pod["metadata"]["labels"].get(HASH, digest)
            if mark != digest:
                self.store.delete(pods, pod["metadata"]["namespace"], pod["metadata"]["name"])
        status = {**deployment["status"], **counts(deployment, available=replicas(deployment))}
        self.store.put(resource, {**deployment, "status": status})

    def next_status(self, pod: dict) -> dict:
        if self.file_complete:
            self.model_pushed = True
            return {"phase": "Succeeded"}
        started = {"startedAt": pod["metadata"]["creationTimestamp"]}
        first = pod["spec"]["initContainers"][0]
        running = {"name": first["name"], "image": first["image"], "imageID": "", "ready": False, "restartCount": 0}
        return {"phase": "Pending", "initContainerStatuses": [{**running, "state": {"running": started}}]}

    def warn(self, namespace: str, pod: str) -> None:
        event = {
            **{"apiVersion": "v1", "kind": "Event", "metadata": {"namespace": namespace, "name": f"{pod}.unhealthy"}},
            **{"type": "Warning", "reason": "Unhealthy", "message": "Readiness probe failed: HTTP 503"},
            "involvedObject": {"kind": "Pod", "namespace": namespace, "name": pod},
        }
        self.store.put(self.api.resource("Event"), event)

    def owned(self, resource: Resource, owner: dict) -> list[dict]:
        uid = owner["metadata"]["uid"]
        owners = lambda one: [reference["uid"] for reference in one["metadata"].get("ownerReferences", [])]
        return [one for one in self.store.list(resource) if uid in owners(one)]


def child(owner: dict, suffix: str) -> dict:
    meta = owner["metadata"]
    reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": meta["name"], "uid": meta["uid"]}
    name = f"{meta['name']}-{suffix}"
    return {"namespace": meta["namespace"], "name": name, "ownerReferences": [{**reference, "controller": True}]}


def counts(deployment: dict, available: int) -> dict[str, int]:
    wanted = replicas(deployment)
    return {
        **{"replicas": wanted, "updatedReplicas": wanted},
        **{"availableReplicas": available, "unavailableReplicas": wanted - available},
    }


def replicas(deployment: dict) -> int:
    return deployment["spec"].get("replicas", DEFAULT_REPLICAS)


def generation(one: dict) -> int:
    return one["metadata"]["generation"]


def template_hash(template: dict) -> str:
    """The same for what only differs in empty fields, which kubectl's own types add when they send a template back."""
    return hashlib.sha256(json.dumps(filled(template), sort_keys=True).encode()).hexdigest()[:10]


def filled(value):
    if isinstance(value, dict):
        kept = {name: filled(one) for name, one in value.items()}
        return {name: one for name, one in kept.items() if one not in (None, {}, [], "")}
    return [filled(one) for one in value] if isinstance(value, list) else value
