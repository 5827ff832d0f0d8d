"""Every variant of the manifests against every check, and the examples among the objects that they will meet."""

from __future__ import annotations

import pytest

from checks import ALL
from checks import pods, wiring
from rendered import Manifests, examples

OF_PODS = [
    pods.every_quantity_can_be_read,
    pods.every_container_asks_for_what_it_needs,
    pods.every_container_is_restricted,
    pods.every_gateway_is_alone_with_its_names,
    wiring.every_mount_has_its_volume,
    wiring.every_reference_leads_somewhere,
]


@pytest.mark.parametrize("check", ALL, ids=lambda check: check.__name__)
def test_manifests_hold(check, variant):
    _, manifests = variant
    assert list(check(manifests)) == []


@pytest.mark.parametrize("check", OF_PODS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("example", [name for name, found in examples().items() if found.of("Pod")])
def test_pods_of_examples_hold(check, example, production):
    assert list(check(Manifests(production.objects + examples()[example].objects))) == []


@pytest.mark.parametrize("example", [name for name, found in examples().items() if found.of("Pod")])
def test_services_send_nothing_to_pods_of_examples(example, production):
    both = Manifests(production.objects + examples()[example].objects)
    labels = {who: labels for who, labels, _ in both.pods()}
    (pod,) = [labels[name] for name in labels if name.startswith("Pod/")]
    for one, selector in wiring.selectors(both):
        assert not wiring.matches(selector, pod), one
