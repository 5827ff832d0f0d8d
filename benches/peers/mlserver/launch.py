"""MLServer: the reference server of the V2 protocol, with adaptive batching; its workers are processes."""
import json
import os
import shutil
import sys
from pathlib import Path

COMMON = str(Path(__file__).resolve().parent.parent / "common")
sys.path.insert(0, COMMON)
from serving import Model, take_job


def main():
    job = take_job()
    folder = Path(job.folder)
    settings = {
        "host": "127.0.0.1",
        "http_port": job.port,
        "grpc_port": job.beside(1),
        "metrics_port": job.beside(2),
        "metrics_dir": str(folder),
        "parallel_workers": job.instances,
        "debug": False,
    }
    contract = Model(job.file)
    model = {
        "name": job.model,
        "implementation": "runtime.Infer",
        "max_batch_size": job.max_batch,
        "max_batch_time": job.delay_ms / 1000,
        "inputs": [metadata(contract.input)],
        "outputs": [metadata(contract.output)],
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(model))
    # MLServer imports the implementation from the folder of its model.
    shutil.copy(Path(__file__).with_name("runtime.py"), folder)
    os.environ["PYTHONPATH"] = COMMON
    server = str(Path(sys.executable).with_name("mlserver"))
    os.execv(server, [server, "start", str(folder)])


def metadata(tensor):
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": [-1, *tensor.shape]}


if __name__ == "__main__":
    main()
