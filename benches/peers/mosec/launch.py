"""mosec: a front end in Rust that batches, and workers in Python."""
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "common"))
from mosec import Server, Worker
from serving import Model, given_job, take_job


class Infer(Worker):
    def __init__(self):
        super().__init__()
        job = given_job()
        self.name, self.model = job.model, Model(job.file)

    def deserialize(self, data):
        return self.model.read_v2(super().deserialize(data))

    def forward(self, data):
        return self.model.run_together(data)

    def serialize(self, data):
        return super().serialize(self.model.write_v2(self.name, data))


def main():
    job = take_job()
    # It reads these itself, from the environment or from a command line that is ours here.
    os.environ |= {
        "MOSEC_ADDRESS": "127.0.0.1",
        "MOSEC_PORT": str(job.port),
        "MOSEC_PATH": str(Path(job.folder) / "sockets"),
        "MOSEC_LOG_LEVEL": "warning",
    }
    sys.argv = sys.argv[:1]
    server = Server()
    server.append_worker(
        Infer, num=job.instances, max_batch_size=job.max_batch, max_wait_time=job.delay_ms, route=job.path
    )
    server.run()


if __name__ == "__main__":
    main()
