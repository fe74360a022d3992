# SPDX-License-Identifier: BSD-3-Clause
"""What our guest driver believes of names, links and rights, and what it asks for again at once."""
import os

import pytest

from kmod_guest import LEAVE

# For so long that nothing expires while a test runs.
LONG = ["--share-arg", "--timeout=600", "--share-arg", "--negative-timeout=600"]
SENT = "sent() { sed -n 's/^request.* sent=\\([0-9]*\\) .*/\\1/p' $sysfs/statistics; }\n"


def leave(agent):
    assert agent.ask("set -e" + LEAVE + "echo left").endswith("left\n")
    agent.end()


# What the guest does to `name` of what it has seen there, and what it is before.
GONE = {
    "unlink": ("echo 1 > $name", "rm $name"),
    "rmdir": ("mkdir $name", "rmdir $name"),
    "rename": ("echo 1 > $name", "mv $name other"),
    "rename over": ("echo 1 > $name; echo 2 > other", "mv -T $name other"),
    "rename of a directory": ("mkdir $name", "mv $name other"),
    "a link's": ("ln -s nowhere $name", "rm $name"),
}


@pytest.mark.parametrize("options", [[], ["--share-arg", "--cache=always"]], ids=["auto", "always"])
def test_names_that_went_here(agent, share, options):
    """The host makes them again, and they are there."""
    agent = agent(*LONG, *options)
    for number, (made, gone) in enumerate(GONE.values()):
        name = share / f"n{number}"
        agent.ask(f"name={name.name}; {made}; stat $name > /dev/null; {gone}; rm -rf other")
        assert not name.exists()
        name.write_text(f"again {number}\n")
        assert agent.ask(f"cat {name.name}") == f"again {number}\n", gone
    leave(agent)


# What finds out that the name is there. Each must fail.
FINDS = ["mkdir $name", "ln -s x $name", "ln mine $name", "mkfifo $name", "(set -C; : > $name)",
         "python3 -c 'import os; os.open(\"'$name'\", os.O_CREAT | os.O_EXCL)'",
         "python3 -c 'import ctypes, os; l = ctypes.CDLL(None, use_errno=True); "
         "exit(-l.renameat2(-100, b\"mine\", -100, b\"'$name'\", 1))'"]
# And what finds out that it is not.
MISSES = ["rm $name", "mv $name other"]


def test_what_a_failure_shows(agent, share):
    """Who is told that a name is there, or is not, finds it so afterwards."""
    agent = agent(*LONG)
    agent.ask("echo 1 > mine")
    for number, find in enumerate(FINDS):
        name = share / f"found{number}"
        assert "No such file" in agent.ask(f"cat {name.name}")
        name.write_text("the host's\n")
        said = agent.ask(f"name={name.name}; if {find} 2>/dev/null; then echo made; fi; cat $name")
        assert said == "the host's\n", find
    for number, miss in enumerate(MISSES):
        name = share / f"missed{number}"
        name.write_text("the host's\n")
        agent.ask(f"cat {name.name}")
        name.unlink()
        said = agent.ask(f"name={name.name}; if {miss} 2>/dev/null; then echo done; fi; cat $name")
        assert "No such file" in said and "done" not in said, miss
        name.write_text("again\n")
    leave(agent)


@pytest.mark.parametrize("cache, kept", [("auto", True), ("metadata", True), ("always", True), ("never", False)])
def test_a_links_target(agent, share, cache, kept):
    """It is asked for once, but where nothing is believed; a link that is another leads elsewhere."""
    (share / "file").write_text("here\n")
    (share / "other").write_text("there\n")
    (share / "link").symlink_to("file")
    agent = agent(*LONG, "--share-arg", f"--cache={cache}")
    follow = "python3 -c 'import os; [os.stat(\"link\") for i in range(100)]'\n"
    count = int(agent.ask(f"{SENT}cat link > /dev/null; before=$(sent)\n{follow}echo $(($(sent) - before))"))
    assert (count <= 10) == kept and (count >= 100) != kept
    assert agent.ask("readlink link; ln -sfn other link; readlink link; cat link") == "file\nother\nthere\n"
    os.unlink(share / "link")
    (share / "link").symlink_to("file")
    # Who makes it exclusively asks whether it is there.
    agent.ask("mkdir link")
    assert agent.ask("readlink link; cat link") == "file\nhere\n"
    leave(agent)


def test_a_right_that_was_given(agent, share):
    """To read a file, to search a directory, by its mode or its owner: at once, and for a request at most."""
    share.chmod(0o755)
    (share / "dir").mkdir()
    for name in ("file", "owned", "dir/file"):
        (share / name).write_text("here\n")
        (share / name).chmod(0o600)
    (share / "dir/file").chmod(0o644)
    (share / "dir").chmod(0o700)
    agent = agent(*LONG)
    user = "setpriv --reuid 1000 --regid 1000 --clear-groups cat"
    for name in ("file", "owned", "dir/file"):
        said = agent.ask(f"{SENT}{user} {name}; before=$(sent); {user} {name}; echo $(($(sent) - before))")
        assert said.count("Permission denied") == 2 and int(said.split()[-1]) <= 2
    (share / "file").chmod(0o644)
    os.chown(share / "owned", 1000, 1000)
    (share / "dir").chmod(0o711)
    for name in ("file", "owned", "dir/file"):
        assert agent.ask(f"{user} {name}") == "here\n", name
    leave(agent)
