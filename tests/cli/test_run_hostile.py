# SPDX-License-Identifier: BSD-3-Clause
"""casement run against a guest's root, and against those who share the host with it."""
import array
import fcntl
import os
import pathlib
import pty
import signal
import subprocess
import termios

import pytest

from booted import BOOTED
from daemons import CASEMENT, PATIENCE, short_path  # noqa: F401

NOBODY = 65534
OFF = "sync; echo o > /proc/sysrq-trigger; while :; do read never < /dev/zero; done"
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="files of another user are made by root alone")


def words_of(accel, script, *options):
    BOOTED["native" if accel == "uml" else "QEMU"] += 1
    return [CASEMENT, "run", "--accel", accel, *map(str, options), "--", "sh", "-c", script]


def run(script, *options, accel="uml", **more):
    return subprocess.run(words_of(accel, script, *options), stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=PATIENCE, check=False, **more)


@pytest.fixture
def temporary(short_path, monkeypatch):
    """Where casement run keeps its things. What it leaves there is seen at the end."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_path))
    yield short_path
    assert not list(short_path.iterdir())


# ---- the guest's root ----

LEAVE_IN_BOOT = """
mkdir -p /tmp/x && mount -t virtiofs casement.boot /tmp/x && cd /tmp/x && ls
for make in "ln -s SECRET status" "mkfifo status" "mkdir deep" "touch status" "rm params" "mv init other" \
    "chmod 0 init" "setfattr -n user.a -v b init"; do $make 2>/dev/null && echo "done: $make"; done
mount -o remount,rw /tmp/x; touch status 2>/dev/null && echo touched
cd /;
"""


@pytest.mark.parametrize("accel", ["uml", "auto"])
def test_the_boot_share_is_not_the_guests(temporary, tmp_path, accel):
    """It changes nothing there, and the host reads nothing of it back."""
    secret = tmp_path / "secret"
    secret.write_text("failed hunter2\n")
    result = run(LEAVE_IN_BOOT.replace("SECRET", str(secret)) + OFF, accel=accel)
    assert result.returncode == 125 and b"without finishing" in result.stderr, result
    assert b"init" in result.stdout and b"done:" not in result.stdout and b"touched" not in result.stdout, result
    assert b"hunter2" not in result.stderr


SAID = [
    ("exit 7\\n", 7, b""),
    ("exit 7\\nexit 9\\n", 9, b""),
    ("failed \\033[2J\\302\\233\\377 x\\n", 125, rb"error: \033[2J\302\233\377 x" + b"\n"),
    ("failed \\n", 125, b"no reason"),
    ("exit 4294967303\\n", 7, b""),
    ("exit 7", 125, b"without finishing"),
    ("nonsense\\nexit\\n\\n", 125, b"without finishing"),
]


@pytest.mark.parametrize("said,status,shown", SAID, ids=[said[:12] for said, _, _ in SAID])
def test_what_a_guest_says_of_its_end(temporary, said, status, shown):
    """A word that is one counts, and no terminal obeys it."""
    result = run(f"printf '{said}' > /dev/ttyS4; {OFF}")
    assert result.returncode == status and shown in result.stderr, result
    assert b"\033" not in result.stderr


def test_a_guest_that_says_much(temporary):
    """The command's end is told behind it all the same."""
    flood = "head -c 3000000 /dev/zero | tr '\\0' x"
    result = run(f"{flood} > /dev/ttyS4; {flood} | fold -w 1000 > /dev/ttyS4; printf 'exit 5' > /dev/ttyS4; exit 42")
    assert result.returncode == 42, result


@pytest.mark.parametrize("word,status,shown", [("started", 42, b""), ("exit 5", 125, b"again and again")])
def test_a_guest_that_says_the_same_again_and_again(temporary, word, status, shown):
    """The host's answers would fill the line, and its last one not arrive."""
    result = run(f"yes '{word}' | head -c 500000 > /dev/ttyS4; exit 42")
    assert result.returncode == status and shown in result.stderr, result


def test_an_end_that_is_told_too_early(temporary):
    """The host answers it, and the true one later, too."""
    result = run("printf 'exit 5\\n' > /dev/ttyS4; seq 20000; exit 42")
    assert result.returncode == 42 and result.stdout.endswith(b"\n20000\n"), result


