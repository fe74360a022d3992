# SPDX-License-Identifier: BSD-3-Clause
"""Our guest driver on a kernel with PREEMPT_RT, where spinlocks sleep and interrupts are threads."""
import subprocess

import pytest

from guests import BUILD, KERNEL, PATIENCE, TOP
from kmod_guest import CLEAN
from modules import module_for

# In each directory: more processes than processors, then one alone; names, data, a mapping, and a lock.
WORK = r"""
import fcntl, mmap, os, sys
def work(name, rounds):
    for number in range(rounds):
        fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
        os.pwrite(fd, bytes([number]) * 70000, 0)
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with mmap.mmap(fd, 70000) as memory:
            assert memory[69999] == number
            memory[1] = 255
        os.fsync(fd)
        assert os.pread(fd, 4, 0) == bytes([number, 255, number, number])
        os.rename(name, name + ".new")
        assert name + ".new" in os.listdir(".")
        os.unlink(name + ".new")
        os.close(fd)
for directory in sys.argv[1:]:
    os.chdir(directory)
    for process in range(6):
        if not os.fork():
            work(f"f{process}", 10)
            os._exit(0)
    assert [os.wait()[1] for process in range(6)] == [0] * 6
    work("alone", 20)
"""

SHARES = {"auto": ["--cache=auto", "--posix-lock"], "never": ["--cache=never", "--allow-mmap"],
          "gather": ["--cache=auto", "--writeback"]}


@pytest.mark.skipif(bool(KERNEL), reason="the kernel is a developer's")
def test_nothing_sleeps_where_it_may_not(machines, share):
    """On two processors, with a window; "scheduling while atomic" is a complaint of the kernel's."""
    said = subprocess.run([TOP / "scripts/vm-root", "--print", "rt"], check=True, capture_output=True, text=True).stdout
    module = module_for("--rt", BUILD / "kmod-rt")
    words = ["--driver", "casement", "--module", module, "--kernel", said.strip().removeprefix("RT=") + "/kernel",
             "--cpus", 2, "--window", "64M"]
    for name, options in SHARES.items():
        (share / name).mkdir()
        words += ["--share", f"{share / name}:{name}"]
        words += [word for option in options for word in ("--share-arg", option)]
    (share / "auto/work.py").write_text(WORK)
    places = " ".join(f"/mnt/{name}" for name in SHARES)
    machines(f"set -e; grep -q PREEMPT_RT /proc/version; python3 /mnt/auto/work.py {places}\n{CLEAN}",
             *words).finish(patience=3 * PATIENCE)
    assert [path.name for path in share.glob("*/*")] == ["work.py"]
