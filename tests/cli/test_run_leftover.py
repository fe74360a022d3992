# SPDX-License-Identifier: BSD-3-Clause
"""What a killed casement run leaves: no process, and a directory that the next run removes."""
import fcntl
import os
import random
import subprocess
import time

import pytest

from daemons import CASEMENT, PATIENCE, short_path  # noqa: F401
from test_run import descendants, is_alive, start_guest

NOBODY = 65534
USER = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
# A kernel that is a program which ends at once: all is made and removed, and there is no guest.
NO_GUEST = ["run", "--accel", "uml", "--kernel", "/bin/true", "--no-share", "--", "true"]


@pytest.fixture
def place(short_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_path))
    return short_path


def sweep(before=()):
    result = subprocess.run([*before, CASEMENT, *NO_GUEST], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                            timeout=PATIENCE, check=False)
    assert result.returncode == 125 and "without finishing" in result.stderr, result


@pytest.mark.parametrize("accel", ["uml", "auto"])
@pytest.mark.parametrize("before", [[], USER], ids=["root", "user"])
def test_what_a_killed_run_leaves(place, accel, before):
    if before and os.geteuid() == 0:
        os.chown(place, NOBODY, NOBODY)
    guest = start_guest(accel, "while :; do read never < /dev/zero; done", before=before)
    family = descendants(guest.pid)
    assert len(family) >= 3
    [mine] = place.iterdir()
    sweep(before)
    assert list(place.iterdir()) == [mine]		# it lives
    guest.kill()
    guest.communicate(timeout=PATIENCE)
    # Nothing tells of the end of a process that is not one's child.
    end = time.monotonic() + PATIENCE
    while [pid for pid in family if is_alive(pid)]:
        assert time.monotonic() < end, family
        time.sleep(0.01)
    assert list(place.iterdir()) == [mine]
    sweep(before)
    assert not list(place.iterdir())


def test_what_is_not_a_killed_runs_stays(place):
    """Another's, one that any process holds, and what only has such a name."""
    for name in ("casement-backup", "casement-theirs", "casement-shared", "casement-longer1", "casement-linked", "casement-hold01"):
        (place / name).mkdir(mode=0o700)
        if name != "casement-backup":
            (place / name / "casement-run.lock").touch()
    (place / "casement-shared").chmod(0o755)
    if os.geteuid() == 0:
        os.chown(place / "casement-theirs", NOBODY, NOBODY)
    else:
        (place / "casement-theirs/casement-run.lock").unlink()
    (place / "casement-linked/casement-run.lock").unlink()
    (place / "casement-linked/casement-run.lock").symlink_to(place / "casement-longer1/casement-run.lock")
    (place / "casement-aslink").symlink_to("casement-longer1")
    (place / "casement-afifo1").mkdir(mode=0o700)
    os.mkfifo(place / "casement-afifo1/casement-run.lock")
    before = sorted(place.rglob("*"))
    with open(place / "casement-hold01/casement-run.lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sweep()
        assert sorted(place.rglob("*")) == before
    sweep()
    assert set(before) - set(place.rglob("*")) == {place / "casement-hold01", place / "casement-hold01/casement-run.lock"}


def test_runs_sweep_beside_each_other(place):
    """Of many that start and are killed at once, none takes a living one's away."""
    chance = random.Random(7)
    running = [subprocess.Popen([CASEMENT, *NO_GUEST], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for _ in range(40)]
    for process in running[::3]:
        time.sleep(chance.random() / 500)		# somewhere between its start and its end
        process.kill()
    for process in running:
        said = process.communicate(timeout=PATIENCE)[1]
        assert process.returncode in (125, -9), said
        assert process.returncode == -9 or ("without finishing" in said and "No such file" not in said), said
    sweep()
    left = [path for path in place.iterdir() if (path / "casement-run.lock").exists()]
    assert not left, left
