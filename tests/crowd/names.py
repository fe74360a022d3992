# SPDX-License-Identifier: BSD-3-Clause
"""Names: made, linked, renamed, exchanged and removed by all, in directories that they share.

Each has names of its own there, which nobody else changes, in directories of its own as well, which
it moves about. It knows what each of them is: its type and inode number, how many names that inode
has, and what is in it; whatever it does to one ends as it must, in success or that error. A
listing has each of them once, and none that is gone.

A few names are everybody's: who makes one, in whichever way, has it alone until it takes it away.
What is counted meanwhile, by replacing a file, loses no count. (Where the directory has a file
".cached" names may be believed for long, and nobody relies on what others did.) At the end all
see the same.
"""
import contextlib
import ctypes
import errno
import json
import os
import stat

import checker
import watched

LEAVES = 7	# names of each in a directory
SHARED = 3	# directories of all
TAKEN = 2	# names of all
HELD = 4	# files that are held open, at most
DIRECTORIES = 6	# of its own, at most
LEAST = 500	# operations, however slow it is

NOREPLACE, EXCHANGE = 1, 2
LIBC = ctypes.CDLL(None, use_errno=True)
TYPES = {"file": stat.S_IFREG, "link": stat.S_IFLNK, "fifo": stat.S_IFIFO, "dir": stat.S_IFDIR}


def rename(old, new, flags):
    if LIBC.renameat2(-100, os.fsencode(old), -100, os.fsencode(new), flags):
        raise OSError(ctypes.get_errno(), f"rename {old} {new} {flags}")


def make(path, kind, text):
    """Only where there is nothing."""
    if kind == "dir":
        os.mkdir(path)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "link":
        os.symlink(text, path)
    else:
        fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        os.write(fd, text.encode())
        os.close(fd)


def remove(path, kind):
    (os.rmdir if kind == "dir" else os.unlink)(path)


class Directory:
    """Of all, or one's own: which names of ours are in it."""

    def __init__(self, path=None):
        self.path, self.names = path, {}


class Node(Directory):
    """An inode of ours."""

    def __init__(self, kind, text):
        super().__init__()
        self.kind, self.text, self.ino, self.links = kind, text, 0, 0
        self.inside = None		# of a directory: the directory that it is in, and...
        self.leaf = None		# ... its name there


def path_of(directory, leaf=None):
    path = directory.path or path_of(directory.inside, directory.leaf)
    return f"{path}/{leaf}" if leaf else path


def is_in(directory, other):
    """The directory is the other, or somewhere in it."""
    while directory:
        if directory is other:
            return True
        directory = None if directory.path else directory.inside
    return False


