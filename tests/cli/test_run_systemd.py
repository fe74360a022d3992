# SPDX-License-Identifier: BSD-3-Clause
"""casement run --systemd: the root's systemd is the first process, and the command a service of it."""
import subprocess

from booted import BOOTED
from daemons import CASEMENT

PATIENCE = 300

# It leaves a process behind that holds its output, and that systemd does not know.
SCRIPT = """
cat /proc/1/comm; systemctl is-active basic.target; cut -d: -f3 /proc/self/cgroup
setsid sleep 1000 &
cat; echo error >&2; exit 5
"""


def test_a_command_as_a_service(tmp_path):
    """basic.target is enough: which services a root has enabled is no matter of the test."""
    BOOTED["QEMU"] += 1
    result = subprocess.run([CASEMENT, "run", "--systemd", "--append", "systemd.unit=basic.target", "--no-share", "--log", tmp_path / "log",
                             "--", "sh", "-c", SCRIPT],
                            input="input\n", capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert result.stdout.split() == ["systemd", "active", "/system.slice/casement.service", "input"], result
    assert (result.returncode, result.stderr) == (5, "error\n")


def test_a_systemd_that_does_not_boot():
    """The run ends, instead of a shell for which there is no console."""
    BOOTED["QEMU"] += 1
    result = subprocess.run([CASEMENT, "run", "--systemd", "--append", "systemd.unit=emergency.target", "--no-share", "--", "true"],
                            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert result.returncode == 125 and "systemd did not boot" in result.stderr, result
