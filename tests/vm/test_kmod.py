# SPDX-License-Identifier: BSD-3-Clause
"""Our own guest driver in real guests: built, loaded, mounted, worked with, removed.

The kernel's own virtio-fs is built in and has every device at boot. A guest takes the
share's from it by its tag, and gives it to casement.ko.
"""
import fcntl
import fnmatch
import hashlib
import os
import pathlib
import shutil
import signal
import subprocess

import pytest

from agent import Agent
from guests import PATIENCE, ROUNDS
from kmod_guest import CLEAN, LEAKS, LEAVE, LOOK_FOR_LEAKS, TAKE, signal_daemon
from test_everyday import OPERATIONS, WORKLOADS, check_workloads, on_host, prepare, results, snapshot
from test_posix import CHECK
from test_posix import on_host as posix_on_host
from test_posix import results as posix_results

@pytest.mark.parametrize("cache", ["auto", "never", "always"])
def test_operations(guest, share, cache, tmp_path):
    guest(f"({OPERATIONS})\n", "--cache", cache).finish()
    assert snapshot(share) == on_host(OPERATIONS, tmp_path / "host")


# What a machine of two processors with large folios or a window does, and how its share is served. Names in each
# mode are test_operations'.
QEMU_SHARES = [("auto", OPERATIONS, []), ("auto", OPERATIONS, ["--writeback"]),
               ("auto", WORKLOADS, ["--allow-mmap"]), ("never", WORKLOADS, ["--allow-mmap"]),
               ("auto", WORKLOADS, ["--writeback"])]


def test_everyday_in_qemu(machines, share, module, device, tmp_path):
    """All on our driver: a share for each way, and the root."""
    words, script = ["--driver", "casement", "--module", module, "--cpus", 2, *device], "set -e\n"
    host = on_host(OPERATIONS, tmp_path / "host")
    prepare(tmp_path / "work")
    subprocess.run(["sh", "-c", WORKLOADS], cwd=tmp_path / "work", check=True)
    for number, (cache, work, options) in enumerate(QEMU_SHARES):
        directory = share / str(number)
        prepare(directory) if work == WORKLOADS else directory.mkdir()
        words += ["--share", f"{directory}:{number}"]
        words += [word for option in [f"--cache={cache}", *options] for word in ("--share-arg", option)]
        script += f"(cd /mnt/{number}\n{work})\n"
    machines(script + CLEAN, *words).finish(patience=3 * PATIENCE)
    for number, (cache, work, options) in enumerate(QEMU_SHARES):
        if work == OPERATIONS:
            assert snapshot(share / str(number)) == host, (cache, options)
        else:
            check_workloads(share / str(number), tmp_path / "work")


@pytest.mark.parametrize("cache", ["auto", "never"])
def test_workloads(guest, share, cache, tmp_path):
    for directory in (share, tmp_path / "host"):
        prepare(directory)
    subprocess.run(["sh", "-c", WORKLOADS], cwd=tmp_path / "host", check=True)
    guest(f"({WORKLOADS})\n", "--cache", cache, "--allow-mmap").finish()
    assert (share / "prog.out").read_text() == "42\n"
    assert (share / "sql.out").read_text() == "ok\n80|3240\n"
    assert results(share) == results(tmp_path / "host")


def test_nothing_is_leaked(guest, share):
    """What was allocated for the work is free when the module has gone."""
    prepare(share / "work")
    (share / "operations").mkdir()
    assert guest(f"(cd work\n{WORKLOADS})\n(cd operations\n{OPERATIONS})\n", "--allow-mmap", LEAKS,
                 leave=LEAVE + LOOK_FOR_LEAKS).finish() == ""


