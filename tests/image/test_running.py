"""A gateway in a container that may do nothing: no capabilities, no new privileges, a root that cannot be written."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy
import pytest
import tritonclient.grpc
from conftest import image_release
from engine import HARDENED, SERVES_DIGITS, Container, Engine, post

EXIT_IN_TIME_S = 2.0


def digits_in(answer: dict) -> list[int]:
    """The digits that an answer names, whichever of the three JSON formats it is in."""
    if "class" in answer:
        return [answer["class"]]
    if "predictions" in answer:
        return [row["label"] for row in answer["predictions"]]
    return next(output["data"] for output in answer["outputs"] if output["name"] == "label")


@pytest.mark.parametrize(
    ("path", "sample"),
    [
        ("/predict", "seven.json"),
        ("/v1/models/digits/labels/blue:predict", "seven.tf.json"),
        ("/v2/models/digits/versions/2/infer", "seven.v2.json"),
        ("/v2/models/digits/infer", "batch.v2.json"),
    ],
)
@pytest.mark.parametrize("port", [8500, 8501])
def test_the_demo_is_answered_rightly_over_http(gateway: Container, samples: Path, path: str, sample: str, port: int):
    expected = json.loads((samples / "expected.json").read_text())[sample]
    answer = post(f"http://{gateway.address(port)}{path}", (samples / sample).read_bytes())
    assert digits_in(answer) == expected


def test_the_demo_is_answered_rightly_over_grpc(gateway: Container, samples: Path):
    sample = json.loads((samples / "batch.v2.json").read_text())["inputs"][0]
    pixels = tritonclient.grpc.InferInput(sample["name"], sample["shape"], "FP32")
    pixels.set_data_from_numpy(numpy.array(sample["data"], dtype=numpy.float32).reshape(sample["shape"]))
    with tritonclient.grpc.InferenceServerClient(gateway.address(8500)) as client:
        answer = client.infer("digits", [pixels], client_timeout=10)
    assert answer.as_numpy("label").tolist() == json.loads((samples / "expected.json").read_text())["batch.v2.json"]


def test_the_probe_says_that_it_is_ready(gateway: Container):
    outcome = gateway.exec("/usr/local/bin/tidegate", "probe")
    assert outcome.returncode == 0, outcome.stderr


def test_the_health_check_finds_it_healthy(gateway: Container, engine: Engine):
    outcome = engine.call("healthcheck", "run", gateway.name)
    assert (outcome.returncode, gateway.inspect()["State"]["Health"]["Status"]) == (0, "healthy"), outcome.stdout


def test_the_probe_says_no_where_nobody_answers(gateway: Container):
    # Were it to say yes to everything, the two tests above would pass, too.
    outcome = gateway.exec("/usr/local/bin/tidegate", "probe", "--admin", "http://127.0.0.1:8599")
    assert outcome.returncode == 1
    assert "8599" in outcome.stderr


def test_it_runs_as_nobody_in_particular_without_any_rights(gateway: Container):
    status = dict(line.split(":\t", 1) for line in (gateway.process_folder() / "status").read_text().splitlines() if ":\t" in line)
    assert status["Uid"].split() == ["65532"] * 4
    assert {status[name] for name in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"


def test_the_memory_limit_is_in_force(gateway: Container):
    groups = [line.split(":", 2) for line in (gateway.process_folder() / "cgroup").read_text().splitlines()]
    files = [
        Path(f"/sys/fs/cgroup/memory{path}/memory.limit_in_bytes") if "memory" in kinds else Path(f"/sys/fs/cgroup{path}/memory.max")
        for _, kinds, path in groups
        if kinds == "" or "memory" in kinds
    ]
    limits = [int(file.read_text()) for file in files if file.is_file() and file.read_text().strip().isdigit()]
    assert 512 * 1024 * 1024 in limits


def written(engine: Engine, container: Container) -> list[str]:
    """What a container has added to or changed in its image, other than the engine's own files in /etc."""
    lines = [line.split(" ", 1) for line in engine.ask("diff", container.name).splitlines()]
    return [path for _, path in lines if path != "/etc" and not path.startswith("/etc/")]


