"""Which resources the stand-in knows: the kinds of the manifests that it is given, and those that others make of them.
Discovery and the documents for `kubectl apply`'s validation are made of this list."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

CLUSTER_WIDE = {"Namespace", "Node", "PersistentVolume"}
# Of the cluster itself: nobody applies them.
BESIDE = [("v1", "Namespace"), ("v1", "Node"), ("v1", "Pod"), ("v1", "Event"), ("v1", "Secret"), ("apps/v1", "ReplicaSet")]
VERBS = ["create", "delete", "get", "list", "patch", "watch"]


@dataclass(frozen=True)
class Resource:
    api_version: str
    kind: str

    @property
    def group(self) -> str:
        return self.api_version.rpartition("/")[0]

    @property
    def version(self) -> str:
        return self.api_version.rpartition("/")[2]

    @property
    def plural(self) -> str:
        lower = self.kind.lower()
        return lower[:-1] + "ies" if lower.endswith("y") else lower + "s"

    @property
    def namespaced(self) -> bool:
        return self.kind not in CLUSTER_WIDE

    @property
    def root(self) -> str:
        return f"apis/{self.api_version}" if self.group else f"api/{self.api_version}"


def resources_of(objects: Iterable[dict]) -> list[Resource]:
    found = {(one["apiVersion"], one["kind"]) for one in objects}
    return sorted((Resource(*pair) for pair in found.union(BESIDE)), key=lambda one: (one.root, one.kind))


def discovery(resources: list[Resource], path: str) -> dict | None:
    """The answer to `path` when it asks what there is."""
    if path == "version":
        return {"major": "1", "minor": "32", "gitVersion": "v1.32.0"}
    if path == "api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "apis":
        versions = sorted({one.api_version for one in resources if one.group})
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [group(version) for version in versions]}
    if path == "openapi/v3":
        roots = {one.root for one in resources}
        return {"paths": {root: {"serverRelativeURL": f"/openapi/v3/{root}"} for root in roots}}
    if path.startswith("openapi/v3/"):
        return openapi([one for one in resources if path == f"openapi/v3/{one.root}"])
    there = [one for one in resources if one.root == path]
    return resource_list(there) if there else None


def group(api_version: str) -> dict:
    name, _, version = api_version.partition("/")
    preferred = {"groupVersion": api_version, "version": version}
    return {"name": name, "versions": [preferred], "preferredVersion": preferred}


def resource_list(resources: list[Resource]) -> dict:
    described = [
        {
            "name": one.plural,
            "singularName": one.kind.lower(),
            "namespaced": one.namespaced,
            "kind": one.kind,
            "verbs": VERBS,
        }
        for one in resources
    ]
    version = resources[0].api_version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": described}


def openapi(resources: list[Resource]) -> dict:
    """Only what `kubectl apply` looks for: that the server takes `fieldValidation`, and so does the validation itself."""
    parameter = {"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}
    paths = {}
    for one in resources:
        kind = {"group": one.group, "version": one.version, "kind": one.kind}
        patch = {"parameters": [parameter], "x-kubernetes-group-version-kind": kind, "responses": {}}
        paths[f"/{one.root}/{one.plural}/{{name}}"] = {"patch": patch}
    return {"openapi": "3.0.0", "info": {"title": "stand-in", "version": "v1"}, "paths": paths}
