# SPDX-License-Identifier: BSD-3-Clause
"""casement run from the outside: bad input, statuses, streams, and nothing left behind."""
import itertools
import os
import pathlib
import signal
import subprocess
import time

import pytest

import limits
from booted import BOOTED
from daemons import short_path  # noqa: F401

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("CASEMENT_BUILD", TOP / "build"))
CASEMENT = BUILD / "casement"
PATIENCE = 120


def run(*args, boots=True, **more):
    if boots:
        BOOTED["native" if "uml" in args else "QEMU"] += 1
    return subprocess.run([CASEMENT, *map(str, args)], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=PATIENCE, **more)


BAD = [
    (2, ["run", "--share"], "--share"),
    (2, ["run", "--share", ".:a/b", "--", "true"], "a/b"),
    (2, ["run", "--share", ".:" + "t" * 37, "--", "true"], "36 bytes"),
    (2, ["run", "--share", ".:x", "--share", "/:x", "--", "true"], "x"),
    (2, ["run", "--share-arg", "--writeback", "--share", ".:x", "--", "true"], "--share"),
    (2, ["run", "--9p", ".:x", "--share-arg", "--writeback", "--", "true"], "--share"),
    (2, ["run", "--window", "3M", "--", "true"], "multiple of 2M"),
    (2, ["run", "--memory", "1M", "--", "true"], "give 128M or more"),
    (2, ["run", "--cpus", "0", "--", "true"], "give 1 to 255"),
    (2, ["help", "nonsense"], "nonsense"),
    (2, ["run", "--nonsense", "--", "true"], "--nonsense"),
    (2, ["run", "--accel", "uml", "--cpus", "2", "--", "true"], "--cpus"),
    (2, ["run", "--accel", "uml", "--window", "64M", "--", "true"], "--window"),
    (2, ["run", "--accel", "uml", "--dax", "always", "--", "true"], "--dax"),
    (1, ["run", "--accel", "uml", "--kernel", "/etc/passwd", "--", "true"], "User-mode Linux"),
    (1, ["run", "--kernel", "/etc", "--", "true"], "/etc"),
    (2, ["run", "--accel", "uml", "--9p", ".:x", "--", "true"], "--9p"),
    (2, ["run", "--accel", "uml", "--qemu", "/bin/true", "--", "true"], "--qemu"),
    (2, ["run", "--accel", "uml", "--monitor", "qmp", "--", "true"], "--monitor"),
    (2, ["run", "--accel", "uml", "--gdb=socket", "--", "true"], "--gdb"),
    (2, ["run", "--accel", "uml", "--systemd", "--", "true"], "--systemd"),
    (1, ["run", "--systemd", "--root", ".", "--", "true"], "has no systemd"),
    (2, ["run", "--accel", "uml", "--dump", "core", "--", "true"], "gcore"),
    (1, ["run", "--dump", "fifo", "--", "true"], "not a regular file"),
    (1, ["run", "--dump", "nowhere/core", "--", "true"], "nowhere/core"),
    (2, ["run", "--accel", "uml", "--reboot", "--", "true"], "--reboot"),
    (1, ["run", "--share", "nowhere", "--", "true"], "nowhere"),
    (1, ["run", "--kernel", "nowhere", "--", "true"], "nowhere"),
    (1, ["run", "--root", "nowhere", "--", "true"], "nowhere"),
    (1, ["run", "--log", "nowhere/log", "--", "true"], "nowhere/log"),
    (1, ["run", "--qemu", "nowhere", "--", "true"], "nowhere"),
    (1, ["run", "--accel", "uml", "--driver", "casement", "--module", "nowhere", "--", "true"], "nowhere"),
    (1, ["run", "--accel", "uml", "--driver", "casement", "--module", "fifo", "--", "true"], "not a file"),
    (1, ["run", "--accel", "uml", "--driver", "casement", "--module", "/etc", "--", "true"], "not a file"),
    (2, ["nonsense"], "nonsense"),
]


