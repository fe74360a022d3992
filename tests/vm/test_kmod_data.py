# SPDX-License-Identifier: BSD-3-Clause
"""Our own guest driver: what several do to one file at once leaves the bytes and the size that it must."""
import contextlib
import hashlib
import os
import random
import shutil
import signal
import subprocess
import threading
import time

import pytest

from agent import Agent
from guests import BUILD
from kmod_guest import TAKE, signal_daemon

CHECK = BUILD / "tests" / "data" / "data-check"
WRITE_BACK = ["--share-arg", "--writeback"]


@pytest.mark.parametrize("args", [[], WRITE_BACK], ids=["through", "back"])
def test_appends_beside_those_who_ask_for_the_size(guest, share, args):
    shutil.copy(CHECK, share)
    guest("./data-check appends\n", *args).finish()


RACES = ["cut", "cut-refused", "empty", "empty-linked", "punch", "punch-beside", "copy", "copy-beside"]


@pytest.mark.parametrize("args", [[], WRITE_BACK], ids=["through", "back"])
def test_stores_beside_what_changes_the_file(agent, share, args):
    """The daemon is stopped while both are under way, so neither can be too late for the other."""
    shutil.copy(CHECK, share)
    agent = agent("--share-arg", "--negative-timeout=600", *args)
    agent.ask("cp data-check /tmp; mkfifo /tmp/go")
    wrong = ""
    for race in RACES:
        agent.ask("rm -f race source linked; exec 9<> /tmp/go\n"
                  f"/tmp/data-check {race} < /tmp/go > /tmp/said & pid=$!\n"
                  "until grep -q ready /tmp/said; do :; done; settle")
        if race == "cut-refused":
            subprocess.run(["chattr", "+a", share / "race"], check=True)
        if race == "empty-linked":
            os.link(share / "race", share / "linked")
        signal_daemon(share, signal.SIGSTOP)
        try:
            agent.ask("echo >&9; until grep -q stored /tmp/said; do :; done")
        finally:
            signal_daemon(share, signal.SIGCONT)
        said = agent.ask("wait $pid; echo $?; cat /tmp/said; stat -c '%s bytes' race")
        subprocess.run(["chattr", "-a", share / "race"], check=True)
        if not said.startswith("0\n") or f"{(share / 'race').stat().st_size} bytes" not in said:
            wrong += f"{race}: {(share / 'race').stat().st_size} on the host, {said}"
    assert not wrong
    agent.end()


@pytest.mark.parametrize("args", [[], WRITE_BACK], ids=["through", "back"])
def test_a_file_that_the_host_cuts(agent, share, args):
    """Its end is where a read finds it, however long its old size may be believed: no zeros follow."""
    data = random.Random(1).randbytes(3 * 8192)
    (share / "cut").write_bytes(data)
    agent = agent("--share-arg", "--timeout=1000", *args)
    assert agent.ask("stat -c %s cut; exec 5< cut") == "24576\n"
    os.truncate(share / "cut", 8192 + 100)
    assert agent.ask("cat cut > /tmp/got; cmp /tmp/got cut; stat -c %s /tmp/got cut") == "8292\n8292\n"
    assert (share / "cut").read_bytes() == data[:8292]
    # By who had it open, past the end of a page, and by who made it long again.
    (share / "again").write_bytes(data)
    assert agent.ask("exec 5<> again; stat -c %s again") == "24576\n"
    os.truncate(share / "again", 4096)
    said = agent.ask("cat <&5 | wc -c; printf end | dd of=again bs=1 seek=9000 conv=notrunc 2>/dev/null; sha256sum < again")
    expected = data[:4096] + bytes(9000 - 4096) + b"end"
    assert said == f"4096\n{hashlib.sha256(expected).hexdigest()}  -\n"
    assert (share / "again").read_bytes() == expected
    agent.end()


