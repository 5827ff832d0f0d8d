"""Triton itself: the tritonserver binary that NVIDIA ships in PyPI's nvidia-pytriton, with its Python backend.

No registry carries Triton's ONNX Runtime backend, so model.py calls ONNX Runtime from Python. The HTTP front end, the
scheduler and the dynamic batcher are Triton's own.
"""
import os
import sys
import sysconfig
from pathlib import Path

COMMON = str(Path(__file__).resolve().parent.parent / "common")
sys.path.insert(0, COMMON)
from serving import Model, take_job

CONFIGURATION = """\
name: "{job.model}"
backend: "python"
max_batch_size: {job.max_batch}
input [ {{ name: "{input.name}" data_type: TYPE_{input.datatype} dims: {input.shape} }} ]
output [ {{ name: "{output.name}" data_type: TYPE_{output.datatype} dims: {output.shape} }} ]
instance_group [ {{ count: {job.instances} kind: KIND_CPU }} ]
dynamic_batching {{ max_queue_delay_microseconds: {delay_us} }}
"""


def main():
    job = take_job()
    triton = Path(sysconfig.get_path("purelib")) / "pytriton" / "tritonserver"
    repository = write_repository(job)
    backends = gather_backend(Path(job.folder), triton)
    environment = os.environ | {
        # The backend's stub is linked with this Python's own library.
        "LD_LIBRARY_PATH": str(sysconfig.get_config_var("LIBDIR")),
        # It takes its interpreter, and with it its packages, from here, and pays no heed to PYTHONPATH.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    }
    server = str(triton / "bin" / "tritonserver")
    arguments = {
        "model-repository": repository,
        "backend-directory": backends,
        "http-address": "127.0.0.1",
        "http-port": job.port,
        "grpc-address": "127.0.0.1",
        "grpc-port": job.beside(1),
        "metrics-address": "127.0.0.1",
        "metrics-port": job.beside(2),
        "log-info": 0,
    }
    os.execve(server, [server, *(f"--{name}={value}" for name, value in arguments.items())], environment)


def write_repository(job):
    repository = Path(job.folder) / "repository"
    version = repository / job.model / "1"
    version.mkdir(parents=True)
    for file in (Path(__file__).with_name("model.py"), Path(COMMON) / "serving.py"):
        (version / file.name).symlink_to(file)
    model = Model(job.file)
    delay_us = job.delay_ms * 1000
    configuration = CONFIGURATION.format(job=job, input=model.input, output=model.output, delay_us=delay_us)
    (version.parent / "config.pbtxt").write_text(configuration)
    return repository


def gather_backend(folder, triton):
    """The wheel keeps the backend and the stubs, one for each Python, in different places; Triton wants them in one."""
    backend = folder / "backends" / "python"
    backend.mkdir(parents=True)
    stub = triton / "python_backend_stubs" / "{}.{}".format(*sys.version_info) / "triton_python_backend_stub"
    if not stub.is_file():
        sys.exit(f"nvidia-pytriton has no stub for Python {sys.version_info.major}.{sys.version_info.minor}")
    for file in [*(triton / "backends" / "python").iterdir(), stub]:
        (backend / file.name).symlink_to(file)
    return backend.parent


if __name__ == "__main__":
    main()
