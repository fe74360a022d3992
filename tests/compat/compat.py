#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes docs/compatibility.md from a run: make compat.

usage: compat.py BUILD      run casementd (and virtiofsd, where there is one), write the document
       compat.py --check    is the document's list of options and requests that of the sources?
"""
import grp
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time

from command_lines import COMMAND_LINES, LEGACY, OPTIONS, complete

TOP = pathlib.Path(__file__).resolve().parents[2]
DOCUMENT = TOP / "docs/compatibility.md"
PATIENCE = 20
SERVED = "works"

HEAD = """# casementd in virtiofsd's place

Made by `make compat` from a run of casementd{peer}; do not edit. *works*: the
daemon started with it and served (options), or answered without an error
(requests). {who}

- Whoever starts virtiofsd starts casementd by its path: libvirt's `<binary path=>`,
  Kata's `virtio_fs_daemon`. libvirt also finds it by itself, by
  `qemu/vhost-user/50-casementd.json`, when installed with `--prefix=/usr`.
- libvirt gives a daemon with "separate-options" no `<lock>` element: name the
  locks in a script around casementd if guests are to share them.
- Status 0 when the VMM leaves, as virtiofsd; also at SIGTERM, where virtiofsd has 1.
- RUST_LOG has no effect.

"""


# ---- what the sources say ----------------------------------------------------------------------

def table(path, start, row):
    """Rows of one C table, by a regular expression."""
    text = (TOP / path).read_text()
    body = text[text.index(start):]
    return re.findall(row, body[:body.index("\n};")], re.M)


def own_options():
    return table("daemon/config.c", "option_row rows[]", r'^\t\{ "([a-z0-9-]+)"')


def refused_options():
    names = table("daemon/config_legacy.c", "legacy_refusals[", r'^\t\{ "([a-z0-9-]+)"')
    return [name for name in names if name not in own_options()]


def served_requests():
    """Those of the protocol: no other guest knows of casement.ko's own."""
    own = re.findall(r"^#define FUSE_(\w+) \d+$", (TOP / "proto/fuse_extension.h").read_text(), re.M)
    served = table("daemon/protocol/opcodes.c", "opcode opcodes[", r'^\t\[FUSE_\w+\] = \{ "(\w+)"')
    return [name for name in served if name not in own]


def refused_requests():
    rows = table("daemon/protocol/opcodes.c", "opcode_refusal refusals[", r'^\t\{ \w+, "(\w+)", "([^"]+)"')
    return {name: why for name, why in rows if name not in served_requests()}


def init_flags():
    """(name, condition, reason) of each flag, in the order of their bits."""
    rows = table("daemon/protocol/init.c", "init_feature features[]",
                 r'^\t\{ [\w()]+, "(\w+)", (\w+),\s*"([^"]+)" \}')
    for name, want, why in rows:
        condition = {"NULL": "never", "want_always": "always"}.get(want)
        yield name, condition or want.removeprefix("want_").replace("_", " "), why


# ---- which test is about what ------------------------------------------------------------------

def test_files(*folders):
    for folder in folders:
        yield from sorted(p for p in (TOP / "tests" / folder).glob("test_*") if p.suffix in (".c", ".py"))


def option_test(name):
    """The first test that is about more than that the option is taken."""
    exact = re.compile(re.escape(name) + r"(?![a-z-])")
    for path in test_files("wire", "vm", "posix", "cli", "unit"):
        if path.name not in ("test_dropin.py", "test_config.c") and exact.search(path.read_text()):
            return f"{path.parent.name}/{path.name}"
    return "cli/test_dropin.py"


def request_test(name):
    """A test function that sends the request; best one that is named after it."""
    call = re.compile(rf"\bcasement_{name.lower()}\(|\bFUSE_{name}\b|\bCUSE_INIT\b(?<={name})|\bfs_{name.lower()}\(")
    found = []
    for path in test_files("wire", "unit"):
        for function, body in re.findall(r"^static void (test_\w+)\(void \*\*state\)\n(\{.*?^\})",
                                         path.read_text(), re.M | re.S):
            if call.search(body):
                found.append((name.lower() not in function, f"{path.parent.name}/{path.name}: {function}"))
    named = sorted(found, key=lambda item: item[0])
    return named[0][1] if named else "unit/test_opcodes.c: test_sizes"


# ---- the run -----------------------------------------------------------------------------------

