#!/usr/bin/env python3
"""Makes a base image from Debian packages, without pulling one: what the image's tests put the gateway on.

It stands in for the public base that the Dockerfile names where no registry is in reach, and holds the same: the C and C++
runtime, certificates, time zones, the user 65532, and no shell. Packages are unpacked, never configured; what their
scripts would have done (a list of certificates, the linker's cache) is done here from outside.

The image is named after what it is made of, and made once: `localhost/tidegate-base:<hash>`; the name is printed.

Needs root, and Debian's mmdebstrap and buildah.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

SUITE = "bookworm"
PACKAGES = ("base-files", "libc6", "libgcc-s1", "libstdc++6", "ca-certificates", "tzdata", "netbase")
USERS = {
    "etc/passwd": "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n",
    "etc/group": "root:x:0:\nnonroot:x:65532:\n",
}
# All programs, documentation other than the copyright files that licences ask for, and what package managers keep.
LEFT_OUT = (
    *("usr/bin", "usr/sbin", "usr/lib/ssl/misc", "usr/share/debconf", "usr/share/doc/mawk/examples"),
    *("usr/share/man", "usr/share/locale", "usr/share/info", "etc/apt", "var/cache", "var/lib/apt", "var/log"),
)


def name() -> str:
    recipe = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    return f"localhost/tidegate-base:{recipe[:12]}"


def exists(image: str) -> bool:
    return subprocess.run(["buildah", "inspect", "--type", "image", image], capture_output=True, check=False).returncode == 0


def make(image: str) -> None:
    with tempfile.TemporaryDirectory(prefix="tidegate-base-") as scratch:
        root = Path(scratch) / "root"
        run("mmdebstrap", "--quiet", "--variant=extract", f"--include={','.join(PACKAGES)}", SUITE, str(root))
        finish(root)
        container = run("buildah", "from", "scratch")
        try:
            run("buildah", "copy", "--quiet", container, str(root), "/")
            run("buildah", "config", "--user", "65532:65532", "--env", "PATH=/usr/local/bin:/usr/bin", container)
            run("buildah", "commit", "--quiet", "--format", "docker", container, image)
        finally:
            run("buildah", "rm", container)


def finish(root: Path) -> None:
    """What the packages' own scripts would have done."""
    for path, content in USERS.items():
        (root / path).write_text(content)
    certificates = sorted((root / "usr/share/ca-certificates").rglob("*.crt"))
    bundle = root / "etc/ssl/certs/ca-certificates.crt"
    bundle.parent.mkdir(parents=True, exist_ok=True)
    bundle.write_text("".join(path.read_text() for path in certificates))
    home = root / "home/nonroot"
    home.mkdir(parents=True, mode=0o700)
    run("chown", "65532:65532", str(home))
    run("ldconfig", "-r", str(root))
    for folder in LEFT_OUT:
        run("rm", "-rf", "--", str(root / folder))


def run(*command: str) -> str:
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    if outcome.returncode != 0:
        raise SystemExit(f"error: `{' '.join(command)}` failed: {outcome.stderr.strip()}")
    return outcome.stdout.strip()


def provide() -> str:
    image = name()
    if not exists(image):
        make(image)
    return image


if __name__ == "__main__":
    print(provide())
    sys.exit(0)