def test_a_guest_whose_kernel_says_much(temporary, tmp_path):
    log = tmp_path / "log"
    script = f"head -c 3000000 /dev/zero | tr '\\0' x | fold -w 900 > /dev/ttyS0; printf '\\nesc\\033[2J last\\n' > /dev/ttyS0; {OFF}"
    result = run(script)
    assert result.returncode == 125 and rb"esc\033[2J last" in result.stderr and len(result.stderr) < 8192, result
    assert b"\033" not in result.stderr
    result = run(script, "--log", log)
    assert b"\033[2J last" in log.read_bytes() and log.stat().st_size > 3000000
    # It is told what it would count.
    assert b"Calibrating delay loop (skipped)" in log.read_bytes()
    result = run("exit 3", "--log", "/dev/full")
    assert result.returncode == 3 and b"cannot be written any more" in result.stderr, result


def status_of(pid):
    return dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())


@pytest.mark.parametrize("window", [[], ["--window", "64M"]], ids=["installed", "with a window"])
def test_qemu_is_shut_in(temporary, tmp_path, window):
    """By its own filter, whichever QEMU it is; and a guest lives in it to its end."""
    (tmp_path / "share").mkdir()
    guest = start("echo ready; touch made; read never; exit 3", *window, "--share", f"{tmp_path}/share:t", accel="auto",
                  stdout=subprocess.PIPE)
    assert guest.stdout.readline() == b"ready\n"
    children = pathlib.Path(f"/proc/{guest.pid}/task/{guest.pid}/children").read_text().split()
    [qemu] = [pid for pid in children if "qemu-system" in pathlib.Path(f"/proc/{pid}/cmdline").read_text()]
    status = status_of(qemu)
    guest.communicate(timeout=PATIENCE)
    assert (status["Seccomp"], status["NoNewPrivs"], guest.returncode) == ("2", "1", 3)
    assert (tmp_path / "share/made").exists()


def test_a_qemu_without_a_filter(temporary, tmp_path):
    """One that was built without: nothing is said of what it refuses, and it runs."""
    qemu = tmp_path / "qemu"
    qemu.write_text("""#!/bin/sh
case "$*" in *-sandbox*) echo "-sandbox support is not enabled in this QEMU binary" >&2; exit 1;; esac
case "$*" in *version*) exec qemu-system-x86_64 "$@";; esac
echo it runs >&2; exit 9
""")
    qemu.chmod(0o755)
    result = run("exit 0", "--qemu", qemu, accel="auto")
    assert result.returncode == 125 and b"failed with status 9" in result.stderr and b"| it runs" in result.stderr, result
    assert b"sandbox" not in result.stderr


# ---- the host's other users ----

def others(tmp_path, kind):
    """A folder that another user could change, in one way."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    if kind == "below theirs":
        (theirs / "run").mkdir(mode=0o700)
        os.chown(theirs, NOBODY, NOBODY)
        return theirs / "run"
    if kind == "their link":
        (tmp_path / "ours").mkdir(mode=0o777)
        (tmp_path / "ours").chmod(0o777)
        (theirs / "run").symlink_to(tmp_path / "ours", target_is_directory=True)
        return theirs / "run"
    if kind == "theirs":
        os.chown(theirs, NOBODY, NOBODY)
    theirs.chmod({"all may write": 0o777, "all may write, sticky": 0o1777}.get(kind, 0o700))
    if kind == "a group may write":
        os.chown(theirs, 0, 12)
        theirs.chmod(0o770)
    return theirs


@ROOT_ONLY
@pytest.mark.parametrize("kind", ["theirs", "below theirs", "their link", "all may write", "all may write, sticky",
                                  "a group may write"])
def test_a_runtime_directory_that_others_can_change(short_path, kind):
    """As root has it after su or sudo -E: nothing is made there."""
    theirs = others(short_path, kind)
    before = os.stat(theirs).st_mtime_ns
    env = dict(os.environ, XDG_RUNTIME_DIR=str(theirs))
    found = run("exit 0", "--verbose", env=env)
    assert found.returncode == 0 and b"uml_dir=/tmp/casement-" in found.stderr, found
    assert os.stat(theirs).st_mtime_ns == before


@ROOT_ONLY
def test_a_cache_of_others_gets_no_note(tmp_path, monkeypatch):
    """A link in it would have been followed, and what it leads to emptied."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        pytest.skip("no /dev/kvm here")
    qemu = tmp_path / "qemu"
    qemu.write_text('#!/bin/sh\ncase "$*" in *kvm*) kill -ABRT $$;; esac\nexec qemu-system-x86_64 "$@"\n')
    qemu.chmod(0o755)
    theirs = others(tmp_path, "theirs")
    kept = tmp_path / "kept"
    kept.write_text("kept")
    (theirs / "no-kvm").symlink_to(kept)
    root = subprocess.run([pathlib.Path(__file__).resolve().parents[2] / "scripts/vm-root", "--print", "guest"],
                          capture_output=True, text=True, check=True).stdout
    paths = dict(line.split("=", 1) for line in root.splitlines())
    result = run("exit 0", "--qemu", qemu, "--root", f"{paths['ROOT']}:ro", "--kernel", paths["KERNEL"], accel="auto",
                 env=dict(os.environ, CASEMENT_CACHE=str(theirs)))
    assert result.returncode == 0 and kept.read_text() == "kept", result


