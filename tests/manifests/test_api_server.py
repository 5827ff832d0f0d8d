"""What a real API server says of the manifests: it takes them, admits the pods under `restricted`, and each role may
apply its own layer and no other. Skipped unless KUBEBUILDER_ASSETS names one."""

from __future__ import annotations

import json

import pytest

from api_server import running
from rendered import K8S, examples, load

OVERLAYS = ("dev", "production", "gpu")


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """With every overlay applied."""
    with running(tmp_path_factory.mktemp("api-server")) as one:
        for overlay in OVERLAYS:
            done = one.kubectl("apply", "--server-side", "-k", str(K8S / "overlays" / overlay))
            assert done.returncode == 0, done.stderr
            assert "Warning" not in done.stderr, done.stderr
        yield one


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_was_applied_is_what_is_declared(server, overlay):
    done = server.kubectl("diff", "--server-side", "-k", str(K8S / "overlays" / overlay))
    assert done.returncode == 0, done.stdout + done.stderr


def pod_of(manifests) -> dict:
    template = manifests.gateway()["spec"]["template"]
    metadata = {**template["metadata"], "name": "asked", "namespace": manifests.gateway()["metadata"]["namespace"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_are_admitted_and_unrestricted_ones_are_not(server, overlay, rendered_text):
    pod = pod_of(load(rendered_text(overlay)))
    admitted = server.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))
    assert admitted.returncode == 0, admitted.stderr
    pod["spec"] = {**pod["spec"], "securityContext": {}}
    refused = server.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))
    assert refused.returncode != 0 and "violates PodSecurity" in refused.stderr


@pytest.mark.parametrize("example", [name for name, found in examples().items() if found.of("Pod")])
def test_pods_of_examples_are_admitted_from_the_model_pusher(server, example):
    command = ["create", "--dry-run=server", "-n", "tidegate", "-f", str(K8S / "examples" / example)]
    done = server.kubectl(*command, group="tidegate:model-pushers")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("group", "layer", "may"),
    [
        ("tidegate:deployers", "workload", True),
        ("tidegate:deployers", "foundation", False),
        ("tidegate:traffic-operators", "traffic", True),
        ("tidegate:traffic-operators", "workload", False),
        ("tidegate:observers", "traffic", False),
    ],
)
def test_each_role_applies_its_own_layer(server, group, layer, may):
    command = ["apply", "-k", str(K8S / "overlays" / "production"), "-l", f"tidegate.io/layer={layer}"]
    done = server.kubectl(*command, "--server-side", "--force-conflicts", group=group)
    assert (done.returncode == 0) == may, done.stdout + done.stderr
    assert may or "forbidden" in done.stderr


@pytest.mark.parametrize(
    ("group", "verb", "what", "may"),
    [
        ("tidegate:observers", "create", "pods/portforward", True),
        ("tidegate:observers", "create", "pods/exec", False),
        ("tidegate:deployers", "get", "secrets", False),
        ("tidegate:model-pushers", "create", "pods/exec", False),
        ("system:serviceaccounts:tidegate", "get", "configmaps", False),
    ],
)
def test_rights_end_where_they_should(server, group, verb, what, may):
    done = server.kubectl("auth", "can-i", verb, what, "-n", "tidegate", group=group)
    assert done.stdout.strip() == ("yes" if may else "no"), done.stderr
