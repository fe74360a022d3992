# SPDX-License-Identifier: BSD-3-Clause
"""Files that are replaced, and a log that all append to.

Each replaces its own files by new versions, by rename(2) in and between directories, and removes
them; it finds of its own just what it left. Each new version is told in the log, so that whoever
reads that line sees this version or a later one; of the others' files a whole version or none, and
never one that is older than what was seen of that file. No line of the log is lost. At the end,
when nobody changes anything any more, all see the same: each file where its owner left it.
"""
import contextlib
import json
import os

import checker
import watched

FILES = 6	# of each
DIRECTORIES = 3
LINE = 64	# bytes of a line in the log
LEAST = 500	# operations, however slow it is


def content(owner, file, version):
    """As long as the version says; a byte of it shows whose it is."""
    head = b"%d %d %d\n" % (owner, file, version)
    return head + bytes([65 + owner]) * (version * 37 % 3000)


def parse(data, owner, file):
    """The version of a whole content."""
    version = int(data.split(b"\n", 1)[0].split()[2])
    assert data == content(owner, file, version), f"of {owner}'s file {file}, version {version}: {data[:100]}"
    return version


class Participant:
    """One of those who change the directory, and what it knows of all."""

    def __init__(self, top, mine, count, choice):
        self.top, self.mine, self.count, self.choice = top, mine, count, choice
        self.places = {}		# file of ours -> (directory, version), where there is one
        self.versions = [0] * FILES
        self.seen = {}			# (owner, file) -> the newest version seen
        self.lines = 0
        self.followed = 0		# bytes of the log that were read
        self.log = os.open(f"{top}/log", os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o666)
        for number in range(DIRECTORIES):
            with contextlib.suppress(FileExistsError):
                os.mkdir(f"{top}/d{number}")

    def path(self, directory, owner, file):
        return f"{self.top}/d{directory}/{owner}-{file}"

    def replace(self):
        """A new version, made beside and moved into its place, which may be another directory's."""
        file, directory = self.choice.randrange(FILES), self.choice.randrange(DIRECTORIES)
        self.versions[file] += 1
        data = content(self.mine, file, self.versions[file])
        draft = f"{self.top}/draft-{self.mine}"
        with open(draft, "wb", buffering=0) as out:
            out.write(data)
        before = self.places.get(file)
        if before and before[0] != directory:
            os.unlink(self.path(before[0], self.mine, file))
        os.rename(draft, self.path(directory, self.mine, file))
        self.places[file] = directory, self.versions[file]
        self.append(file)

    def move(self):
        """The same version elsewhere."""
        file, directory = self.choice.randrange(FILES), self.choice.randrange(DIRECTORIES)
        if file not in self.places or self.places[file][0] == directory:
            return
        os.rename(self.path(self.places[file][0], self.mine, file), self.path(directory, self.mine, file))
        self.places[file] = directory, self.places[file][1]

    def remove(self):
        file = self.choice.randrange(FILES)
        if file in self.places:
            os.unlink(self.path(self.places.pop(file)[0], self.mine, file))

    def look_at_ours(self):
        """Where we left it, as we left it, and nowhere else."""
        file = self.choice.randrange(FILES)
        for directory in range(DIRECTORIES):
            path = self.path(directory, self.mine, file)
            if self.places.get(file, (None,))[0] != directory:
                assert not os.path.lexists(path), f"{path} is there still"
                continue
            with open(path, "rb", buffering=0) as data:
                text = data.read(8192)
                size = os.fstat(data.fileno()).st_size
            assert text == content(self.mine, file, self.places[file][1]), f"{path}: {text[:100]}"
            assert size == len(text) == os.stat(path).st_size, f"{path}: {size}, {len(text)}"

    def look_at_theirs(self):
        owner, file = self.choice.randrange(self.count), self.choice.randrange(FILES)
        directory = self.choice.randrange(DIRECTORIES)
        with contextlib.suppress(FileNotFoundError):
            with open(self.path(directory, owner, file), "rb", buffering=0) as data:
                version = parse(data.read(8192), owner, file)
            newest = self.seen.get((owner, file), 0)
            assert version >= newest, f"of {owner}'s file {file}: version {version} after {newest}"
            self.seen[owner, file] = version

    def list_all(self):
        names = os.listdir(f"{self.top}/d{self.choice.randrange(DIRECTORIES)}")
        ours = [name for name in names if name.startswith(f"{self.mine}-")]
        assert len(ours) == len(set(ours)), f"names twice: {sorted(ours)}"

    def append(self, file):
        """One write(2) of a whole line: there is this version of the file now."""
        self.lines += 1
        line = b"%d %d %d %d" % (self.mine, self.lines, file, self.versions[file])
        assert os.write(self.log, line.ljust(LINE - 1) + b"\n") == LINE

    def follow(self):
        """What the log says was there before the line was."""
        data = os.pread(self.log, 1 << 20, self.followed)
        data = data[:len(data) // LINE * LINE]
        self.followed += len(data)
        for line in data.splitlines():
            owner, _, file, version = map(int, line.split())
            self.seen[owner, file] = max(version, self.seen.get((owner, file), 0))

    def known(self):
        """As a text: where our files are, which versions of all files we have seen, how many lines we wrote and read."""
        return repr([self.places, self.versions, self.seen, self.lines, self.followed])

    def finish(self):
        """Each line of ours is in the log, once and in order."""
        with open(f"{self.top}/log", "rb") as log:
            lines = [line.split() for line in log.read().splitlines()]
        ours = [int(line[1]) for line in lines if int(line[0]) == self.mine]
        assert ours == list(range(1, self.lines + 1)), f"{len(ours)} of {self.lines} lines: {ours[:20]}"
        with open(f"{self.top}/left-{self.mine}", "w", encoding="ascii") as left:
            json.dump(self.places, left)
        checker.join(self.top, self.mine, self.count, "end")
        self.look_at_all()

    def look_at_all(self):
        """Nobody changes anything any more."""
        names = {number: set() for number in range(DIRECTORIES)}
        for owner in range(self.count):
            with open(f"{self.top}/left-{owner}", encoding="ascii") as left:
                places = json.load(left)
            for file, (directory, version) in places.items():
                names[directory].add(f"{owner}-{file}")
                with open(self.path(directory, owner, file), "rb") as data:
                    seen = parse(data.read(), owner, int(file))
                assert seen == version, f"of {owner}'s file {file}: version {seen}, and {version} was left"
        for directory, expected in names.items():
            found = set(os.listdir(f"{self.top}/d{directory}"))
            assert found == expected, f"in d{directory}: {sorted(found ^ expected)} are too many or missing"


def check(top, mine, count, choice, seconds):
    one = Participant(top, mine, count, choice)
    work = [one.replace, one.move, one.remove, one.look_at_ours, one.look_at_theirs, one.look_at_theirs,
            one.list_all, one.follow]
    for _ in checker.operations(seconds, LEAST):
        watched.do(choice.choice(work))
        watched.know(one.known().encode())
    one.finish()


if __name__ == "__main__":
    checker.main(check)
