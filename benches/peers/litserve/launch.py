"""LitServe: FastAPI in front, batches and workers in Python, queues of multiprocessing between them."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "common"))
import litserve
from serving import Model, given_job, take_job


class Infer(litserve.LitAPI):
    def setup(self, device):
        job = given_job()
        self.name, self.model = job.model, Model(job.file)

    def decode_request(self, request):
        return self.model.read_v2(request)

    # Rows are joined and parted by the model's own call, so its batches stay lists.
    def batch(self, inputs):
        return inputs

    def predict(self, inputs):
        return self.model.run_together(inputs)

    def unbatch(self, output):
        return output

    def encode_response(self, output):
        return self.model.write_v2(self.name, output)


def main():
    job = take_job()
    api = Infer(max_batch_size=job.max_batch, batch_timeout=job.delay_ms / 1000, api_path=job.path)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=job.instances)
    # As many HTTP servers as workers, its own default.
    server.run(host="127.0.0.1", port=job.port, generate_client_file=False, log_level="warning")


if __name__ == "__main__":
    main()
