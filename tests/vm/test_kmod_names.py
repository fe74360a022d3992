# SPDX-License-Identifier: BSD-3-Clause
"""How many requests our own guest driver needs to know the names of a tree."""
import pathlib
import shutil

import pytest

HERE = pathlib.Path(__file__).parent

# `requests COMMAND...`: how many it took, with nothing known before.
REQUESTS = r"""
sent() { sed -n 's/^request.* sent=\([0-9]*\) .*/\1/p' $sysfs/statistics; }
requests() {
    cd /; umount /mnt/t; mount -t casement t /mnt/t; cd /mnt/t
    before=$(sent); "$@" > /tmp/out; count=$(($(sent) - before))
    echo "$* | $count" >> /mnt/t/counts
}
stat_all() { python3 -Ic 'import os, sys; [os.lstat(name) for name in sys.stdin.read().split()]' < "$1"; }
"""


def counts(share):
    return [int(line.split(" | ")[1]) for line in (share / "counts").read_text().splitlines()]


def fill(share, directories, files):
    """Directories of files, and the names of all of them, sorted as an index would have them."""
    names = []
    for directory in range(directories):
        (share / f"d{directory:03}").mkdir()
        for file in range(files):
            name = f"d{directory:03}/f{file:04}"
            (share / name).touch()
            names.append(name)
    return names


def test_look_ups_become_a_sweep(guest, share):
    """Who looks up several names of a directory has all of it read, and the next one at once."""
    (share / "names").write_text("\n".join(fill(share, 40, 50)))
    (share / "one").write_text("\n".join(f"d000/f{number:04}" for number in range(50)))
    guest(REQUESTS + "cp names one /tmp; requests stat_all /tmp/one; requests stat_all /tmp/names\n",
          "--cache", "always").finish()
    one, names = counts(share)
    # Itself, three files, and all of it.
    assert one <= 6
    # The first ones, then one a directory.
    assert names <= 40 + 20


def test_a_sweep_of_a_giant_directory_ends_if_it_is_of_no_use(guest, share):
    """Few names of many: a look-up each, and one sweep of limited length. All of them: few sweeps."""
    names = fill(share, 1, 8000)
    (share / "few").write_text("\n".join(names[number * 2999 % 8000] for number in range(200)))
    guest(REQUESTS + r"""
cp few /tmp; requests stat_all /tmp/few
ls -U d000 | sed 's,^,d000/,' > /tmp/order; requests stat_all /tmp/order
""", "--cache", "always").finish()
    few, order = counts(share)
    # Another sweep for each second that it takes.
    assert 180 <= few <= 300
    assert order <= 250


def test_expired_names_are_asked_for_by_sweeps(guest, share):
    """With `auto` names are known for a second only; then they are asked for together."""
    (share / "names").write_text("\n".join(fill(share, 10, 100)))
    guest(REQUESTS + r"""
cp names /tmp; requests stat_all /tmp/names
python3 -c 'import time; time.sleep(1.1)'   # what is to be shown is that time passes
before=$(sent); stat_all /tmp/names; echo "again | $(($(sent) - before))" >> counts
""", "--cache", "auto").finish()
    first, again = counts(share)
    assert first <= 150 and again <= 150


@pytest.mark.parametrize("command, plain", [("find d000 d001", True), ("ls -l d000 d001", False)])
def test_directories_are_read_as_their_readers_want_it(guest, share, command, plain):
    """Names alone fit three times as many a reply as names with attributes."""
    fill(share, 2, 4000)
    guest(REQUESTS + f"requests {command}\n", "--cache", "always").finish()
    [count] = counts(share)
    # A reply has 185 entries of the one kind and 890 of the other.
    assert (count <= 36) == plain


def test_a_directory_takes_one_request(guest, share):
    """Without a handle, if a reply has room for it; each is found again without one for its end."""
    fill(share, 40, 50)
    guest(REQUESTS + r"""requests find d000; requests find .; requests ls -lR .
mkdir was_large; (cd was_large; seq 2000 | xargs touch)
find was_large > /dev/null; find was_large -mindepth 1 -name '??*' -delete; find was_large > /dev/null
before=$(sent); find was_large > /dev/null; echo "shrunk | $(($(sent) - before))" >> counts
""", "--cache", "always").finish()
    one, find, ls, shrunk = counts(share)
    assert one <= 3 and find <= 41 + 5 and ls <= 41 + 5
    # That it fits now is known when it was read once: no OPENDIR, RELEASEDIR and READDIR of the end.
    assert shrunk <= 3


def test_directories_are_read_in_every_way(guest, share):
    """In pieces, from any place, again from the start: one reply's worth, a little more, and very much more."""
    for count in (0, 1, 50, 850, 900, 2000):
        (share / f"of{count}").mkdir()
        for number in range(count):
            (share / f"of{count}" / f"f{number:04}").touch()
    shutil.copy(HERE / "dir_check.py", share)
    said = guest("for count in 0 1 50 850 900 2000; do python3 dir_check.py of$count; done\n").finish(patience=300)
    assert said == "right\n" * 6


def look_ups_do_not_wait(run, share):
    fill(share, 6, 150)
    shutil.copy(HERE / "name_race.py", share)
    said = run("cp name_race.py /tmp; cd /; python3 /tmp/name_race.py /mnt/t 3\n")
    assert said == f"{[0] * 8}\n"
    assert sorted(path.name for path in share.iterdir()) == [*(f"d{n:03}" for n in range(6)), "name_race.py"]
    assert all(len(list((share / f"d{n:03}").iterdir())) == 150 for n in range(6))


def test_look_ups_do_not_wait_for_each_other(guest, share):
    """Sweeps fill in names that others look up at the same time."""
    look_ups_do_not_wait(lambda script: guest(script, "--cache", "auto").finish(patience=300), share)


def test_look_ups_of_two_processors_do_not_wait_for_each_other(processors):
    place = processors("auto")
    look_ups_do_not_wait(lambda script: place.run(script, patience=300), place.directory)
