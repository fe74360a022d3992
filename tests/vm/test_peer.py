# SPDX-License-Identifier: BSD-3-Clause
"""virtiofsd in casementd's place, in native guests."""
import shutil
import subprocess

import pytest

from booted import BOOTED
from guests import CASEMENTD, COMPLAINTS, PATIENCE, TOP
from test_everyday import OPERATIONS, WORKLOADS, check_workloads, on_host, prepare, snapshot

# It has its own number of queues, and its sandbox would have its files elsewhere.
WRAPPER = r"""#!/bin/bash
words=()
while [ $# -gt 0 ]; do
    if [ "$1" = --queues ]; then shift; else words+=("$1"); fi
    shift
done
exec {virtiofsd} --sandbox none "${{words[@]}}"
"""


def vm_parts(*kinds):
    said = subprocess.run([TOP / "scripts/vm-root", "--print", *kinds], check=True, capture_output=True,
                          text=True).stdout
    return dict(line.split("=", 1) for line in said.splitlines())


@pytest.fixture
def virtiofsd():
    paths = vm_parts("qemu")
    if "VIRTIOFSD" not in paths:
        pytest.skip("the system's QEMU is used, and brings no virtiofsd")
    return paths["VIRTIOFSD"]


# What is done in the guest, in a directory for each part.
SCRIPT = f"set -e; (cd operations\n{OPERATIONS})\n(cd work\n{WORKLOADS})\n"


def fill(share, tmp_path):
    """The directories, and on the host what is to come of them."""
    for directory in (share / "work", tmp_path / "work"):
        prepare(directory)
    (share / "operations").mkdir()
    subprocess.run(["sh", "-c", WORKLOADS], cwd=tmp_path / "work", check=True)
    return on_host(OPERATIONS, tmp_path / "host")


def compare(share, tmp_path, host):
    assert snapshot(share / "operations") == host
    check_workloads(share / "work", tmp_path / "work")


def test_the_kernels_driver(natives, share, virtiofsd, tmp_path):
    program = tmp_path / "virtiofsd"
    program.write_text(WRAPPER.format(virtiofsd=virtiofsd))
    program.chmod(0o755)
    host = fill(share, tmp_path)
    natives(SCRIPT, "--share", f"{share}:t", "--daemon", program).finish()
    compare(share, tmp_path, host)


# virtiofsd does not serve a device that has changed its driver, so ours has to be the first: the
# guest begins in memory. Its root is another share. (The kernel with checks does not find the
# names of its own initcalls, so this is the plain one.)
INIT = r"""#!/bin/busybox sh
export PATH=/bin:/usr/bin:/usr/sbin
busybox mkdir /proc /sys /new; busybox mount -t proc proc /proc; busybox mount -t sysfs sys /sys
busybox insmod /casement.ko
busybox mount -t casement -o ro root /new && busybox mount -t tmpfs none /new/tmp &&
    busybox mount -t devtmpfs dev /new/dev && busybox mount -t tmpfs none /new/mnt && busybox mkdir /new/mnt/t &&
    busybox mount -t casement t /new/mnt/t && busybox chroot /new /bin/sh -c 'cd /mnt/t; . ./script'
echo "status $?"
busybox umount /new/mnt/t; busybox poweroff -f
"""


def make_initramfs(path, directory, module):
    busybox = shutil.which("busybox")
    assert busybox, "busybox is missing: run scripts/setup test"
    (directory / "bin").mkdir(parents=True)
    shutil.copy(busybox, directory / "bin/busybox")
    shutil.copy(module, directory)
    (directory / "init").write_text(INIT)
    (directory / "init").chmod(0o755)
    with open(path, "wb") as out:
        names = subprocess.run(["find", ".", "-print"], cwd=directory, check=True, capture_output=True).stdout
        subprocess.run([busybox, "cpio", "-o", "-H", "newc"], cwd=directory, input=names, stdout=out, check=True,
                       stderr=subprocess.DEVNULL)


def test_our_driver(share, kernels, native_module, virtiofsd, tmp_path):
    host = fill(share, tmp_path)
    (share / "script").write_text(SCRIPT)
    make_initramfs(tmp_path / "initramfs", tmp_path / "memory", native_module)
    daemons = [
        subprocess.Popen([CASEMENTD, "--shared-dir", vm_parts("guest")["ROOT"], "--readonly", "--tag", "root",
                          "--socket-path", tmp_path / "root.sock"], stderr=subprocess.PIPE, text=True),
        subprocess.Popen([virtiofsd, "--sandbox", "none", "--shared-dir", share, "--tag", "t",
                          "--socket-path", tmp_path / "t.sock"], stderr=subprocess.PIPE, text=True)]
    try:
        for daemon in daemons:
            assert any("aiting for" in line for line in daemon.stderr)
        BOOTED["native"] += 1
        said = subprocess.run(
            [kernels["UML"], "mem=1G", f"uml_dir={tmp_path}/", "umid=uml", "noreboot", "panic=-1", "con=null",
             "con0=null,fd:1", "ssl=null", f"initrd={tmp_path / 'initramfs'}", "initcall_blacklist=virtio_fs_init",
             f"virtio_uml.device={tmp_path / 'root.sock'}:26", f"virtio_uml.device={tmp_path / 't.sock'}:26"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=PATIENCE,
            check=False).stdout
        assert "status 0" in said and not COMPLAINTS.search(said), said
        for daemon in daemons:
            assert daemon.wait(timeout=30) == 0
    finally:
        for daemon in daemons:
            daemon.kill()
            daemon.communicate()
    compare(share, tmp_path, host)
