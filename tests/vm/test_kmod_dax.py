# SPDX-License-Identifier: BSD-3-Clause
"""Our own guest driver and the DAX window: which files go through it, and what becomes of them."""
import mmap
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest

import limits
from agent import Agent
from guests import BUILD, PATIENCE
from dax_check_sizes import SIZES, pattern
from kmod_guest import LEAVE, TAKE, signal_daemon
from test_kmod import LESS_TO_VERIFY

HERE = pathlib.Path(__file__).resolve().parent

# `used NAME`: a number of the window's line in sysfs.
USED = r"""
used() { sed "s/.*\b$1=\([0-9]*\).*/\1/" $sysfs/window; }
"""


def fill(share, sizes=SIZES):
    for size in sizes:
        (share / f"f{size}").write_bytes(pattern(size, 1)[:size])
    for name in ("dax_check.py", "dax_check_sizes.py"):
        shutil.copy(HERE / name, share)


# Ours: a place for each file that is open, more or less; with `always` also those that the
# daemon does not offer, as they are longer than the window or short.
@pytest.mark.parametrize("dax, size", [("auto", "64M"), ("auto", "4M"), ("always", "64M"), ("never", "64M")])
def test_sizes(window, dax, size):
    place = window(f"{size}-never")
    share = place.directory
    fill(share)
    seen = place.run(USED + "python3 dax_check.py " + " ".join(map(str, SIZES)) + "\necho mapped $(used mapped)\n",
                     options=f"-o dax={dax}")
    checked, mapped = seen.splitlines()
    assert checked == f"checked {len(SIZES)}"
    assert (mapped == "mapped 0") == (dax == "never")
    for number in SIZES:
        data = (share / f"f{number}").read_bytes()
        assert len(data) == number + 6300 + 3_000_000
        assert data[-1] == 0x77 and data[len(data) // 2] == 0x78


def test_data(window):
    """fio verifies what it writes through the window, each way; other programs' bytes are right."""
    place = window("128M")
    share = place.directory
    for name in ("psync-0", "psync-1", "libaio-1", "mmap-0"):
        (share / f"{name}.0.0").write_bytes(bytes(2 << 20))
    for name in ("copied", "direct", "pieces"):
        (share / name).write_bytes(bytes(3 << 20))
    place.run(USED + LESS_TO_VERIFY + "[ $(used mapped) -ge 7 ]\n")
    assert (share / "copied").read_bytes()[5000:] == bytes(15000)


def test_one_mapping_for_a_large_file(window):
    """64 MiB are one range, read, mapped and closed; the next open finds it there."""
    place = window("256M")
    share = place.directory
    with open(share / "big", "wb") as file:
        for number in range(64):
            file.write(bytes([number]) * (1 << 20))
    place.run(USED + r"""
dd if=big bs=1M 2>/dev/null | cmp - big
dd if=big of=/dev/null bs=4k 2>/dev/null
[ $(used mapped) = 1 ]; [ $(used ranges) = 1 ]
grep -q 'requests.0 sent=[0-9][0-9]\? ' $sysfs/statistics
cd /; umount /mnt/t; [ $(used ranges) = 0 ]; [ $(used free) = $(used size) ]
for i in 1 2 3; do
    mount -t casement $tag /mnt/t; [ $(tail -c 1 /mnt/t/big | od -An -tu1) = 63 ]; umount /mnt/t
done
mount -t casement $tag /mnt/t
""")


def test_more_than_the_window_has_room_for(window):
    """Closed files give their places to others. Files that are open do not: the last goes by the page cache."""
    place = window("16M")
    share = place.directory
    for i in range(12):
        (share / f"f{i}").write_bytes(bytes([i + 1]) * (5 << 20))
    place.run(USED + r"""
for round in 1 2; do for i in 0 1 2 3 4 5 6 7 8 9 10 11; do
    printf "$(printf '\\%03o' $((i+64)))" | dd of=f$i bs=1 seek=$((round*2000000)) conv=notrunc 2>/dev/null
    [ "$(tr -d "$(printf '\\%03o' $((i+1)))" < f$i | wc -c)" = $round ]
done; done
[ $(used removed) -ge 36 ]
exec 3<f0 4<f1 5<f2 6<f3
before=$(used mapped)
cat <&3 >/dev/null; cat <&4 >/dev/null; cat <&5 >/dev/null; cat <&6 > /dev/null
middle=$(used mapped); [ $middle -gt $before ]
for round in 1 2 3; do tail -c 4194304 f0 > /dev/null; tail -c 4194304 f3 > /dev/null; done
[ $(used mapped) = $middle ]
exec 3<&- 4<&- 5<&- 6<&-
""")
    for i in range(12):
        data = (share / f"f{i}").read_bytes()
        assert data.count(bytes([i + 1])) == (5 << 20) - 2
        assert data[2000000] == data[4000000] == i + 64


def test_small_files_do_not_chase_each_other(window):
    """Round after round through more small files than there are ranges: those that are in stay."""
    place = window("16M")
    share = place.directory
    for i in range(40):
        (share / f"f{i}").write_bytes(bytes([i]) * 100000)
    place.run(USED + r"""
round() { python3 -ISc 'for i in range(40): assert open(f"f{i}", "rb", 0).read(70000) == bytes([i]) * 70000'; }
round; [ $(used ranges) = 8 ]; [ $(used mapped) = 8 ]
round; round; [ $(used mapped) = 8 ]
# The one that is used most often gets in.
for i in 1 2 3; do cat f39 > /dev/null; done; [ $(used removed) = 1 ]; [ $(used mapped) = 9 ]
""")


def test_a_mapped_file_grows_past_the_window(window):
    """A fault must have a range: others of the same file go for it, and larger ones come."""
    place = window("32M")
    share = place.directory
    (share / "grow").write_bytes(os.urandom(65536))
    shutil.copy(HERE / "dax_grow.py", share)
    size = 100 << 20
    place.run(USED + f"python3 dax_grow.py grow {size}\n[ $(used mapped) -le 150 ]\n")
    with open(share / "grow", "rb") as file:
        for at in range(0, size, 1 << 20):
            file.seek(at)
            assert file.read(8) == at.to_bytes(8, "little")


@pytest.mark.parametrize("others", [0, 7])
def test_growth_in_a_full_window(window, others):
    """No load, store, read or write inside a file fails because its window is full."""
    place = window("16M")
    share = place.directory
    for number in range(others):
        (share / f"other-{number}").write_bytes(bytes([number]) * (2 << 20))
    (share / "copied").write_bytes(b"c" * (1 << 20))
    (share / "grown").write_bytes(b"\7" * 65536)
    (share / "sparse").write_bytes(b"\t" * (1 << 20))
    shutil.copy(HERE / "dax_full.py", share)
    seen = place.run(USED + f"python3 dax_full.py {others}\n[ $(used mapped) -le 150 ]\n")
    assert seen == "right\n"
    assert set((share / "grown").read_bytes()) == {7}
    assert set((share / "copied").read_bytes()) == {ord("c")}
    assert (share / "sparse").stat().st_size == (20 << 20) + 5


def test_reads_ask_nothing(window):
    """What a read finds in the window needs no request, whatever is cached; the end of the file does."""
    place = window("64M-never")
    share = place.directory
    (share / "file").write_bytes(bytes(range(256)) * 4096)
    place.run(USED + r"""
sent() { awk '{ sub(".*sent=", ""); sum += $1 } END { print sum }' $sysfs/statistics; }
cat > /tmp/read.py <<'END'
import os
fd = os.open("file", os.O_RDONLY)
input()
for at in range(1000):
    assert os.pread(fd, 256, at * 1024) == bytes(range(256))
print("read", flush=True)
input()
END
mkfifo /tmp/go; python3 /tmp/read.py < /tmp/go > /tmp/said & exec 9> /tmp/go
dd if=file of=/dev/null bs=64k 2>/dev/null; settle; before=$(sent)
echo go >&9; until grep -q read /tmp/said; do :; done
[ $(($(sent) - before)) -le 20 ]
echo line >> file
echo go >&9; wait
[ "$(tail -c 5 file)" = line ]
""")


def test_pages_of_the_window_are_buffers(window):
    place = window("64M")
    share = place.directory
    for name in ("mapped", "other"):
        (share / name).write_bytes(os.urandom(1 << 20))
    shutil.copy(HERE / "dax_pinned.py", share)
    place.run(USED + "python3 dax_pinned.py mapped other\n[ $(used mapped) -ge 1 ]\n")
    assert (share / "other").read_bytes()[4096:8192] == (share / "mapped").read_bytes()[:4096]


def test_stores_change_times_and_no_program_is_harmed(window):
    """stat(2) after a store has the daemon's times; what can be executed is not mapped."""
    place = window("64M")
    share = place.directory
    (share / "file").write_bytes(bytes(1 << 20))
    os.utime(share / "file", (1, 1))
    shutil.copy("/usr/bin/true", share / "program")
    place.run(USED + r"""
[ $(stat -c %Y file) = 1 ]
printf x | dd of=file bs=1 seek=500000 conv=notrunc 2>/dev/null
[ $(stat -c %Y file) != 1 ]; [ $(used mapped) = 1 ]
./program; [ $(used mapped) = 1 ]
""")


def test_files_made_here_are_opened_again_while_they_are_mapped(window):
    """Which way a file goes stays as it is as long as anybody has it open, its maker included."""
    place = window("16M")
    share = place.directory
    shutil.copy(HERE / "dax_made.py", share)
    assert place.run(USED + """
before=$(used removed); said=$(python3 dax_made.py)
[ $(used removed) -gt $before ]; echo $said
""") == "right\n"


def test_a_cut_meets_every_kind_of_use(qemu_guest, share):
    """A process may cut what others map, run, read and write: none of them takes the machine along."""
    (share / "file").write_bytes(bytes(16 << 20))
    shutil.copy(HERE / "dax_cut.py", share)
    assert qemu_guest("python3 dax_cut.py file 80\n", "--window", "64M", "--cpus", 2).finish() == "lives\n"


# Loads the last byte of a file again and again, when told to.
LOADER = """
import mmap
with open("file", "r+b") as file, mmap.mmap(file.fileno(), 0) as pages:
    while True:
        print(pages[-1], flush=True)
        input()
"""

# Cuts the file when told to: all that has to be asked before was asked.
CUTTER = """
import os
fd = os.open("file", os.O_RDWR)
os.ftruncate(fd, 4 << 20)
print("ready", flush=True)
input()
os.ftruncate(fd, 1 << 20)
"""


def test_a_killed_cut(machines, share, module, tmp_path):
    """Who cuts a file and is killed, its daemon being slow, leaves nobody with pages that are not there."""
    (share / "file").write_bytes(b"#" * (4 << 20))
    control = tmp_path / "control"
    control.mkdir()
    (control / "load.py").write_text(LOADER)
    (control / "cut.py").write_text(CUTTER)
    agent = Agent(machines, "a", control, "--share", f"{share}:t", "--share-arg", "--cache=always", "--window", "64M",
                  "--share", f"{module.parent}:kmod:ro")
    agent.ask(TAKE + "set +e; trap '' PIPE\nmkfifo /tmp/go /tmp/now\n"
              "python3 /mnt/control/load.py < /tmp/go > /tmp/said 2>&1 & loader=$!\n"
              "python3 /mnt/control/cut.py < /tmp/now > /tmp/ready 2>&1 & cutter=$!\n"
              "exec 9> /tmp/go 8> /tmp/now; until [ -s /tmp/said ] && [ -s /tmp/ready ]; do :; done; settle")
    signal_daemon(share, signal.SIGSTOP)
    try:
        agent.ask("echo now >&8\nuntil grep -q 'in_flight=[1-9]' $sysfs/statistics; do :; done\n"
                  "kill -9 $cutter; echo go >&9\n"
                  # It has loaded, or waits for the cut to end.
                  "until [ $(wc -l < /tmp/said) = 2 ] || grep -q ' D ' /proc/$loader/stat; do :; done")
    finally:
        signal_daemon(share, signal.SIGCONT)
    # A load before anybody has asked for the size, and one after.
    assert agent.ask("{ wait $cutter; } 2>/dev/null; settle; lines=$(wc -l < /tmp/said)\n"
                     "echo go 2>/dev/null >&9\n"
                     "until [ $(wc -l < /tmp/said) -gt $lines ] || ! [ -e /proc/$loader/fd/0 ]; do :; done\n"
                     "stat -c %s file; echo go 2>/dev/null >&9; { wait $loader; } 2>/dev/null; echo $?"
                     ) == "1048576\n135\n"
    agent.end()


def test_two_guests_and_the_host_share_memory(machines, share, module):
    """One is on our driver, one on the kernel's."""
    shutil.copy(BUILD / "demo" / "three", share)
    with open(share / "shared", "w+b") as file:
        file.truncate(1 << 20)
        words = ["--share", f"{share}:t", "--window", "64M"]
        guests = [machines(f"{TAKE}./three shared 1 guest-1\n{LEAVE}", *words, "--share", f"{module.parent}:kmod:ro"),
                  machines("exec ./three shared 2 guest-2", *words)]
        with mmap.mmap(file.fileno(), 192) as shared:
            shared[4:9] = b"host\0"
            shared[0:4] = (1).to_bytes(4, "little")
            end = limits.now() + PATIENCE
            # Stores of another machine come without an event.
            while not (shared[64] and shared[128]) and limits.now() < end:
                time.sleep(0.05)
            assert shared[68:75] == shared[132:139].replace(b"2", b"1") == b"guest-1"
    for i, guest in enumerate(guests, 1):
        assert guest.finish() == f"guest-{i} sees: host, guest-1, guest-2\n"


def test_removed_while_mapped(machines, share, module, tmp_path):
    """The device goes: a mapping's next touch is SIGBUS, a read an error, and nothing stays."""
    (share / "file").write_bytes(b"#" * (5 << 20))
    control = tmp_path / "control"
    control.mkdir()
    shutil.copy(HERE / "dax_hold.py", control)
    agent = Agent(machines, "a", control, "--share", f"{share}:t", "--window", "64M",
                  "--share", f"{module.parent}:kmod:ro")
    agent.ask(TAKE + USED + "set +e\nmkfifo /tmp/go\n"
              "python3 /mnt/control/dax_hold.py file < /tmp/go > /tmp/said 2>&1 & pid=$!\n"
              "exec 9> /tmp/go; until [ -s /tmp/said ]; do :; done")
    assert agent.ask("used ranges") != "0\n"
    said = agent.ask("echo $virtio > /sys/bus/virtio/drivers/casement/unbind\n"
                     "echo go >&9; wait $pid; echo status $?; cat /tmp/said\n"
                     "cd /; umount /mnt/t; rmmod casement; echo rmmod $?").splitlines()
    assert said[-1] == "rmmod 0" and "status 135" in said
    assert said[-3:-1] == [str(ord("#")), "Transport endpoint is not connected"]
    agent.end()


def test_programs_where_others_were(window):
    """Each runs as itself: an emulator that has translated code at an address may not know that it is another's now."""
    place = window("16M")
    share = place.directory
    source = share / "exit.s"
    for status in (1, 2, 3, 4):
        source.write_text(f".globl _start\n_start: mov ${status}, %edi\nmov $60, %eax\nsyscall\n")
        subprocess.run(["cc", "-nostdlib", "-static", "-o", share / f"exit{status}", source], check=True)
    seen = place.run(USED + r"""
for status in 1 2 3 4 1 2 3 4; do
    cd /; umount /mnt/t; mount -t casement -o dax=always $tag /mnt/t
    /mnt/t/exit$status || printf $?
    [ $(used ranges) = 1 ]
done
""")
    assert seen == "12341234"
