# SPDX-License-Identifier: BSD-3-Clause
"""Our own guest driver and a daemon that answers late (tests/liar/late.c): what a late answer says is judged by what
happened since it was asked for."""
import hashlib
import os
import pathlib
import time

import pytest

import limits
from agent import Agent
from guests import BUILD, PATIENCE
from kmod_guest import TAKE

LATE = ["--daemon", BUILD / "tests/liar/casementd-late", "--share-arg", "--timeout=1000"]
WRITE_BACK = ["--share-arg", "--writeback"]
WAYS = pytest.mark.parametrize("args", [[], WRITE_BACK], ids=["through", "back"])

# Opcodes of FUSE.
GETATTR, SETATTR, MKDIR, UNLINK, RENAME, LINK, READ, WRITE, FALLOCATE, COPY = 3, 4, 9, 10, 12, 13, 15, 16, 43, 47


@pytest.fixture
def late(checked, share, checked_module, tmp_path):
    """A function that starts a guest of such a daemon."""
    def start(*args):
        control = tmp_path / "control"
        control.mkdir()
        made = Agent(checked, "a", control, "--share", f"{share}:t", *LATE, *args,
                     "--share", f"{checked_module.parent}:kmod:ro")
        made.ask(TAKE + "set +e" + SENT)
        return made
    return start


class Kept:
    """What the daemon keeps, from here to the end of the block; then it goes on with the guest's next request."""

    def __init__(self, agent, share, what, opcode, number=1):
        self.agent, self.path = agent, pathlib.Path(share) / ".late"
        self.kept = self.path.with_name(".kept")
        self.path.write_text(f"{what} {opcode} {number}\n")

    def __enter__(self):
        return self

    def wait(self):
        """Until it has kept one."""
        end = limits.now() + PATIENCE
        while not self.kept.exists():
            assert limits.now() < end, "nothing is kept"
            time.sleep(0.01)

    def __exit__(self, *_):
        self.kept.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)
        self.agent.ask("stat -f /mnt/t > /dev/null")


UNDER_WAY = "until grep -q 'in_flight=[1-9]' $sysfs/statistics; do :; done\n"
# Begin a command in the background. All its requests are answered, and it waits for what another process does.
# The first of them is sent after `before`, for its program is read from elsewhere.
SENT = r"""
sent() { sed -n 's/^request.* sent=\([0-9]*\) .*/\1/p' $sysfs/statistics; }
waits() {
    before=$(sent); "$@" & pid=$!
    until [ $(sent) -gt $before ] && ! grep -q 'in_flight=[2-9]' $sysfs/statistics && grep -q ') D' /proc/$pid/stat; do :; done
}
"""

# In the guest: each line of its input is a call. No other process has its descriptor: a close would send dirty pages.
CALLS = r"""
import mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
pages = mmap.mmap(fd, 64 * 4096)
pages.madvise(mmap.MADV_RANDOM)
def load(page):
    return pages[page * 4096]
def store(page):
    pages[page * 4096] = ord("S")
def write(page):
    os.pwrite(fd, b"W" * 4096, page * 4096)
for line in sys.stdin:
    print(eval(line), flush=True)
"""


def begin_calls(agent, share, name):
    (share / "calls.py").write_text(CALLS)
    (share / name).write_bytes(b"x" * 64 * 4096)
    agent.ask(f"stat {name}; cp calls.py /tmp; mkfifo /tmp/go /tmp/said\n"
              f"python3 -I /tmp/calls.py {name} < /tmp/go > /tmp/said & calls=$!\n"
              f"exec 8> /tmp/go 9< /tmp/said; call() {{ echo \"$1\" >&8; read said <&9; echo $said; }}; call 'write(63)'; stat --cached=never {name}")


