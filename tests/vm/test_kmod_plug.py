# SPDX-License-Identifier: BSD-3-Clause
"""Devices of our own guest driver that come and go while the guest runs."""
import subprocess

import pytest

from agent import Agent
from guests import CASEMENTD, ROUNDS
from monitor import Monitor

# casement run has no slot for a device to come.
QEMU_WITH_SLOT = """#!/bin/sh
exec qemu-system-x86_64 "$@" -device pcie-root-port,id=socket0,chassis=1
"""

# The kernel's own driver has it as soon as it is there.
PLUGGED = r"""
until /mnt/kmod/casement-guest device hot > /dev/null 2>&1; do :; done
/mnt/kmod/casement-guest bind hot
mount -t casement -o timeout=60 hot /tmp/hot
exec 3>> /tmp/hot/file; echo {number} >&3; cat /tmp/hot/file
sleep 100000 < /tmp/hot/file & holder=$!
"""

# Gone with files open, a program at work in it, and without a word.
PULLED = r"""
until [ ! -e /sys/bus/virtio/drivers/casement/virtio* ]; do :; done
cat /tmp/hot/file 2>&1; echo more >&3
exec 3>&-; kill $holder; wait $holder; umount /tmp/hot && echo gone
"""


@pytest.fixture
def slot(machines, module, tmp_path):
    """A guest with our driver and without a device for it, and QEMU's monitor."""
    qemu = tmp_path / "qemu"
    qemu.write_text(QEMU_WITH_SLOT)
    qemu.chmod(0o755)
    control = tmp_path / "control"
    control.mkdir()
    agent = Agent(machines, "a", control, "--share", f"{module.parent}:kmod:ro", "--qemu", qemu,
                  "--monitor", tmp_path / "qmp")
    agent.ask("insmod /mnt/kmod/casement.ko; mkdir /tmp/hot")
    return agent, Monitor(tmp_path / "qmp")


def plug(monitor, share, path):
    """A daemon for the share, and a device for the daemon."""
    daemon = subprocess.Popen([CASEMENTD, "--shared-dir", share, "--socket-path", path],
                              stderr=subprocess.PIPE, text=True)
    assert "waiting for the VMM" in daemon.stderr.readline()
    address = {"type": "unix", "data": {"path": str(path)}}
    monitor.call("chardev-add", id="hot", backend={"type": "socket", "data": {"addr": address, "server": False}})
    monitor.call("device_add", driver="vhost-user-fs-pci", id="hot", chardev="hot", tag="hot", bus="socket0",
                 queue_size=1024)
    return daemon


def test_devices_come_and_go(slot, share, tmp_path):
    """QEMU's device_add and device_del while files are open; nothing is lost, and nothing stays."""
    agent, monitor = slot
    said = ""
    for number in range(3 * ROUNDS):
        daemon = plug(monitor, share, tmp_path / "sock")
        said = agent.ask(PLUGGED.format(number=number))
        monitor.call("device_del", id="hot")
        monitor.wait_event("DEVICE_DELETED", device="hot")
        monitor.call("chardev-remove", id="hot")
        assert agent.ask(PULLED).endswith("gone\n")
        assert daemon.wait(timeout=30) == 0
        daemon.stderr.close()
    assert said.split() == [str(number) for number in range(3 * ROUNDS)]
    assert agent.ask("rmmod casement && echo unloaded") == "unloaded\n"
    agent.end()
