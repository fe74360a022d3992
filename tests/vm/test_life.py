# SPDX-License-Identifier: BSD-3-Clause
"""Reboots, pauses, deaths and roots: what happens to a share when a machine does not just run."""
import os
import pathlib
import signal
import subprocess

import pytest

from booted import BOOTED
from guests import CASEMENTD, PATIENCE, TOP
from monitor import Monitor


def children(pid):
    """The processes that a process started: pid -> command line."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and f"PPid:\t{pid}\n" in (entry / "status").read_text():
                found[int(entry.name)] = (entry / "cmdline").read_bytes().decode()
        except OSError:
            continue
    return found


def test_reboot(machines, share, device):
    """The machine starts again and finds its files, after a reset, before which it never said goodbye, and after
    a reboot.

    With a window the reset comes while files are mapped, and the machine gets a new QEMU."""
    (share / "data").write_bytes(os.urandom(5 << 20))
    guest = machines("""
md5sum data
if [ -e rebooted ]; then echo third; echo gone >&2; exit 3; fi
if [ -e reset ]; then touch rebooted; else touch reset; fi
md5sum data; sync
if [ -e rebooted ]; then cd /; umount /mnt/t; fi
echo b > /proc/sysrq-trigger; read never
""", "--share", f"{share}:t", "--reboot", *device)
    lines = guest.finish(expect=3).splitlines()
    assert lines[-1] == "third" and len(set(lines[:-1])) == 1 and len(lines) == 6
    assert guest.stderr() == "gone\n"
    assert guest.kernel_log().count("Linux version") == 3


def test_stop_and_cont(machines, share, device, tmp_path):
    """Paused and resumed in the middle of its work, a guest goes on where it was.

    What goes through a window is mapped by then, and stays so as it is open: QEMU 11.1.3 dies where
    a machine is stopped in the very moment of a mapping (docs/window.md)."""
    for i in range(4):
        (share / f"f{i}").write_bytes(os.urandom(3 << 20))
    guest = machines("""
set -e
work() {
    [ "$(cat f0 f1 f2 f3 | md5sum)" = "$(cat sum)" ]
    dd if=/dev/zero of=out bs=64k count=20 conv=notrunc 2>/dev/null; ls -l > list; rm list
}
exec 3< f0 4< f1 5< f2 6< f3 7<> out
cat f0 f1 f2 f3 | md5sum > sum; work; work; : > ready
while [ ! -e enough ]; do work; done
echo done
""", "--share", f"{share}:t", "--cache", "never", "--monitor", tmp_path / "qmp", *device)
    guest.wait_for(share / "ready")
    monitor = Monitor(tmp_path / "qmp")
    for _ in range(20):
        monitor.call("stop")
        monitor.call("cont")
    (share / "enough").touch()
    assert guest.finish() == "done\n"


def kill_one_of(start, share, victim, *args):
    """A process of a machine's at work is killed: the machine ends, and says why."""
    guest = start("""
: > ready; i=0
while :; do i=$((i+1)); echo line $i >> lines; done
""", "--share", f"{share}:t", *args)
    guest.wait_for(share / "lines")
    family = children(guest.process.pid)
    pid = next(p for p, line in family.items() if victim in line and
               (victim != "casementd" or str(share) in line))
    os.kill(pid, signal.SIGKILL)
    guest.finish(expect=125)
    assert "was killed by signal 9" in guest.stderr()
    lines = (share / "lines").read_text().splitlines()
    assert lines[:-1] == [f"line {i + 1}" for i in range(len(lines) - 1)]
    assert not [p for p in family if pathlib.Path(f"/proc/{p}").exists()]


@pytest.mark.parametrize("victim", ["qemu-system", "casementd"])
def test_a_killed_process_ends_the_machine_with_a_word(machines, share, device, victim):
    kill_one_of(machines, share, victim, *device)


@pytest.mark.parametrize("victim", ["linux", "casementd"])
def test_a_killed_process_ends_a_native_guest_with_a_word(natives, share, victim):
    kill_one_of(natives, share, victim)


def see_a_panic(start, share, *args):
    guest = start("echo kept > file; sync; echo c > /proc/sysrq-trigger; read never",
                  "--share", f"{share}:t", *args)
    guest.panics = True
    guest.finish(expect=125)
    assert "Kernel panic" in guest.stderr()
    assert (share / "file").read_text() == "kept\n"


def test_a_panic_is_told(machines, share, device):
    see_a_panic(machines, share, *device)


def test_a_panic_of_a_native_guest_is_told(natives, share):
    see_a_panic(natives, share)


def test_a_root_of_ones_own(natives, tmp_path):
    """--root DIR is the guest's root file system, and what it writes there stays."""
    root = tmp_path / "root"
    for name in ("bin", "proc", "sys", "dev", "tmp", "run", "mnt", "root", "etc"):
        (root / name).mkdir(parents=True)
    busybox = subprocess.run(["sh", "-c", "command -v busybox"], capture_output=True, text=True)
    assert busybox.returncode == 0, "busybox is missing: run scripts/setup test"
    subprocess.run(["cp", "-L", busybox.stdout.strip(), root / "bin/busybox"], check=True)
    (root / "bin/sh").symlink_to("busybox")
    natives("/bin/busybox uname -r > /etc/kernel; /bin/busybox grep -c ' / virtiofs ' /proc/mounts",
            "--root", f"{root}:rw").finish()
    assert (root / "etc/kernel").read_text().startswith("6.12")


def vm_parts():
    said = subprocess.run([TOP / "scripts/vm-root", "--print", "guest"], check=True,
                          capture_output=True, text=True).stdout
    return dict(line.split("=", 1) for line in said.splitlines())


def test_the_kernel_boots_from_the_share_itself(tmp_path):
    """root=TAG rootfstype=virtiofs, a stock QEMU and casementd: nothing of casement run."""
    parts = vm_parts()
    daemon = subprocess.Popen(
        [CASEMENTD, "--shared-dir", parts["ROOT"], "--socket-path", tmp_path / "sock", "--readonly",
         "--cache", "always"], stderr=subprocess.PIPE, text=True)
    try:
        assert "waiting for the VMM" in daemon.stderr.readline()
        BOOTED["QEMU"] += 1
        said = subprocess.run(
            ["qemu-system-x86_64", "-machine", "q35,memory-backend=mem", "-m", "512M", "-nodefaults",
             "-display", "none", "-nic", "none", "-no-reboot", "-serial", "stdio",
             "-object", "memory-backend-memfd,id=mem,size=512M,share=on",
             "-kernel", parts["KERNEL"], "-append",
             "root=rootfs rootfstype=virtiofs ro console=ttyS0 panic=-1 "
             "no_timer_check quiet init=/bin/sh -- "
             "-c \"echo I am $0; exec poweroff -f\"",
             "-chardev", f"socket,id=c0,path={tmp_path / 'sock'}",
             "-device", "vhost-user-fs-pci,chardev=c0,tag=rootfs,queue-size=1024"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
        assert "I am /bin/sh" in said.stdout, said.stdout + said.stderr
        assert daemon.wait(timeout=30) == 0
        assert not (tmp_path / "sock").exists()
    finally:
        daemon.kill()
        daemon.communicate()
