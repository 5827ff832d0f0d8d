"""docs/deploy.md, followed by the real kubectl against a stand-in for a cluster (stand_in/): every command is typed as it
stands there, ends well, and leaves what the page says. Commands that need containers are listed in runbook.py, each with its
reason; where the page goes on from what they do, `Walk.instead` does it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import toml_reader
from gateway import environment, tidegate
from rendered import K8S, ROOT, VARIANTS, examples, kubectl, load
from runbook import CANNOT_RUN, RUN, SHELL, Shell, commands, may_run, parts
from stand_in.kinds import resources_of
from stand_in.server import ApiServer, Request, listening
from stand_in.world import World

PAGE = (ROOT / "docs" / "deploy.md").read_text()
TRAFFIC = "k8s/overlays/production/traffic.toml"
LAYER = "tidegate.io/layer"
# Who works behind the API server makes these; no layer has them.
OTHERS = {"ReplicaSet", "Pod", "Event"}


@dataclass
class Step:
    command: str
    output: str
    asked: list[Request]
    before: dict
    after: dict

    def changed(self) -> list[dict]:
        """By whoever typed."""
        changed = [one for key, one in self.after.items() if self.before.get(key) != one]
        return [one for one in changed if one["kind"] not in OTHERS]

    def named(self, kind: str, name: str, namespace: str = "tidegate") -> dict | None:
        found = [one for key, one in self.after.items() if (key[0].kind, *key[1:]) == (kind, namespace, name)]
        return found[0] if found else None


@dataclass
class Walk:
    """One reader at one cluster, with a copy of k8s/ to edit."""

    folder: Path
    api: ApiServer
    world: World
    shell: Shell
    steps: list[Step] = field(default_factory=list)
    canary: list[Step] = field(default_factory=list)

    def follow(self, page: str) -> None:
        for command in commands(page):
            self.prepare(page, command)
            if may_run(command):
                self.steps.append(self.type(command))
            else:
                self.instead(command)

    def prepare(self, page: str, command: str) -> None:
        """What the page tells in prose: the split is edited before it is applied, goes to green in steps before it goes
        back, and a release is a change of the image."""
        if f"{LAYER}=traffic" in command:
            (split,) = re.findall(rf"```toml\n# {TRAFFIC}\n(.*?)```", page, re.DOTALL)
            (self.folder / TRAFFIC).write_text(split)
        if "patch configmap" in command:
            for weights in re.findall(r"`(\{ blue = \d+, green = \d+ \})`", page):
                self.canary.append(self.move(weights))
        if f"{LAYER}=workload" in command:
            release(self.folder)

    def move(self, weights: str) -> Step:
        file = self.folder / TRAFFIC
        file.write_text(re.sub(r"weights = .*", f"weights = {weights}", file.read_text()))
        return self.type(self.step(f"{LAYER}=traffic").command)

    def instead(self, command: str) -> None:
        if command.endswith("touch /incoming/complete"):
            self.world.file_complete = True

    def type(self, command: str) -> Step:
        store, asked = self.api.store, len(self.api.asked)
        before = dict(store.objects)
        status, output = self.shell.type(command)
        assert status == 0, f"{command}\n{output}"
        return Step(command, output, self.api.asked[asked:], before, dict(store.objects))

    def step(self, part: str) -> Step:
        """The first whose command has the part."""
        return next(one for one in self.steps if part in one.command)


def release(folder: Path) -> None:
    """Another image, and another size of batches: the ConfigMap of the name with a hash changes, too."""
    for file, old, new in (
        ("overlays/production/kustomization.yaml", r"newTag: .*", "newTag: next"),
        ("base/kustomization.yaml", r"max_batch_size=\d+", "max_batch_size=7"),
    ):
        text, count = re.subn(old, new, (folder / "k8s" / file).read_text())
        assert count == 1, f"{file} has {old!r} {count} times, expected once"
        (folder / "k8s" / file).write_text(text)


@pytest.fixture(scope="module")
def known(rendered_text):
    """The kinds of everything that is applied."""
    manifests = [load(rendered_text(name)) for name in VARIANTS] + list(examples().values())
    return resources_of(one for found in manifests for one in found.objects)


@contextmanager
def reader(folder: Path, known):
    kubectl()
    shutil.copytree(K8S, folder / "k8s")
    api = ApiServer(known)
    world = World(api)
    for namespace in ("default", "kube-system", "ingress-nginx"):
        world.namespace(namespace)
    with listening(api) as address:
        config = folder / "kubeconfig"
        config.write_text(json.dumps(kubeconfig(address)))
        names = {"KUBECONFIG": str(config), "HOME": str(folder), "KUBECACHEDIR": str(folder / "cache")}
        with Shell(folder, names) as shell:
            yield Walk(folder, api, world, shell)


def kubeconfig(address: str) -> dict:
    return {
        **{"apiVersion": "v1", "kind": "Config", "current-context": "stand-in"},
        "clusters": [{"name": "stand-in", "cluster": {"server": address}}],
        "contexts": [{"name": "stand-in", "context": {"cluster": "stand-in", "user": "reader"}}],
        "users": [{"name": "reader", "user": {}}],
    }


@pytest.fixture
def fresh(tmp_path, known):
    with reader(tmp_path, known) as walk:
        yield walk


@pytest.fixture(scope="module")
def followed(tmp_path_factory, known):
    """The whole page, once."""
    with reader(tmp_path_factory.mktemp("runbook"), known) as walk:
        walk.follow(PAGE)
        yield walk


def test_every_command_of_the_page_runs_or_has_a_reason_why_not():
    found = commands(PAGE)
    assert found and all(may_run(command) in (True, False) for command in found)
    programs = {part for command in found if not SHELL.match(command) for part in parts(command)}
    assert (RUN | CANNOT_RUN.keys()) - programs == set(), "listed, and no longer on the page"


def test_every_command_ends_well_and_finds_something(followed):
    assert [step.command for step in followed.steps] == [command for command in commands(PAGE) if may_run(command)]
    for step in followed.steps:
        assert not re.search("warning|deprecated|no resources found|error", step.output, re.IGNORECASE), step.output


def test_namespaces_carry_what_the_network_rules_ask_for(followed):
    labelled = followed.step("label namespace ingress-nginx").named("Namespace", "ingress-nginx", "")
    stranger = followed.step("create namespace stranger").named("Namespace", "stranger", "")
    assert labelled["metadata"]["labels"] == stranger["metadata"]["labels"] == {"tidegate.io/client": "true"}
    assert followed.step("delete namespace stranger").named("Namespace", "stranger", "") is None


@pytest.mark.parametrize("layer", ["foundation", "workload", "traffic"])
def test_a_layer_is_applied_without_the_others(followed, layer):
    step = followed.step(f"-l {LAYER}={layer}")
    assert {one["metadata"]["labels"][LAYER] for one in step.changed()} == {layer}


def test_the_foundation_is_whole_and_is_left_alone_afterwards(followed, production):
    of_layer = {name(one) for one in production.objects if one["metadata"]["labels"][LAYER] == "foundation"}
    assert {name(one) for one in followed.step(f"-l {LAYER}=foundation").changed()} == of_layer
    everything = followed.steps[followed.steps.index(followed.step("create secret")) + 1]
    assert everything.command == "kubectl apply -k k8s/overlays/production"
    assert {name(one) for one in everything.changed()} == {name(one) for one in production.objects} - of_layer


def name(one: dict) -> tuple[str, str]:
    return one["kind"], one["metadata"]["name"]


@pytest.mark.parametrize("overlay", ["dev", "production", "gpu"])
def test_applying_again_changes_nothing(fresh, overlay):
    command = f"kubectl apply -k k8s/overlays/{overlay}"
    assert fresh.type(command).changed()
    again = fresh.type(command)
    assert again.before == again.after


def test_the_secret_is_three_keys_and_the_token_of_the_scraper(followed):
    keys, token = secret(followed.step("create secret"))
    assert [(who, scopes) for who, _, scopes in keys] == [("web", "predict"), ("ops", "predict,admin"), ("scraper", "metrics")]
    hashes = [key for _, key, _ in keys]
    assert len(set(hashes)) == 3 and all(re.fullmatch("sha256:[0-9a-f]{64}", one) for one in hashes)
    assert hashes[2] == "sha256:" + hashlib.sha256(token.encode()).hexdigest()


def secret(step: Step) -> tuple[list[list[str]], str]:
    """The lines of the file of keys, in words, and the scraper's token."""
    data = step.named("Secret", "tidegate-api-key")["data"]
    keys, token = (base64.b64decode(data[key]).decode() for key in ("api_key", "scrape_token"))
    return [line.split() for line in keys.splitlines()], token