# In the guest: a private copy of the second page is made, and the first is cached; then, when it is told to, its
# arguments are done, and what there is now is told.
COPY = r"""
import mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
pages = mmap.mmap(fd, 8192, flags=mmap.MAP_PRIVATE)
pages[0], pages[5000]
pages[5000] = ord("p")
print("ready", flush=True)
sys.stdin.readline()
try:
    eval(sys.argv[2])
except OSError as error:
    print(error.strerror)
print(os.pread(fd, 8192, 0).count(b"x"), flush=True)
print(chr(pages[5000]))
"""


def copied_page(agent, share, name, change):
    """A function that has that program go on, and gives what it said."""
    (share / name).write_bytes(b"x" * 8192)
    (share / "copy.py").write_text(COPY)
    agent.ask(f"rm -f /tmp/go; mkfifo /tmp/go; exec 8<> /tmp/go\n"
              f"python3 -I copy.py {name} '{change}' <&8 > /tmp/said 2> /dev/null & pid=$!\n"
              "until grep -q ready /tmp/said; do :; done")
    return lambda: agent.ask("echo >&8; { wait $pid; } 2> /dev/null; echo $?; cat /tmp/said")


def test_what_goes_with_the_end_of_a_file(agent, share):
    """Private copies of pages, if the file was cut; and nothing at all if the daemon refused that."""
    agent = agent("--share-arg", "--timeout=1000")
    go_on = copied_page(agent, share, "refused", 'os.truncate("refused", 100)')
    subprocess.run(["chattr", "+a", share / "refused"], check=True)
    try:
        assert go_on() == "0\nready\nOperation not permitted\n8192\np\n"
    finally:
        subprocess.run(["chattr", "-a", share / "refused"], check=True)
    for name, change, left in (("cut", 'os.truncate("cut", 100)', 100), ("by-host", 'os.stat("by-host")', 4096)):
        go_on = copied_page(agent, share, name, change)
        if name == "by-host":
            os.truncate(share / name, 4096)
            agent.ask("stat --cached=never by-host")
        assert go_on() == f"135\nready\n{left}\n"
    agent.end()


# In the guest: a store to one page of a large folio, before the host writes the whole file; `opened` and `told` are how
# the guest hears of that.
STORE_IN_LARGE = r"""
echo 360000 > /proc/sys/vm/dirty_writeback_centisecs
python3 -I - <<'END'
import ctypes, mmap, os
def told():
    ctypes.CDLL(None).statx(-100, b"told", 0x2000, 0x7ff, ctypes.create_string_buffer(256))
for name, hears in ("opened", lambda: os.open("opened", os.O_RDONLY)), ("told", told):
    fd = os.open(name, os.O_RDWR)
    for at in range(0, 1 << 20, 4096):
        os.pread(fd, 4096, at)
    pages = mmap.mmap(fd, 1 << 20)
    pages[128 << 12] = ord("S")
    os.mkdir(name + "-stored")
    while not os.path.exists(name + "-written"):
        pass
    hears()
    data = os.pread(fd, 1 << 20, 0)
    print(name, data.count(b"x", 0, 128 << 12) + data.count(b"x", 129 << 12), chr(data[128 << 12]))
END
"""


def test_a_store_in_a_large_folio_keeps_no_old_pages(processors):
    """The host wrote the file meanwhile: pages beside the one that is dirty are read again."""
    place = processors("auto")

    def write():
        for name in ("opened", "told"):
            while not (place.directory / f"{name}-stored").exists():
                time.sleep(0.01)
            with open(place.directory / name, "r+b") as file:
                file.write(b"y" * (1 << 20))
            (place.directory / f"{name}-written").mkdir()

    for name in ("opened", "told"):
        (place.directory / name).write_bytes(b"x" * (1 << 20))
    host = threading.Thread(target=write, daemon=True)
    host.start()
    said = place.run(STORE_IN_LARGE)
    host.join()
    assert said.split() == ["opened", "0", "S", "told", "0", "S"]


