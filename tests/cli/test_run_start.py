# SPDX-License-Identifier: BSD-3-Clause
"""Where the command of casement run starts, and with what: the current directory, --cwd and --env."""
import os
import subprocess

import pytest

from booted import BOOTED
from daemons import CASEMENT, PATIENCE, short_path  # noqa: F401

NOBODY = 65534


def run(script, *options, boots=True, before=(), **more):
    BOOTED["native"] += boots
    return subprocess.run([*before, CASEMENT, "run", "--accel", "uml", *map(str, options), "--", "sh", "-c", script],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False, **more)


@pytest.fixture
def here(short_path, monkeypatch):
    """A current directory with a file."""
    work = short_path / "my work:ro"
    (work / "sub").mkdir(parents=True)
    (work / "file").write_text("host\n")
    monkeypatch.chdir(work)
    return work


def said(result):
    assert (result.returncode, result.stderr) == (0, ""), result
    return result.stdout.splitlines()


def test_the_current_directory_is_shared(here):
    """By its own name, in which what looks like an option means nothing."""
    assert said(run("pwd; cat file; echo guest > made; echo *")) == ["/mnt/my work:ro", "host", "file made sub"]
    assert (here / "made").read_text() == "guest\n"
    os.chdir("sub")
    assert said(run("pwd")) == ["/mnt/sub"]


def test_names_that_are_no_tags(here):
    """Shares keep the names of their directories, as long and as odd as a file system takes them."""
    names = ["a:b", "c,d=e", "line\nfeed", "casement.boot", "share", "n" * 255, "\udcff"]
    for name in names:
        (here / name).mkdir()
        (here / name / "file").write_bytes(os.fsencode(name))
    result = run('cd ..; for dir in *; do test "$(cat "$dir/file")" = "$dir" && echo good; done; ls -d "$PWD"/share',
                 *(word for name in names for word in ("--share", here / name)))
    assert said(result) == ["good"] * len(names) + ["/mnt/share"]
    result = run("true", "--share", here / "a:b", "--share", f"{here}/sub/../a:b", boots=False)
    assert result.returncode == 2 and "another share has the tag" in result.stderr, result


def test_it_is_not_when_something_is(here):
    assert said(run("pwd; ls -A /mnt", "--share", f"{here}/sub:only")) == ["/mnt/only", "only"]
    assert said(run("pwd; ls -A /mnt", "--no-share")) == ["/root"]
    os.chdir("/")
    assert said(run("pwd; ls -A /mnt")) == ["/root"]


def test_a_directory_that_cannot_be_shared(here, short_path):
    """It is told, and the command runs."""
    (here / "sub").rmdir()
    gone = here / "gone"
    gone.mkdir()
    result = run("pwd", cwd=gone, preexec_fn=gone.rmdir)
    # vm-root, which is run to find the guest, is a shell, and complains as well.
    assert (result.returncode, result.stdout, result.stderr.count("casement run:")) == (0, "/root\n", 1), result
    assert "current directory is not shared: No such file" in result.stderr
    here.chmod(0o700)
    (short_path / "run").mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(short_path / "run", NOBODY, NOBODY)
        user = ["env", f"XDG_RUNTIME_DIR={short_path}/run", "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        result = run("pwd", before=user)
        assert (result.returncode, result.stdout, len(result.stderr.splitlines())) == (0, "/root\n", 1), result
        assert f"current directory is not shared: {here}: Permission denied" in result.stderr


def test_in_a_root_that_has_it(monkeypatch):
    """One's own system: the command starts where the user is, and there is nothing to share."""
    monkeypatch.chdir("/usr/share")
    for mode in ("ro", "cow"):
        assert said(run("pwd; ls -A /mnt", "--root", f"/:{mode}")) == ["/usr/share"]
    assert said(run("pwd", "--root", "/:cow", "--cwd", "misc")) == ["/usr/share/misc"]
    monkeypatch.chdir("/usr/share/misc")
    assert said(run("pwd", "--root", "/:cow", "--cwd", "..")) == ["/usr/share"]
    assert said(run("pwd", "--root", "/:cow", "--no-share")) == ["/root"]


def test_in_a_root_that_has_its_own_there(here):
    """/tmp of the guest is not the host's, and the machine is harmless all the same."""
    result = run("pwd; touch made; ls -A /mnt", "--root", "/:cow")
    assert result.returncode == 0 and result.stdout == "/root\n", result
    assert "the guest has its own /tmp; give --share" in result.stderr and not (here / "made").exists()
    os.chdir("/var/tmp")
    result = run("pwd", "--root", "/")
    assert result.returncode == 0 and "the guest has its own /var/tmp; give --share" in result.stderr, result


def test_the_clock_is_the_hosts(here):
    """casementd gives files the host's time, and make(1) warns of a file that is newer than now."""
    before, made, after = map(float, said(run("date +%s.%N; touch made; stat -c %.9Y made; date +%s.%N")))
    assert before - 60 < made <= after


def test_another_directory(here):
    assert said(run("pwd", "--cwd", "/usr/lib")) == ["/usr/lib"]
    assert said(run("pwd", "-C", "sub")) == ["/mnt/my work:ro/sub"]
    assert said(run("pwd", "-C", "../..", "--share", f"{here}:t")) == ["/"]
    result = run("pwd", "--cwd", "none/such")
    assert (result.returncode, result.stdout) == (126, "") and "none/such: cannot be entered: No such file" in result.stderr, result


def test_the_environment(here, monkeypatch):
    monkeypatch.setenv("HERE", "a b\n'$c' \"d\" ü")
    monkeypatch.setenv("SECRET", "kept")
    monkeypatch.delenv("UNSET", raising=False)
    result = run('printf "%s|" "$HERE" "$GIVEN" "$EMPTY" "$HOME" "$SECRET"; env | grep -c UNSET', "-e", "HERE", "--env", "GIVEN=x=y",
                 "-e", "EMPTY=", "-e", "UNSET", "-e", "HOME=/tmp")
    assert result.stdout == f"{os.environ['HERE']}|x=y||/tmp||0\n", result
    for bad in ("", "=x"):
        result = run("true", "-e", bad, boots=False)
        assert result.returncode == 2 and "names no variable" in result.stderr, result