def test_the_same_command_changes_the_keys(followed):
    made = followed.step("create secret")
    changed = followed.type(made.command.replace("predict,admin", "admin"))
    assert [scopes for _, _, scopes in secret(changed)[0]] == ["predict", "admin", "metrics"]
    # `apply` over something that `create` alone has made would.
    assert "Warning" not in changed.output


def split(step: Step) -> dict:
    return toml_reader.loads(step.named("ConfigMap", "tidegate-traffic")["data"]["traffic.toml"])["models"]["digits"]


def test_traffic_goes_to_green_in_steps_and_back_in_one(followed):
    begun, back = followed.step(f"-l {LAYER}=traffic"), followed.step("patch configmap")
    assert [split(one)["weights"]["green"] for one in (begun, *followed.canary, back)] == [0, 10, 50, 100, 0]
    assert split(back) == split(begun) == {"labels": {"blue": 1, "green": 2}, "weights": {"blue": 100, "green": 0}}
    for one in (begun, *followed.canary, back):
        assert [name(changed) for changed in one.changed()] == [("ConfigMap", "tidegate-traffic")]


def test_a_rollout_is_undone_with_its_configuration(followed):
    before, after, undone = (
        gateway(step) for step in (followed.step("patch configmap"), followed.step("=workload"), followed.step("rollout undo"))
    )
    assert before == undone and before["image"] != after["image"] and before["config"] != after["config"]
    assert followed.step("rollout undo").named("ConfigMap", undone["config"])


