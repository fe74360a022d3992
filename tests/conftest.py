# SPDX-License-Identifier: BSD-3-Clause
"""Before the first test: find out whether this host's KVM can run a guest.

A KVM that cannot is noticed by the first `casement run`, which says so and
remembers it. That must not be in the middle of a test.
"""
import os
import pathlib
import subprocess

TOP = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(os.environ.get("CASEMENT_BUILD", TOP / "build"))


def pytest_sessionstart():
    if os.path.exists("/dev/kvm"):
        subprocess.run([BUILD / "casement", "run", "--", "true"], stdin=subprocess.DEVNULL,
                       check=True, timeout=120)
