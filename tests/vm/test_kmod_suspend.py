# SPDX-License-Identifier: BSD-3-Clause
"""A guest on our own driver that is suspended and resumed: root, boot share and all."""
import pathlib
import shutil
import signal

import pytest

from agent import Agent
from guests import KERNEL, ROUNDS, packed_kernel
from kmod_guest import CLEAN, signal_daemon
from monitor import Monitor

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
    """Again and again, with files open, mapped and locked, and a program at work.

    One device after the other, the last first: while that of the second share is stopped, the first
    still has files in its window. QEMU must not unmap them then (docs/window.md)."""
    shutil.copy(HERE / "suspend_check.py", share)
    said = machines(DEVICES + "echo 0 > /sys/power/pm_async; "
                    f"python3 suspend_check.py {5 * ROUNDS} sh -c 'echo freeze > /sys/power/state'" + CLEAN,
                    "--share", f"{share}:t", "--share", f"{share}:u", "--module", module, *OURS,
                    "--window", "64M").finish()
    skip_without(said)
    assert said == f"suspended {5 * ROUNDS}\n"
    assert (share / "mapped").read_bytes()[::4096] == bytes([5 * ROUNDS]) * 1024


def test_the_machine_sleeps(machines, share, module, device, tmp_path):
    """To memory, until QEMU wakes it: the devices lose their power, and everything that they knew.

    An alarm of the guest's clock is no way to wake it: on a busy host it may come before the machine
    sleeps. Once a machine: after that QEMU's "power button" keeps it from sleeping. The kernel is the packed one:
    one that QEMU starts by itself, without its BIOS (PVH), dies as it wakes."""
    shutil.copy(HERE / "suspend_check.py", share)
    guest = machines("touch up; python3 suspend_check.py 1 sh -c 'echo mem > /sys/power/state' > said" + CLEAN +
                     "mv said done; tail -f /dev/null",
                     "--share", f"{share}:t", "--module", module, *OURS, "--monitor", tmp_path / "qmp", *device,
                     "--kernel", KERNEL or packed_kernel())
    guest.wait_for(share / "up")
    monitor = Monitor(tmp_path / "qmp")
    monitor.wait_event("SUSPEND")
    monitor.call("system_wakeup")
    guest.wait_for(share / "done")
    assert (share / "done").read_text() == "suspended 1\n"
    assert guest.kernel_log().count("Waking up from system sleep state S3") == 1
    # After a sleep the kernel cannot turn off QEMU's power, and tries for half a minute.
    monitor.call("quit")
    guest.finish(expect=125)


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
