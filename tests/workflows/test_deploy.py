"""The pipelines' scripts against a real gateway: each does its work, and each finds its way back."""

from __future__ import annotations

import re
import sys

import pytest
from conftest import DIGITS, ROOT, SAMPLES, TRAFFIC, FakeCluster

IMAGE = "ghcr.io/tidegate/tidegate@sha256:" + "ab" * 32
OVERLAY = ("--overlay", str(ROOT / "k8s/overlays/production"))
QUICKLY = ("--settle", "20", "--watch", "0")

reads_toml = pytest.mark.skipif(sys.version_info < (3, 11), reason="move_weights.py needs Python 3.11, which reads TOML")


def test_a_rollout_that_answers_rightly_stays(cluster: FakeCluster):
    outcome = cluster.run("deploy.py", *OVERLAY, "--image", IMAGE)
    assert outcome.returncode == 0, outcome.stderr
    assert cluster.state["applied"]["images"][0]["digest"] == IMAGE.split("@")[1]
    assert not cluster.calls("rollout", "undo")


def test_a_rollout_that_answers_wrongly_is_rolled_back(cluster: FakeCluster):
    (cluster.folder / "traffic.toml").write_text("[models.digits]\nlabels = {}\nweights = { 3 = 100 }\n")
    wait = cluster.run("move_weights.py", "--model", "digits", "--weights", "3=100", *QUICKLY)
    assert wait.returncode == 0, wait.stderr
    outcome = cluster.run("deploy.py", *OVERLAY, "--image", IMAGE)
    assert outcome.returncode == 1
    assert "seven.v2.json: expected [7]" in outcome.stderr and "rolled back" in outcome.stderr
    assert cluster.calls("rollout")[-2:] == [["rollout", "undo", "deployment/tidegate"], cluster.calls("rollout", "status")[-1]]


def test_a_rollout_that_does_not_end_is_rolled_back(cluster: FakeCluster):
    cluster.set(rollout_fails=True)
    outcome = cluster.run("deploy.py", *OVERLAY, "--image", IMAGE)
    assert (outcome.returncode, len(cluster.calls("rollout", "undo"))) == (1, 1)
    assert "timed out" in outcome.stderr


def test_a_first_rollout_has_nothing_to_go_back_to(cluster: FakeCluster):
    cluster.set(rollout_fails=True, revision=0)
    outcome = cluster.run("deploy.py", *OVERLAY, "--image", IMAGE)
    assert (outcome.returncode, cluster.calls("rollout", "undo")) == (1, [])
    assert "nothing before it" in outcome.stderr


def test_an_image_by_tag_is_refused(cluster: FakeCluster):
    outcome = cluster.run("deploy.py", *OVERLAY, "--image", "ghcr.io/tidegate/tidegate:latest")
    assert (outcome.returncode, cluster.calls()) == (2, [])
    assert "a tag may move" in outcome.stderr


def test_a_pushed_version_is_waited_for_until_the_gateway_has_it(cluster: FakeCluster):
    new = ("--model", "digits", "--version", "4", "--file", str(DIGITS / "repository/digits/2/model.onnx"))
    outcome = cluster.run("push_model.py", *new, "--by", "somebody")
    assert outcome.returncode == 0, outcome.stderr
    assert "pushed digits 4" in outcome.stdout and "ready on every gateway" in outcome.stdout
    assert cluster.state["pod"] is None


def test_a_file_that_is_refused_is_told_in_the_words_of_the_refusal(cluster: FakeCluster, tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"not a model")
    outcome = cluster.run("push_model.py", "--model", "digits", "--version", "4", "--file", str(tmp_path / "bad.onnx"))
    assert outcome.returncode == 1
    assert "does not load" in outcome.stderr
    assert cluster.state["pod"] is None


def test_a_second_push_at_the_same_time_leaves_the_first_alone(cluster: FakeCluster):
    cluster.set(pod={"phase": "Pending"})
    file = str(DIGITS / "repository/digits/2/model.onnx")
    outcome = cluster.run("push_model.py", "--model", "digits", "--version", "4", "--file", file)
    assert outcome.returncode == 1 and "AlreadyExists" in outcome.stderr
    assert not cluster.calls("delete")


@reads_toml
def test_traffic_moves_and_everything_is_asked(cluster: FakeCluster):
    moved = ("--model", "digits", "--weights", "blue=50,green=50", "--samples", str(SAMPLES))
    outcome = cluster.run("move_weights.py", *moved, *QUICKLY)
    assert outcome.returncode == 0, outcome.stderr
    assert "version 1 has 50, version 2 has 50" in outcome.stdout
    assert re.search(r"weights = \{ \"blue\" = 50, \"green\" = 50 \}", cluster.traffic())


@reads_toml
def test_traffic_to_a_version_that_answers_wrongly_is_put_back(cluster: FakeCluster):
    to_bad = ("--labels", "blue=1,red=3", "--weights", "blue=50,red=50", "--samples", str(SAMPLES))
    outcome = cluster.run("move_weights.py", "--model", "digits", *to_bad, *QUICKLY)
    assert outcome.returncode == 1
    assert "versions/3" in outcome.stderr and "put back" in outcome.stderr
    assert cluster.traffic() == TRAFFIC


@reads_toml
def test_a_file_that_the_gateway_does_not_take_is_put_back_with_its_reason(cluster: FakeCluster):
    to_nowhere = ("--labels", "blue=1,green=99", "--weights", "green=100", "--settle", "4", "--watch", "0")
    outcome = cluster.run("move_weights.py", "--model", "digits", *to_nowhere)
    assert outcome.returncode == 1
    assert "99" in outcome.stderr and "put back" in outcome.stderr
    assert cluster.traffic() == TRAFFIC


@reads_toml
def test_a_label_that_is_not_there_changes_nothing(cluster: FakeCluster):
    outcome = cluster.run("move_weights.py", "--model", "digits", "--weights", "purple=100", *QUICKLY)
    assert (outcome.returncode, cluster.calls("patch")) == (1, [])
    assert "purple: no label of digits (known: blue, green)" in outcome.stderr
