# SPDX-License-Identifier: BSD-3-Clause
"""Each promise of docs/caching.md, shown by two guests and the host in one directory a mode.

What a mode does not promise is shown, too, where it can be: a mode that is as
fresh as the next one would cost what the next one costs.
"""
import re
import time

import pytest

from agent import Agent
from guests import Guest, PATIENCE, close_all

# Tag -> what its daemon is told. "auto" tells of each request on guest a's standard error.
SHARES = {
    "never": ["--cache=never", "--allow-mmap"],
    "auto": ["--cache=auto", "--log-level=trace"],
    "long": ["--cache=auto", "--timeout=600", "--negative-timeout=600"],
    "always": ["--cache=always"],
    "metadata": ["--cache=metadata"],
    "gather": ["--cache=auto", "--timeout=600", "--writeback"],
}
ROUNDS = 3
SETTLED = 0.2	# seconds after which another change of a file has another time


class Pair:
    """Two native guests in the same directories of the host."""

    def __init__(self, top, kernel):
        self.top = top
        self.native = ("--accel", "uml", "--kernel", kernel)
        control = top / "control"
        control.mkdir()
        self.guests = []
        args = []
        for tag, options in SHARES.items():
            (top / tag).mkdir()
            args += ["--share", f"{top / tag}:{tag}"]
            args += [word for option in options for word in ("--share-arg", option)]
        self.a, self.b = (Agent(self.machine, name, control, *args) for name in "ab")

    def machine(self, script, *args, name):
        self.guests.append(Guest(self.top, name, (*self.native, *args), ["sh", "-c", script]))
        return self.guests[-1]

    def close(self):
        for agent in (self.a, self.b):
            if agent.guest.process.poll() is None:
                agent.end()
        close_all(self.guests)


@pytest.fixture(scope="module")
def pair(tmp_path_factory, kernels):
    made = Pair(tmp_path_factory.mktemp("caching"), kernels["UML"])
    yield made
    made.close()


def cat(agent, path):
    return agent.ask(f"cat /mnt/{path} 2>&1")


def test_never_is_never_stale(pair):
    """Names, sizes, modes, data: what the host or the other guest did is seen by the next call."""
    f = pair.top / "never/f"
    for i in range(ROUNDS):
        text = f"round {i} " * (i + 1) + "\n"
        f.write_text(f"before {i}\n")
        pair.a.ask("exec 3</mnt/never/f; cat /mnt/never/f; [ ! -e /mnt/never/new ]")
        f.write_text(text)
        f.chmod(0o600 + i)
        (pair.top / "never/new").symlink_to(f"target-{i}")
        look = "stat -c '%s %a' /mnt/never/f; readlink /mnt/never/new; ls /mnt/never; cat /mnt/never/f"
        want = f"{len(text)} 60{i}\ntarget-{i}\nf\nnew\n{text}"
        assert pair.a.ask(f"cat <&3; {look}") == text + want
        assert pair.b.ask(look) == want
        (pair.top / "never/new").unlink()
        assert pair.a.ask("ls /mnt/never; [ -L /mnt/never/new ] || echo gone") == "f\ngone\n"
        pair.a.ask(f"echo of a {i} > /mnt/never/f; mv /mnt/never/f /mnt/never/g")
        assert (pair.top / "never/g").read_text() == f"of a {i}\n"
        assert pair.b.ask("ls /mnt/never; cat /mnt/never/g") == f"g\nof a {i}\n"
        pair.b.ask("mv /mnt/never/g /mnt/never/f")


def test_never_appends_of_all_in_one_file(pair):
    log = pair.top / "never/log"
    log.write_text("")
    for i in range(ROUNDS):
        for agent in (pair.a, pair.b):
            agent.ask(f"echo {agent.name} {i} >> /mnt/never/log")
        with open(log, "a") as file:
            file.write(f"host {i}\n")
    assert log.read_text().splitlines() == [f"{who} {i}" for i in range(ROUNDS)
                                            for who in ("a", "b", "host")]


MMAP = """python3 -c '
import mmap, sys
with open(sys.argv[1], "r+b") as f, mmap.mmap(f.fileno(), 0) as m:
    m[0:3] = b"map"
print(open(sys.argv[1]).read())' /mnt/{} 2>&1 | tail -n 1"""


def test_shared_mappings_only_where_allowed(pair):
    for share in ("never", "metadata"):
        (pair.top / share / "mapped").write_text("xyz is here")
    assert pair.a.ask(MMAP.format("never/mapped")) == "map is here\n"
    assert (pair.top / "never/mapped").read_text() == "map is here"
    assert "No such device" in pair.a.ask(MMAP.format("metadata/mapped"))


def test_auto_data_is_fresh_from_open_to_close(pair):
    """Whoever opens a file after another has closed it reads what that one wrote."""
    f = pair.top / "long/f"
    for i in range(ROUNDS):
        f.write_text(f"host {i}\n")
        assert cat(pair.a, "long/f") == f"host {i}\n"
        assert cat(pair.b, "long/f") == f"host {i}\n"
        pair.a.ask(f"echo of a {i} | dd of=/mnt/long/f conv=notrunc 2>/dev/null")
        assert f.read_text() == f"of a {i}\n"
        assert cat(pair.b, "long/f") == f"of a {i}\n"


def reads(pair):
    return len(re.findall(r"\bREAD unique", pair.a.guest.stderr()))