@pytest.mark.parametrize("status,args,word", BAD, ids=[" ".join(a)[-30:] for _, a, _ in BAD])
def test_bad_input(status, args, word, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    result = run(*args, boots=False, cwd=tmp_path)
    lines = result.stderr.splitlines()
    assert (result.returncode, len(lines)) == (status, 1), result
    assert word in lines[0]


def test_a_monitor_is_not_put_in_a_files_place(tmp_path):
    (tmp_path / "file").write_text("kept")
    (tmp_path / "link").symlink_to("file")
    for option, name in itertools.product(("--monitor", "--gdb"), ("file", "link")):
        result = run("run", f"{option}={tmp_path / name}", "--", "true", boots=False)
        assert result.returncode == 1 and option in result.stderr, result
    assert (tmp_path / "file").read_text() == "kept" and (tmp_path / "link").is_symlink()


def test_help_for_a_subcommand():
    said = [run(*words, boots=False) for words in (["help", "run"], ["run", "--help"])]
    assert [result.returncode for result in said] == [0, 0] and said[0].stdout == said[1].stdout != ""


def test_a_share_whose_name_has_a_colon(tmp_path):
    """The whole is the directory where what is before the colon is none. :rw is what a share is without :ro."""
    for name in ("a:b", "c:d", "c", "plain", "e:ro"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name.replace(":", "-")).touch()
    result = run("run", "--accel", "uml", "--share", "a:b", "--share", "c:d", "--share", "plain:rw", "--share", "./plain:t:rw",
                 "--share", "a:b:e:ro", "--share", "e:ro", "--", "sh", "-c",
                 "cd /mnt; ls -d */*; touch plain/x t/y e:ro/y; touch e/z", cwd=tmp_path)
    assert result.stdout.split() == ["a:b/a-b", "d/c", "e/a-b", "e:ro/e-ro", "plain/plain", "t/plain"], result
    assert "Read-only" in result.stderr and {"x", "y"} <= set(os.listdir(tmp_path / "plain")), result


def left_behind(before):
    return sorted(set(os.listdir(before["dir"])) - set(before["names"]))


@pytest.fixture
def temporary(short_path, monkeypatch):
    """Where casement run keeps its things, so that what it leaves is seen."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_path))
    monkeypatch.setenv("TMPDIR", str(short_path))
    return {"dir": short_path, "names": []}


ACCELS = ["auto", "uml"]


@pytest.mark.parametrize("accel", ACCELS)
def test_streams_and_status(temporary, accel):
    result = run("run", "--accel", accel, "--", "sh", "-c", "echo out; echo err >&2; cat; exit 42")
    assert (result.returncode, result.stdout, result.stderr) == (42, "out\n", "err\n")
    assert not left_behind(temporary)
    result = run("run", "--accel", accel, "--", "no-such-program")
    assert result.returncode == 127, result.stderr


def test_a_script_whose_interpreter_is_not_there(tmp_path):
    """What is missing is not the file that the user looks at."""
    (tmp_path / "script").write_text("#!/no/such/interpreter\n")
    (tmp_path / "script").chmod(0o755)
    result = run("run", "--accel", "uml", "--", "./script", cwd=tmp_path)
    assert result.returncode == 127, result
    assert result.stderr == "casement: ./script: the guest does not have the interpreter or loader that this file names\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="takes a right away from root")
def test_a_container(temporary):
    """It has no right to make namespaces, and runs no programs from /dev/shm."""
    shut_in = "mount -t tmpfs -o noexec none /dev/shm && exec setpriv --bounding-set=-sys_admin \"$@\""
    before = ["unshare", "-m", "sh", "-c", shut_in, "sh", CASEMENT, "run", "--accel", "uml", "--no-share"]
    plain = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "timeout": PATIENCE, "check": False, "cwd": "/"}
    result = subprocess.run([*before, "--", "true"], **plain)
    assert result.returncode == 125 and "give --sandbox chroot (as root) or --sandbox none" in result.stderr, result
    BOOTED["native"] += 2
    for mode in ("chroot", "none"):
        result = subprocess.run([*before, "--sandbox", mode, "--", "echo", "runs"], **plain)
        assert (result.returncode, result.stdout, result.stderr) == (0, "runs\n", ""), result


def test_much_output_arrives_whole(temporary):
    result = run("run", "--accel", "uml", "--", "seq", "300000")
    assert result.stdout == "".join(f"{number}\n" for number in range(1, 300001))


@pytest.mark.parametrize("program,said", [("true", "ended without finishing"), ("false", "failed with status 1")])
def test_a_kernel_that_is_no_user_mode_linux(temporary, program, said):
    """Nobody waits for daemons that it never spoke to. A name is a file here, not a program of PATH."""
    (temporary["dir"] / "kernel").symlink_to(f"/bin/{program}")
    result = run("run", "--accel", "uml", "--kernel", "kernel", "--", "true", cwd=temporary["dir"])
    assert result.returncode == 125
    assert said in result.stderr, result
    assert left_behind(temporary) == ["kernel"]


def test_an_odd_directory_for_what_runs(short_path, monkeypatch):
    """A kernel's words end at blanks, and its devices' sockets at a colon: another place is taken."""
    for name in ("col:on", "sp ace", 'qu"ote'):
        (short_path / name).mkdir()
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_path / name))
        assert run("run", "--accel", "uml", "--", "true").returncode == 0
        assert not list((short_path / name).iterdir())


def test_nothing_of_the_callers_is_open_in_the_machine(temporary):
    """A reader of the caller's pipe would otherwise wait until the guest ends."""
    read, write = os.pipe()
    guest = start_guest("uml", "while :; do /bin/true; done", pass_fds=[write])
    os.close(write)
    for pid in descendants(guest.pid):
        assert not os.path.exists(f"/proc/{pid}/fd/{write}") or \
            os.readlink(f"/proc/{pid}/fd/{write}") != os.readlink(f"/proc/self/fd/{read}"), pid
    os.close(read)
    guest.terminate()
    guest.communicate(timeout=PATIENCE)


def test_an_old_qemu_goes_on_without_the_window(temporary, tmp_path):
    """A QEMU that has no generic device: one line, and the command runs."""
    qemu = subprocess.run(["sh", "-c", "command -v qemu-system-x86_64"], capture_output=True,
                          text=True, check=True).stdout.strip()
    version = subprocess.run([qemu, "--version"], capture_output=True, text=True).stdout
    if int(version.split("version ")[1].split(".")[0]) >= 11:
        pytest.skip("the system's QEMU is not old")
    (tmp_path / "dir").mkdir()
    result = run("run", "--qemu", qemu, "--share", f"{tmp_path}/dir:t", "--window", "64M", "--", "true")
    lines = result.stderr.splitlines()
    assert (result.returncode, len(lines)) == (0, 1), result
    assert "window" in lines[0] and "11.1" in lines[0]


# A QEMU whose KVM fails at once, as one may in a machine inside a machine: it says so on
# its monitor and stands still, or it aborts. What is to be emulated goes to the real one.
BROKEN_KVM = """#!/usr/bin/python3
import os, socket, sys
if "kvm" not in sys.argv:
    os.execvp("qemu-system-x86_64", ["qemu-system-x86_64", *sys.argv[1:]])
if {aborts}:
    print("KVM internal error: MSR", file=sys.stderr, flush=True)
    os.abort()
events = [word for word in sys.argv if word.startswith("socket,id=events,fd=")][0]
monitor = socket.socket(fileno=int(events.rpartition("=")[2]))
print("KVM internal error. Suberror: 1", file=sys.stderr, flush=True)
monitor.sendall(b'{"timestamp": {"seconds": 1, "microseconds": 1}, "event": "STOP"}\\r\\n')
told = b""
while told.count(b"query-status") < 2:
    told += monitor.recv(4096)
monitor.sendall(b'{"return": {"running": false, "status": "internal-error"}}\\r\\n')
monitor.recv(4096)
"""


@pytest.fixture(params=["stands still", "aborts"])
def broken_kvm(tmp_path, monkeypatch, request):
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        pytest.skip("no /dev/kvm here")
    qemu = tmp_path / "qemu"
    qemu.write_text(BROKEN_KVM.replace("{aborts}", str(request.param == "aborts")))
    qemu.chmod(0o755)
    cache = tmp_path / "cache"
    cache.mkdir()
    for tree in pathlib.Path("/var/cache/casement").glob("guest-*"):
        (cache / tree.name).symlink_to(tree)
    monkeypatch.setenv("CASEMENT_CACHE", str(cache))
    return qemu


def test_a_kvm_that_cannot_is_done_without(temporary, broken_kvm):
    """It is emulated, by a kernel that bears a processor which stands still for two minutes."""
    words = ["run", "--qemu", broken_kvm, "--", "cat", "/proc/sys/kernel/watchdog_thresh",
             "/sys/module/rcupdate/parameters/rcu_cpu_stall_timeout"]
    result = run(*words)
    assert (result.returncode, result.stdout) == (0, "60\n300\n"), result
    assert "KVM cannot run" in result.stderr and len(result.stderr.splitlines()) == 1
    # and it is remembered
    result = run(*words)
    assert (result.returncode, result.stdout, result.stderr) == (0, "60\n300\n", "")
    result = run("run", "--accel", "kvm", *words[1:])
    assert result.returncode == 125 and "--accel tcg" in result.stderr, result
    assert "KVM internal error" in result.stderr


def descendants(pid):
    """Processes that it started, and those that they started."""
    said = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False).stdout
    return [process for child in said.split() for process in [child, *descendants(child)]]