class Daemon:
    """One daemon, started with a command line of command_lines.py."""

    def __init__(self, program, words):
        self.folder = tempfile.TemporaryDirectory(prefix="compat-")
        top = pathlib.Path(self.folder.name)
        (top / "dir").mkdir()
        self.path = top / "sock"
        with socket.socket(socket.AF_UNIX) as listener:
            number = -1
            if "@FD@" in " ".join(words):
                listener.bind(str(self.path))
                listener.listen(4)
                number = listener.fileno()
            values = {"@DIR@": top / "dir", "@FD@": number, "@SOCK@": self.path,
                      "@GROUP@": grp.getgrgid(os.getgid()).gr_name}
            for mark, value in values.items():
                words = [word.replace(mark, str(value)) for word in words]
            self.process = subprocess.Popen([program, *words], stdin=subprocess.DEVNULL, text=True,
                                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                            pass_fds=[number] if number >= 0 else [])

    def wait_for_socket(self):
        until = time.monotonic() + PATIENCE
        while not self.path.exists() and self.process.poll() is None and time.monotonic() < until:
            time.sleep(0.01)

    def visit(self):
        """Come as a VMM that leaves at once: status and output."""
        self.wait_for_socket()
        try:
            with socket.socket(socket.AF_UNIX) as vmm:
                vmm.connect(str(self.path))
        except OSError:
            pass
        return self.end()

    def end(self):
        try:
            output = self.process.communicate(timeout=PATIENCE)[0]
        except subprocess.TimeoutExpired:
            self.process.kill()
            output = self.process.communicate()[0]
        self.folder.cleanup()
        return self.process.returncode, output


def reason(output):
    """The line that says why, without who says it and when."""
    lines = [line for line in output.splitlines() if re.search(r"\berror\b", line, re.I)] or \
        output.splitlines()[-1:] or ["no reason given"]
    line = re.sub(r"^\[.*? (ERROR|WARN)\s+\S+\] |^\w+: error: |^error: ", "", lines[-1])
    return re.sub(r"^-\S+( \S+)?: not supported: ", "", line).replace("|", "\\|")


def try_option(program, label, words):
    status, output = Daemon(program, complete(label, words)).visit()
    idle = re.search(r"has no effect: (.*)", output)
    if status == 0 and idle:
        return f"taken, without effect: {idle[1]}"
    return SERVED if status == 0 else f"refused: {reason(output)}"


def probe(program, probe_program, words):
    daemon = Daemon(program, ["--fd=@FD@", "--shared-dir", "@DIR@", *words])
    result = subprocess.run([probe_program, daemon.path], capture_output=True, text=True,
                            timeout=10 * PATIENCE)
    output = daemon.end()[1]
    if result.returncode:
        raise SystemExit(f"compat: {program}: {result.stderr}{output}")
    return dict(line.split() for line in result.stdout.splitlines())


def find_peer():
    found = subprocess.run([TOP / "scripts/vm-root", "--print", "qemu"], capture_output=True, text=True)
    paths = re.findall(r"^VIRTIOFSD=(.+)", found.stdout, re.M) + ["/usr/libexec/virtiofsd"]
    return next((path for path in [os.environ.get("VIRTIOFSD", ""), *paths] if os.path.exists(path)), None)


# ---- the document ------------------------------------------------------------------------------

def option_rows(casementd, peer, rows, marked=""):
    for label, words in rows:
        shown = f"{marked}{label}"
        about = re.match(r"-{1,2}[\w-]+", label)
        test = option_test(about.group()) if about and about.group().startswith("--") else "unit/test_config.c"
        ours = try_option(casementd, label, words)
        theirs = try_option(peer, label, words) if peer else "not run"
        yield f"| `{shown}` | {ours} | {theirs.split(':')[0]} | {test} |"


def probe_both(casementd, peer, probe_program):
    """What each answers, with all of it asked for."""
    shown = subprocess.run([casementd, "--help"], capture_output=True, text=True, check=True).stdout
    wanted = {"--posix-lock": [], "--flock": [], "--xattr": [], "--sandbox": ["none"],
              "--window-size": ["16M"], "--tag": ["probe"]}
    words = [word for name, rest in wanted.items() if name in shown for word in (name, *rest)]
    ours = probe(casementd, probe_program, words)
    theirs = probe(peer, probe_program, ["--sandbox", "none", "--xattr"]) if peer else {}
    return ours, theirs


