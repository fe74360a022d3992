# SPDX-License-Identifier: BSD-3-Clause
"""casement console: a shell in a machine that runs, beside its command."""
import os
import pty
import select
import signal
import subprocess
import termios

import limits
from booted import BOOTED
from daemons import CASEMENT, short_path  # noqa: F401

PATIENCE = 120
LEAVE = b"\x1d" * 3


class Console:
    """A program on a terminal of its own."""

    def __init__(self, *words):
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.execv(CASEMENT, ["casement", "console", *words])
        termios.tcsetwinsize(self.fd, (33, 99))
        self.said = b""

    def type(self, keys):
        os.write(self.fd, keys)

    def read(self):
        """False at its end."""
        try:
            bytes_read = os.read(self.fd, 65536)
        except OSError:
            return False
        self.said += bytes_read
        return bool(bytes_read)

    def wait_for(self, word):
        """All up to the word, which is taken away with it."""
        deadline = limits.now() + PATIENCE
        while word not in self.said:
            assert limits.now() < deadline, self.said
            if select.select([self.fd], [], [], 1)[0]:
                assert self.read(), self.said
        before, _, self.said = self.said.partition(word)
        return before

    def end(self):
        """Its status, and what it said last."""
        while self.read():
            pass
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1]), self.said


def without_terminal(*words):
    return subprocess.run([CASEMENT, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE,
                          check=False)


def ended_with(console, status, word=b""):
    found, said = console.end()
    assert found == status and word in said, (found, said)


def test_no_machine(short_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_path))
    ended_with(Console("nosuch"), 1, b"nosuch: no machine")
    assert without_terminal("console").returncode == 2
    for name in ("", "a/b", "-a", "a" * 64):
        result = without_terminal("run", f"--name={name}", "--", "true")
        assert result.returncode == 2 and "--name" in result.stderr, result


def talk(console):
    """Who and where the shell is, bytes that are marks on the way, and a changed size."""
    console.type(b"echo $(id -u) $(hostname) $(stty size) at-$((1 + 1))\n")
    console.wait_for(b"0 box 33 99 at-2")
    console.type(b"printf 'x\\377y\\377\\377z-'; echo $((1 + 1))\n")
    console.wait_for(b"x\xffy\xff\xffz-2")
    console.type(b"echo reads-$((1 + 1)); od -An -tx1 -N4\n")
    console.wait_for(b"reads-2")
    console.type(b"\xff\xffa\n")
    console.wait_for(b"ff ff 61 0a")
    termios.tcsetwinsize(console.fd, (44, 111))
    os.kill(console.pid, signal.SIGWINCH)
    console.type(b"until [ \"$(stty size)\" = '44 111' ]; do :; done; echo sized-$((1 + 1))\n")
    console.wait_for(b"sized-2")


def test_shells_in_a_machine(short_path, monkeypatch, request):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_path))
    BOOTED["QEMU"] += 1
    script = "echo ready; read go; echo $go; exit 7"
    machine = subprocess.Popen([CASEMENT, "run", "--name", "box", "--gdb", "--dump", short_path / "core", "--no-share", "--", "sh", "-c",
                                script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1)
    request.addfinalizer(machine.kill)
    # It may ask before the guest is there; QEMU is.
    assert "gdb" in machine.stderr.readline()
    console = Console("box")
    assert machine.stdout.readline() == "ready\n"
    result = without_terminal("run", "--name", "box", "--", "true")
    assert result.returncode == 2 and "runs" in result.stderr, result
    talk(console)

    # One that is killed in the middle of a word, and of a shell's output, is no harm for the next.
    console.type(b"yes noise | head -c 1000000 | wc -c; yes noise\n")
    console.wait_for(b"1000000")
    console.wait_for(b"noise\r\n" * 50)
    os.kill(console.pid, signal.SIGKILL)
    ended_with(console, -signal.SIGKILL)
    console = Console("box")
    console.type(b"PS1=; echo first-$((1 + 1))\n")
    console.wait_for(b"first-2")
    console.type(b"exit 5\n")
    ended_with(console, 5)

    console = Console("box")
    console.type(b"trap '' HUP; echo here-$((1 + 1))\n")
    console.wait_for(b"here-2")
    console.type(LEAVE)
    ended_with(console, 0)

    console = Console("box")
    console.type(b"echo last-$((1 + 1))\n")
    console.wait_for(b"last-2")
    machine.stdin.write("over\n")
    assert machine.communicate(timeout=PATIENCE)[0] == "over\n" and machine.returncode == 7
    ended_with(console, 125, b"the machine has ended")
    assert not list(short_path.iterdir())


def test_a_native_machine_has_none(short_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_path))
    BOOTED["native"] += 1
    machine = subprocess.Popen([CASEMENT, "run", "--accel", "uml", "--name", "box", "--no-share", "--", "sh", "-c", "hostname; read go"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert machine.stdout.readline() == "box\n"
    ended_with(Console("box"), 1, b"native")
    machine.communicate(timeout=PATIENCE)
