# SPDX-License-Identifier: BSD-3-Clause
"""casement run for who debugs the guest's kernel: gdb's stub, and the memory in a file."""
import os
import re
import signal
import socket
import struct
import subprocess

import pytest

from booted import BOOTED
from daemons import CASEMENT, short_path  # noqa: F401

PATIENCE = 120
TEXT = 0xffffffff81000000	# where an x86-64 kernel is that is not moved


class Stub:
    """gdb's end of its remote protocol: $DATA#SUM, each answered by a plus sign."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(path)
        self.file = self.socket.makefile("rb")

    def ask(self, text):
        self.socket.sendall(f"${text}#{sum(text.encode()) % 256:02x}".encode())
        while self.file.read(1) == b"$":	# that the guest stands still is told unasked
            self.packet()
        assert self.file.read(1) == b"$"
        return self.packet()

    def packet(self):
        answer = b""
        while not answer.endswith(b"#"):
            answer += self.file.read(1)
        self.file.read(2)
        self.socket.sendall(b"+")
        return answer[:-1].decode()


def segments(core):
    """(type, offset, physical address, bytes) of an ELF core of an x86-64 machine."""
    with open(core, "rb") as file:
        head = struct.unpack("<16sHHIQQQIHHHHHH", file.read(64))
        assert head[0][:5] == b"\x7fELF\x02" and head[1:3] == (4, 62)
        file.seek(head[5])
        rows = [struct.unpack("<IIQQQQQQ", file.read(56)) for _ in range(head[10])]
        assert file.seek(0, 2) >= max(row[2] + row[5] for row in rows)
    return [(row[0], row[2], row[4], row[5]) for row in rows]


def notes(core):
    """Their owners' names."""
    (offset, size), = [(row[1], row[3]) for row in segments(core) if row[0] == 4]
    with open(core, "rb") as file:
        file.seek(offset)
        data, names = file.read(size), []
    while data:
        name, content, _ = struct.unpack("<III", data[:12])
        names.append(data[12:12 + name].rstrip(b"\0").decode())
        data = data[12 + (name + 3 & ~3) + (content + 3 & ~3):]
    return names


def check_core(core, memory):
    assert sum(size for kind, _, _, size in segments(core) if kind == 1) >= memory
    assert {"CORE", "VMCOREINFO"} <= set(notes(core)) and core.stat().st_mode & 0o777 == 0o600


def line_with(stream, word):
    for line in stream:
        if word in line:
            return line
    raise AssertionError(f"ended without {word}")


@pytest.fixture
def disk(short_path):
    """A file system that has no room at first, where this user may make one."""
    path = short_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1M", "none", path]
    mounted = os.geteuid() == 0 and subprocess.run(mount, check=False).returncode == 0
    yield path, mounted
    if mounted:
        subprocess.run(["umount", "--lazy", path], check=True)


def test_gdb_and_the_memory_of_a_guest(short_path, disk, monkeypatch, request):
    """One guest: gdb looks at it and leaves, its memory is written while it runs, and again at its panic."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_path))
    core = disk[0] / "core"
    BOOTED["QEMU"] += 1
    script = "grep ' [tT] _text$' /proc/kallsyms; while read word; do echo $word; done; echo c >/proc/sysrq-trigger"
    guest = subprocess.Popen([CASEMENT, "run", "--no-share", "-m", "192M", "--gdb", "--dump", core, "--", "sh", "-c", script],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1)
    request.addfinalizer(guest.kill)
    path = re.search(r"target remote ([^']*)", line_with(guest.stderr, "gdb")).group(1)
    assert path.startswith(str(short_path))
    assert int(guest.stdout.readline().split()[0], 16) == TEXT

    stub = Stub(path)
    assert re.match("[ST]05", stub.ask("?"))
    assert len(stub.ask("g")) >= 2 * 8 * 17
    assert len(bytes.fromhex(stub.ask(f"m{TEXT:x},10"))) == 16
    assert stub.ask("D") == "OK"
    guest.stdin.write("gone\n")
    assert guest.stdout.readline() == "gone\n"

    if disk[1]:
        guest.send_signal(signal.SIGUSR1)
        line_with(guest.stderr, "was not written")
        assert not core.exists()
        subprocess.run(["mount", "-o", "remount,size=1G", disk[0]], check=True)
    guest.send_signal(signal.SIGUSR1)
    line_with(guest.stderr, "memory is in")
    check_core(core, 192 << 20)
    core.unlink()
    guest.stdin.write("on\n")
    assert guest.stdout.readline() == "on\n"

    guest.stdin.close()
    said = guest.stderr.read()
    assert guest.wait(PATIENCE) == 125 and "sysrq triggered crash" in said and "memory is in" in said
    check_core(core, 192 << 20)
    assert [entry.name for entry in short_path.iterdir()] == ["disk"]


def test_gdb_and_a_native_guest():
    """Its kernel is a process, and the line names it."""
    BOOTED["native"] += 1
    guest = subprocess.Popen([CASEMENT, "run", "--accel", "uml", "--gdb", "--no-share", "--", "sh", "-c", "read never"],
                             stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    kernel, pid = re.search(r"gdb (\S*) (\d+) ", line_with(guest.stderr, "gdb")).groups()
    with open(f"/proc/{pid}/cmdline", encoding="ascii") as file:
        assert file.read().startswith(kernel)
    guest.communicate(timeout=PATIENCE)
    assert guest.returncode == 1