class Participant:
    """One of those who change the directories, and what it knows of its own names."""

    def __init__(self, top, mine, count, choice):
        self.top, self.mine, self.count, self.choice = top, mine, count, choice
        self.fresh = not os.path.exists(f"{top}/.cached")
        self.shared = [Directory(f"{top}/d{number}") for number in range(SHARED)]
        self.own = []			# directories
        self.held = []			# (descriptor, node)
        self.made = 0
        self.tally = [0] * TAKEN
        for directory in self.shared:
            with contextlib.suppress(FileExistsError):
                os.mkdir(directory.path)

    # ---- what is chosen ----

    def any_place(self):
        return self.choice.choice(self.shared + self.own), f"{self.mine}-{self.choice.randrange(LEAVES)}"

    def any_name(self, wanted=lambda node: True):
        """A place of ours where there is something, or None."""
        places = [(directory, leaf) for directory in self.shared + self.own for leaf, node in directory.names.items()
                  if wanted(node)]
        return self.choice.choice(places) if places else None

    # ---- what is known ----

    def put(self, directory, leaf, node):
        directory.names[leaf] = node
        node.links += 1
        if node.kind == "dir":
            node.inside, node.leaf = directory, leaf

    def take_off(self, directory, leaf):
        node = directory.names.pop(leaf)
        node.links -= 1
        if node.kind == "dir" and not node.links:
            self.own.remove(node)

    def expect(self, errors, work, *args):
        """It ends with one of these errors; with none of them, in success."""
        try:
            work(*args)
        except OSError as error:
            assert error.errno in errors, f"{work.__name__}{args}: {error}, expected {errors}"
            return False
        assert not errors, f"{work.__name__}{args}: success, expected {[errno.errorcode[one] for one in errors]}"
        return True

    # ---- changes ----

    def make_one(self):
        directory, leaf = self.any_place()
        kinds = [kind for kind in TYPES if kind != "dir" or len(self.own) < DIRECTORIES]
        self.made += 1
        node = Node(self.choice.choice(kinds), f"{self.mine} {self.made}")
        path = path_of(directory, leaf)
        errors = [errno.EEXIST] if leaf in directory.names else []
        if self.expect(errors, make, path, node.kind, node.text):
            node.ino = os.lstat(path).st_ino
            self.put(directory, leaf, node)
            if node.kind == "dir":
                self.own.append(node)
            self.check(directory, leaf)

    def link_one(self):
        place = self.any_name(lambda node: node.kind != "dir")
        if not place:
            return
        directory, leaf = self.any_place()
        errors = [errno.EEXIST] if leaf in directory.names else []
        if self.expect(errors, lambda old, new: os.link(old, new, follow_symlinks=False), path_of(*place),
                       path_of(directory, leaf)):
            self.put(directory, leaf, place[0].names[place[1]])
        self.check(directory, leaf)

    def rename_errors(self, old, new, flags):
        """What renameat2(2) must end with."""
        node, other = old[0].names.get(old[1]), new[0].names.get(new[1])
        if not node or (flags == EXCHANGE and not other):
            return [errno.ENOENT] if flags != NOREPLACE or not other else [errno.ENOENT, errno.EEXIST]
        errors = []
        if other and flags == NOREPLACE:
            errors.append(errno.EEXIST)
        if node.kind == "dir" and is_in(new[0], node):
            errors.append(errno.EINVAL)
        if other and other.kind == "dir" and is_in(old[0], other):
            errors.append(errno.EINVAL if flags == EXCHANGE else errno.ENOTEMPTY)
        if other and not flags and node is not other:
            if node.kind != "dir" and other.kind == "dir":
                errors.append(errno.EISDIR)
            elif node.kind == "dir" and other.kind != "dir":
                errors.append(errno.ENOTDIR)
            elif other.kind == "dir" and other.names:
                errors.append(errno.ENOTEMPTY)
        return errors

    def rename_one(self):
        flags = self.choice.choice([0, 0, NOREPLACE, EXCHANGE])
        old, new = self.any_name() or self.any_place(), self.any_place()
        if self.choice.random() < 0.1:
            old = self.any_place()
        errors = self.rename_errors(old, new, flags)
        if self.expect(errors, rename, path_of(*old), path_of(*new), flags) and old != new:
            self.renamed(old, new, flags)
        self.check(*old)
        self.check(*new)

    def renamed(self, old, new, flags):
        node, other = old[0].names[old[1]], new[0].names.get(new[1])
        # To one of its other names: there is nothing to do.
        if node is other:
            return
        if flags != EXCHANGE and other:
            self.take_off(*new)
        for directory, leaf, one in ((*new, node), *([(*old, other)] if flags == EXCHANGE else [])):
            directory.names[leaf] = one
            if one.kind == "dir":
                one.inside, one.leaf = directory, leaf
        if flags != EXCHANGE:
            del old[0].names[old[1]]

    def remove_one(self):
        directory, leaf = self.any_name() or self.any_place()
        node = directory.names.get(leaf)
        way = self.choice.choice(["dir", "file"])
        if not node:
            errors = [errno.ENOENT]
        elif way == "dir":
            errors = [errno.ENOTDIR] if node.kind != "dir" else [errno.ENOTEMPTY] if node.names else []
        else:
            errors = [errno.EISDIR] if node.kind == "dir" else []
        if self.expect(errors, remove, path_of(directory, leaf), way):
            self.take_off(directory, leaf)
        self.check(directory, leaf)

    # ---- looks ----

    def check(self, directory, leaf):
        """It is what it was made, or it is not there."""
        path, node = path_of(directory, leaf), directory.names.get(leaf)
        if not node:
            assert not os.path.lexists(path), f"{path} is there: {os.lstat(path)}"
            return
        seen = os.lstat(path)
        self.check_stat(path, seen, node)
        if node.kind == "link":
            assert os.readlink(path) == node.text, f"{path}: {os.readlink(path)}, not {node.text}"
        if node.kind == "file":
            with open(path, "rb", buffering=0) as file:
                self.check_open(path, file.fileno(), node)

    def check_stat(self, path, seen, node):
        links = node.links if node.kind != "dir" else 2 + sum(one.kind == "dir" for one in node.names.values())
        what = stat.S_IFMT(seen.st_mode), seen.st_ino, seen.st_nlink
        assert what == (TYPES[node.kind], node.ino, links), f"{path}: {what}, not {node.kind, node.ino, links}"

    def check_open(self, path, fd, node):
        self.check_stat(path, os.fstat(fd), node)
        text = os.pread(fd, 100, 0)
        assert text == node.text.encode(), f"{path}: {text}, not {node.text}"

    def look(self):
        self.check(*(self.any_name() or self.any_place()))
        self.check(*self.any_place())

    def list_one(self):
        directory = self.choice.choice(self.shared + self.own)
        with os.scandir(path_of(directory)) as entries:
            seen = [(entry.name, entry.inode(), entry) for entry in entries]
        names = [name for name, _, _ in seen]
        ours = {name: ino for name, ino, _ in seen if name.startswith(f"{self.mine}-")}
        known = {leaf: node.ino for leaf, node in directory.names.items()}
        assert ours == known, f"{path_of(directory)}: {ours}, not {known}"
        own = [name for name in names if name.startswith(f"{self.mine}-")]
        assert len(own) == len(set(own)), f"{path_of(directory)}: names twice: {sorted(own)}"
        for name, _, entry in seen:
            if name in known:
                kind = directory.names[name].kind
                assert entry.is_dir(follow_symlinks=False) == (kind == "dir") and entry.is_symlink() == (kind == "link")

    def hold(self):
        """A file stays what it is while it is open, whatever its names."""
        place = self.any_name(lambda node: node.kind == "file")
        if place and len(self.held) < HELD:
            self.held.append((os.open(path_of(*place), os.O_RDWR), place[0].names[place[1]]))
        elif self.held:
            fd, node = self.held.pop(self.choice.randrange(len(self.held)))
            self.check_open("held", fd, node)
            os.close(fd)

    def look_at_theirs(self):
        """What has an owner's name is the owner's."""
        owner = self.choice.randrange(self.count)
        path = f"{self.choice.choice(self.shared).path}/{owner}-{self.choice.randrange(LEAVES)}"
        with contextlib.suppress(FileNotFoundError):
            kind = stat.S_IFMT(os.lstat(path).st_mode)
            if kind == stat.S_IFLNK:
                with contextlib.suppress(OSError):	# it may be something else meanwhile
                    text = os.readlink(path)
                    assert text.split()[0] == str(owner), f"{path}: {text}"

    # ---- what is everybody's ----

    def take(self):
        """One has it, and whoever has it is alone."""
        number = self.choice.randrange(TAKEN)
        path, draft = f"{self.top}/taken-{number}", f"{self.top}/draft-{self.mine}"
        way = self.choice.choice([*TYPES, "linked", "moved file", "moved dir"])
        kind = "file" if way == "linked" else way.split()[-1]
        self.made += 1
        text = f"{self.mine} {self.made}"
        if way != kind:
            make(draft, kind, text)
        try:
            if way == "linked":
                os.link(draft, path)
            elif way != kind:
                rename(draft, path, NOREPLACE)
            else:
                make(path, kind, text)
        except FileExistsError:
            if way != kind:
                remove(draft, kind)
            return
        if way == "linked":
            os.unlink(draft)
        node = Node(kind, text)
        node.links, node.ino = 1, os.lstat(path).st_ino
        self.check_stat(path, os.lstat(path), node)
        if self.fresh:
            self.add_one(number)
        if self.choice.random() < 0.5:
            rename(path, draft, 0)
            path = draft
        remove(path, kind)

    def add_one(self, number):
        """By whoever has the name of that number."""
        path, draft = f"{self.top}/count-{number}", f"{self.top}/next-{self.mine}"
        count = self.counted(number)
        with open(draft, "w", encoding="ascii") as file:
            file.write(str(count + 1))
        os.rename(draft, path)
        self.tally[number] += 1

    def counted(self, number):
        try:
            with open(f"{self.top}/count-{number}", encoding="ascii") as file:
                return int(file.read())
        except FileNotFoundError:
            return 0

    # ---- the end ----

    def names_left(self):
        """Of the shared directories: name, type, inode number and number of names."""
        return {path_of(directory, leaf).removeprefix(self.top):
                [TYPES[node.kind], node.ino] for directory in self.shared for leaf, node in directory.names.items()}

    def known(self):
        """All names of ours, as a text."""
        return json.dumps([[path_of(directory, leaf), node.kind, node.ino, node.text, node.links]
                           for directory in self.shared + self.own for leaf, node in directory.names.items()])

    def finish(self):
        for fd, node in self.held:
            self.check_open("held", fd, node)
            os.close(fd)
        with open(f"{self.top}/left-{self.mine}", "w", encoding="ascii") as left:
            json.dump([self.names_left(), self.tally], left)
        checker.join(self.top, self.mine, self.count, "end")
        for directory in self.shared + self.own:
            for leaf in list(directory.names):
                self.check(directory, leaf)
        if self.fresh:
            self.look_at_all()

    def look_at_all(self):
        """Nobody changes anything any more."""
        known, tally = {}, [0] * TAKEN
        for owner in range(self.count):
            with open(f"{self.top}/left-{owner}", encoding="ascii") as left:
                names, theirs = json.load(left)
            known.update(names)
            tally = [sum(pair) for pair in zip(tally, theirs)]
        for directory in self.shared:
            for name in os.listdir(directory.path):
                seen = os.lstat(f"{directory.path}/{name}")
                path = f"{directory.path}/{name}".removeprefix(self.top)
                assert known.pop(path, None) == [stat.S_IFMT(seen.st_mode), seen.st_ino], f"{path}: {seen}"
        assert not known, f"missing: {known}"
        for number in range(TAKEN):
            assert not os.path.lexists(f"{self.top}/taken-{number}")
            assert self.counted(number) == tally[number], f"{self.counted(number)} of {tally} counts"


def check(top, mine, count, choice, seconds):
    one = Participant(top, mine, count, choice)
    work = [one.make_one, one.make_one, one.link_one, one.rename_one, one.rename_one, one.remove_one, one.look,
            one.look, one.list_one, one.hold, one.look_at_theirs, one.take]
    for _ in checker.operations(seconds, LEAST):
        watched.do(choice.choice(work))
        watched.know(one.known().encode())
    one.finish()


if __name__ == "__main__":
    checker.main(check)