@WAYS
def test_what_is_written_while_a_smaller_size_is_taken_over(late, share, args):
    """The host cuts the file and makes it long again. What the guest writes then is past an end that is none any more:
    it stays, though the process that was told of the cut still waits for a page that is being read."""
    agent = late(*args)
    begin_calls(agent, share, "cut")
    agent.ask("call 'load(3)'")
    with Kept(agent, share, "reply", READ):
        agent.ask("dd if=cut bs=4096 skip=2 count=1 of=/tmp/got 2> /dev/null & reader=$!\n" + UNDER_WAY)
        os.truncate(share / "cut", 4096)
        agent.ask("waits stat --cached=never -c %s cut > /tmp/one; one=$pid")
        os.truncate(share / "cut", 64 * 4096)
        agent.ask("waits stat --cached=never -c %s cut > /tmp/two; two=$pid")
        agent.ask("call 'store(40)'; call 'write(50)'")
    assert agent.ask("wait $reader $one $two; exec 8>&- 9<&-; wait $calls; sync; stat -c %s cut") == "262144\n"
    data = (share / "cut").read_bytes()
    expected = {page: bytes(4096) for page in range(64)}
    # The first write asks if there are extended attributes.
    expected |= {0: b"x" * 4096, 40: b"S" + bytes(4095), 50: b"W" * 4096}
    assert [page for page in range(64) if data[page * 4096:][:4096] != expected[page]] == []
    agent.end()


def test_contents_are_as_new_as_attributes(late, share):
    """Of a file that the host changed: its new size and times are not told before what was cached has gone."""
    agent = late()
    begin_calls(agent, share, "new")
    agent.ask("call 'load(30)'")
    with Kept(agent, share, "reply", READ):
        agent.ask("dd if=new bs=4096 skip=2 count=1 of=/tmp/got 2> /dev/null & reader=$!\n" + UNDER_WAY + "call 'load(30)'")
        (share / "new").write_bytes(b"y" * 64 * 4096)
        os.utime(share / "new", (1, 1))
        agent.ask("waits stat --cached=never -c %Y new > /tmp/one; one=$pid")
        said = agent.ask("stat --cached=always -c %Y new; call 'load(30)'").split()
        assert said[0] != "1" or said[1] == str(ord("y"))
    assert agent.ask("wait $reader $one; cat /tmp/one; call 'load(30)'") == f"1\n{ord('y')}\n"
    agent.ask("exec 8>&- 9<&-; wait $calls")
    agent.end()


# What drops pages of the file `new`, or waits for that, and can be killed all the same.
DROPS = {
    "stat": "stat --cached=never new", "open": "head -c 1 new", "truncate": "truncate -s 4096 new",
    "punch": "fallocate -p -o 8192 -l 4096 new",
    "copy": "python3 -Ic 'import os; a, b = (os.open(name, os.O_RDWR) for name in (\"other\", \"new\")); "
            "os.copy_file_range(a, b, 4096, 0, 8192)'",
}


@pytest.mark.parametrize("way", DROPS)
def test_dropping_pages_can_be_killed(late, share, way):
    """While another process reads one of them, and the daemon does not answer that."""
    agent = late()
    begin_calls(agent, share, "new")
    (share / "other").write_bytes(b"y" * 4096)
    agent.ask("stat other; head -c 1 other; call 'load(30)'")
    with Kept(agent, share, "reply", READ):
        agent.ask("dd if=new bs=4096 skip=2 count=1 of=/tmp/got 2> /dev/null & reader=$!\n" + UNDER_WAY)
        if way == "stat":
            os.truncate(share / "new", 8192)
        agent.ask(f"waits {DROPS[way]} > /dev/null")
        assert "137" in agent.ask("kill -9 $pid; wait $pid; echo $?", patience=20)
    agent.ask("wait $reader; exec 8>&- 9<&-; wait $calls")
    agent.end()


def test_sending_a_page_that_is_being_written_can_be_killed(late, share):
    """It is dirty by a store, and locked until the daemon answers the write(2) of another process."""
    agent = late()
    begin_calls(agent, share, "new")
    agent.ask("echo 360000 > /proc/sys/vm/dirty_writeback_centisecs; exec 5< new; call 'load(5)'; call 'store(5)'")
    with Kept(agent, share, "reply", WRITE) as kept:
        agent.ask("echo 'write(5)' >&8")
        kept.wait()
        agent.ask("python3 -Ic 'import os; print(\"sync\", flush=True); os.fsync(5)' > /tmp/one & pid=$!\n"
                  "until grep -q sync /tmp/one && grep -q ') [DZ]' /proc/$pid/stat; do :; done")
        assert "137" in agent.ask("kill -9 $pid; wait $pid; echo $?", patience=20)
    agent.ask("read said <&9; exec 5<&- 8>&- 9<&-; wait $calls")
    agent.end()


