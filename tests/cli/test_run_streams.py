# SPDX-License-Identifier: BSD-3-Clause
"""casement run's streams: input with its end, output to its reader, and a terminal's keys."""
import array
import fcntl
import hashlib
import os
import pathlib
import pty
import select
import signal
import subprocess
import termios

import pytest

from booted import BOOTED
from daemons import CASEMENT, PATIENCE

ACCELS = ["uml", "auto"]
SIZE = 3 << 20


def words_of(accel, *command, options=()):
    BOOTED["native" if accel == "uml" else "QEMU"] += 1
    return [CASEMENT, "run", "--accel", accel, *options, "--", *command]


def run(accel, *command, options=(), **more):
    return subprocess.run(words_of(accel, *command, options=options), capture_output=True, timeout=PATIENCE,
                          check=False, **more)


# ---- input ----

@pytest.mark.parametrize("accel", ACCELS)
def test_input_goes_in_and_ends(accel):
    """More than any buffer on the way holds, both ways at once, and each byte there is."""
    data = bytes(range(256)) * (SIZE // 256 if accel == "auto" else 1024)
    result = run(accel, "sh", "-c", "tee /dev/stderr; exit 3", input=data)
    assert (result.returncode, result.stdout == data, result.stderr == data) == (3, True, True), result.stderr[-999:]


@pytest.mark.parametrize("accel", ACCELS)
def test_input_that_comes_in_pieces(accel):
    """More than the guest's buffers hold at once, and after the command has read it, more."""
    guest = subprocess.Popen(words_of(accel, "cat"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    for number in range(4):
        piece = b"%d" % number * 50000
        guest.stdin.write(piece)
        guest.stdin.flush()
        assert guest.stdout.read(len(piece)) == piece
    assert guest.communicate(timeout=PATIENCE)[0] == b"" and guest.returncode == 0


def test_a_pipeline_of_guests():
    first = subprocess.Popen(words_of("uml", "seq", "20000"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    second = subprocess.Popen(words_of("uml", "grep", "7"), stdin=first.stdout, stdout=subprocess.PIPE)
    first.stdout.close()
    said = run("uml", "wc", "-l", stdin=second.stdout).stdout
    second.stdout.close()
    assert int(said) == sum("7" in str(number) for number in range(1, 20001))
    assert (first.wait(timeout=PATIENCE), second.wait(timeout=PATIENCE)) == (0, 0)


@pytest.mark.parametrize("given", ["file", "nothing", "closed", "no-input"])
def test_what_the_input_is(tmp_path, given):
    (tmp_path / "file").write_bytes(b"text\n")
    shell = {"file": "<file", "nothing": "</dev/null", "closed": "<&-", "no-input": "<file"}[given]
    option = "-n" if given == "no-input" else ""
    BOOTED["native"] += 1
    result = subprocess.run(["sh", "-c", f'{{ "$0" run {option} --accel uml -- cat; echo $?; cat; }} {shell}', CASEMENT],
                            capture_output=True, text=True, timeout=PATIENCE, check=False, cwd=tmp_path)
    # What is left to others of the caller's is read by the second cat.
    assert result.stdout == {"file": "text\n0\n", "no-input": "0\ntext\n"}.get(given, "0\n"), result


def test_input_that_the_command_does_not_read():
    """It ends all the same, and before the writer does."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    guest = subprocess.Popen(words_of("uml", "sh", "-c", "exec <&-; echo closed; exit 5"), stdin=read, stdout=subprocess.PIPE)
    os.close(read)
    try:
        while True:
            os.write(write, bytes(4096))
    except BlockingIOError:
        pass
    assert guest.communicate(timeout=PATIENCE)[0] == b"closed\n"
    assert guest.returncode == 5
    os.close(write)


def test_input_and_a_reboot(tmp_path):
    """What was sent to the command of the first boot is gone with it; the second gets all of the rest, and its end."""
    lines = b"".join(b"%07d\n" % number for number in range(SIZE // 8))
    (tmp_path / "input").write_bytes(lines)
    script = "if [ -e booted ]; then cat; exit; fi; touch booted; sync; read line; echo b > /proc/sysrq-trigger; read never"
    (tmp_path / "share").mkdir()
    with open(tmp_path / "input", "rb") as file:
        result = run("auto", "sh", "-c", script, options=["--reboot", "--share", f"{tmp_path}/share:t"], stdin=file)
    assert result.returncode == 0 and 0 < len(result.stdout) < len(lines), result
    assert lines.endswith(result.stdout)


def test_input_that_cannot_be_read(tmp_path):
    """It is no empty input. What nohup(1) makes of a terminal, open for writing alone, is."""
    fd = os.open(tmp_path, os.O_RDONLY)
    result = run("uml", "cat", stdin=fd)
    os.close(fd)
    assert (result.returncode, result.stderr) == (
        125, b"casement run: error: standard input cannot be read: Is a directory; the machine was stopped\n")
    fd = os.open("/dev/null", os.O_WRONLY)
    result = run("uml", "cat", stdin=fd)
    os.close(fd)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")


# ---- ports ----

@pytest.mark.parametrize("quiet", ["", " quiet"])
def test_a_kernel_without_ports(quiet):
    """It says which part it lacks, through its log, where it can say nothing else."""
    result = run("auto", "true", options=["--append", "initcall_blacklist=virtio_console_init" + quiet], stdin=subprocess.DEVNULL)
    assert result.returncode == 125 and b"CONFIG_VIRTIO_CONSOLE" in result.stderr, result
    assert len(result.stderr.splitlines()) == 1, result


# ---- output ----

@pytest.mark.parametrize("accel", ACCELS)
def test_output_arrives_whole(accel):
    """A reader at a time of its own; and the command's last words are not lost."""
    result = run(accel, "sh", "-c", f"head -c {SIZE} /dev/urandom | tee /dev/stderr | sha256sum; exit 9",
                 stdin=subprocess.DEVNULL)
    assert len(result.stderr) == SIZE
    assert result.stdout.split()[0].decode() == hashlib.sha256(result.stderr).hexdigest()
    assert result.returncode == 9


@pytest.mark.parametrize("stream,name", [(1, "standard output"), (2, "standard error")])
def test_a_stream_that_takes_no_more(stream, name, tmp_path):
    script = f"while :; do echo text >&{stream}; done"
    with open("/dev/full", "w") as full, open(tmp_path / "said", "w+") as said:
        streams = {"stdout": said, "stderr": said, ("stdout", "stderr")[stream - 1]: full}
        guest = subprocess.run(words_of("uml", "sh", "-c", script), stdin=subprocess.DEVNULL, timeout=PATIENCE,
                               check=False, **streams)
        said.seek(0)
        assert guest.returncode == 125
        assert stream == 2 or said.read() == f"casement run: error: {name} takes no more output: No space left on device; the machine was stopped\n"


@pytest.mark.parametrize("closed,script,status", [
    (">&-", "echo text", 125), (">&-", "exit 3", 3), ("2>&-", "echo text >&2; exit 3", 3), ("<&- >&- 2>&-", "cat; exit 3", 3)])
def test_closed_streams(closed, script, status):
    """What the command writes is not lost with success; its errors may be."""
    BOOTED["native"] += 1
    result = subprocess.run(["sh", "-c", f'"$0" run --accel uml -- sh -c "$1" {closed}', CASEMENT, script],
                            capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert result.returncode == status, result
    assert result.stderr.count("Bad file descriptor") == (status == 125)


def test_no_subcommand_writes_to_a_closed_stream():
    said = subprocess.run(["sh", "-c", '"$0" --version >&-', CASEMENT], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert said.returncode == 1 and said.stderr == "casement: error: standard output: Bad file descriptor\n"


def test_a_reader_that_leaves():
    guest = subprocess.Popen(words_of("uml", "yes"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert guest.stdout.read(2) == b"y\n"
    guest.stdout.close()
    assert guest.wait(timeout=PATIENCE) == 141
    assert b"Broken pipe" in guest.stderr.read()
    guest.stderr.close()


# ---- a terminal ----

class Terminal:
    """A session on a terminal of ours. `controlling`: it is told of the terminal's end by SIGHUP."""

    def __init__(self, *words, controlling=True):
        self.master, slave = pty.openpty()
        self.resize(24, 80)
        self.before = termios.tcgetattr(self.master)
        self.output = b""

        def take():
            os.setsid()
            if controlling:
                fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

        self.guest = subprocess.Popen(words, stdin=slave, stdout=slave, stderr=slave, preexec_fn=take)
        # It is at its end when the guest is, as no other process has it open.
        os.close(slave)

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, array.array("H", [rows, columns, 0, 0]))

    def type(self, keys):
        os.write(self.master, keys)

    def read_some(self):
        assert select.select([self.master], [], [], PATIENCE)[0], self.output
        try:
            self.output += os.read(self.master, 4096)
        except OSError:     # EIO: no process has it open any more
            return False
        return True

    def wait_until_raw(self):
        while termios.tcgetattr(self.master)[3] & termios.ICANON:
            assert self.guest.poll() is None
            os.sched_yield()

    def read_until(self, words):
        while words not in self.output:
            assert self.read_some(), self.output

    def end(self, status):
        """It says the rest, ends, and leaves the terminal as it was."""
        while self.read_some():
            pass
        assert self.guest.wait(timeout=PATIENCE) == status, self.output
        assert termios.tcgetattr(self.master) == self.before
        os.close(self.master)


@pytest.mark.parametrize("accel", ACCELS)
def test_a_terminal(accel):
    """Its size and the change of it, its keys and line editing."""
    terminal = Terminal(*words_of(accel, "sh", "-c", "trap 'stty size; exit 6' WINCH; trap 'echo interrupted' INT; tty; stty size; "
                        "read line; echo got $line; while :; do read line; done"))
    terminal.read_until(b"24 80")
    assert b"/dev/pts/0" in terminal.output
    terminal.type(b"wrung\x7f\x7f\x7f\x7fhole\r")
    terminal.read_until(b"got whole")
    terminal.type(b"\x03")
    terminal.read_until(b"interrupted")
    # The kernel tells the foreground job of it.
    terminal.resize(33, 77)
    terminal.read_until(b"33 77")
    terminal.end(6)


@pytest.mark.parametrize("accel", ACCELS)
def test_what_is_typed_early_arrives_whole(accel):
    """Before there is a guest, and before its shell reads."""
    terminal = Terminal(*words_of(accel, "sh", "-c", "while read line; do echo \"<$line>\"; [ \"$line\" = 'line 99' ] && exit 4; done"))
    terminal.type(b"".join(b"line %d\r" % number for number in range(100)))
    terminal.end(4)
    said = [line for line in terminal.output.decode().splitlines() if line.startswith("<")]
    assert said == [f"<line {number}>" for number in range(100)], terminal.output


def test_a_key_that_ends_the_boot():
    """Ctrl-C is for this program as long as there is no command to have it."""
    terminal = Terminal(*words_of("auto", "true"))
    terminal.read_until(b"starting a guest")
    terminal.type(b"\x03")
    terminal.end(130)


def test_no_terminal_where_there_is_only_half_of_one():
    """Output to a pipe: the command has pipes, and what is typed is its input, line by line."""
    master, slave = pty.openpty()
    guest = subprocess.Popen(words_of("uml", "sh", "-c", "tty; cat"), stdin=slave, stdout=subprocess.PIPE)
    assert guest.stdout.readline() == b"not a tty\n"
    os.write(master, b"text\n\x04")
    assert guest.stdout.read() == b"text\n"
    assert guest.wait(timeout=PATIENCE) == 0
    guest.stdout.close()
    os.close(master)
    os.close(slave)


SHELL = """
"$0" run --accel uml --no-share -- sh -c "tty; wc -c" & wait $!
echo background $?
"$0" run --accel uml --share "$1:t" -- sh -c "echo 'rea'dy; until [ -e go ]; do :; done; exit 7"
echo stopped $?
bg
echo go >"$1/go"
wait %%
echo ended $?
"""


def test_jobs_of_a_shell(tmp_path):
    """In the background it reads no keys, leaves the terminal to others, and is not stopped for either."""
    BOOTED["native"] += 2
    terminal = Terminal("bash", "--norc", "-mc", SHELL, CASEMENT, str(tmp_path))
    terminal.read_until(b"background 0")
    assert b"not a tty" in terminal.output
    terminal.read_until(b"ready")
    [job] = pathlib.Path(f"/proc/{terminal.guest.pid}/task/{terminal.guest.pid}/children").read_text().split()
    os.kill(int(job), signal.SIGSTOP)
    terminal.read_until(b"ended 7")
    assert b"stopped 147" in terminal.output
    terminal.end(0)


def test_a_stop_and_a_change_of_the_terminal():
    """As a shell changes it. When the program goes on, keys are the guest's again, and the new size."""
    terminal = Terminal(*words_of("uml", "sh", "-c", "echo 'rea'dy; until [ \"$(stty size)\" = '33 77' ]; do :; done; read line; exit $line"))
    terminal.read_until(b"ready")
    os.kill(terminal.guest.pid, signal.SIGSTOP)
    os.waitpid(terminal.guest.pid, os.WUNTRACED)
    termios.tcsetattr(terminal.master, termios.TCSANOW, terminal.before)
    terminal.resize(33, 77)
    os.kill(terminal.guest.pid, signal.SIGCONT)
    terminal.wait_until_raw()
    terminal.type(b"5\r")
    terminal.end(5)


def test_no_key_stops_the_boot():
    """The shell would have a terminal that shows nothing."""
    terminal = Terminal(*words_of("auto", "true"))
    terminal.wait_until_raw()
    assert termios.tcgetattr(terminal.master)[6][termios.VSUSP] == b"\0"
    terminal.type(b"\x03")
    terminal.end(130)


@pytest.mark.parametrize("controlling", [True, False])
def test_a_terminal_that_goes_away(controlling):
    """Also when no process gets SIGHUP, as with sshd and a command without job control."""
    terminal = Terminal(*words_of("uml", "sh", "-c", "echo 'rea'dy; read line; while :; do read never < /dev/zero; done"),
                        controlling=controlling)
    terminal.read_until(b"ready")
    os.close(terminal.master)
    assert terminal.guest.wait(timeout=PATIENCE) == 129
