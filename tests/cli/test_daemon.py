# SPDX-License-Identifier: BSD-3-Clause
"""casementd from the outside: what it says of bad input, and what it leaves behind."""
import os
import pathlib
import re
import signal
import socket
import subprocess

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("CASEMENT_BUILD", TOP / "build"))
CASEMENTD = BUILD / "casementd"
PATIENCE = 30


def run(*args, **more):
    return subprocess.run([CASEMENTD, *map(str, args)], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=PATIENCE, **more)


def refused(status, word, *args, **more):
    """One line that names the thing, and that exit status."""
    result = run(*args, **more)
    lines = result.stderr.splitlines()
    assert (result.returncode, len(lines)) == (status, 1), result
    assert word in lines[0] and lines[0].startswith("casementd: error: "), lines
    return lines[0]


@pytest.fixture
def shared(tmp_path):
    (tmp_path / "dir").mkdir()
    return tmp_path / "dir"


@pytest.fixture
def daemons():
    """Starts daemons that wait for a VMM; ends them."""
    running = []

    def start(*args, **more):
        daemon = subprocess.Popen([CASEMENTD, *map(str, args)], stderr=subprocess.PIPE, text=True, **more)
        running.append(daemon)
        line = daemon.stderr.readline()
        assert "waiting for the VMM" in line, line
        return daemon

    yield start
    for daemon in running:
        if daemon.poll() is None:
            daemon.kill()
        daemon.communicate()


USAGE = [
    (["--socket-path", "s"], "--shared-dir"),
    (["--shared-dir", "."], "--socket-path"),
    (["--shared-dir", ".", "--socket-path", "s", "--fd", "3"], "--fd"),
    (["--shared-dir", ".", "--socket-path", "s", "--tag", "t" * 37], "37 bytes"),
    (["--shared-dir", ".", "--socket-path", "s", "--tag", ""], "--tag"),
    (["--shared-dir", ".", "--socket-path", "s", "--tag", "t", "--window-size", "3M"], "multiple of 2M"),
    (["--shared-dir", ".", "--socket-path", "s", "--window-size", "2M"], "--tag"),
    (["--shared-dir", ".", "--socket-path", "s", "--window-size", "much"], "much"),
    (["--shared-dir", ".", "--socket-path", "s", "--cache", "none"], "auto, always, never, metadata"),
    (["--shared-dir", ".", "--socket-path", "s", "--queues", "0"], "1 to 128"),
    (["--shared-dir", ".", "--socket-path", "s", "stray"], "stray"),
    (["--nonsense"], "--nonsense"),
    (["--shared-dir"], "--shared-dir"),
]


@pytest.mark.parametrize("args,word", USAGE, ids=[" ".join(a)[-40:] for a, _ in USAGE])
def test_wrong_command_lines(args, word, tmp_path):
    refused(2, word, *args, cwd=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_missing_directory(tmp_path):
    refused(1, "nowhere", "--shared-dir", tmp_path / "nowhere", "--socket-path", tmp_path / "s")


def test_a_file_instead_of_a_directory(tmp_path):
    (tmp_path / "file").write_text("")
    refused(1, "not a directory", "--shared-dir", tmp_path / "file", "--socket-path", tmp_path / "s")


def test_a_read_only_tree(shared, tmp_path, daemons):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", shared], check=True)
    try:
        refused(1, "--readonly", "--shared-dir", shared, "--socket-path", tmp_path / "s")
        daemons("--shared-dir", shared, "--socket-path", tmp_path / "s", "--readonly").terminate()
    finally:
        subprocess.run(["umount", "-l", shared], check=True)


def test_a_busy_socket(shared, tmp_path, daemons):
    daemons("--shared-dir", shared, "--socket-path", tmp_path / "s")
    refused(1, "in use by another daemon", "--shared-dir", shared, "--socket-path", tmp_path / "s")
    assert (tmp_path / "s").is_socket()


def test_a_stale_socket_is_replaced(shared, tmp_path, daemons):
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / "s"))
    daemons("--shared-dir", shared, "--socket-path", tmp_path / "s")


def test_another_file_in_the_sockets_place_is_kept(shared, tmp_path):
    (tmp_path / "s").write_text("precious")
    refused(1, "not a socket", "--shared-dir", shared, "--socket-path", tmp_path / "s")
    assert (tmp_path / "s").read_text() == "precious"


def test_a_socket_where_none_can_be(shared, tmp_path):
    refused(1, "nowhere", "--shared-dir", shared, "--socket-path", tmp_path / "nowhere/s")
    refused(1, "107 bytes", "--shared-dir", shared, "--socket-path", tmp_path / ("s" * 120))