def test_nothing_is_written_outside_the_state_folder(gateway: Container, engine: Engine, samples: Path):
    post(f"http://{gateway.address(8501)}/predict", (samples / "seven.json").read_bytes())
    assert written(engine, gateway) == []
    inside = gateway.process_folder() / "root"
    assert "state.json.lock" in {path.name for path in (inside / "var/lib/tidegate").iterdir()}


def test_what_is_written_without_a_read_only_root_would_have_been_seen(engine: Engine, image: str):
    with engine.container(image, "--cap-drop=ALL", *SERVES_DIGITS) as container:
        container.wait_until_ready()
        assert "/var/lib/tidegate" in written(engine, container)


def test_home_stays_empty_although_it_could_be_written(engine: Engine, image: str, samples: Path):
    # ONNX Runtime's telemetry would put its files there.
    home = ("--tmpfs", "/tmp", "--tmpfs", "/home/tester:mode=1777,notmpcopyup", "-e", "HOME=/home/tester")
    with engine.container(image, *HARDENED, *home, *SERVES_DIGITS) as container:
        container.wait_until_ready()
        post(f"http://{container.address(8501)}/predict", (samples / "seven.json").read_bytes())
        inside = container.process_folder() / "root"
        assert (inside / "home/tester").stat().st_mode & 0o002
        assert [*(inside / "home/tester").rglob("*"), *(inside / "tmp").rglob("*")] == []


def test_it_runs_as_whichever_user_the_cluster_picks(engine: Engine, image: str, samples: Path):
    # OpenShift gives each namespace numbers of its own.
    with engine.container(image, *HARDENED, "--user", "1000620000:0", *SERVES_DIGITS) as container:
        container.wait_until_ready()
        answer = post(f"http://{container.address(8501)}/predict", (samples / "seven.json").read_bytes())
        assert digits_in(answer) == [7]


def test_sigterm_ends_it_in_time_and_with_status_0(engine: Engine, image: str):
    with engine.container(image, *HARDENED, *SERVES_DIGITS) as container:
        container.wait_until_ready()
        began = time.monotonic()
        engine.ask("kill", "--signal", "TERM", container.name)
        assert container.wait() == 0, container.log()
        assert time.monotonic() - began < EXIT_IN_TIME_S


def test_a_mistake_in_the_configuration_is_named_and_the_status_is_2(engine: Engine, image: str):
    with engine.container(image, *HARDENED, *SERVES_DIGITS, "-e", "BATCH_SIZE=many") as container:
        assert container.wait() == 2
        assert "BATCH_SIZE" in container.log() and "many" in container.log()


def test_a_state_folder_that_cannot_be_written_is_named(engine: Engine, image: str):
    without_state = HARDENED[: HARDENED.index("--tmpfs")]
    with engine.container(image, *without_state, *SERVES_DIGITS) as container:
        assert container.wait() != 0
        assert "/var/lib/tidegate" in container.log()


def test_the_question_that_a_release_asks_is_answered(engine: Engine, image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # The release asks with docker; what it uses of it, podman has, too.
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\nexec podman "$@"\n')
    docker.chmod(0o755)
    for name, value in {**engine.environment, "PATH": f"{tmp_path}:{engine.environment['PATH']}"}.items():
        monkeypatch.setenv(name, value)
    image_release.ask(image, tmp_path / "bill.json")
    assert json.loads((tmp_path / "bill.json").read_text())["bomFormat"] == "CycloneDX"


def test_a_release_whose_answers_are_wrong_is_refused(engine: Engine, image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(image_release, "docker", lambda *arguments: "127.0.0.1:1" if arguments[0] == "port" else "0")
    with pytest.raises(image_release.ReleaseError, match="seven.json"):
        image_release.ask(image, tmp_path / "bill.json")
