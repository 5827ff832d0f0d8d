"""The traffic file: that the gateway would apply it."""

from __future__ import annotations

from collections.abc import Iterator

import toml_reader
from rendered import Manifests

LARGEST_WEIGHT = 10_000


def every_split_adds_up(manifests: Manifests) -> Iterator[str]:
    traffic = manifests.named("ConfigMap", "tidegate-traffic")
    if traffic is None:
        yield "no ConfigMap 'tidegate-traffic': its name must not have a hash, or a new split restarts the pods"
        return
    try:
        document = toml_reader.loads(traffic["data"]["traffic.toml"])
    except ValueError as error:
        yield f"traffic.toml: {error}"
        return
    for name in document.keys() - {"models"}:
        yield f"traffic.toml: '{name}' is not known"
    for model, split in document.get("models", {}).items():
        for problem in split_problems(split):
            yield f"traffic.toml, model '{model}': {problem}"


def split_problems(split: dict) -> Iterator[str]:
    labels, weights = split.get("labels", {}), split.get("weights", {})
    for name in split.keys() - {"labels", "weights"}:
        yield f"'{name}' is not known"
    for label, version in labels.items():
        if not isinstance(version, int) or version < 1:
            yield f"label '{label}' names {version!r}, which is no version"
    for of, weight in weights.items():
        if not isinstance(weight, int) or not 0 <= weight <= LARGEST_WEIGHT:
            yield f"weight {weight!r} of '{of}' is not from 0 to {LARGEST_WEIGHT}"
        if of not in labels and not of.isdecimal():
            yield f"'{of}' has a weight and is no label; the labels are {sorted(labels)}"
    if weights and not sum(weight for weight in weights.values() if isinstance(weight, int)) > 0:
        yield "no weight is above 0"


def every_default_model_has_a_split(manifests: Manifests) -> Iterator[str]:
    """Not a rule of the gateway's: a name that differs here and there is a slip of the pen."""
    (config,) = [one for one in manifests.of("ConfigMap") if one["metadata"]["name"].startswith("tidegate-config")]
    if config["metadata"]["name"] == "tidegate-config":
        yield "ConfigMap 'tidegate-config' has no hash in its name: a change would not reach the pods"
    traffic = manifests.named("ConfigMap", "tidegate-traffic") or {"data": {"traffic.toml": ""}}
    models = toml_reader.loads(traffic["data"]["traffic.toml"]).get("models", {})
    if config["data"]["model_name"] not in models:
        yield f"model_name is '{config['data']['model_name']}', and traffic.toml has {sorted(models)}"
    batch, most = config["data"]["batch_size"], config["data"]["max_batch_size"]
    if not most.isdecimal() or int(most) < 1 or batch and not (batch.isdecimal() and 1 <= int(batch) <= int(most)):
        yield f"batch_size {batch!r} and max_batch_size {most!r} do not go together"