def test_no_room_for_the_guests_memory(temporary):
    """Said at the start. Found out in the guest, it would be a SIGBUS of its kernel."""
    result = run("exit 0", "--memory", "1024T")
    assert result.returncode == 1 and b"--memory" in result.stderr and b"TMPDIR" in result.stderr, result
    assert len(result.stderr.splitlines()) == 1


def test_a_runtime_directory_of_ones_own(temporary):
    result = run("exit 0", "--verbose")
    assert result.returncode == 0 and f"uml_dir={temporary}/casement-".encode() in result.stderr, result


# ---- waits ----

def start(script, *options, accel="uml", **more):
    return subprocess.Popen(words_of(accel, script, *options), stdin=subprocess.DEVNULL, **more)



def waiting(fd):
    count = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, count)
    return count[0]


def fill(fd, size):
    """Until that much is in it, and is not read."""
    while waiting(fd) < size:
        os.sched_yield()


FULL = "echo ready >&2; while :; do echo 0123456789012345678901234567890123456789012345678901234567890123456789; done"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_output_that_nobody_takes(temporary, number):
    read, write = os.pipe()
    guest = start(FULL, stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert guest.stderr.readline() == b"ready\n"
    fill(read, 30000)
    guest.send_signal(number)
    guest.communicate(timeout=PATIENCE)
    assert guest.returncode == 128 + number
    os.close(read)


def open_terminal():
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, array.array("H", [24, 80, 0, 0]))
    return master, slave


def test_a_terminal_that_stands_still(temporary):
    """It takes no more output: a signal ends the run, and the terminal is as before."""
    master, slave = open_terminal()
    before = termios.tcgetattr(slave)
    guest = subprocess.Popen(words_of("uml", FULL), stdin=slave, stdout=slave, stderr=slave)
    fill(master, 3000)
    guest.terminate()
    assert guest.wait(timeout=PATIENCE) == 143
    assert termios.tcgetattr(slave) == before
    os.close(master)
    os.close(slave)


def test_keys_for_the_guest_are_not_the_shells(temporary):
    """Typed ahead, or a terminal's answer to what the guest asked it."""
    master, slave = open_terminal()
    guest = subprocess.Popen(words_of("uml", "stty -echo; echo ready; while :; do :; done"), stdin=slave, stdout=slave, stderr=slave)
    output = b""
    while b"ready" not in output:
        output += os.read(master, 4096)
    guest.send_signal(signal.SIGSTOP)
    os.waitpid(guest.pid, os.WUNTRACED)
    os.write(master, b"rm -rf keys\n" * 20)
    guest.terminate()
    # Both signals are there when it goes on: it ends before it reads on.
    guest.send_signal(signal.SIGCONT)
    assert guest.wait(timeout=PATIENCE) == 143
    left = waiting(slave)
    os.close(master)
    os.close(slave)
    assert left == 0


def test_a_caller_that_ignores_the_end_of_children(temporary):
    result = run("exit 3", preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
    assert result.returncode == 3, result


@ROOT_ONLY
@pytest.mark.parametrize("umask", [0o777, 0o077, 0])
def test_a_callers_umask(umask):
    """An ordinary user's, who has no home and no place for what runs."""
    def become_user():
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        os.umask(umask)

    result = run("exit 3", preexec_fn=become_user, env={"PATH": os.environ["PATH"]}, cwd="/")
    assert (result.returncode, result.stderr) == (3, b""), result


def test_signals_that_the_caller_ignores():
    """As nohup does, or a shell for a job in the background."""
    ignored = [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT]
    guest = subprocess.Popen(words_of("uml", "echo ready; read line; exit 3"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             preexec_fn=lambda: [signal.signal(number, signal.SIG_IGN) for number in ignored])
    assert guest.stdout.readline() == b"ready\n"
    for number in ignored:
        guest.send_signal(number)
    guest.communicate(b"line\n", timeout=PATIENCE)
    assert guest.returncode == 3


def test_a_second_signal(temporary):
    guest = start("echo ready; while :; do :; done", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert guest.stdout.readline() == b"ready\n"
    guest.send_signal(signal.SIGSTOP)
    os.waitpid(guest.pid, os.WUNTRACED)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        guest.send_signal(number)
    guest.send_signal(signal.SIGCONT)
    guest.communicate(timeout=PATIENCE)
    assert guest.returncode in (129, 130, 131, 143)
