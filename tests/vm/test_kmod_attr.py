# SPDX-License-Identifier: BSD-3-Clause
"""Our own guest driver: attributes that others change while they are believed, and what close() tells the daemon."""
import fcntl

from test_kmod import LOCKS
from test_kmod_write_back import small_file_system

# Each takes the set-id bits of a file away, as a user that may not keep them.
SETID = {"chown": "chown 1000:1000 {}", "truncate": "setpriv --reuid 1000 --clear-groups truncate -s 1 {}",
         "write": "setpriv --reuid 1000 --clear-groups sh -c 'printf x >> {}'",
         "empty": "setpriv --reuid 1000 --clear-groups sh -c ': > {}'"}


def test_set_id_bits_go_and_nothing_else(agent, share):
    """A mode that the host has set since it was seen stays, but for them."""
    agent = agent("--share-arg", "--timeout=1000")
    for name in SETID:
        (share / name).write_text("text")
        (share / name).chmod(0o4777)
    agent.ask("cd /; stat /mnt/t/*")
    for name in SETID:
        (share / name).chmod(0o6776)
    for name, change in SETID.items():
        said = agent.ask(change.format(f"/mnt/t/{name}"))
        mode = (share / name).stat().st_mode & 0o7777
        assert mode == 0o0776, (name, oct(mode), said)
    agent.end()


HOLD = """
import fcntl, os
fd = os.open("small/file", os.O_RDWR | os.O_CREAT)
other = os.dup(fd)
fcntl.lockf(fd, fcntl.LOCK_EX)
os.write(fd, bytes(2 << 20))
try:
    os.close(fd)
    print("closed", flush=True)
except OSError as error:
    print(error.strerror, flush=True)
input()
"""


def test_locks_go_with_a_close_that_fails(agent, share):
    """What was written has no room: close() says so, and lets go of the locks all the same."""
    (share / "hold.py").write_text(HOLD)
    with small_file_system(share / "small"):
        agent = agent("--share-arg", "--writeback", *LOCKS)
        agent.ask("mkfifo /tmp/go; exec 9<> /tmp/go; python3 hold.py < /tmp/go > /tmp/said 2>&1 & pid=$!\n"
                  "until [ -s /tmp/said ]; do :; done")
        assert agent.ask("cat /tmp/said") == "No space left on device\n"
        with open(share / "small/file", "r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        agent.ask("echo >&9; wait $pid")
        agent.end()
