# SPDX-License-Identifier: BSD-3-Clause
"""`casement run --driver casement`: a guest whose root file system is on our own driver."""
import shutil
import subprocess

import pytest

from guests import TOP, in_memory
from test_everyday import WORKLOADS, prepare, results

OURS = ["--driver", "casement"]


@pytest.fixture
def root():
    """A copy of the guest's root that the guest may change."""
    said = subprocess.run([TOP / "scripts/vm-root", "--print", "guest"], check=True, capture_output=True,
                          text=True).stdout
    made = next(line[5:] for line in said.splitlines() if line.startswith("ROOT="))
    directory = in_memory("root")
    subprocess.run(["cp", "-aT", made, directory], check=True)
    yield directory
    shutil.rmtree(directory)


# What is mounted how, and that it can be used.
SAY = r"""
set -e
awk '$3 ~ /virtiofs|casement/ { print $1, $2, $3, substr($4, 1, 2) }' /proc/mounts
echo here > file; cat file; ls / > /dev/null
"""


def check_driver(start, share, module, *args):
    """Root and shares are on it."""
    said = start(SAY, "--share", f"{share}:t", "--module", module, *OURS, *args).finish()
    assert said.splitlines() == ["casement.root / casement ro", "t /mnt/t casement rw", "here"]


def test_driver(checked, share, checked_module):
    check_driver(checked, share, checked_module)


def test_driver_in_qemu(machines, share, module, device):
    check_driver(machines, share, module, *device)


def test_a_module_of_another_kernel_is_refused(natives, share, tmp_path):
    (tmp_path / "casement.ko").write_bytes(b"no module")
    guest = natives("true", "--share", f"{share}:t", "--module", tmp_path / "casement.ko", *OURS)
    guest.finish(expect=125)
    assert "cannot load casement.ko: Exec format error; is it built for this kernel?" in guest.stderr()


def test_a_machine_lives_on_it(machines, module, root, tmp_path):
    """Root, home and build tree on our driver: it boots, builds, reboots, goes on, and shuts down."""
    home, host = root / "root" / "work", tmp_path / "host"
    for directory in (home, host):
        directory.mkdir()
        prepare(directory)
    subprocess.run(["sh", "-c", WORKLOADS], cwd=host, check=True)
    guest = machines(r"""
set -e
cd /root/work
if [ ! -e /root/booted ]; then
    mount -o remount,rw /
    (""" + WORKLOADS + r""")
    mkdir /root/bin; cp -a /usr/bin/[g-o]* /root/bin
    touch /root/booted; sync; echo b > /proc/sysrq-trigger; read never
fi
if diff -r --no-dereference /usr/bin /root/bin | grep -v '^Only in /usr/bin: '; then exit 9; fi
/root/bin/git -C clone status --short > /dev/null; make -s -C project; ./project/prog
mount -o remount,ro /; if touch /root/no 2>/dev/null; then exit 9; fi
""", "--root", f"{root}:rw", "--reboot", "--module", module, *OURS)
    assert guest.finish(patience=400) == "42\n"
    assert guest.kernel_log().count("Linux version") == 2
    assert results(home) == results(host)
    assert not (root / "root" / "no").exists()
