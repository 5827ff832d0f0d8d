"""A real API server without a cluster: etcd and kube-apiserver out of the folder that KUBEBUILDER_ASSETS names, as the
envtest convention has it. No controllers and no nodes: objects are admitted, checked and kept, and nothing runs."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from rendered import kubectl

START_TIMEOUT_S = 60
POLL_S = 0.2
TOKEN = "only-for-this-test-run"


def assets() -> Path:
    folder = os.environ.get("KUBEBUILDER_ASSETS")
    if not folder:
        pytest.skip("KUBEBUILDER_ASSETS is not set: no real API server was asked")
    for program in ("etcd", "kube-apiserver"):
        assert (Path(folder) / program).is_file(), f"KUBEBUILDER_ASSETS={folder} has no {program}"
    return Path(folder)


class ApiServer:
    def __init__(self, port: int):
        self.command = [
            *(kubectl(), "--server", f"https://127.0.0.1:{port}", "--token", TOKEN),
            # Made for this run, by the server itself.
            *("--insecure-skip-tls-verify", "--kubeconfig", os.devnull),
        ]

    def kubectl(self, *arguments: str, stdin: str | None = None, group: str | None = None):
        """As the administrator, or as somebody of the group."""
        impersonation = ["--as", "somebody", "--as-group", group] if group else []
        command = [*self.command, *impersonation, *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60)


@contextmanager
def running(folder: Path):
    programs = assets()
    client, peer, port = free_ports(3)
    etcd = [
        *(str(programs / "etcd"), "--data-dir", str(folder / "etcd"), "--unsafe-no-fsync"),
        *("--listen-client-urls", f"http://127.0.0.1:{client}", "--advertise-client-urls", f"http://127.0.0.1:{client}"),
        *("--listen-peer-urls", f"http://127.0.0.1:{peer}"),
    ]
    with process(etcd, folder / "etcd.log"), process(api_server(programs, folder, client, port), folder / "api.log"):
        server = ApiServer(port)
        deadline = time.monotonic() + START_TIMEOUT_S
        while server.kubectl("get", "--raw", "/readyz").returncode != 0:
            assert time.monotonic() < deadline, (folder / "api.log").read_text()[-4000:]
            time.sleep(POLL_S)
        yield server


def api_server(programs: Path, folder: Path, etcd: int, port: int) -> list[str]:
    key = folder / "service-account.key"
    openssl = shutil.which("openssl")
    assert openssl, "openssl makes the key that service accounts are signed with, and is not installed"
    subprocess.run([openssl, "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
    tokens = folder / "tokens.csv"
    tokens.write_text(f'{TOKEN},administrator,administrator,"system:masters"\n')
    return [
        *(str(programs / "kube-apiserver"), f"--etcd-servers=http://127.0.0.1:{etcd}"),
        *("--bind-address=127.0.0.1", f"--secure-port={port}", f"--cert-dir={folder / 'certificates'}"),
        *("--authorization-mode=RBAC", f"--token-auth-file={tokens}", "--service-cluster-ip-range=10.0.0.0/24"),
        *("--service-account-issuer=https://127.0.0.1", f"--service-account-key-file={key}"),
        f"--service-account-signing-key-file={key}",
        # Nobody is there who would make the account `default` of each namespace.
        "--disable-admission-plugins=ServiceAccount",
    ]


@contextmanager
def process(command: list[str], log: Path):
    with open(log, "wb") as sink:
        started = subprocess.Popen(command, stdout=sink, stderr=sink)
    try:
        yield started
    finally:
        started.kill()
        started.wait()


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