def is_alive(pid):
    """A zombie does not count: its parent has not waited for it yet."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def start_guest(accel, script, before=(), **more):
    """A guest at work that has said so."""
    BOOTED["native" if accel == "uml" else "QEMU"] += 1
    guest = subprocess.Popen([*before, CASEMENT, "run", "--accel", accel, "--no-share", "--", "sh", "-c", f"echo ready; {script}"],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, **more)
    assert guest.stdout.readline() == "ready\n"
    return guest


@pytest.mark.parametrize("accel", ACCELS)
@pytest.mark.parametrize("number,status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_end_from_outside_leaves_nothing(temporary, accel, number, status):
    guest = start_guest(accel, "while :; do /bin/true; done")
    family = descendants(guest.pid)
    assert len(family) >= 3
    guest.send_signal(number)
    guest.communicate(timeout=PATIENCE)
    assert guest.returncode == status
    assert not [pid for pid in family if os.path.exists(f"/proc/{pid}")]
    assert not left_behind(temporary)


def test_a_killed_command_takes_its_native_guest_along(temporary):
    """Its processes are processes of this host. None of them goes on as one."""
    guest = start_guest("uml", "while :; do /bin/true; done")
    family = descendants(guest.pid)
    guest.kill()
    guest.communicate(timeout=PATIENCE)
    # Nothing tells of the end of a process that is not one's child.
    end = limits.now() + PATIENCE
    while [pid for pid in family if is_alive(pid)]:
        assert limits.now() < end, family
        time.sleep(0.01)
