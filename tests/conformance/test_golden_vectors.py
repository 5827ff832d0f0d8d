"""The golden vectors are what the clients of this suite send, byte for byte, and the clients read the golden answers.

The Rust tests hold our codecs to the same files. A new release of a client that writes something else is noticed here.
"""

from __future__ import annotations

import subprocess
import sys

from gateway import REPOSITORY_ROOT

SCRIPT = REPOSITORY_ROOT / "proto" / "tests" / "golden" / "make_vectors.py"


def test_the_golden_vectors_are_what_the_clients_send_today():
    checked = subprocess.run([sys.executable, str(SCRIPT), "--check"], capture_output=True, text=True, timeout=120)
    assert checked.returncode == 0, f"different: {checked.stdout}{checked.stderr}"