def test_a_descriptor_that_is_no_socket(shared):
    with open("/dev/null", "rb") as null:
        refused(1, "not a listening socket", "--shared-dir", shared, "--fd", null.fileno(),
                pass_fds=[null.fileno()])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_nothing_is_left(shared, tmp_path, daemons, number):
    daemon = daemons("--shared-dir", shared, "--socket-path", tmp_path / "s")
    assert (tmp_path / "s.pid").read_text() == f"{daemon.pid}\n"
    daemon.send_signal(number)
    assert daemon.wait(timeout=PATIENCE) == 0
    assert [p.name for p in tmp_path.iterdir()] == ["dir"]


@pytest.mark.parametrize("mode", ["none", "chroot"])
def test_a_relative_socket_is_removed_too(shared, tmp_path, daemons, mode):
    """Who serves has a working directory of its own."""
    if mode == "chroot" and os.geteuid():
        pytest.skip("--sandbox chroot needs root")
    daemon = daemons("--shared-dir", "dir", "--socket-path", "s", "--sandbox", mode, cwd=tmp_path)
    assert (tmp_path / "s").is_socket()
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(timeout=PATIENCE) == 0
    assert [p.name for p in tmp_path.iterdir()] == ["dir"]


def test_a_pid_file_that_is_another_file(shared, tmp_path):
    """Who may write to the socket's directory leads casementd to no other file."""
    precious = tmp_path / "precious"
    precious.write_text("precious")
    (tmp_path / "s.pid").hardlink_to(precious)
    refused(1, "s.pid", "--shared-dir", shared, "--socket-path", tmp_path / "s")
    (tmp_path / "s.pid").unlink()
    (tmp_path / "s.pid").symlink_to(precious)
    refused(1, "s.pid", "--shared-dir", shared, "--socket-path", tmp_path / "s")
    (tmp_path / "s.pid").unlink()
    os.mkfifo(tmp_path / "s.pid")
    refused(1, "s.pid", "--shared-dir", shared, "--socket-path", tmp_path / "s")
    assert precious.read_text() == "precious"


def test_whoever_sees_the_socket_can_connect(shared, tmp_path):
    for name in ["s", "n" * (106 - len(str(tmp_path)))]:
        path = tmp_path / name
        for _ in range(15):
            daemon = subprocess.Popen([CASEMENTD, "--shared-dir", shared, "--socket-path", path],
                                      stderr=subprocess.DEVNULL)
            try:
                while not path.exists():
                    assert daemon.poll() is None
                with socket.socket(socket.AF_UNIX) as vmm:
                    # A name of full length has no room for another: there it may take a moment.
                    while name != "s" and vmm.connect_ex(str(path)):
                        assert daemon.poll() is None
                    if name == "s":
                        vmm.connect(str(path))
                assert daemon.wait(timeout=PATIENCE) == 0
            finally:
                daemon.kill()
                daemon.wait()
            assert [p.name for p in tmp_path.iterdir()] == ["dir"]


def test_it_ends_when_the_vmm_leaves(shared, tmp_path, daemons):
    daemon = daemons("--shared-dir", shared, "--socket-path", tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as vmm:
        vmm.connect(str(tmp_path / "s"))
    assert daemon.wait(timeout=PATIENCE) == 0
    assert not (tmp_path / "s").exists()


def test_help_and_version():
    assert run("--version").stdout.startswith("casementd 0.")
    shown = run("--help")
    assert shown.returncode == 0 and not shown.stderr
    assert all(len(line) < 80 for line in shown.stdout.splitlines()[4:])


SUBCOMMANDS = ["bench", "cat", "cp", "ls", "mount", "run", "stat"]
PAGES = [([CASEMENTD], "casementd.8")] + \
    [([BUILD / "casement", name], f"casement-{name}.1") for name in SUBCOMMANDS]


@pytest.mark.parametrize("program,page", PAGES, ids=[page for _, page in PAGES])
def test_every_option_is_in_its_manual(program, page):
    shown = subprocess.run([*program, "--help"], capture_output=True, text=True, check=True).stdout
    options = set(re.findall(r"^ {2,6}(?:-\w, )?(--[a-z0-9-]+)", shown, re.M)) - {"--version"}
    manual = (BUILD / "docs" / page).read_text().replace("\\-", "-")
    manual = manual[manual.index(".SH OPTIONS"):].split("\n.SH ")[0]
    listed = set(re.findall(r"^(?:\\fB-\w\\fR, )?\\fB(--[a-z0-9-]+)\\fR", manual, re.M)) - {"--version"}
    assert options == listed and options
