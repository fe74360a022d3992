# SPDX-License-Identifier: BSD-3-Clause
"""Reading a directory in every way there is: dir_check.py DIRECTORY, in a guest on x86-64.

Prints "right" when readdir(3), in pieces of any size, after seekdir(3) to any place and after
rewinddir(3), gives each name once.
"""
import ctypes
import os
import random
import sys

GETDENTS64 = 217
LIBC = ctypes.CDLL(None, use_errno=True)


class Dirent(ctypes.Structure):
    """struct dirent."""
    _fields_ = [("ino", ctypes.c_uint64), ("off", ctypes.c_int64), ("reclen", ctypes.c_uint16),
                ("type", ctypes.c_uint8), ("name", ctypes.c_char * 256)]


for name, result, arguments in [("opendir", ctypes.c_void_p, [ctypes.c_char_p]),
                                ("readdir", ctypes.POINTER(Dirent), [ctypes.c_void_p]),
                                ("telldir", ctypes.c_long, [ctypes.c_void_p]),
                                ("seekdir", None, [ctypes.c_void_p, ctypes.c_long]),
                                ("rewinddir", None, [ctypes.c_void_p]), ("closedir", ctypes.c_int, [ctypes.c_void_p])]:
    getattr(LIBC, name).restype = result
    getattr(LIBC, name).argtypes = arguments


def read_rest(stream):
    """The names that follow, with their places."""
    names = []
    while True:
        place = LIBC.telldir(stream)
        entry = LIBC.readdir(stream)
        if not entry:
            return names, place
        names.append((place, entry.contents.name))


def read_by(path, size):
    """All names, by getdents64(2) with a buffer of that size."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    # The last entry is shorter than what is taken from there.
    buffer = ctypes.create_string_buffer(size + ctypes.sizeof(Dirent))
    names = []
    while (got := LIBC.syscall(GETDENTS64, fd, buffer, size)) > 0:
        at = 0
        while at < got:
            entry = Dirent.from_buffer_copy(buffer, at)
            names.append(entry.name)
            at += entry.reclen
    assert got == 0, os.strerror(ctypes.get_errno())
    os.close(fd)
    return names


def main(path):
    expected = sorted([b".", b"..", *os.listdir(os.fsencode(path))])
    for size in (300, 1000, 5000, 1 << 20):
        assert sorted(read_by(path, size)) == expected, size
    stream = LIBC.opendir(os.fsencode(path))
    names, end = read_rest(stream)
    assert sorted(name for _, name in names) == expected
    assert read_rest(stream) == ([], end)
    for number in random.Random(1).sample(range(len(names)), min(len(names), 20)):
        LIBC.seekdir(stream, names[number][0])
        assert [name for _, name in read_rest(stream)[0]] == [name for _, name in names[number:]], number
    LIBC.seekdir(stream, end)
    assert read_rest(stream)[0] == []
    # A walk from the start sees what was made since.
    os.close(os.open(os.path.join(path, "new"), os.O_CREAT | os.O_WRONLY))
    LIBC.rewinddir(stream)
    assert sorted(name for _, name in read_rest(stream)[0]) == sorted([*expected, b"new"])
    LIBC.closedir(stream)
    os.unlink(os.path.join(path, "new"))
    assert sorted(read_by(path, 5000)) == expected
    print("right")


main(sys.argv[1])