def test_who_writes_can_be_killed(agent, share):
    """While the daemon is silent: who waits for it, and who waits for that one, of pages that are here or not."""
    (share / "file").write_bytes(bytes(1 << 20))
    agent = agent("--share-arg", "--timeout=1000")
    # The first write asks if there are extended attributes.
    agent.ask("exec 7<> file 8<> file; printf x >&8; exec 6<> longer; printf x >&6; settle\n"
              "echo 3 > /proc/sys/vm/drop_caches; stat longer")
    signal_daemon(share, signal.SIGSTOP)
    try:
        said = agent.ask("printf y >&7 & one=$!\nuntil grep -q 'in_flight=[1-9]' $sysfs/statistics; do :; done\n"
                         "head -c 100000 /dev/zero >&8 & two=$!\n"
                         "until grep -q '^State:.*D' /proc/$two/status; do :; done\n"
                         "head -c 5000 /dev/zero >&6 & three=$!\n"
                         "until grep -q 'in_flight=[2-9]' $sysfs/statistics; do :; done\n"
                         "kill -9 $one $two $three; wait $one; echo $?; wait $two; echo $?; wait $three; echo $?")
        assert said.replace("Killed\n", "") == "137\n137\n137\n"
    finally:
        signal_daemon(share, signal.SIGCONT)
    agent.ask("settle; printf z | dd of=file bs=1 seek=3 conv=notrunc; sync")
    assert (share / "file").read_bytes()[1:5] == b"\0\0z\0"
    assert agent.ask("cat file | cmp - file && echo same") == "same\n"
    # What the killed one wrote came to the daemon all the same, and is known.
    assert agent.ask("stat -c %s longer") == f"{(share / 'longer').stat().st_size}\n"
    agent.end()


# In the guest: page 50 is not cached, those after it are in the page tables. A read of it finds the new end.
PAST_THE_END = r"""
import mmap, os
fd = os.open("past", os.O_RDWR)
pages = mmap.mmap(fd, 64 * 4096)
pages.madvise(mmap.MADV_RANDOM)
loaded = [pages[at * 4096] for at in range(55, 60)]
print("ready", flush=True)
input()
assert os.pread(fd, 4096, 50 * 4096) == b""
pages[57 * 4096] = 1
"""
BUS_ERROR = 128 + signal.SIGBUS


def cut_beside(agent, share, name, script, first):
    """The agent of a guest whose program, `pid`, maps a file of 64 pages that the host then cuts; a line to descriptor
    9 lets the program go on. `first`: commands before it begins."""
    (share / name).write_bytes(b"x" * 64 * 4096)
    (share / f"{name}.py").write_text(script)
    agent = agent("--share-arg", "--timeout=1000")
    agent.ask(f"{first}\ncp {name}.py /tmp; mkfifo /tmp/go; exec 9<> /tmp/go\n"
              f"timeout -s KILL 20 python3 /tmp/{name}.py < /tmp/go > /tmp/said & pid=$!\n"
              "until grep -q ready /tmp/said; do :; done")
    os.truncate(share / name, 100)
    return agent


def test_a_store_past_the_end_that_a_read_found(agent, share):
    """It fails as in a local file system; it is neither kept nor tried for ever."""
    agent = cut_beside(agent, share, "past", PAST_THE_END, "stat past")
    assert agent.ask("echo >&9; wait $pid; echo $?").endswith(f"{BUS_ERROR}\n")
    agent.end()


# In the guest: a page is dirty when a read of one before it finds the end that the host has made.
CUT_OFF = r"""
import mmap, os
fd = os.open("off", os.O_RDWR)
pages = mmap.mmap(fd, 64 * 4096)
pages.madvise(mmap.MADV_RANDOM)
pages[57 * 4096] = 1
print("ready", flush=True)
input()
assert os.pread(fd, 4096, 50 * 4096) == b""
"""


def test_a_dirty_page_that_the_host_cut_off(agent, share):
    """There is nothing to send of it, and its file is dirty no longer: it leaves the guest's cache as any other."""
    agent = cut_beside(agent, share, "off", CUT_OFF,
                       "mount -t debugfs none /sys/kernel/debug; stats=$(echo /sys/kernel/debug/bdi/casement-*/stats)")
    assert agent.ask("echo >&9; wait $pid; echo $?; sync; grep -o 'b_dirty: *[0-9]*' $stats | tr -d ' '") == "0\nb_dirty:0\n"
    agent.end()