def gateway(step: Step) -> dict[str, str]:
    pod = step.named("Deployment", "tidegate")["spec"]["template"]["spec"]
    (config,) = [volume["configMap"]["name"] for volume in pod["volumes"] if volume["name"] == "config"]
    return {"image": pod["containers"][0]["image"], "config": config}


def test_the_rollout_is_waited_for(followed):
    for step in followed.steps:
        if "rollout status" in step.command:
            waiting, done = step.output.strip().splitlines()
            assert waiting.startswith("Waiting") and done.endswith("successfully rolled out")


@pytest.mark.parametrize(
    ("role", "typed"),
    [
        ("tidegate-deployer", [f"-l {LAYER}=workload", "rollout status", "rollout undo"]),
        ("tidegate-traffic-operator", [f"-l {LAYER}=traffic", "patch configmap"]),
        ("tidegate-model-pusher", ["model-push.yaml", "initContainerStatuses", "=Succeeded", "delete pod"]),
        ("tidegate-observer", ["get pods -l", "get events"]),
    ],
)
def test_each_role_may_do_what_its_commands_ask(followed, production, role, typed):
    rules = production.named("Role", role)["rules"]
    asked = [one for part in typed for one in followed.step(part).asked if not may_be_refused(one)]
    assert asked and [one for one in asked if not any(allows(rule, one) for rule in rules)] == []


def may_be_refused(asked: Request) -> bool:
    """`kubectl apply` looks at the namespace before it makes something there, and goes on when it may not."""
    return (asked.verb, asked.resource.kind) == ("get", "Namespace")


def test_a_role_may_not_do_what_others_do(followed, production):
    rules = production.named("Role", "tidegate-traffic-operator")["rules"]
    asked = followed.step(f"-l {LAYER}=workload").asked
    assert asked and not any(allows(rule, one) for rule in rules for one in asked)


def allows(rule: dict, asked: Request) -> bool:
    return (
        asked.resource.group in rule["apiGroups"]
        and asked.resource.plural in rule["resources"]
        and asked.verb in rule["verbs"]
        and asked.name in rule.get("resourceNames", [asked.name])
    )


def test_the_gateway_takes_keys_and_split_as_they_lie_in_the_cluster(followed, production, tmp_path):
    variables = environment(production, tmp_path)
    keys, _ = secret(followed.step("create secret"))
    Path(variables["TIDEGATE_API_KEYS"]).write_text("".join(" ".join(line) + "\n" for line in keys))
    traffic = followed.step("patch configmap").named("ConfigMap", "tidegate-traffic")["data"]["traffic.toml"]
    Path(variables["TIDEGATE_TRAFFIC"]).write_text(traffic)
    done = tidegate("check-config", environment=variables)
    assert done.returncode == 0, done.stderr
    Path(variables["TIDEGATE_API_KEYS"]).write_text("web sha256:short predict\n")
    assert tidegate("check-config", environment=variables).returncode != 0


@pytest.mark.parametrize(
    ("right", "wrong", "says"),
    [
        ("-l tidegate.io/layer=foundation", "-l tidegate.io/layer=foundations", "no objects passed to apply"),
        ("-f k8s/examples/model-push.yaml", "-f k8s/examples/push-model.yaml", "does not exist"),
        ("kubectl label namespace ingress-nginx", "kubectl annotate namespace ingress-nginx", "neither in RUN nor"),
        ("label namespace ingress-nginx", "label namespace ingress", "not found"),
        ('wait pod/tidegate-model-push', 'wait pod/tidegate-push', "not found"),
    ],
)
def test_a_page_with_a_mistake_is_found(fresh, right, wrong, says):
    (block,) = [one for one in re.findall("```console\n.*?```\n", PAGE, re.DOTALL) if right in one]
    fresh.world.namespace("tidegate")
    with pytest.raises(AssertionError, match=says):
        fresh.follow(block.replace(right, wrong))


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("kubectl create configmap one --dry-run=server", "dry runs on the server"),
        ("kubectl apply --server-side -f k8s/base/serviceaccount.yaml", "application/apply-patch.yaml is not known here"),
        ("kubectl patch namespace default --type merge -p '{\"specs\":1}'", "Additional properties"),
        ("kubectl patch namespace default --type merge -p '{\"metadata\":{\"resourceVersion\":\"7\"}}'", "has been changed"),
        ("kubectl get pods -l 'app in (one, two)'", "the selector"),
        ("kubectl get nothings", "doesn't have a resource type"),
    ],
)
def test_what_the_stand_in_does_not_know_it_refuses(fresh, command, says):
    with pytest.raises(AssertionError, match=says):
        fresh.type(command)


@pytest.mark.parametrize("example", ["model-command.yaml", "model-push-from-image.yaml", "models-volume-nfs.yaml"])
def test_other_examples_can_be_applied(fresh, example):
    fresh.world.namespace("tidegate")
    assert "created" in fresh.type(f"kubectl -n tidegate apply -f k8s/examples/{example}").output
