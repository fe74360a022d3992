# SPDX-License-Identifier: BSD-3-Clause
"""casement run --systemd: this very system, booted by its systemd in a machine."""
import os
import pathlib
import subprocess

import pytest

from booted import BOOTED
from daemons import CASEMENT

PATIENCE = 300
SYSTEMD = pathlib.Path("/usr/lib/systemd/systemd")

# It leaves a process behind that holds its output, and that systemd does not know.
SCRIPT = """
cat /proc/1/comm; systemctl is-active basic.target; cut -d: -f3 /proc/self/cgroup
setsid sleep 1000 &
cat; echo error >&2; exit 5
"""


@pytest.mark.skipif(not SYSTEMD.exists(), reason="this system has no systemd")
@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user may not read all of this system")
def test_a_command_as_a_service(tmp_path):
    """basic.target is enough: which services this system has enabled is no matter of the test."""
    BOOTED["QEMU"] += 1
    result = subprocess.run([CASEMENT, "run", "--root", "/:cow", "--systemd", "--append", "systemd.unit=basic.target", "--no-share",
                             "--log", tmp_path / "log", "--", "sh", "-c", SCRIPT],
                            input="input\n", capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert result.stdout.split() == ["systemd", "active", "/system.slice/casement.service", "input"], result
    assert (result.returncode, result.stderr) == (5, "error\n")
