# SPDX-License-Identifier: BSD-3-Clause
"""How sessions of our guest driver end: nothing of one follows its DESTROY, and nobody waits for ever."""
import re
import signal

from kmod_guest import LEAVE, signal_daemon

TRACE = ["--log-level=trace"]


def words(*options):
    return [word for option in options for word in ("--share-arg", option)]


WAITS = "until grep -q 'in_flight=[1-9]' $sysfs/statistics; do :; done\n"
KILL = "kill -9 $pid; wait $pid; echo killed $?\n"


def leave(agent):
    assert agent.ask("set -e" + LEAVE + "echo left").endswith("left\n")
    agent.end()


# umount(8) and mount(8) would ask for attributes before.
CALLS = """
import ctypes, sys
libc = ctypes.CDLL(None)
open("/tmp/calls", "w").close()
if sys.argv[1] == "umount":
    sys.exit(libc.umount2(b"/mnt/t", 0))
sys.exit(libc.mount(b"t", b"/mnt/t", b"casement", 0, None))
"""
CALL = """rm -f /tmp/calls; python3 /tmp/calls.py {} & pid=$!
until [ -e /tmp/calls ]; do :; done; until grep -q ') D' /proc/$pid/stat; do :; done
"""


def test_unmounting_can_be_killed(agent, share):
    """The session ends when the daemon answers; the next one waits for that, and can be killed, too."""
    (share / "calls.py").write_text(CALLS)
    agent = agent()
    agent.ask("cp calls.py /tmp; cd /; settle")
    signal_daemon(share, signal.SIGSTOP)
    try:
        assert "killed 137" in agent.ask(CALL.format("umount") + KILL)
        assert agent.ask("grep -c ' /mnt/t ' /proc/mounts") == "0\n"
        assert "killed 137" in agent.ask(CALL.format("mount") + KILL)
        agent.ask(CALL.format("mount"))
    finally:
        signal_daemon(share, signal.SIGCONT)
    assert agent.ask("wait $pid; echo $?; ls /mnt/t") == "0\ncalls.py\n"
    leave(agent)


def test_a_mount_that_was_killed(agent, share):
    """Its INIT is answered late; the daemon's session ends, and the next begins after that."""
    (share / "file").write_text("here\n")
    agent = agent(*words(*TRACE))
    agent.ask("cd /; umount /mnt/t")
    signal_daemon(share, signal.SIGSTOP)
    try:
        assert "killed 137" in agent.ask(f"mount -t casement t /mnt/t & pid=$!\n{WAITS}{KILL}")
    finally:
        signal_daemon(share, signal.SIGCONT)
    assert agent.ask("mount -t casement t /mnt/t; cat /mnt/t/file") == "here\n"
    leave(agent)
    opcodes = re.findall(r"\b(INIT|DESTROY) unique", agent.guest.stderr())
    # The kernel's own driver first and last; between them ours, three times.
    assert opcodes == ["INIT", "DESTROY"] * 5


LOCK = "python3 -c 'import fcntl, sys; f = open(sys.argv[1], \"r+b\"); {0}; open(\"/tmp/ready\", \"w\"); " \
       "open(\"/tmp/go\").read(); {1}' /mnt/t/file"
LOCKS = [("pass", "fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB)"),
         ("pass", "fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)"),
         ("fcntl.lockf(f, fcntl.LOCK_EX)", "fcntl.lockf(f, fcntl.LOCK_UN)"),
         ("fcntl.flock(f, fcntl.LOCK_EX)", "fcntl.flock(f, fcntl.LOCK_UN)")]


def test_locks_that_do_not_wait_can_be_killed(agent, share):
    """To lock, or to unlock: a silent daemon keeps nobody. When it answers, nothing is locked."""
    (share / "file").write_text("here\n")
    agent = agent(*words("--posix-lock", "--flock"))
    for before, then in LOCKS:
        agent.ask("cd /; rm -f /tmp/go /tmp/ready; mkfifo /tmp/go\n"
                  f"{LOCK.format(before, then)} & pid=$!\nuntil [ -e /tmp/ready ]; do :; done; settle")
        signal_daemon(share, signal.SIGSTOP)
        try:
            assert "killed 137" in agent.ask(f"echo > /tmp/go\n{WAITS}{KILL}"), (before, then)
        finally:
            signal_daemon(share, signal.SIGCONT)
        for way in ("lockf", "flock"):
            free = LOCK.format(f"fcntl.{way}(f, fcntl.LOCK_EX | fcntl.LOCK_NB)", "pass").replace("/tmp/go", "/dev/null")
            assert agent.ask(f"settle; {free}; echo $?") == "0\n", (before, then, way)
    leave(agent)