# In the guest: a page that is in the page tables is stored to.
STORE = r"""
import mmap, os
pages = mmap.mmap(7, 64 * 4096)
loaded = pages[40 * 4096]
print("ready", flush=True)
input()
pages[40 * 4096] = ord("S")
print(os.pread(7, 1, 40 * 4096), pages[40 * 4096: 40 * 4096 + 1], flush=True)
os._exit(0)
"""
KILLED_WRITE = "import os; os.pwrite(7, b'w' * 100, 40 * 4096 + 100)"


def test_a_store_to_a_page_whose_write_failed(agent, share):
    """The process that wrote was killed, and then the disk was full: the page is read again before it is dirty."""
    small = share / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", small], check=True)
    try:
        (small / "file").write_bytes(b"")
        os.truncate(small / "file", 64 * 4096)
        (share / "store.py").write_text(STORE)
        agent = agent("--share-arg", "--timeout=1000")
        # The first write asks if there are extended attributes.
        agent.ask("exec 7<> small/file; printf x >&7; cp store.py /tmp; mkfifo /tmp/go; exec 9<> /tmp/go; cd /\n"
                  "python3 -I /tmp/store.py < /tmp/go > /tmp/said & pid=$!\n"
                  "until grep -q ready /tmp/said; do :; done; settle")
        signal_daemon(share, signal.SIGSTOP)
        try:
            agent.ask(f'python3 -Ic "{KILLED_WRITE}" & one=$!\n'
                      "until grep -q 'in_flight=[1-9]' $sysfs/statistics; do :; done; kill -9 $one; wait $one")
            with open(small / "fill", "wb", buffering=0) as fill, contextlib.suppress(OSError):
                while True:
                    fill.write(bytes(4096))
        finally:
            signal_daemon(share, signal.SIGCONT)
        assert agent.ask("settle; echo >&9; wait $pid; cat /tmp/said") == "ready\nb'S' b'S'\n"
        agent.end()
    finally:
        subprocess.run(["umount", "-l", small], check=True)


DIRECT_WRITE = """
import mmap, os
fd = os.open("direct", os.O_RDWR | os.O_DIRECT)
data = mmap.mmap(-1, 8192)
data[:] = b"d" * 8192
print("ready", flush=True)
input()
os.pwritev(fd, [data], 0)
"""


def test_a_direct_writer_can_be_killed(agent, share):
    """While others read the same pages; what they read before it is not what the page cache keeps."""
    (share / "direct").write_bytes(b"x" * 16384)
    (share / "direct.py").write_text(DIRECT_WRITE)
    agent = agent("--share-arg", "--timeout=1000", "--share-arg", "--allow-direct-io")
    agent.ask("exec 8< direct; mkfifo /tmp/go; exec 9<> /tmp/go; printf x > mine; cp direct.py /tmp\n"
              "python3 -I /tmp/direct.py < /tmp/go > /tmp/said & pid=$!\n"
              "until grep -q ready /tmp/said; do :; done; settle")
    signal_daemon(share, signal.SIGSTOP)
    try:
        said = agent.ask("head -c 4096 <&8 > /tmp/got & reader=$!\n"
                         "until grep -q 'in_flight=[1-9]' $sysfs/statistics; do :; done; echo >&9\n"
                         "until grep -q 'in_flight=[2-9]' $sysfs/statistics; do :; done\n"
                         "kill -9 $pid; wait $pid; echo $?")
        assert said.replace("Killed\n", "") == "137\n"
    finally:
        signal_daemon(share, signal.SIGCONT)
    assert agent.ask("wait $reader; settle; cat direct") == (share / "direct").read_text()
    agent.end()