def test_an_answer_that_a_newer_one_has_overtaken(late, share):
    """It is older than what is known already."""
    (share / "grows").write_bytes(b"x")
    agent = late()
    agent.ask("stat grows")
    with Kept(agent, share, "reply", GETATTR):
        agent.ask("stat --cached=never grows > /dev/null & one=$!\n" + UNDER_WAY)
        (share / "grows").write_bytes(b"x" * 5000)
        assert agent.ask("stat --cached=never -c %s grows") == "5000\n"
    assert agent.ask("wait $one; stat --cached=always -c %s grows; stat -c %s grows") == "5000\n5000\n"
    agent.end()


@pytest.mark.parametrize("change, size", [("chmod 600 grows", 5000), ("truncate -s 3 grows", 5000)], ids=["mode", "size"])
def test_an_answer_to_a_change_that_a_newer_one_has_overtaken(late, share, change, size):
    """It says what the daemon had when it made the change, and not what there is now."""
    (share / "grows").write_bytes(b"x")
    agent = late()
    agent.ask("stat grows")
    with Kept(agent, share, "reply", SETATTR) as kept:
        agent.ask(f"{change} & one=$!")
        kept.wait()
        (share / "grows").write_bytes(b"x" * size)
        agent.ask("stat --cached=never -c %s grows")
    assert agent.ask("wait $one; stat -c %s grows; cat grows | wc -c") == f"{size}\n{size}\n"
    agent.end()


def test_a_read_that_found_the_end_after_an_answer_was_asked_for(late, share):
    """What the answer says is older than that."""
    (share / "cut").write_bytes(b"x" * 9000)
    agent = late()
    agent.ask("exec 6< cut; stat cut")
    with Kept(agent, share, "reply", GETATTR):
        agent.ask("stat --cached=never cut > /dev/null & one=$!\n" + UNDER_WAY)
        os.truncate(share / "cut", 100)
        assert agent.ask("cat <&6 | wc -c; stat --cached=always -c %s cut") == "100\n100\n"
    assert agent.ask("wait $one; stat --cached=always -c %s cut") == "100\n"
    agent.end()


def test_names_that_were_counted_while_one_went(late, share):
    """The answer was asked for and came while the daemon's to unlink(2) was on its way: the name is not taken off twice."""
    (share / "a").write_text("text")
    os.link(share / "a", share / "b")
    agent = late()
    agent.ask("exec 6< a; stat a b")
    with Kept(agent, share, "reply", UNLINK):
        agent.ask("rm b & one=$!\n" + UNDER_WAY + "stat -L --cached=never /proc/self/fd/6")
    assert agent.ask("wait $one; stat -L --cached=always -c %h /proc/self/fd/6; ln -L /proc/self/fd/6 c; cat c") == "1\ntext"
    agent.end()


# In the guest: a process is killed while the daemon is to change the file `late`, of 64 pages, and has not begun. Its
# descriptor 7 stays open in another: without its handle the daemon would change nothing.
LATE_CHANGES = {
    "punch": (FALLOCATE, "fallocate(7, 3, 4096, 8192)"), "zero": (FALLOCATE, "fallocate(7, 16, 4096, 8192)"),
    "longer": (FALLOCATE, "fallocate(7, 0, 0, 300000)"), "truncate": (SETATTR, "os.ftruncate(7, 4196)"),
    "copy": (COPY, 'os.copy_file_range(os.open("zeros", os.O_RDONLY), 7, 8192, 0, 4096)'),
    "chmod": (SETATTR, "os.fchmod(7, 0o600)"),
}
CALL = r"""
call() {
    exec python3 -Ic "import ctypes, os
def fallocate(fd, mode, *places):
    ctypes.CDLL(None).fallocate(fd, mode, *map(ctypes.c_long, places))
$1"
}
"""
# Its own write makes the guest take the next new time of the file for one of its own; who opens it drops what is cached.
WRITE_AND_READ = "printf z | dd of=late bs=1 seek=200000 conv=notrunc 2> /dev/null; cat late > /dev/null; stat late"


