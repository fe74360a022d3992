# SPDX-License-Identifier: BSD-3-Clause
"""A guest on our own driver that is suspended and resumed: root, boot share and all."""
import pathlib
import shutil
import signal

import pytest

from agent import Agent
from guests import KERNEL, ROUNDS
from kmod_guest import CLEAN, signal_daemon

HERE = pathlib.Path(__file__).resolve().parent

OURS = ["--driver", "casement", "--append", "no_console_suspend"]

# The kernel suspends its devices and resumes them at once, and no more.
DEVICES = r"""
set -e
if [ ! -e /sys/power/pm_test ]; then echo no pm_test; exit 0; fi
echo devices > /sys/power/pm_test; echo 0 > /sys/module/suspend/parameters/pm_test_delay
"""

def skip_without(said):
    """Of kernels that are tried now and then some cannot do that; Debian's generic one can."""
    if KERNEL and said == "no pm_test\n":
        pytest.skip("a kernel without /sys/power/pm_test")


def test_devices_are_suspended(machines, share, module):
    """Again and again, with files open, mapped and locked, and a program at work."""
    shutil.copy(HERE / "suspend_check.py", share)
    said = machines(DEVICES + f"python3 suspend_check.py {5 * ROUNDS} sh -c 'echo freeze > /sys/power/state'" + CLEAN,
                    "--share", f"{share}:t", "--module", module, *OURS, "--window", "64M").finish()
    skip_without(said)
    assert said == f"suspended {5 * ROUNDS}\n"
    assert (share / "mapped").read_bytes()[::4096] == bytes([5 * ROUNDS]) * 1024


def test_the_machine_sleeps(machines, share, module, device):
    """To memory, until its clock wakes it: the devices lose their power, and everything that they knew."""
    shutil.copy(HERE / "suspend_check.py", share)
    guest = machines("[ -e /dev/rtc0 ] || modprobe rtc_cmos; python3 suspend_check.py 2 rtcwake -m mem -s 1" + CLEAN,
                     "--share", f"{share}:t", "--module", module, *OURS, *device)
    # QEMU's power is not to be turned off any more after that, whatever the kernel says to it.
    guest.panics = True
    assert guest.finish().endswith("suspended 2\n")
    assert guest.kernel_log().count("Waking up from system sleep state S3") == 2
    assert guest.kernel_log().count("Kernel panic - not syncing: Attempted to kill init!") == 1


def test_what_cannot_be_suspended(machines, share, module, tmp_path):
    """A daemon that does not answer, and a machine that is to be hibernated: refused, and all goes on."""
    control = tmp_path / "control"
    control.mkdir()
    agent = Agent(machines, "a", control, "--share", f"{share}:t", "--module", module, *OURS)
    # The kernel's own sync would wait for the daemon, too, and for ever.
    skip_without(agent.ask("cat /sys/power/pm_test > /dev/null 2>&1 || echo no pm_test"))
    agent.ask(DEVICES + "set +e; echo 0 > /sys/power/sync_on_suspend; cd /mnt/t; exec 4> file")
    signal_daemon(share, signal.SIGSTOP)
    # Nobody waits for RELEASE.
    agent.ask("exec 4>&-")
    assert "error" in agent.ask("echo freeze > /sys/power/state")
    signal_daemon(share, signal.SIGCONT)
    assert agent.ask("echo freeze > /sys/power/state; echo text > file; cat file") == "text\n"
    assert "echo: " in agent.ask("echo disk > /sys/power/state")
    assert agent.ask("cat file") == "text\n"
    agent.end()
    log = agent.guest.kernel_log()
    assert '"t" cannot be suspended: 1 requests without a reply' in log
    assert "is mounted: a hibernated guest would not find its files again" in log