# fio reads back all it wrote, each way a program can read and write.
VERIFY = r"""
: ${megabytes=8}; size=$((megabytes << 20)); longer=$((size + 611393))
for how in psync,0 psync,1 libaio,1 mmap,0; do
    fio --name=${how%,*}-${how#*,} --ioengine=${how%,*} --direct=${how#*,} --rw=randwrite --bs=4k,64k \
        --size=${megabytes}m --iodepth=8 --verify=crc32c --verify_fatal=1 --do_verify=1 --fallocate=none \
        --output=/dev/null
done
head -c $longer /dev/urandom > /tmp/random
cp /tmp/random copied
dd if=/tmp/random of=direct bs=1M count=$megabytes oflag=direct 2>/dev/null; cmp -n $size direct /tmp/random
dd if=/tmp/random of=pieces bs=777 2>/dev/null
echo 3 > /proc/sys/vm/drop_caches
cmp copied /tmp/random; cmp pieces /tmp/random
dd if=copied of=/tmp/back bs=1M iflag=direct 2>/dev/null; cmp /tmp/back /tmp/random
# A few bytes in the middle of pages that are not here.
echo 3 > /proc/sys/vm/drop_caches
for file in copied /tmp/random; do
    for at in 1 4095 $((longer / 9 * 5)) $((longer - 11)); do
        printf patched | dd of=$file bs=1 seek=$at conv=notrunc 2>/dev/null
    done
done
cmp copied /tmp/random
# A longer file is zeros where nothing was written, and a cut one has lost its end for ever.
truncate -s 5000 copied; truncate -s 20000 copied; truncate -s 5000 /tmp/random; truncate -s 20000 /tmp/random
cmp copied /tmp/random
sha256sum < copied > sum
"""


# An emulated guest takes as long for it.
LESS_TO_VERIFY = "megabytes=2\n" + VERIFY


def check_verified(share):
    """What VERIFY left."""
    expected = (share / "sum").read_text().split()[0]
    assert hashlib.sha256((share / "copied").read_bytes()).hexdigest() == expected
    assert (share / "copied").read_bytes()[5000:] == bytes(15000)


# Pages stay over an open with `always`: a wrong one is seen.
@pytest.mark.parametrize("queues, cache", [(1, "always"), (2, "auto"), (1, "never")])
def test_data(plain_guest, share, queues, cache):
    plain_guest(VERIFY, "--queues", queues, "--cache", cache, "--allow-mmap").finish()
    check_verified(share)


@pytest.mark.parametrize("cache", ["auto", "always"])
def test_data_in_large_folios(processors, cache):
    """A native kernel has none, and one processor: the same by two, with two queues."""
    place = processors(cache)
    place.run(LESS_TO_VERIFY)
    check_verified(place.directory)


def test_mounts_leave_nothing(guest):
    """Mounted, used and unmounted again and again, once with two mounts of one device."""
    guest(r"""
cd /; mkdir /tmp/second
for i in $(seq {rounds}); do
    umount /mnt/t; mount -t casement t /mnt/t; mkdir /mnt/t/d$i; ls -l /mnt/t > /dev/null
done
mount -t casement t /tmp/second; [ -d /tmp/second/d{rounds} ]; umount /tmp/second
if mount -t casement nosuch /tmp/second 2>/dev/null; then exit 73; fi
if rmmod casement 2>/dev/null; then exit 72; fi
for i in $(seq 10); do
    umount /mnt/t; rmmod casement; insmod /mnt/kmod/casement.ko; mount -t casement t /mnt/t
done
""".replace("{rounds}", str(50 * ROUNDS))).finish(patience=PATIENCE * ROUNDS)


def test_forgets_are_gathered(guest, share):
    """Each inode is given back to the daemon, hundreds in one request."""
    (share / "many").mkdir()
    for number in range(1000):
        (share / "many" / str(number)).touch()
    guest(r"""
ls -l many > /dev/null
sent() { sed -n 's/hiprio sent=\([0-9]*\) .*/\1/p' $sysfs/statistics; }
before=$(sent); cd /; umount /mnt/t; gathered=$(($(sent) - before))
[ $gathered -ge 4 ]; [ $gathered -le 12 ]
mount -t casement t /mnt/t
""").finish()


def test_a_copy_is_the_daemons(plain_guest, share):
    """Copies of 64 MiB go by a few requests, wherever in the page they begin."""
    with open(share / "big", "wb") as file:
        for number in range(1 << 14):
            file.write(number.to_bytes(4, "little") * 1024)
    plain_guest(r"""
sent() { sed -n 's/requests.* sent=\([0-9]*\) .*/\1/p' $sysfs/statistics; }
before=$(sent); cp big copy; [ $(($(sent) - before)) -le 40 ]
cmp big copy
# Pages that the target has in its cache, dirty ones among them, are those of after the copy.
python3 -c '
import mmap, os
with open("big", "rb") as big, open("copy", "r+b") as copy:
    pages = mmap.mmap(copy.fileno(), 65536)
    pages[:] = b"-" * 65536
    assert os.copy_file_range(big.fileno(), copy.fileno(), 9000, 4098, 4095) == 9000
    assert pages[4093:4095] + pages[13095:13096] == b"---"
    big.seek(4098)
    assert pages[4095:13095] == big.read(9000)
'
""").finish()
    copy = (share / "copy").read_bytes()
    assert copy[4095:13095] == (share / "big").read_bytes()[4098:13098]
    assert copy[:4095] == b"-" * 4095 and copy[13095:65536] == b"-" * (65536 - 13095)