def test_changes_that_come_after_their_process_was_killed(late, share):
    """What was read, or asked for, before the daemon made one is not believed after it."""
    agent, wrong = late(), ""
    for change, (opcode, call) in LATE_CHANGES.items():
        place = share / change
        place.mkdir()
        (place / "late").write_bytes(b"x" * 64 * 4096)
        (place / "zeros").write_bytes(bytes(8192))
        agent.ask(f"{CALL}\ncd {change}; exec 6< late 7<> late; stat late zeros\n"
                  "printf x | dd of=late bs=1 conv=notrunc; cat late > /dev/null; settle")
        with Kept(agent, share, "request", opcode) as kept:
            agent.ask(f"call '{call}' & pid=$!")
            kept.wait()
            agent.ask(f"kill -9 $pid; wait $pid\n{WRITE_AND_READ}")
        # By the descriptor of before: to open it would drop what is cached.
        seen = agent.ask("settle; stat -c '%s %a' late; sha256sum <&6; cd ..")
        host = (place / "late").stat()
        if seen != (f"{host.st_size} {host.st_mode & 0o777:o}\n"
                    f"{hashlib.sha256((place / 'late').read_bytes()).hexdigest()}  -\n"):
            wrong += f"{change}: {host.st_size} {host.st_mode:o}, {seen}"
    assert not wrong
    agent.end()


# The same of names; each command has a file `a` of two names before it, and sends one request.
LATE_NAMES = {
    "unlink": (UNLINK, 'os.unlink("a")'), "rename": (RENAME, 'os.rename("a", "new")'),
    "replace": (RENAME, 'os.rename("a", "old")'), "mkdir": (MKDIR, 'os.mkdir("new")'), "link": (LINK, 'os.link("a", "new")'),
}
NAMES = ("a", "b", "old", "new")


def test_names_that_change_after_their_process_was_killed(late, share):
    """What was said of a name before the daemon changed it is not believed after that."""
    agent, wrong = late("--share-arg", "--negative-timeout=1000"), ""
    for change, (opcode, call) in LATE_NAMES.items():
        place = share / change
        place.mkdir()
        (place / "a").write_text("text")
        (place / "old").write_text("text")
        os.link(place / "a", place / "b")
        agent.ask(f"cd {change}; stat a b old; stat new")
        with Kept(agent, share, "request", opcode) as kept:
            agent.ask(f"python3 -Ic 'import os; {call}' & pid=$!")
            kept.wait()
            agent.ask(f"kill -9 $pid; wait $pid; stat {' '.join(NAMES)}; stat {' '.join(NAMES)}; ls -l")
        agent.ask("settle")
        seen = agent.ask("for name in a b old new; do stat -c '%n %h' $name 2> /dev/null; done; cd ..")
        expected = "".join(f"{name} {(place / name).stat().st_nlink}\n" for name in NAMES if (place / name).exists())
        if seen != expected:
            wrong += f"{change}: {seen!r} and not {expected!r}\n"
    assert not wrong
    # A file that is removed waits for no page that the daemon has been asked for, or was sent.
    (share / "pages").write_bytes(b"x" * 65536)
    write = "dd if=/dev/zero of=pages bs=4096 count=1 conv=notrunc"
    for opcode, command in (READ, "cat pages > /dev/null"), (WRITE, write), (WRITE, f"{write} oflag=direct"):
        with Kept(agent, share, "reply", opcode) as kept:
            agent.ask(f"stat pages; {command} & pid=$!")
            kept.wait()
            agent.ask("kill -9 $pid; wait $pid; rm pages")
        (share / "pages").write_bytes(b"x" * 65536)
    # What is held until such a request ends keeps nobody from unmounting.
    with Kept(agent, share, "request", UNLINK) as kept:
        agent.ask("stat link/b; python3 -Ic 'import os; os.unlink(\"link/b\")' & pid=$!")
        kept.wait()
        agent.ask("kill -9 $pid; wait $pid; cd /; umount /mnt/t & pid=$!\n"
                  "while grep -q ' /mnt/t ' /proc/mounts; do :; done; kill -9 $pid; wait $pid")
    agent.end()
