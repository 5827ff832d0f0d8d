"""What the API server of the stand-in keeps: objects, each with the version of its last change, and the history of all
changes, which watchers read. An object is never changed in place, so a copy of `objects` is a snapshot."""

from __future__ import annotations

import copy
import threading
import time
import uuid
from collections.abc import Callable

from .kinds import Resource

Key = tuple[Resource, str, str]


class Store:
    def __init__(self):
        self.objects: dict[Key, dict] = {}
        # (what happened, what it happened to); an event's number is its resource version.
        self.history: list[tuple[str, Resource, dict]] = []
        # Reentrant: who reacts to a write may write.
        self.changed = threading.Condition(threading.RLock())
        self.reactions: list[Callable[[Resource, dict], None]] = []

    def version(self) -> int:
        return len(self.history)

    def get(self, resource: Resource, namespace: str, name: str) -> dict | None:
        return self.objects.get((resource, namespace, name))

    def list(self, resource: Resource, namespace: str = "") -> list[dict]:
        """In one namespace, or in all of them."""
        with self.changed:
            keys = sorted((key for key in self.objects if key[0] == resource), key=lambda key: key[1:])
            return [self.objects[key] for key in keys if not namespace or key[1] == namespace]

    def put(self, resource: Resource, one: dict) -> dict:
        """Makes or replaces it. As in Kubernetes, what changes nothing gets no new version."""
        with self.changed:
            one = copy.deepcopy(one)
            meta = one["metadata"]
            key = (resource, meta.get("namespace", ""), meta["name"])
            old = self.objects.get(key)
            if old == one:
                return old
            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            meta["uid"] = old["metadata"]["uid"] if old else str(uuid.uuid4())
            meta["creationTimestamp"] = old["metadata"]["creationTimestamp"] if old else now
            generation = old["metadata"]["generation"] if old else 0
            meta["generation"] = generation + (not old or old.get("spec") != one.get("spec"))
            self.record("MODIFIED" if old else "ADDED", resource, one)
            self.objects[key] = one
            for react in self.reactions:
                react(resource, one)
            return self.objects[key]

    def delete(self, resource: Resource, namespace: str, name: str) -> dict:
        """At once; a namespace takes along what is in it."""
        with self.changed:
            gone = copy.deepcopy(self.objects.pop((resource, namespace, name)))
            if resource.kind == "Namespace":
                for inside in [key for key in self.objects if key[1] == name]:
                    self.delete(*inside)
            self.record("DELETED", resource, gone)
            return gone

    def record(self, what: str, resource: Resource, one: dict) -> None:
        one["metadata"]["resourceVersion"] = str(len(self.history) + 1)
        self.history.append((what, resource, one))
        self.changed.notify_all()