REMOVED_UNDER_LOAD = r"""
dd if=/dev/zero of=before bs=1M count=4 2>/dev/null
(while dd if=/dev/zero of=load bs=64k count=100 2>/dev/null; do :; done) & load=$!
(while md5sum before > /dev/null 2>&1; do echo 1 > /proc/sys/vm/drop_caches; done) & reading=$!
while [ $(stat -c %s load 2>/dev/null || echo 0) -lt 1000000 ]; do :; done
echo $virtio > /sys/bus/virtio/drivers/casement/unbind
wait $load; wait $reading
if ls /mnt/t > /dev/null 2>&1; then exit 74; fi
cd /; umount /mnt/t; rmmod casement
echo $virtio > /sys/bus/virtio/drivers/virtiofs/bind
mount -t virtiofs $tag /mnt/t; [ -s /mnt/t/before ]; umount /mnt/t
"""


def test_removed_under_load(guest):
    """A device that goes takes its requests with it, and nothing else."""
    guest(REMOVED_UNDER_LOAD, LEAKS, leave=LOOK_FOR_LEAKS).finish()


def test_removed_under_load_of_two_processors(processors):
    processors("auto").run(REMOVED_UNDER_LOAD, leave="")


# What this driver has not, or does not ask for.
POSIX_DIFFERENCES = ["hole.collapse*", "hole.insert*", "lock.getlk-pid"]
# A part of a page is read before it is changed, which the host takes for an access: docs/posix.md.
WRITE_BACK_DIFFERENCES = ["time.write"]


WRITE_BACK = ["--share-arg", "--writeback"]
LOCKS = ["--share-arg", "--posix-lock", "--share-arg", "--flock"]


# With the daemon's locks, and with the guest's own.
@pytest.mark.parametrize("cache, args", [("auto", LOCKS), ("never", []), ("auto", WRITE_BACK)])
def test_posix(checked, checked_module, tmp_path, cache, args):
    share, tools = tmp_path / "share", tmp_path / "tools"
    for directory in (share, tools):
        directory.mkdir()
        directory.chmod(0o777)
    shutil.copy(CHECK, tools)
    script = "cp /mnt/tools/posix-check /tmp; cd /tmp; ./posix-check /mnt/t 2>/dev/null || [ $? = 1 ]\n"
    guest = checked(TAKE + script + LEAVE, "--share", f"{share}:t", "--share-arg", "--xattr",
                    "--share-arg", "--posix-acl=always",
                    "--share-arg", f"--cache={cache}", "--share-arg", "--allow-mmap", *args,
                    "--share", f"{checked_module.parent}:kmod:ro", "--share", f"{tools}:tools:ro")
    seen = posix_results(guest.finish(patience=400).splitlines())
    expected = posix_on_host(tmp_path / "host")
    different = [name for name in expected if seen.get(name) != expected[name]]
    assert len(seen) > 1600
    patterns = POSIX_DIFFERENCES + (WRITE_BACK_DIFFERENCES if args == WRITE_BACK else [])
    assert [name for name in different
            if not any(fnmatch.fnmatch(name, pattern) for pattern in patterns)] == []


# Lock all of a file, waiting for it or not, say how that went.
LOCKER = r"""
import errno, fcntl, sys
with open(sys.argv[1], "r+b") as file:
    try:
        how = fcntl.LOCK_EX | (0 if sys.argv[3] == "wait" else fcntl.LOCK_NB)
        (fcntl.lockf if sys.argv[2] == "posix" else fcntl.flock)(file, how)
        print("locked", flush=True)
    except OSError as error:
        print(errno.errorcode[error.errno], flush=True)
"""