# In the guest: pages are made dirty, and then sent by name or by the end of the process.
DIRTY = r"""
import mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
pages = mmap.mmap(fd, 8192)
loaded = pages[4096]
print("ready", flush=True)
input()
pages[4096] = ord("S")
if sys.argv[2] == "back":
    os.pwrite(fd, b"W", 0)
print("stored", flush=True)
if sys.argv[1] == "fsync":
    os.fsync(fd)
if sys.argv[1] == "msync":
    pages.flush()
input()
"""


@pytest.mark.parametrize("args", [[], WRITE_BACK], ids=["through", "back"])
def test_a_wait_for_dirty_pages_can_be_killed(agent, share, args):
    """While the daemon is silent, at fsync(2), msync(2), or the end of a process. The pages come to the daemon."""
    (share / "dirty.py").write_text(DIRTY)
    agent = agent("--share-arg", "--timeout=1000", *args)
    agent.ask("cp dirty.py /tmp; mkfifo /tmp/go; exec 9<> /tmp/go; printf x > mine")
    for way in ("fsync", "msync", "close"):
        (share / way).write_bytes(b"x" * 8192)
        agent.ask(f"python3 -I /tmp/dirty.py {way} {'back' if args else 'through'} < /tmp/go > /tmp/said & pid=$!\n"
                  "until grep -q ready /tmp/said; do :; done; settle")
        signal_daemon(share, signal.SIGSTOP)
        sent = "in_flight=[1-9]" if way != "close" else "."
        try:
            said = agent.ask("echo >&9; until grep -q stored /tmp/said; do :; done\n"
                             f"until grep -q '{sent}' $sysfs/statistics; do :; done\n"
                             "kill -9 $pid; wait $pid; echo $?")
            assert said.replace("Killed\n", "") == "137\n", way
        finally:
            signal_daemon(share, signal.SIGCONT)
        agent.ask("settle")
        assert (share / way).read_bytes()[4096:4097] == b"S", way
        assert not args or (share / way).read_bytes()[:1] == b"W", way
    agent.end()


# In the guest: the file is read, so that it is cached in folios as large as they get; then a store in the
# middle of each MiB, through a mapping and by write(2), and when the host has written beside them all is sent.
BESIDE = r"""
import mmap, os
fd = os.open("beside", os.O_RDWR)
while os.read(fd, 1 << 20):
    pass
pages = mmap.mmap(fd, 8 << 20)
for at in range(0, 8 << 20, 1 << 20):
    pages[at + (1 << 19)] = ord("G")
    os.pwrite(fd, b"G", at + (1 << 19) + 65536)
print("stored", flush=True)
input()
pages.flush()
os.fsync(fd)
"""


@pytest.mark.parametrize("args", [[], WRITE_BACK], ids=["through", "back"])
def test_what_the_host_writes_beside_a_store(machines, share, module, tmp_path, args):
    """In QEMU, for large folios: what is sent is the pages that were stored to, and no other."""
    control = tmp_path / "control"
    control.mkdir()
    (share / "beside").write_bytes(b"0" * (8 << 20))
    (share / "beside.py").write_text(BESIDE)
    agent = Agent(machines, "a", control, "--share", f"{share}:t", *args, "--share", f"{module.parent}:kmod:ro")
    agent.ask(TAKE + "set +e")
    agent.ask("mkfifo /tmp/go; exec 9<> /tmp/go; python3 beside.py < /tmp/go > /tmp/said & pid=$!\n"
              "until grep -q stored /tmp/said; do :; done")
    near = [page * 4096 for page in (-8, -3, -1, 1, 2, 5, 15, 17, 40)]
    with open(share / "beside", "r+b") as file:
        for at in range(0, 8 << 20, 1 << 20):
            for offset in near:
                file.seek(at + (1 << 19) + offset)
                file.write(b"H")
    agent.ask("echo >&9; wait $pid")
    data = (share / "beside").read_bytes()
    for at in range(1 << 19, 8 << 20, 1 << 20):
        assert bytes(data[at + offset] for offset in (0, 65536, *near)) == b"GG" + b"H" * len(near), at
    agent.end()