def flag_rows(ours, theirs):
    mine, other = (int(answers.get("INIT_FLAGS", "0"), 16) for answers in (ours, theirs))
    for bit, (name, condition, why) in enumerate(init_flags()):
        taken = ["yes" if flags >> bit & 1 else "no" for flags in (mine, other)]
        yield f"| {name} | {taken[0]} | {condition} | {taken[1] if theirs else 'not run'} | {why} |"


def request_rows(ours, theirs):
    refused = refused_requests()
    for name, result in sorted(ours.items()):
        if name == "INIT_FLAGS":
            continue
        if result == "0":
            what = SERVED
        elif name in refused:
            what = f"refused: {refused[name]}"
        else:
            what = result
        other = theirs.get(name, "not run").replace("0", SERVED)
        yield f"| {name} | {what} | {other} | {request_test(name)} |"


def line_rows(casementd):
    for who, words in COMMAND_LINES.items():
        status, output = Daemon(casementd, words).visit()
        result = SERVED if status == 0 else f"refused: {reason(output)}"
        yield f"| {who} | `{' '.join(words)}` | {result} |"


def write(build):
    casementd, peer = build / "casementd", find_peer()
    version = ""
    if peer:
        version = subprocess.run([peer, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    peer_name = version or "virtiofsd"
    head = HEAD.format(
        peer=f" and of {version}, both as root" if peer else "",
        who="Each line of an option is also run by tests/cli/test_dropin.py.")
    mine = {label.split()[0].split("=")[0] for label, _ in OPTIONS}
    extra = [name for name in own_options() if f"--{name}" not in mine]
    ours, theirs = probe_both(casementd, peer, build / "tests/compat/compat_probe")
    columns = f"| | casementd | {peer_name} | test |\n|---|---|---|---|\n"
    parts = [
        head, "## Options\n\n", columns, "\n".join(option_rows(casementd, peer, OPTIONS)),
        "\n\n### Words of `-o`, deprecated\n\n", columns,
        "\n".join(option_rows(casementd, peer, LEGACY, "-o ")),
        "\n\n### casementd's own\n\n| | test |\n|---|---|\n",
        "\n".join(f"| `--{name}` | {option_test('--' + name)} |" for name in extra),
        "\n\n## Command lines of others\n\n| who | what | |\n|---|---|---|\n",
        "\n".join(line_rows(casementd)),
        "\n\n## FUSE requests (protocol 7.46)\n\n",
        "casementd with locks and a window asked for" + (", virtiofsd with `--xattr`" if peer else "") + ".\n\n",
        columns, "\n".join(request_rows(ours, theirs)),
        "\n\n## INIT flags\n\nOf a guest that offers all of them, in the same run; tests: unit/test_init.c.\n\n",
        f"| | casementd | when | {peer_name} | why |\n|---|---|---|---|---|\n",
        "\n".join(flag_rows(ours, theirs)), "\n",
    ]
    DOCUMENT.write_text("".join(parts))


def documented():
    """First column -> second column, of every table of four."""
    rows = re.findall(r"^\| `?([^|`]+?)`? \| ([^|]*) \| [^|]* \| [^|]* \|$", DOCUMENT.read_text(), re.M)
    return {label: what for label, what in rows}


def problems():
    rows, text = documented(), DOCUMENT.read_text()
    for label, _ in OPTIONS:
        name = label.split()[0].split("=")[0].lstrip("-")
        known = name in own_options() or len(name) == 1 or name in ("help", "version")
        if not known and name not in refused_options():
            yield f"{label}: neither an option nor refused by name (daemon/config_legacy.c)"
        elif label not in rows or (not known and not rows[label].startswith("refused")):
            yield f"{label}: not as documented"
    for name in own_options():
        if f"`--{name}" not in text:
            yield f"--{name}: not in the document"
    for name in served_requests():
        if rows.get(name, "refused").startswith("refused"):
            yield f"{name}: served, and not documented so"
    for name, condition, why in init_flags():
        if not re.search(rf"^\| {name} \| \w+ \| {condition} \| .* \| {re.escape(why)} \|$", text, re.M):
            yield f"{name}: an INIT flag that is documented otherwise"
    for name in refused_requests():
        if not rows.get(name, "").startswith("refused"):
            yield f"{name}: refused, and not documented so"


def main():
    if sys.argv[1:] == ["--check"]:
        found = list(problems())
        for problem in found:
            print(problem)
        if found:
            print("docs/compatibility.md is not of these sources: run make compat, and commit it")
        return 1 if found else 0
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    write(pathlib.Path(sys.argv[1]).resolve())
    return 0


sys.exit(main())
