"""The patches that kubectl sends, applied: JSON merge patches (`label`, `patch --type merge`), strategic merge patches
(`apply`) and the one operation of JSON patches that `rollout undo` uses. What is not known here is refused, so that
nothing is half done."""

from __future__ import annotations

import copy

# How elements of a list are told apart, by the name of the field, as Kubernetes' types declare it (patchMergeKey).
MERGE_KEYS = {
    "conditions": "type",
    "containers": "name",
    "env": "name",
    "initContainers": "name",
    "topologySpreadConstraints": "topologyKey",
    "volumeMounts": "mountPath",
    "volumes": "name",
}


class BadPatch(Exception):
    """It cannot be applied; the text says why."""


def apply(kind: str, old: dict, patch) -> dict:
    """A new object; `kind` is the media type of the patch."""
    if kind not in APPLIERS:
        raise BadPatch(f"the patch is {kind}, expected one of {', '.join(APPLIERS)}")
    return APPLIERS[kind](copy.deepcopy(old), patch)


def merge(old, patch):
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    merged = old if isinstance(old, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged


def strategic(old: dict, patch: dict) -> dict:
    """As `merge`, with lists that are merged by a key, and with directives."""
    fields = {name: value for name, value in patch.items() if not name.startswith("$")}
    kept = patch.get("$retainKeys")
    merged = {name: value for name, value in old.items() if kept is None or name in kept}
    for name, value in fields.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict):
            merged[name] = strategic(merged.get(name) or {}, value)
        elif isinstance(value, list):
            merged[name] = merged_list(name, merged.get(name) or [], value)
        else:
            merged[name] = value
    for name, value in patch.items():
        if name.startswith("$setElementOrder/"):
            field = name.partition("/")[2]
            merged[field] = ordered(field, merged.get(field, []), value)
        elif name.startswith("$") and name != "$retainKeys":
            raise BadPatch(f"the directive {name} is not known here")
    return merged


def merged_list(field: str, old: list, patch: list) -> list:
    key = merge_key(field, patch)
    if key is None:
        return patch
    elements = {one[key]: one for one in old}
    for one in patch:
        directive = one.get("$patch")
        if directive == "delete":
            elements.pop(one[key], None)
        elif directive is None:
            elements[one[key]] = strategic(elements.get(one[key], {}), one)
        else:
            raise BadPatch(f"$patch: {directive} is not known here")
    return list(elements.values())


def ordered(field: str, elements: list, order: list) -> list:
    key = merge_key(field, order)
    places = [one[key] if key else one for one in order]
    return sorted(elements, key=lambda one: places.index(one[key] if key else one))


def merge_key(field: str, elements: list) -> str | None:
    if field == "ports":
        # Of a container, or of a Service.
        return "containerPort" if any("containerPort" in one for one in elements) else "port"
    return MERGE_KEYS.get(field)


def operations(old: dict, patch: list) -> dict:
    for one in patch:
        if one["op"] != "replace":
            raise BadPatch(f"the operation {one['op']} is not known here")
        *above, last = one["path"].strip("/").split("/")
        place = old
        for step in above:
            place = place[step]
        if last not in place:
            raise BadPatch(f"there is nothing at {one['path']}")
        place[last] = one["value"]
    return old


APPLIERS = {
    "application/merge-patch+json": merge,
    "application/strategic-merge-patch+json": strategic,
    "application/json-patch+json": operations,
}
