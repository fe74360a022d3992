# SPDX-License-Identifier: BSD-3-Clause
"""What a share names, shown to people: no terminal obeys it, and no line is forged by it."""
import os
import subprocess

import pytest

from daemons import CASEMENT, CASEMENTD, PATIENCE, on_terminal, shares  # noqa: F401

NAMES = [b"esc\x1b]0;title\x07\x1b[2J", b"line\ncasement ls: all is well", b"return\rgone\x08\x7f",
         "c1\u009b31m\u009d0;t\u0007".encode(), b"byte\x9b31m\x9d", "order\u202egpj.exe\u2066\u200f".encode(),
         "\u2028paragraph".encode(), b"cut\xe2\x82", b"long\xc0\x9b"]
KEPT = "grün 日本 🦊 back\\slash".encode()
COMMANDED = ["\x1b", "\x07", "\x08", "\x7f", "\u009b", "\u009d", "\u202e", "\u2066", "\u200f", "\u2028"]


def shown(*args, locale="C.UTF-8", **more):
    """All that the command writes to a terminal, decoded: what is no UTF-8 fails here."""
    return on_terminal(*args, env=dict(os.environ, LC_ALL=locale), **more)[0].decode()


def check(text, *allowed):
    for character in COMMANDED:
        if character not in allowed:
            assert character not in text, (character, text)
    assert text.count("\r") == text.count("\r\n"), text
    assert "\ncasement ls: all is well" not in text, text


@pytest.fixture
def named(shares):
    share = shares("--persist")
    for name in [*NAMES, KEPT]:
        path = os.path.join(os.fsencode(share.dir), name)
        os.mkdir(path)
        os.symlink(name, path + b"-link")
        os.mkfifo(os.path.join(path, b"fifo" + name))
    return share


@pytest.mark.parametrize("words", [["ls"], ["ls", "-l"], ["ls", "-R"]])
def test_listings(named, words):
    text = shown(*words, named.socket)
    check(text)
    assert KEPT.decode() in text and "line\\012casement ls" in text and "c1\\302\\23331m" in text
    ascii_text = shown(*words, named.socket, locale="C")
    assert ascii_text.isascii() and "gr\\303\\274n" in ascii_text


@pytest.mark.parametrize("command", ["stat", "cat", "ls", "cp"])
def test_errors(named, tmp_path, command):
    """Of names that are there, and of names that are not."""
    for name in [name + more for name in NAMES for more in (b"", b"-no")]:
        more = [b"-r", os.fsencode(named.socket) + b":" + name, os.fsencode(tmp_path) + b"/out"] \
            if command == "cp" else [os.fsencode(named.socket), name]
        text = shown(command, *more)
        check(text)
        if name.endswith(b"-no"):
            assert "o such file" in text, text


def test_names_for_other_programs_are_whole(named):
    listed = subprocess.run([CASEMENT, "ls", named.socket], stdout=subprocess.PIPE, timeout=PATIENCE, check=True).stdout
    assert NAMES[0] + b"\n" in listed and NAMES[3] + b"\n" in listed


def test_progress(named, tmp_path):
    """The line that is drawn anew while a long copy runs has the target's name."""
    with open(named.dir / "huge", "wb") as huge:
        huge.truncate(64 << 30)
    target = os.fsencode(tmp_path) + "/p\u009b\x1bé".encode()
    os.symlink("/dev/null", target)
    text = shown("cp", f"{named.socket}:huge", os.path.basename(target), cwd=tmp_path,
                 until=rb"% .*MiB/s  p\\302\\233\\033\xc3\xa9\x1b\[K")
    assert "\u009b" not in text


@pytest.mark.parametrize("name", NAMES)
def test_the_daemons_log(tmp_path, name):
    result = subprocess.run([CASEMENTD, b"--shared-dir", name, "--socket-path", tmp_path / "s"], cwd=tmp_path,
                            env=dict(os.environ, LC_ALL="C.UTF-8"), capture_output=True, timeout=PATIENCE, check=False)
    assert result.returncode and b"\\" in result.stderr
    check(result.stderr.decode())
    assert result.stderr.count(b"\n") == 1