@pytest.mark.parametrize("kind", ["posix", "flock"])
def test_locks_hold_against_the_host(agent, share, kind):
    """What the host has locked a guest cannot; it may wait, give up, or be killed; nothing stays."""
    (share / "file").write_text("here\n")
    (share / "locker.py").write_text(LOCKER)
    agent = agent(*LOCKS)
    lock = f"python3 /mnt/t/locker.py /mnt/t/file {kind}"
    waiting = "until grep -q 'requests.*in_flight=1' $sysfs/statistics; do :; done"
    agent.ask("cd /; settle")
    host_lock = fcntl.lockf if kind == "posix" else fcntl.flock
    with open(share / "file", "r+b") as file:
        host_lock(file, fcntl.LOCK_EX)
        assert agent.ask(f"{lock} try") in ("EAGAIN\n", "EACCES\n")
        ended = agent.ask(f"{lock} wait & pid=$!; {waiting}; kill -TERM $pid; wait $pid; echo $?")
        assert ended.endswith("143\n")
        ended = agent.ask(f"{lock} wait & pid=$!; {waiting}; kill -KILL $pid; wait $pid; echo $?")
        assert ended.endswith("137\n")
        agent.ask(f"{lock} wait > /tmp/out & pid=$!; {waiting}")
    assert agent.ask("wait $pid; cat /tmp/out") == "locked\n"
    # Killed, or ended: whoever waited holds nothing, and nobody else does.
    with open(share / "file", "r+b") as file:
        host_lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert agent.ask(f"{lock} try") == "locked\n"
    assert agent.ask("set -e" + LEAVE + "echo left").endswith("left\n")
    agent.end()


def live_without_answers(agent, share):
    """A process that waits for a silent daemon can be killed; `abort` frees all of them."""
    (share / "file").write_text("here\n")
    agent.ask("settle")
    waits = "until grep -q 'in_flight=[1-9]' $sysfs/statistics; do :; done\n"
    signal_daemon(share, signal.SIGSTOP)
    try:
        killed = agent.ask(f"cat /mnt/t/file & pid=$!\n{waits} kill -9 $pid; wait $pid; echo killed $?")
        assert killed.endswith("killed 137\n")
        freed = agent.ask("(cat /mnt/t/file; echo cat $?) & pid=$!\n"
                          "until grep -q 'in_flight=[2-9]' $sysfs/statistics; do :; done\n"
                          "echo 1 > $sysfs/abort; wait $pid; grep requests $sysfs/statistics\n"
                          "cd /; umount /mnt/t; echo umount $?")
        assert "cat 1\n" in freed and "in_flight=0 pending=0 orphans=2" in freed
        assert freed.endswith("umount 0\n")
    finally:
        signal_daemon(share, signal.SIGCONT)
    assert agent.ask("rmmod casement; echo $?") == "0\n"
    agent.end()


def test_daemon_that_does_not_answer(agent, share):
    live_without_answers(agent(), share)


def test_daemon_that_does_not_answer_two_processors(machines, share, module, tmp_path):
    control = tmp_path / "control"
    control.mkdir()
    agent = Agent(machines, "a", control, "--share", f"{share}:t", "--share", f"{module.parent}:kmod:ro", "--cpus", 2)
    agent.ask(TAKE + "set +e")
    live_without_answers(agent, share)


# What is moved by one io_submit(2): of so many blocks of this size, and by how many requests of up to 1 MiB at least.
ASYNCHRONOUS = [("read", 8, 4096, 8), ("read", 1, 4 << 20, 4), ("write", 8, 4096, 8), ("write", 2, 2 << 20, 4)]


def move_asynchronously(agent, share, what, count, block, requests):
    """While the daemon answers nothing io_submit(2) returns, and the device has all requests."""
    (share / "file").write_bytes(os.urandom(count * block))
    # The first write asks if there are extended attributes.
    agent.ask("rm -f /tmp/go; mkfifo /tmp/go; printf x | dd of=file conv=notrunc 2>/dev/null; cat file > /dev/null\n"
              f"python3 /mnt/control/aio.py {what} /mnt/t/file {count} {block} < /tmp/go > /tmp/said 2>&1 & pid=$!\n"
              "exec 9> /tmp/go; until grep -qx open /tmp/said; do :; done; settle")
    signal_daemon(share, signal.SIGSTOP)
    try:
        said = agent.ask(r"under_way() { sed -n 's/^requests.* in_flight=\([0-9]*\) pending=0 .*/\1/p' $sysfs/statistics; }" +
                         f"\necho go >&9; until [ 0$(under_way) -ge {requests} ]; do :; done\n"
                         "until grep -q submitted /tmp/said; do :; done; cat /tmp/said")
        assert said == f"open\nsubmitted {count}\n"
    finally:
        signal_daemon(share, signal.SIGCONT)
    said = agent.ask("wait $pid; cat /tmp/said; exec 9>&-")
    moved = hashlib.sha256((share / "file").read_bytes()).hexdigest()
    assert said.splitlines()[2:] == [f"done True {moved}"]
    # What the cache had of it is gone.
    assert agent.ask("sha256sum < file").split()[0] == moved