def test_auto_keeps_pages_of_what_nobody_changed(pair):
    """Opened again, an unchanged file is not read again; changed ever so little, it is."""
    f = pair.top / "auto/f"
    f.write_text("first\n" * 1000)
    time.sleep(SETTLED)  # a file's age is what counts
    sums = pair.a.ask("for i in 1 2 3; do md5sum < /mnt/auto/f; done").split("\n")
    before = reads(pair)
    again = pair.a.ask("for i in 1 2 3 4 5; do md5sum < /mnt/auto/f; done").split("\n")
    assert set(again) == set(sums) and len(set(sums)) == 2
    assert before > 0 and reads(pair) == before, "an unchanged file was read again"
    for change in (lambda: f.write_text("other\n" * 1000),
                   lambda: pair.b.ask("printf OTHER | dd of=/mnt/auto/f conv=notrunc 2>/dev/null")):
        change()
        before = reads(pair)
        assert pair.a.ask("cat /mnt/auto/f") == f.read_text()
        assert reads(pair) > before


def test_auto_sees_a_mapped_store_at_the_next_open(pair):
    """A page that is stored into again and again changes the file's times only once."""
    import mmap
    f = pair.top / "auto/stored"
    f.write_bytes(b"0" * 4096)
    with open(f, "r+b") as file, mmap.mmap(file.fileno(), 4096) as shared:
        for i in range(1, 4):
            shared[0:1] = str(i).encode()
            assert pair.a.ask("head -c 1 /mnt/auto/stored") == str(i)
            time.sleep(SETTLED)  # old enough to be trusted, were it not for the mapping


def wait_for(what):
    """Seconds until it is true. Polled: a timeout that runs in a guest tells nobody."""
    start = time.monotonic()
    while not what():
        assert time.monotonic() - start < PATIENCE
    return time.monotonic() - start


def test_auto_names_and_attributes_for_the_timeout(pair):
    f = pair.top / "auto/named"
    assert "No such file" in cat(pair.a, "auto/named")
    f.write_text("made\n")
    assert cat(pair.a, "auto/named") == "made\n"  # that it was missing was not remembered
    assert pair.a.ask("stat -c '%a' /mnt/auto/named") == "644\n"
    f.chmod(0o600)
    wait_for(lambda: pair.a.ask("stat -c '%a' /mnt/auto/named") == "600\n")
    f.unlink()
    wait_for(lambda: "No such file" in pair.a.ask("stat /mnt/auto/named"))


def test_auto_with_a_long_timeout_believes_for_long(pair):
    f = pair.top / "long/old"
    f.write_text("12345\n")
    assert pair.a.ask("stat -c '%s %a' /mnt/long/old; [ -e /mnt/long/later ] || echo none") == \
        "6 644\nnone\n"
    f.chmod(0o600)
    (pair.top / "long/later").touch()
    assert pair.a.ask("stat -c '%s %a' /mnt/long/old; [ -e /mnt/long/later ] || echo none") == \
        "6 644\nnone\n"
    assert pair.b.ask("stat -c '%s %a' /mnt/long/old; ls /mnt/long/later") == \
        "6 600\n/mnt/long/later\n"


def host_changes(directory):
    (directory / "f").write_text("two\n")
    (directory / "m").chmod(0o600)
    (directory / "x").touch()


def test_always_sees_nobody_else(pair):
    """What a guest has seen it never asks for again; what it does itself is on the host at once."""
    directory = pair.top / "always"
    (directory / "f").write_text("one\n")
    (directory / "m").touch(0o644)
    look = "cat /mnt/always/f; stat -c %a /mnt/always/m; [ -e /mnt/always/x ] || echo none"
    assert pair.a.ask(look) == "one\n644\nnone\n"
    host_changes(directory)
    assert pair.a.ask(look) == "one\n644\nnone\n"
    assert pair.b.ask(look) == "two\n600\n"
    pair.a.ask("echo mine > /mnt/always/own; printf A | dd of=/mnt/always/f conv=notrunc 2>/dev/null")
    assert (directory / "own").read_text() == "mine\n"
    assert (directory / "f").read_text() == "Awo\n"


def test_metadata_is_all_but_data(pair):
    directory = pair.top / "metadata"
    (directory / "f").write_text("one\n")
    (directory / "m").touch(0o644)
    look = "cat /mnt/metadata/f; stat -c %a /mnt/metadata/m; [ -e /mnt/metadata/x ] || echo none"
    assert pair.a.ask(f"{look}; exec 4</mnt/metadata/f") == "one\n644\nnone\n"
    host_changes(directory)
    assert pair.a.ask(f"cat <&4; {look}; exec 4<&-") == "two\ntwo\n644\nnone\n"


# A process that has written and keeps the file open. It starts no other and redirects no output:
# their end would be a close of the file, too.
HOLD = """rm -f /tmp/hold /tmp/wrote; mkfifo /tmp/hold
(echo {text}; : 2> /tmp/wrote; read go < /tmp/hold) > {path} & holder=$!
while [ ! -e /tmp/wrote ]; do sleep 0.02; done; stat -c %s {path}"""
LET_GO = "echo go > /tmp/hold; wait $holder"


def test_writeback_is_there_at_the_close(pair):
    f = pair.top / "gather/f"
    assert pair.a.ask(HOLD.format(path="/mnt/gather/f", text="gathered")) == "9\n"
    assert f.read_text() == ""
    pair.a.ask(LET_GO)
    assert f.read_text() == "gathered\n"
    assert cat(pair.b, "gather/f") == "gathered\n"
    pair.a.ask(HOLD.format(path="/mnt/gather/s", text="synced"))
    pair.a.ask("sync /mnt/gather/s")
    assert (pair.top / "gather/s").read_text() == "synced\n"
    pair.a.ask(LET_GO)


@pytest.mark.parametrize("share", ["never", "auto", "always", "metadata"])
def test_without_writeback_it_is_there_at_once(pair, share):
    assert pair.a.ask(HOLD.format(path=f"/mnt/{share}/w", text="written")) == "8\n"
    assert (pair.top / share / "w").read_text() == "written\n"
    pair.a.ask(LET_GO)
