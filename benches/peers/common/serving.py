"""What every peer needs to serve one of our models: the job it was given, ONNX Runtime, and V2 in JSON.

A job arrives on the launcher's command line and goes on to whatever processes the peer starts through the environment,
because each peer starts its workers in a way of its own and all of them keep the environment.

Deliberately thin: what this file does is part of every peer's cost, so it does no more than a user of that peer would.
"""
import argparse
import json
import os
from dataclasses import asdict, dataclass

VARIABLE = "TIDEGATE_PEER_JOB"


@dataclass(frozen=True)
class Job:
    """One model, served on one port of the loopback interface."""

    file: str  # of the model
    model: str  # its name in the URL
    port: int
    folder: str  # for whatever the peer wants written; exists, and is removed afterwards
    max_batch: int
    delay_ms: int  # a batch waits at most so long for company
    instances: int  # sessions of ONNX Runtime, of one thread each

    @property
    def path(self):
        return f"/v2/models/{self.model}/infer"

    def beside(self, offset):
        """Ports that the peer insists on having besides; the harness keeps the next ones free."""
        return self.port + offset


def take_job():
    """For a launcher: reads the command line and hands the job on to the processes to come."""
    parser = argparse.ArgumentParser()
    for name in ("file", "model", "folder"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("port", "max-batch", "delay-ms", "instances"):
        parser.add_argument(f"--{name}", type=int, required=True)
    job = Job(**vars(parser.parse_args()))
    os.environ[VARIABLE] = json.dumps(asdict(job))
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    os.chdir(job.folder)
    return job


def given_job():
    """For a worker."""
    return Job(**json.loads(os.environ[VARIABLE]))


@dataclass(frozen=True)
class Tensor:
    """One row of what a model takes or gives."""

    name: str
    datatype: str  # as V2 calls it
    shape: list  # without the batch


class Model:
    """A session of one thread, with one input and one output. Rows of one call may come from several requests."""

    def __init__(self, file):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        (self.input,) = map(described, self._session.get_inputs())
        (self.output,) = map(described, self._session.get_outputs())

    def run(self, x):
        (y,) = self._session.run([self.output.name], {self.input.name: x})
        return y

    def run_together(self, inputs):
        """One call for a list of [rows,...]; the list of their outputs, in the same order."""
        import numpy as np

        ends = np.cumsum([len(x) for x in inputs])
        return np.split(self.run(np.concatenate(inputs)), ends[:-1])

    def read_v2(self, body):
        """The one input of a V2 request that was parsed as JSON."""
        import numpy as np

        tensor = body["inputs"][0]
        return np.array(tensor["data"], dtype=DTYPES[self.input.datatype]).reshape(tensor["shape"])

    def write_v2(self, name, y):
        """The V2 answer, to be written as JSON."""
        output = {
            "name": self.output.name,
            "datatype": self.output.datatype,
            "shape": list(y.shape),
            "data": y.reshape(-1).tolist(),
        }
        return {"model_name": name, "outputs": [output]}


# What the models of this benchmark are made of.
DATATYPES = {"tensor(float)": "FP32", "tensor(int64)": "INT64"}
DTYPES = {"FP32": "float32", "INT64": "int64"}


def described(value):
    return Tensor(value.name, DATATYPES[value.type], value.shape[1:])