def test_asynchronous_io_is_all_under_way(agent, share):
    agent = agent()
    shutil.copy(pathlib.Path(__file__).parent / "aio.py", agent.control)
    for case in ASYNCHRONOUS:
        move_asynchronously(agent, share, *case)
    assert agent.ask("set -e" + LEAVE + "echo left").endswith("left\n")
    agent.end()


def test_replies_are_looked_for(guest, share):
    """Calls are polled for by who is alone on its processor, none with poll_us=0; reads are right both ways."""
    (share / "file").write_bytes(bytes(range(256)) * 8192)
    guest(r"""
poll_us=/sys/module/casement/parameters/poll_us
polled() { sed -n 's/^request.* polled=\([0-9]*\) .*/\1/p' $sysfs/statistics; }
read_all() { before=$(polled); dd if=file of=/tmp/$1 bs=4k iflag=direct 2>/dev/null; now=$(polled); }
# How many is the host's to say: it may have no processor for the daemon meanwhile.
echo 1000 > $poll_us; read_all polled; [ $now -gt $before ]
echo 0 > $poll_us; read_all slept; [ $now = $before ]
cmp /tmp/polled file; cmp /tmp/slept file
""").finish()


# FLAGS NAME [VALUE]: the flags of a file before and after they were set.
FILE_FLAGS = r"""
import array, fcntl, os, sys
GETFLAGS, SETFLAGS, FSGETXATTR = 0x80086601, 0x40086602, 0x801c581f
fd = os.open(sys.argv[1], os.O_RDONLY)
flags = array.array("i", [0, 0])
fcntl.ioctl(fd, GETFLAGS, flags)
if len(sys.argv) > 2:
    fcntl.ioctl(fd, SETFLAGS, array.array("i", [int(sys.argv[2], 16), 0]))
xattr = bytearray(28)
fcntl.ioctl(fd, FSGETXATTR, xattr)
print(f"{flags[0] & 0xd0:x} {int.from_bytes(xattr[:4], 'little') & 0xc8:x}")
"""


def test_file_flags(guest, share):
    """What lsattr and chattr do is done to the host's file: no dump 40, no access times 80; not immutable 10."""
    for name in ("flags.py", "file"):
        (share / name).write_text(FILE_FLAGS)
    (share / "dir").mkdir()
    on_host = ["python3", share / "flags.py", share / "file"]
    subprocess.run([*on_host, "40"], check=True)
    # The second number is the same in XFS's bits: no access times 40, no dump 80, immutable 8.
    assert guest(r"""
flags() { python3 flags.py "$@"; }
flags file 80; flags dir 80; flags dir
# The daemon has not the capability.
if flags file 10 2>/dev/null; then exit 75; fi
flags file
""").finish().splitlines() == ["40 40", "0 40", "80 40", "80 40"]
    assert subprocess.run(on_host, check=True, capture_output=True, text=True).stdout == "80 40\n"


# A handle of each name is opened again as HOW says: the same inode, or which error.
HANDLES = r"""
import ctypes, errno, os, sys
libc = ctypes.CDLL(None, use_errno=True)
class Handle(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_uint32), ("type", ctypes.c_int32), ("data", ctypes.c_ubyte * 128)]
def handle_of(name):
    handle, mount = Handle(bytes=128), ctypes.c_int()
    assert not libc.name_to_handle_at(-100, os.fsencode(name), ctypes.byref(handle), ctypes.byref(mount), 0), name
    return handle
def reopen(handle):
    fd = libc.open_by_handle_at(root, ctypes.byref(handle), os.O_RDONLY)
    if fd < 0:
        return errno.errorcode[ctypes.get_errno()]
    number = os.fstat(fd).st_ino
    os.close(fd)
    return number
root = os.open(".", os.O_RDONLY)
handles = {name: handle_of(name) for name in (".", "dir", "dir/file")}
held = os.open("dir/file", os.O_RDONLY)
print([reopen(handle) == os.stat(name).st_ino for name, handle in handles.items()])
open("/proc/sys/vm/drop_caches", "w").write("3")
print(reopen(handles["dir/file"]) == os.fstat(held).st_ino)
os.close(held)
os.unlink("dir/file")
print(reopen(handles["dir/file"]))
handles["dir"].data[0] ^= 1; handles["dir"].data[4] ^= 1
print(reopen(handles["dir"]))
"""


