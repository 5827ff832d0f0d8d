"""The whole road, small: what it makes, what it makes again, and what stops it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from dataclasses import replace

import numpy as np
import onnx
import pytest

import pipeline as command_line
from keras_cnn import images, road
from keras_cnn.conversion import ConversionError
from keras_cnn.settings import as_flags
from keras_cnn.stages import push, quantize, report
from keras_cnn.variants import VARIANTS

RUN = [stage.name for stage in road.STAGES if not stage.optional]
POLL_S = 0.005


def made_again(output: str) -> list[str]:
    return [line.partition(":")[0] for line in output.splitlines() if ": made in " in line]


def test_a_run_makes_every_stage_in_order(first_run):
    pipeline, ran = first_run
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert made_again(ran.stdout) == RUN
    for variant in VARIANTS:
        assert (pipeline.work / variant.stage / variant.file).exists(), variant.name


def test_the_table_has_every_variant_and_every_column(first_run):
    pipeline, ran = first_run
    written = (pipeline.work / "report" / "table.md").read_text()
    assert written.strip() in ran.stdout
    lines = [line.strip("|").split("|") for line in written.splitlines() if line.startswith("|")]
    titles = [cell.strip() for cell in lines[0]]
    for column in ("variant", "accuracy", "size", "batch 1, ms", "batch 8, ms", "batch 32, ms", "largest difference"):
        assert column in titles
    assert [cells[0].strip() for cells in lines[2:]] == [variant.name for variant in VARIANTS]
    assert all(len(cells) == len(titles) and all(cell.strip() for cell in cells) for cells in lines)


def test_the_table_for_programs_says_the_same(first_run):
    pipeline, _ = first_run
    table = json.loads((pipeline.work / "report" / "table.json").read_text())
    rows = {row["variant"]: row for row in table["rows"]}
    assert list(rows) == [variant.name for variant in VARIANTS]
    for row in rows.values():
        assert row["bytes"] > 0
        assert set(row["latency_ms"]) == {str(rows) for rows in report.BATCHES}
        assert all(time > 0 for time in row["latency_ms"].values())
    assert rows["int8-static"]["bytes"] < rows["fp16"]["bytes"] < rows["fp32"]["bytes"]
    # One epoch on 480 images is no good model; it is far from chance, which the comparisons need.
    assert rows["keras"]["accuracy"] > 0.4


def shape(value: onnx.ValueInfoProto) -> list[str | int]:
    return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]


def test_the_onnx_files_take_any_batch_and_use_standard_operators(first_run):
    pipeline, _ = first_run
    for name in ("convert_onnx/fp32.onnx", "optimise/optimised.onnx", "quantize/fp16.onnx"):
        model = onnx.load(pipeline.work / name)
        assert model.ir_version == 8
        (image,), (probabilities,) = model.graph.input, model.graph.output
        assert shape(image) == ["batch", 32, 32, 3], name
        assert shape(probabilities) == ["batch", 10], name
        assert (image.name, probabilities.name) == ("image", "probabilities")
        assert {node.domain for node in model.graph.node} == {""}, name


def test_a_version_comes_with_two_requests_for_its_test(first_run):
    pipeline, _ = first_run
    receipt = json.loads((pipeline.work / "push" / push.RECEIPT).read_text())
    samples = sorted((pipeline.settings.repository / "cnn" / str(receipt["version"]) / "samples").iterdir())
    assert len(samples) == push.SAMPLES
    bodies = [json.loads(sample.read_text())["inputs"][0] for sample in samples]
    assert all(body["shape"] == [1, 32, 32, 3] and len(body["data"]) == 32 * 32 * 3 for body in bodies)
    assert bodies[0]["data"] != bodies[1]["data"]


def test_a_second_run_makes_nothing(first_run):
    pipeline, _ = first_run
    ran = pipeline.run("run")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == [f"{stage}: up to date" for stage in RUN]


def test_another_parameter_makes_only_what_depends_on_it(made):
    ran = made.run("run", "--calibration=16")
    assert ran.returncode == 0, ran.stderr
    assert made_again(ran.stdout) == ["convert_tflite", "quantize", "report", "push"]
    versions = sorted(folder.name for folder in (made.settings.repository / "cnn").iterdir())
    assert versions == ["1", "2"], "another file is another version"


def test_a_version_that_was_taken_away_is_pushed_again(made):
    shutil.rmtree(made.settings.repository / "cnn")
    assert made_again(made.run("run").stdout) == ["push"]
    assert (made.settings.repository / "cnn" / "1" / "model.onnx").is_file()


def test_a_push_whose_receipt_was_lost_makes_no_second_version(made):
    shutil.rmtree(made.work / "push")
    assert made_again(made.run("push").stdout) == ["push"]
    assert [folder.name for folder in (made.settings.repository / "cnn").iterdir()] == ["1"]


def test_a_stage_that_was_killed_is_made_again(made):
    shutil.rmtree(made.work / "train")
    killed = subprocess.Popen(made.command("train"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (made.work / ".train.partial").exists():
        assert time.monotonic() < deadline and killed.poll() is None
        time.sleep(POLL_S)
    os.kill(killed.pid, signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert not (made.work / "train").exists()
    ran = made.run("train")
    assert made_again(ran.stdout) == ["train"], ran.stderr
    assert not (made.work / ".train.partial").exists()


def test_a_stage_alone_without_its_inputs_says_who_makes_them(made):
    shutil.rmtree(made.work / "optimise")
    ran = made.run("quantize", "--calibration=16")
    assert ran.returncode == 1
    assert "quantize needs what optimise makes" in ran.stderr
    assert "run `pipeline.py optimise` first" in ran.stderr


def test_a_gateway_that_is_not_there_is_named(made):
    shutil.rmtree(made.work / "push")
    shutil.rmtree(made.settings.repository)
    ran = made.run("push", "--tidegate=/nowhere/tidegate")
    assert ran.returncode == 1
    assert "there is no tidegate at /nowhere/tidegate: --tidegate names it" in ran.stderr


def test_a_refused_push_hands_on_what_the_gateway_said(made, tmp_path):
    shutil.rmtree(made.work / "push")
    shutil.rmtree(made.settings.repository)
    refusing = tmp_path / "refusing"
    refusing.write_text("#!/bin/sh\necho 'the output is [batch, 10], and version 1 has [batch, 12]' >&2\nexit 1\n")
    refusing.chmod(0o755)
    ran = made.run("push", f"--tidegate={refusing}")
    assert ran.returncode == 1
    assert "ended with status 1:\nthe output is [batch, 10], and version 1 has [batch, 12]" in ran.stderr
    assert not (made.work / "push").exists()


def spoilt(model: onnx.ModelProto) -> onnx.ModelProto:
    """With noise on the largest weights, as a converter that mixes up an axis would leave them."""
    largest = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    weights = onnx.numpy_helper.to_array(largest)
    noise = np.random.default_rng(1).permutation(weights.ravel()).reshape(weights.shape)
    largest.CopyFrom(onnx.numpy_helper.from_array(noise, largest.name))
    return model


def test_a_wrong_conversion_stops_with_a_report_and_publishes_nothing(made, monkeypatch, capsys):
    shutil.rmtree(made.work / "quantize")
    right = quantize.half
    monkeypatch.setattr(quantize, "half", lambda source: spoilt(right(source)))
    status = command_line.main(["quantize", f"--work={made.work}", *as_flags(made.settings)])
    said = capsys.readouterr().err
    assert status == 1
    assert said.startswith("pipeline: fp16: the converted model does not answer as Keras does")
    for part in ("largest difference", "allowed 0.02", "on test image", "accuracy", "same class", "fp16.onnx"):
        assert part in said
    assert not (made.work / "quantize").exists()
    with pytest.raises(ConversionError) as stopped:
        made.shop().make(road.BY_NAME["quantize"])
    found = stopped.value.found
    assert found.largest_difference > stopped.value.variant.tolerance.largest_difference
    assert 0 <= found.sample < len(images.read(made.work / "data", "test"))

    # Once the converter is right again, so is the stage.
    monkeypatch.setattr(quantize, "half", right)
    assert command_line.main(["quantize", f"--work={made.work}", *as_flags(made.settings)]) == 0


def test_the_road_ends_in_a_gateway_that_answers_as_keras_does(made, tidegate):
    """Through the real `tidegate model push` and `tidegate serve`."""
    shutil.rmtree(made.work / "push")
    shutil.rmtree(made.settings.repository)
    made.settings = replace(made.settings, tidegate=tidegate, version=4, name="v1.0.0", label="green")
    ran = made.run("push")
    assert ran.returncode == 0, ran.stderr
    assert json.loads((made.work / "push" / push.RECEIPT).read_text())["version"] == 4
    ran = made.run("serve_check")
    assert ran.returncode == 0, ran.stderr
    found = json.loads((made.work / "serve_check" / "answers.json").read_text())
    assert found["agreement"] >= 0.95
