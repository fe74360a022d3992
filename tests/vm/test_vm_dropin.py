# SPDX-License-Identifier: BSD-3-Clause
"""casementd in virtiofsd's place, with real guests: old command lines, one VMM after the other, file flags."""
import fcntl
import os
import struct
import subprocess

import pytest

from booted import BOOTED
from guests import CASEMENTD, PATIENCE
from test_life import vm_parts

GETFLAGS, NODUMP = 0x80086601, 0x40

# lsattr's and chattr's ioctls, one that is not served, and poll(2).
FLAGS = r"""
import errno, fcntl, os, select, struct
for name in ("file", "dir"):
    fd = os.open(name, os.O_RDONLY)
    flags = struct.unpack("i", fcntl.ioctl(fd, 0x80086601, bytes(8))[:4])[0]
    fcntl.ioctl(fd, 0x40086602, struct.pack("q", flags | 0x40))
    assert struct.unpack("i", fcntl.ioctl(fd, 0x80086601, bytes(8))[:4])[0] == flags | 0x40
    xattr = struct.unpack("IIIII8x", fcntl.ioctl(fd, 0x801c581f, bytes(28)))
    assert xattr[0] & 0x80, xattr
    try:
        fcntl.ioctl(fd, 0xc0185879, bytes(24))
        raise SystemExit("FITRIM was served")
    except OSError as error:
        assert error.errno == errno.ENOTTY, error
poll = select.poll()
poll.register(os.open("file", os.O_RDWR), select.POLLIN | select.POLLOUT)
assert poll.poll(1000)[0][1] == select.POLLIN | select.POLLOUT
print("all as on a disk")
"""


def host_flags(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        return struct.unpack("i", fcntl.ioctl(fd, GETFLAGS, bytes(8))[:4])[0]
    except OSError as error:
        pytest.skip(f"{path}: no file flags here: {error}")
    finally:
        os.close(fd)


def test_file_flags(natives, share):
    (share / "file").write_text("")
    (share / "dir").mkdir()
    assert not host_flags(share / "file") & NODUMP
    (share / "flags.py").write_text(FLAGS)
    assert "all as on a disk" in natives("python3 flags.py", "--share", f"{share}:t").finish()
    assert host_flags(share / "file") & NODUMP and host_flags(share / "dir") & NODUMP


def boot(parts, path, word):
    """A stock QEMU and kernel whose root is the share: what the guest says."""
    BOOTED["QEMU"] += 1
    said = subprocess.run(
        ["qemu-system-x86_64", "-machine", "q35,memory-backend=mem", "-m", "512M", "-nodefaults",
         "-display", "none", "-nic", "none", "-no-reboot", "-serial", "stdio",
         "-object", "memory-backend-memfd,id=mem,size=512M,share=on",
         "-kernel", parts["KERNEL"], "-append",
         "root=rootfs rootfstype=virtiofs ro console=ttyS0 panic=-1 no_timer_check quiet "
         f"init=/bin/sh -- -c \"echo this is {word}; exec poweroff -f\"",
         "-chardev", f"socket,id=c0,path={path}",
         "-device", "vhost-user-fs-pci,chardev=c0,tag=rootfs,queue-size=1024"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
    return said.stdout + said.stderr


def test_one_machine_after_the_other(tmp_path):
    """libvirt's old words, and --persist: two machines boot from one daemon."""
    parts = vm_parts()
    with subprocess.Popen(
            [CASEMENTD, "--socket-path", tmp_path / "sock", "--persist", "--readonly",
             "-o", f"source={parts['ROOT']},cache=always,no_flock,no_posix_lock"],
            stderr=subprocess.PIPE, text=True) as daemon:
        try:
            for line in daemon.stderr:
                if "waiting for the VMM" in line:
                    break
            assert "this is one" in boot(parts, tmp_path / "sock", "one")
            assert "this is two" in boot(parts, tmp_path / "sock", "two")
            daemon.terminate()
            assert daemon.wait(timeout=30) == 0
        finally:
            daemon.kill()