def test_file_handles(guest, share):
    """A handle leads back to what is known, and is stale for what is gone or never was."""
    (share / "dir").mkdir()
    (share / "dir" / "file").touch()
    said = guest("cat > /tmp/handles.py <<'END'\n" + HANDLES + "END\npython3 /tmp/handles.py\n").finish()
    assert said.splitlines() == ["[True, True, True]", "True", "ESTALE", "ESTALE"]


def test_devices_are_handed_over(checked, share, checked_module):
    """casement-guest says which driver has what, moves one, and none that is mounted."""
    said = checked(r"""
set -e
guest=/mnt/kmod/casement-guest
$guest status | grep ' /mnt/' | sed 's/ virtio[0-9]* / /'
if $guest bind t 2>&1; then exit 9; fi
cd /; umount /mnt/t; insmod /mnt/kmod/casement.ko
$guest bind t; $guest bind t
$guest status | sed -n 's/^t virtio[0-9]* //p'
mount -t casement t /mnt/t; [ -e /mnt/t/file ]
if $guest unbind t 2>&1; then exit 9; fi
umount /mnt/t; $guest unbind t; $guest status | sed -n 's/^t virtio[0-9]* //p'
mount -t virtiofs t /mnt/t; [ -e /mnt/t/file ]
if $guest device nosuch 2>&1; then exit 9; fi
$guest nonsense 2>/dev/null || echo $?
rmmod casement
""", "--share", f"{share}:t", "--share", f"{checked_module.parent}:kmod:ro")
    (share / "file").touch()
    assert said.finish().splitlines() == [
        "t virtiofs /mnt/t", "kmod virtiofs /mnt/kmod",
        "casement-guest: 't' is mounted on /mnt/t; unmount it first",
        "casement -",
        "casement-guest: 't' is mounted on /mnt/t; unmount it first",
        "virtiofs -",
        "casement-guest: no virtio-fs device has the tag 'nosuch'; see casement-guest status",
        "2"]


# The device goes while files on it are in use, and comes back; nothing stays.
OUT_AND_IN = r"""
bus=$(readlink -f /sys/bus/virtio/devices/$virtio/..); cd /
for i in $(seq {rounds}); do
    exec 3> /mnt/t/open; echo $i >&3
    (cat /mnt/t/open; ls /mnt/t) > /dev/null
    {out}
    if cat /mnt/t/open 2>/dev/null; then exit 74; fi
    exec 3>&-; umount /mnt/t
    {back}
    /mnt/kmod/casement-guest bind $tag
    mount -t casement $tag /mnt/t; [ "$(cat /mnt/t/open)" = $i ]
done
virtio=$(/mnt/kmod/casement-guest device $tag)
sysfs=/sys/bus/virtio/drivers/casement/$virtio/casement
"""


def out_and_in(rounds, out, back):
    return OUT_AND_IN.replace("{rounds}", str(rounds * ROUNDS)).replace("{out}", out).replace("{back}", back)


def test_out_and_in(guest):
    """From our driver."""
    guest(out_and_in(20, "echo $virtio > /sys/bus/virtio/drivers/casement/unbind",
                     "echo $virtio > /sys/bus/virtio/drivers/casement/bind")).finish(patience=PATIENCE * ROUNDS)


def test_out_of_the_slot_and_in(processors):
    """From the PCI bus."""
    processors("auto").run(out_and_in(6, "echo 1 > $bus/remove", "echo 1 > /sys/bus/pci/rescan"),
                           patience=PATIENCE * ROUNDS)


def prepare_nowait(share):
    shutil.copy(pathlib.Path(__file__).parent / "nowait.py", share)
    (share / "file").write_bytes(os.urandom(4 << 20))


def test_reads_that_may_not_wait(guest, share):
    """RWF_NOWAIT and io_uring: what is here is read at once, direct I/O is sent, and for the rest somebody else waits."""
    prepare_nowait(share)
    guest("python3 nowait.py cache\n", "--cache", "always").finish()


def test_reads_of_the_window_that_may_not_wait(window):
    place = window("64M-always")
    prepare_nowait(place.directory)
    place.run("python3 nowait.py window\n")
