# SPDX-License-Identifier: BSD-3-Clause
"""Whose the files are in a guest of an ordinary user, and as whom its command runs."""
import os
import subprocess

import pytest

from booted import BOOTED
from daemons import CASEMENT, PATIENCE, short_path  # noqa: F401

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="root alone can be another user")

ALICE, HERS = 1234, 1235
USERS = f"""root:x:0:0:root:/root:/bin/bash
alice:x:{ALICE}:{HERS}:Alice:/home/alice:/bin/sh
bob:x:2222:2223:Bob:/home/bob:/bin/sh
"""
GROUPS = f"root:x:0:\nalice:x:{HERS}:\nproject:x:3333:alice\n"
# Those users are the host's for one program.
KNOWN = ["unshare", "--mount", "sh", "-c", 'mount --bind passwd /etc/passwd && mount --bind group /etc/group && cd tree && exec "$@"', "sh"]
BE_ALICE = ["setpriv", f"--reuid={ALICE}", f"--regid={HERS}", "--init-groups"]


@pytest.fixture
def place(short_path, monkeypatch):
    """A directory of alice's, with a tree that root has put a file in."""
    short_path.chmod(0o755)
    (short_path / "passwd").write_text(USERS)
    (short_path / "group").write_text(GROUPS)
    for name in ("run", "tree"):
        (short_path / name).mkdir(mode=0o700)
        os.chown(short_path / name, ALICE, HERS)
    (short_path / "tree/roots").write_text("root's\n")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_path / "run"))
    monkeypatch.chdir(short_path)
    yield short_path
    assert not list((short_path / "run").iterdir())


def run(script, *options, user=BE_ALICE):
    BOOTED["native"] += 1
    result = subprocess.run([*KNOWN, *user, CASEMENT, "run", "--accel", "uml", *map(str, options), "--", "sh", "-ec", script],
                            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (result.returncode, result.stderr) == (0, ""), result
    return result.stdout.splitlines()


def owner(path):
    status = os.lstat(path)
    return status.st_uid, status.st_gid


def test_an_ordinary_users_files_are_roots(place):
    """git, make install and chown work in the user's tree, and what they make is the user's on the host."""
    said = run("""
        git init -q . && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x && git status --short -uno
        id -u; stat -c %u:%g . made .git roots 2>/dev/null || true
        install -o root -g root -m 755 -d made && touch made/file && chown 0:0 made/file && chown -R root:root made
        tar cf - made | tar xf - -C .git; stat -c %u:%g made/file .git/made/file roots
        chown 7:7 made/file 2>/dev/null || echo no other""")
    assert said == ["0", "0:0", "0:0", "65534:65534", "0:0", "0:0", "65534:65534", "no other"], said
    for name in ("made", "made/file", ".git", ".git/made/file"):
        assert owner(place / "tree" / name) == (ALICE, HERS), name


def test_a_word_about_ids_is_the_users_own(place):
    assert run("stat -c %u:%g .", "--share", ".:t", "--share-arg", f"--translate-uid=map:7:{ALICE}:1") == [f"7:{HERS}"]
    assert run("stat -c %u:%g .", "--daemon-arg", "--posix-acl") == [f"{ALICE}:{HERS}"]


def test_a_system_is_roots(place):
    """Programs that look whether their files are root's find that they are."""
    assert run("stat -c %u:%g / /etc/passwd /usr/bin; test -r /etc/shadow && cat /etc/shadow 2>/dev/null || echo not readable",
               "--root", "/:cow", "--no-share") == ["0:0", "0:0", "0:0", "not readable"]
    assert run("stat -c %u:%g / /etc/passwd", "--no-share") == ["0:0", "0:0"]


AS_HER = """
id -u; id -g; id -G; id -un; id -gn; echo $HOME $USER $LOGNAME $SHELL; cd; pwd; touch here; cd - >/dev/null
stat -c %u:%g . roots; touch made; mkdir deep; stat -c %U:%G made
echo to-out > /dev/stdout; git init -q repo && git -C repo status --short
(: > /etc/casement-was-here) 2>/dev/null || echo not root; test "$(ls -A /root 2>/dev/null)" = "" && echo no secrets
"""
HER = [str(ALICE), str(HERS), f"{HERS} 3333", "alice", "alice", "/home/alice alice alice /bin/sh", "/home/alice"]
REST = ["alice:alice", "to-out", "not root", "no secrets"]


def test_as_oneself(place):
    said = run(AS_HER, "--user")
    assert said == [*HER, f"{ALICE}:{HERS}", "65534:65534", *REST], said
    assert owner(place / "tree/made") == (ALICE, HERS)


def test_as_another(place):
    """The tree is that user's in the guest: as whom else could anything be made in it?"""
    assert run("id -un; touch made; stat -c %U . made; echo $HOME", "--user=bob") == ["bob", "bob", "bob", "/home/bob"]
    assert run("id -u", "--user=2222") == ["2222"]
    assert run("id -u; stat -c %u .", "--user=root") == ["0", "0"]
    assert owner(place / "tree/made") == (ALICE, HERS)


def test_roots_machine(place):
    """Root's runs have the host's ids, and a user in them that user's."""
    assert run("id -u; stat -c %u:%g . roots; touch of-root; chown 7:8 of-root", user=[]) == ["0", f"{ALICE}:{HERS}", "0:0"]
    assert owner(place / "tree/of-root") == (7, 8)
    assert run(AS_HER, "--user=alice", user=[]) == [*HER, f"{ALICE}:{HERS}", "0:0", *REST]
    assert owner(place / "tree/made") == (ALICE, HERS)
    assert run("id -u; echo $HOME", "--user", user=[]) == ["0", "/root"]


def test_as_oneself_in_ones_own_system(place):
    """The root knows the user already; the home is made where it is not."""
    said = run("id -un; echo $HOME; cd; pwd; touch here; tail -n +1 /etc/passwd | grep -c ^alice:; stat -c %u /etc",
               "--user", "--root", "/:cow", "--no-share")
    assert said == ["alice", "/home/alice", "/home/alice", "1", "0"], said


def test_nobody_that_the_host_knows(place):
    result = subprocess.run([CASEMENT, "run", "--user=no-such", "--", "true"], capture_output=True, text=True, check=False)
    assert result.returncode == 2 and "no user no-such" in result.stderr, result
