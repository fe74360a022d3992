# SPDX-License-Identifier: BSD-3-Clause
"""One program's view of a share in a stock guest and of the host's own file system.

They have to be equal but for the table in docs/posix.md.
"""
import fnmatch
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import pytest

from guests import BUILD, PATIENCE, TOP

CHECK = BUILD / "tests" / "posix" / "posix-check"
LEAST = 400	# assertions of a run
# What a share must be asked for.
FEATURES = ["--xattr", "--posix-acl"]

MODES = {"never": ["--cache=never", "--allow-mmap"], "auto": ["--cache=auto"],
         "always": ["--cache=always"]}
MORE = {"writeback": ["--writeback"], "locks": ["--posix-lock", "--flock"], "window": []}
# What a window, a processor of more kinds or large folios may change: an emulated guest takes ten times as long
# for the rest, names and permissions, which is said by a guest's driver and the daemon alone.
OF_DATA = ("open", "append", "tmpfile", "io", "truncate", "hole", "copy", "mmap", "time", "setid")
# One guest each: the shares in it, by what each has.
PLAIN = [(mode, *more) for more in ((), ("writeback",)) for mode in MODES] + [("auto", "locks")]
WINDOW = [("never", "window"), ("auto", "window"), ("always", "window"),
          ("auto", "writeback", "window")]
EMULATED = [("auto",), ("always", "writeback")]
# All of the program has each native share, and one in QEMU.
WHOLE = [*PLAIN, ("auto",)]

RUN = """
cp posix-check /tmp && cd /tmp
while read -r share subjects; do
    echo "share $share"
    ./posix-check /mnt/$share $subjects </dev/null 2>/dev/null
    [ $? -le 1 ] || exit 9
done <<END
{shares}
END
"""


def listed_differences():
    """Rows of the table: (pattern of assertions, what a share must have)."""
    text = (TOP / "docs" / "posix.md").read_text()
    return re.findall(r"^\| `([^`]+)` \| ([a-z ]+) \| .+ \|$", text, re.M)


def results(lines):
    """Assertion -> the rest of its line."""
    found = {}
    for line in lines:
        state, rest = line.split(" ", 1)
        name, _, detail = rest.partition(": ")
        found[name] = f"{state} {detail}".strip()
    return found


def by_share(output):
    parts = re.split(r"^share (.+)\n", output, flags=re.M)
    return dict(zip(parts[1::2], (results(part.splitlines()) for part in parts[2::2])))


def on_host(directory, program=CHECK, **user):
    directory.mkdir()
    directory.chmod(0o777)
    ran = subprocess.run([program, directory], capture_output=True, text=True, **user)
    assert ran.returncode in (0, 1), ran.stderr
    return results(ran.stdout.splitlines())


def subjects_of(share):
    """Of the program, in that share; none for all."""
    return () if share in WHOLE else OF_DATA


def start_guest(machines, top, kind, shares, *args):
    """One guest of that kind with all of the shares."""
    tools = top / f"tools-{kind}"
    tools.mkdir()
    shutil.copy(CHECK, tools)
    words = ["--share", f"{tools}:tools", *args]
    for share in shares:
        directory = top / f"{kind}-{'-'.join(share)}"
        directory.mkdir()
        directory.chmod(0o777)
        words += ["--share", f"{directory}:{'-'.join(share)}"]
        options = MODES[share[0]] + FEATURES + [option for has in share[1:] for option in MORE[has]]
        words += [word for option in options for word in ("--share-arg", option)]
    lines = [" ".join(["-".join(share), *subjects_of(share)]) for share in shares]
    return machines(RUN.format(shares="\n".join(lines)), *words, name=kind)


def unexplained(host, guest, share, table, used):
    """Lines of a share that are not the host's and that no row of the table explains."""
    for name in sorted(host.keys() | guest.keys()):
        want, got = host.get(name), guest.get(name)
        if want == got:
            continue
        rows = [row for row in table if fnmatch.fnmatchcase(name, row[0]) and
                set(row[1].split()) - {"all", "sometimes"} <= set(share)]
        used.update(rows)
        if not rows:
            yield f"{'-'.join(share)}: {name}: host {want}, guest {got}"


@pytest.fixture
def disk(tmp_path):
    """A directory on the file system that tests/check made in memory, if it did (tests/disk.py)."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("CASEMENT_TEST_DISK") or tmp_path) as name:
        os.chmod(name, 0o755)
        yield pathlib.Path(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be several users")
def test_posix(disk, natives, machines):
    """Without a window natively, and some shares in QEMU; with one in QEMU."""
    guests = [(PLAIN, start_guest(natives, disk, "plain", PLAIN)),
              (WINDOW, start_guest(machines, disk, "window", WINDOW, "--window", "64M")),
              (EMULATED, start_guest(machines, disk, "emulated", EMULATED))]
    host = on_host(disk / "host")
    assert len(host) >= LEAST
    table, used, problems = listed_differences(), set(), []
    for shares, guest in guests:
        found = by_share(guest.finish(patience=4 * PATIENCE))
        for share in shares:
            wanted = subjects_of(share)
            expected = {name: what for name, what in host.items() if not wanted or name.partition(".")[0] in wanted}
            problems += unexplained(expected, found["-".join(share)], share, table, used)
    assert not problems, "\n".join(problems)
    stale = [row for row in table if row not in used and "sometimes" not in row[1]]
    assert not stale, f"docs/posix.md lists what is no difference: {stale}"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_an_ordinary_user_sees_the_same():
    """What the program says is the file system's, not its user's."""
    with tempfile.TemporaryDirectory() as name:
        top = pathlib.Path(name)
        top.chmod(0o755)
        check = shutil.copy(CHECK, top)
        root = on_host(top / "root", check)
        user = on_host(top / "user", check, user=1000, group=1000, extra_groups=[])
    made = {name: what for name, what in user.items() if not what.startswith("skip")}
    assert len(made) >= LEAST
    assert made == {name: root[name] for name in made}
