"""Does the gateway's resident memory stay flat under a hard mix of shapes? python benches/memory/curve.py [--seconds 90]

A gateway of its own, on loopback, with `orientation` (batches of 1 to 4, one request in 50 of up to 64 rows, which is 38 MB of
body) and `echo_fp32` (rows of 1 to 20,000 numbers: a new shape with nearly every request). Four callers, each with the next
request as soon as it has its answer. The resident memory is read every second. It is flat when the second half does
not rise above the first: both medians and maxima are printed, and the exit status is 1 when the median rose by more
than a twentieth.

It is bounded in time and callers, talks to nobody but the gateway that it starts, and needs `make build bench-models`.
"""
import argparse
import http.client
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CALLERS = 4
RISE = 1.05


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=90)
    parser.add_argument("--gateway", type=Path, default=ROOT / "target/release-fast/tidegate")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        process, address = start(options.gateway, Path(folder))
        try:
            samples, sent = drive(process.pid, address, options.seconds, options.seed)
        finally:
            process.terminate()
            process.wait(timeout=30)
    sys.exit(report(samples, sent))


def start(program, folder):
    repository = folder / "repository"
    repository.mkdir()
    (repository / "orientation").symlink_to(ROOT / ".deps/bench-models/orientation")
    (repository / "echo_fp32").symlink_to(ROOT / "tests/fixtures/models/echo_fp32")
    ports = folder / "ports.json"
    arguments = ["serve", "--model-repository", repository, "--state", folder / "state", "--ports-file", ports]
    arguments += ["--data-address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0", "--log-level", "warn"]
    process = subprocess.Popen([program, *arguments])
    until = time.monotonic() + 60
    while not ports.exists():
        if process.poll() is not None or time.monotonic() > until:
            sys.exit("the gateway did not start")
        time.sleep(0.05)
    addresses = json.loads(ports.read_text())
    while not is_ready(addresses["admin"]):
        if process.poll() is not None or time.monotonic() > until:
            sys.exit("the gateway did not become ready")
        time.sleep(0.05)
    return process, addresses["data"]


def is_ready(admin):
    connection = http.client.HTTPConnection(admin, timeout=10)
    connection.request("GET", "/readyz")
    return connection.getresponse().status == 200


def drive(pid, address, seconds, seed):
    ends = time.monotonic() + seconds
    counts, failures = [0] * CALLERS, []
    callers = [threading.Thread(target=call, args=(i, address, ends, seed, counts, failures)) for i in range(CALLERS)]
    for caller in callers:
        caller.start()
    samples = []
    while time.monotonic() < ends:
        time.sleep(1)
        samples.append(resident(pid))
    for caller in callers:
        caller.join()
    if failures:
        sys.exit(f"{len(failures)} requests were not answered with 200, the first: {failures[0]}")
    return samples, sum(counts)


def call(number, address, ends, seed, counts, failures):
    chance = random.Random(seed * CALLERS + number)
    connection = http.client.HTTPConnection(address, timeout=60)
    zeros = bytes(64 * 3 * 224 * 224 * 4)
    while time.monotonic() < ends:
        if number % 2:
            model, shape = "echo_fp32", [chance.randint(1, 4), chance.randint(1, 20_000)]
        else:
            rows = chance.randint(5, 64) if chance.random() < 0.02 else chance.randint(1, 4)
            model, shape = "orientation", [rows, 3, 224, 224]
        size = 4
        for dim in shape:
            size *= dim
        tensor = {"name": "x", "datatype": "FP32", "shape": shape, "parameters": {"binary_data_size": size}}
        head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
        headers = {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}
        connection.request("POST", f"/v2/models/{model}/infer", head + zeros[:size], headers)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            failures.append(body[:200])
            return
        counts[number] += 1


def resident(pid):
    """MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def report(samples, sent):
    half = len(samples) // 2
    first, second = samples[:half], samples[half:]
    print("| second | " + " | ".join(str(second) for second in range(10, len(samples) + 1, 10)) + " |")
    print("|---|" + "---:|" * (len(samples) // 10))
    print("| resident, MiB | " + " | ".join(f"{samples[at - 1]:.0f}" for at in range(10, len(samples) + 1, 10)) + " |")
    print()
    for name, part in (("first", first), ("second", second)):
        print(f"{name} half: median {statistics.median(part):.0f} MiB, most {max(part):.0f} MiB")
    rose = statistics.median(second) / statistics.median(first)
    print(f"{sent} requests; the second half's median is {rose:.2f} of the first's")
    return 0 if rose <= RISE else 1


if __name__ == "__main__":
    main()
