"""Every check is able to fail: what it is for is broken in memory, and it says so in the words expected here."""

from __future__ import annotations

import pytest

from checks import ALL, exposure, pods, rights, scaling, traffic, wiring
from rendered import POD_LABELS, Manifests, at


def pod(manifests: Manifests) -> dict:
    return manifests.gateway()["spec"]["template"]["spec"]


def container(manifests: Manifests) -> dict:
    return pod(manifests)["containers"][0]


def spec(kind: str, name: str = "tidegate"):
    return lambda manifests: manifests.named(kind, name)["spec"]


def put(where, value, *path):
    """A change: sets what lies at the path from `where`, and takes it away when the value is None."""

    def change(manifests: Manifests):
        *above, last = path
        place = where(manifests)
        for step in above:
            place = place[step]
        if value is None:
            del place[last]
        else:
            place[last] = value

    return change


def both(*changes):
    return lambda manifests: [change(manifests) for change in changes]


def drop(kind: str, name: str):
    return lambda manifests: manifests.objects.remove(manifests.named(kind, name))


def split(text: str):
    return put(lambda m: m.named("ConfigMap", "tidegate-traffic"), text, "data", "traffic.toml")


def config(key: str, value: str):
    named = lambda m: next(one for one in m.of("ConfigMap") if "tidegate.toml" in one["data"])
    return put(named, value, "data", key)


def rename_hash(manifests: Manifests):
    config = next(one for one in manifests.of("ConfigMap") if "tidegate.toml" in one["data"])
    config["metadata"]["name"] = "tidegate-config"


def gpu(manifests: Manifests):
    container(manifests)["resources"]["limits"]["nvidia.com/gpu"] = "1"
    manifests.gateway()["spec"]["strategy"]["rollingUpdate"] = {"maxUnavailable": 2, "maxSurge": 0}


def role(name: str, **words):
    def change(manifests: Manifests):
        rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"], **words}
        manifests.named("Role", name)["rules"].append(rule)

    return change


def hpa(manifests: Manifests):
    target = {"name": "tidegate"}
    scaler = {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 3, "metrics": []}
    manifests.objects.append({"kind": "HorizontalPodAutoscaler", "metadata": {"name": "tidegate"}, "spec": scaler})


CONTROLS = [
    (wiring.every_selector_matches_a_pod, put(spec("Service"), {"app": "other"}, "selector"), "which no pod has"),
    (wiring.every_selector_matches_a_pod, put(spec("PodDisruptionBudget"), {}, "selector"), "by no label"),
    (wiring.every_deployment_selects_its_own_pods, put(lambda m: at(m.gateway(), *POD_LABELS), None, "app.kubernetes.io/component"), "the pods that it makes"),
    (wiring.every_service_monitor_finds_a_port, put(spec("ServiceMonitor"), "metrics", "endpoints", 0, "port"), "no port 'metrics'"),
    (wiring.every_service_monitor_finds_a_port, put(spec("ServiceMonitor"), None, "selector", "matchLabels", "app.kubernetes.io/component"), "selects 2 Services"),
    (wiring.every_named_port_exists, put(spec("Service"), "rest", "ports", 1, "targetPort"), "names port 'rest'"),
    (wiring.every_named_port_exists, put(spec("NetworkPolicy", "tidegate-admin"), "metrics", "ingress", 0, "ports", 0, "port"), "names port 'metrics'"),
    (wiring.every_named_port_exists, put(container, "health", "livenessProbe", "httpGet", "port"), "livenessProbe asks port 'health'"),
    (wiring.every_backend_exists, put(spec("HTTPRoute"), 80, "rules", 0, "backendRefs", 0, "port"), "leads to port 80"),
    (wiring.every_backend_exists, put(spec("GRPCRoute"), "gone", "rules", 0, "backendRefs", 0, "name"), "Service 'gone'"),
    (wiring.every_backend_exists, put(spec("Ingress"), {"service": {"name": "tidegate", "port": {"name": "web"}}}, "rules", 0, "http", "paths", 0, "backend"), "leads to port 'web'"),
    (wiring.every_reference_leads_somewhere, drop("ConfigMap", "tidegate-traffic"), "ConfigMap 'tidegate-traffic', which is not there"),
    (wiring.every_reference_leads_somewhere, put(container, "modelname", "env", 0, "valueFrom", "configMapKeyRef", "key"), "no such key"),
    (wiring.every_reference_leads_somewhere, drop("Role", "tidegate-deployer"), "Role 'tidegate-deployer'"),
    (wiring.every_mount_has_its_volume, put(container, "weights", "volumeMounts", 0, "name"), "'weights' is only mounted"),
    (wiring.every_object_is_in_the_namespace, put(lambda m: m.named("Service", "tidegate"), "default", "metadata", "namespace"), "is in namespace 'default'"),
    (wiring.every_object_is_in_the_namespace, drop("Namespace", "tidegate"), "expected one Namespace"),
    (pods.every_quantity_can_be_read, put(container, "1GB", "resources", "limits", "memory"), "'1GB' is no quantity"),
    (pods.every_quantity_can_be_read, put(lambda m: pod(m)["volumes"], {"name": "state", "emptyDir": {}}, -1), "sizeLimit"),
    (pods.every_container_asks_for_what_it_needs, put(container, None, "resources", "requests", "cpu"), "asks for no cpu"),
    (pods.every_container_asks_for_what_it_needs, put(container, "2Gi", "resources", "requests", "memory"), "more memory than its limit"),
    (pods.every_container_asks_for_what_it_needs, put(container, {}, "resources", "limits"), "no limit on memory"),
    (pods.every_container_is_restricted, put(pod, 0, "securityContext", "runAsUser"), "may run as root"),
    (pods.every_container_is_restricted, put(pod, None, "securityContext", "seccompProfile"), "no seccomp profile"),
    (pods.every_container_is_restricted, put(container, None, "securityContext", "allowPrivilegeEscalation"), "may gain privileges"),
    (pods.every_container_is_restricted, put(container, True, "securityContext", "privileged"), "is privileged"),
    (pods.every_container_is_restricted, put(container, ["NET_BIND_SERVICE"], "securityContext", "capabilities", "add"), "keeps capabilities"),
    (pods.every_container_is_restricted, put(container, False, "securityContext", "readOnlyRootFilesystem"), "may write to its root"),
    (pods.every_container_is_restricted, put(pod, True, "hostNetwork"), "has hostNetwork"),
    (pods.every_container_is_restricted, put(lambda m: pod(m)["volumes"], {"name": "state", "hostPath": {"path": "/"}}, -1), "is of kind ['hostPath']"),
    (pods.every_pod_has_time_to_end, put(pod, 45, "terminationGracePeriodSeconds"), "is killed after 45 s"),
    (pods.every_pod_has_time_to_end, put(container, 30, "lifecycle", "preStop", "sleep", "seconds"), "which is not above 30"),
    (pods.every_pod_has_time_to_end, put(container, None, "lifecycle"), "how long it takes to end"),
    (pods.every_probe_asks_the_right_question, put(container, "/livez", "readinessProbe", "httpGet", "path"), "expected /readyz"),
    (pods.every_probe_asks_the_right_question, put(container, "http", "livenessProbe", "httpGet", "port"), "on the admin port"),
    (pods.every_path_of_the_gateway_is_mounted, put(container, "traffic.toml", "volumeMounts", 2, "subPath"), "never updated"),
    (pods.every_path_of_the_gateway_is_mounted, put(container, None, "volumeMounts", 0, "readOnly"), "/models is mounted to be written"),
    (pods.every_path_of_the_gateway_is_mounted, put(container, "/etc/tidegate/traffic.toml", "env", 5, "value"), "TIDEGATE_TRAFFIC names /etc/tidegate/traffic.toml"),
    (pods.every_path_of_the_gateway_is_mounted, config("model_path", "/var/models"), "model_path is /var/models"),
    (pods.every_path_of_the_gateway_is_mounted, put(container, "/var/lib", "volumeMounts", -1, "mountPath"), "cannot be written"),
    (pods.every_gateway_has_memory_for_its_bodies, put(container, "256Mi", "resources", "limits", "memory"), "bodies alone may take 256"),
    (pods.every_gateway_is_alone_with_its_names, put(pod, None, "enableServiceLinks"), "TIDEGATE_PORT"),
    (pods.every_gateway_is_alone_with_its_names, put(pod, True, "automountServiceAccountToken"), "gets a token"),
    (traffic.every_split_adds_up, split("[models.digits]\nweights = { blue = 100 }"), "'blue' has a weight and is no label"),
    (traffic.every_split_adds_up, split("[models.digits]\nlabels = { blue = 1 }\nweights = { blue = 0 }"), "no weight is above 0"),
    (traffic.every_split_adds_up, split("[models.digits]\nweights = { 1 = 10001 }"), "not from 0 to 10000"),
    (traffic.every_split_adds_up, split("[models.digits]\nlabels = { blue = 0 }"), "which is no version"),
    (traffic.every_split_adds_up, split("[models.digits]\nweight = { 1 = 1 }"), "'weight' is not known"),
    (traffic.every_split_adds_up, split("[model.digits]"), "'model' is not known"),
    (traffic.every_split_adds_up, split("[models.digits"), "traffic.toml: "),
    (traffic.every_split_adds_up, drop("ConfigMap", "tidegate-traffic"), "must not have a hash"),
    (traffic.every_default_model_has_a_split, config("model_name", "digit"), "model_name is 'digit'"),
    (traffic.every_default_model_has_a_split, config("batch_size", "128"), "do not go together"),
    (traffic.every_default_model_has_a_split, rename_hash, "has no hash"),
    (scaling.every_disruption_leaves_gateways, put(spec("PodDisruptionBudget"), 0, "maxUnavailable"), "nodes cannot be drained"),
    (scaling.every_disruption_leaves_gateways, put(spec("PodDisruptionBudget"), 2, "maxUnavailable"), "lets all 2 pods go"),
    (scaling.every_disruption_leaves_gateways, both(put(spec("PodDisruptionBudget"), None, "maxUnavailable"), put(spec("PodDisruptionBudget"), 2, "minAvailable")), "lets no pod go of 2"),
    (scaling.every_disruption_leaves_gateways, put(spec("PodDisruptionBudget"), "50%", "maxUnavailable"), "say a number"),
    (scaling.every_gateway_has_at_most_one_autoscaler, hpa, "pull at the same number"),
    (scaling.every_gateway_has_at_most_one_autoscaler, put(spec("ScaledObject"), "gateway", "scaleTargetRef", "name"), "'gateway', which is not there"),
    (scaling.every_gateway_has_at_most_one_autoscaler, put(spec("ScaledObject"), 1, "maxReplicaCount"), "scales from 2 to 1"),
    (scaling.every_gateway_has_at_most_one_autoscaler, put(lambda m: m.gateway()["spec"], 3, "replicas"), "undoes what the autoscaler did"),
    (scaling.every_rollout_keeps_gateways, put(lambda m: m.gateway()["spec"], 1, "strategy", "rollingUpdate", "maxUnavailable"), "before there are others"),
    (scaling.every_rollout_keeps_gateways, put(lambda m: m.gateway()["spec"], 0, "strategy", "rollingUpdate", "maxSurge"), "can never begin"),
    (scaling.every_rollout_keeps_gateways, gpu, "may take all 2 gateways"),
    (exposure.every_way_in_leads_to_the_data_port, both(put(spec("HTTPRoute"), "tidegate-admin", "rules", 0, "backendRefs", 0, "name"), put(spec("HTTPRoute"), 8502, "rules", 0, "backendRefs", 0, "port")), "HTTPRoute/tidegate leads to the admin port"),
    (exposure.every_way_in_leads_to_the_data_port, put(spec("Service", "tidegate-admin"), "LoadBalancer", "type"), "reachable from outside"),
    (exposure.every_way_in_leads_to_the_data_port, put(spec("Service", "tidegate-admin"), None, "clusterIP"), "gives it an address"),
    (exposure.every_way_in_leads_to_the_data_port, put(spec("Service"), {"name": "rest", "port": 80, "targetPort": "admin"}, "ports", 1), "mixes the admin port"),
    (exposure.every_way_in_leads_to_the_data_port, put(container, 8501, "ports", 1, "hostPort"), "a port of its node"),
    (exposure.every_path_from_outside_is_a_prediction, put(spec("Ingress"), "/", "rules", 0, "http", "paths", 0, "path"), "lets '/' in"),
    (exposure.every_path_from_outside_is_a_prediction, put(spec("HTTPRoute"), "/metrics", "rules", 0, "matches", 0, "path", "value"), "lets '/metrics' in"),
    (exposure.every_path_from_outside_is_a_prediction, put(spec("GRPCRoute"), None, "rules", 0, "matches"), "lets 'everything' in"),
    (exposure.every_connection_is_denied_unless_named, drop("NetworkPolicy", "default-deny"), "nothing denies"),
    (exposure.every_connection_is_denied_unless_named, put(spec("NetworkPolicy", "default-deny"), ["Ingress"], "policyTypes"), "nothing denies"),
    (exposure.every_connection_is_denied_unless_named, put(spec("NetworkPolicy", "tidegate-data"), [], "ingress", 0, "from"), "lets everybody in"),
    (exposure.every_connection_is_denied_unless_named, put(spec("NetworkPolicy", "tidegate-admin"), [{"podSelector": {}}], "ingress", 0, "from"), "others than the scraper"),
    (exposure.every_connection_is_denied_unless_named, put(spec("NetworkPolicy", "tidegate-data"), [{}], "egress"), "connect to others"),
    (exposure.every_gateway_port_is_covered, put(spec("NetworkPolicy", "tidegate-data"), None, "ingress", 0, "ports", 1), "nobody is let in to port 'http'"),
    (exposure.every_namespace_is_restricted, put(lambda m: m.named("Namespace", "tidegate"), "baseline", "metadata", "labels", "pod-security.kubernetes.io/enforce"), "enforces 'baseline'"),
    (exposure.every_secret_is_made_for_dev, lambda m: m.objects.append({"kind": "Secret", "metadata": {"name": "k"}}), "is in the repository"),
    (rights.every_object_is_in_a_layer, put(lambda m: m.named("Service", "tidegate"), None, "metadata", "labels", "tidegate.io/layer"), "is in layer None"),
    (rights.every_layer_has_its_role, put(lambda m: m.named("NetworkPolicy", "tidegate-data"), "workload", "metadata", "labels", "tidegate.io/layer"), "may not apply NetworkPolicy/tidegate-data"),
    (rights.every_layer_has_its_role, role("tidegate-deployer", resources=["persistentvolumeclaims"], verbs=["patch"]), "may change PersistentVolumeClaim/tidegate-models"),
    (rights.every_layer_has_its_role, role("tidegate-traffic-operator"), "may ['get'] everything"),
    (rights.every_role_is_least, role("tidegate-observer", resources=["*"]), "has a wildcard"),
    (rights.every_role_is_least, role("tidegate-observer", resources=["secrets"]), "may read secrets"),
    (rights.every_role_is_least, role("tidegate-observer", resources=["pods/exec"], verbs=["create"]), "may enter every pod"),
    (rights.every_role_is_least, role("tidegate-observer", apiGroups=["rbac.authorization.k8s.io"], resources=["roles"]), "may give rights"),
    (rights.every_gateway_is_without_rights, put(lambda m: m.named("RoleBinding", "tidegate-observer"), [{"kind": "ServiceAccount", "name": "tidegate"}], "subjects"), "ServiceAccount 'tidegate'"),
    (rights.every_gateway_is_without_rights, put(lambda m: m.named("ServiceAccount", "tidegate"), True, "automountServiceAccountToken"), "hands its token"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("check", "change", "phrase"), CONTROLS, ids=[f"{check.__name__}: {phrase}" for check, _, phrase in CONTROLS]
)
def test_check_objects(check, change, phrase, everything):
    problems = list(check(everything.mutated(change)))
    assert any(phrase in problem for problem in problems), problems


def test_every_check_has_a_control():
    controlled = {check for check, _, _ in CONTROLS}
    assert [check.__name__ for check in ALL if check not in controlled] == []
