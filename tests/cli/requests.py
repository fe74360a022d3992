# SPDX-License-Identifier: BSD-3-Clause
"""Every request that a kernel sends, by the system call that makes it. Usage: requests.py DIR"""
import ctypes
import errno
import fcntl
import os
import stat
import struct
import sys
import time

LIBC = ctypes.CDLL(None, use_errno=True)
RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2
FALLOC_KEEP, FALLOC_PUNCH = 1, 2


def call(name, *args):
    if getattr(LIBC, name)(*args) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)


def refused(number, function, *args, **more):
    try:
        function(*args, **more)
    except OSError as error:
        assert error.errno == number, error
        return
    raise AssertionError(f"{function} was not refused")


def names():
    os.mkdir("dir", 0o750)
    os.mknod("fifo", stat.S_IFIFO | 0o600)
    os.mknod("node", stat.S_IFREG | 0o600)
    os.symlink("dir/../node", "symlink")
    assert os.readlink("symlink") == "dir/../node"
    os.symlink("x" * 4095, "long")
    assert os.readlink("long") == "x" * 4095
    os.link("node", "hard")
    assert os.stat("hard").st_nlink == 2
    os.rename("hard", "dir/hard")
    open("other", "w", encoding="utf-8").close()
    call("renameat2", -100, b"other", -100, b"dir/hard", RENAME_EXCHANGE)
    assert os.stat("other").st_nlink == 2 and os.stat("dir/hard").st_nlink == 1
    refused(errno.EEXIST, call, "renameat2", -100, b"other", -100, b"node", RENAME_NOREPLACE)
    refused(errno.ENOTEMPTY, os.rmdir, "dir")
    refused(errno.ENOENT, os.stat, "nothing")
    refused(errno.ENAMETOOLONG, os.stat, "n" * 256)
    os.unlink("dir/hard")
    os.rmdir("dir")
    for name in ("fifo", "node", "symlink", "long", "other"):
        os.unlink(name)


def attributes():
    with open("file", "wb") as f:
        f.write(b"0123456789")
    os.chmod("file", 0o640)
    os.chown("file", 12, 34)
    os.utime("file", ns=(10**18 + 1, 10**18 + 2))
    os.truncate("file", 5)
    s = os.stat("file")
    assert (s.st_size, s.st_uid, s.st_gid, stat.S_IMODE(s.st_mode)) == (5, 12, 34, 0o640)
    os.utime("file", ns=(10**18 + 1, 10**18 + 2))
    assert os.stat("file").st_mtime_ns == 10**18 + 2 and os.stat("file").st_atime_ns == 10**18 + 1
    assert os.access("file", os.R_OK) and os.statvfs(".").f_bsize
    try:
        os.setxattr("file", "user.one", b"v" * 1000)
    except OSError as error:
        assert error.errno == errno.EOPNOTSUPP, error
        return
    assert os.getxattr("file", "user.one") == b"v" * 1000
    assert os.listxattr("file") == ["user.one"]
    os.removexattr("file", "user.one")
    refused(errno.ENODATA, os.getxattr, "file", "user.one")


def data():
    fd = os.open("data", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    block = bytes(range(256)) * 4096
    for i in range(4):
        assert os.pwrite(fd, block, (2 * i) << 20) == 1 << 20
    os.fsync(fd)
    os.fdatasync(fd)
    call("syncfs", fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    assert all(os.pread(fd, 1 << 20, (2 * i) << 20) == block for i in range(4))
    assert os.pread(fd, 100, (1 << 20) + 5) == bytes(100)
    assert os.lseek(fd, 1 << 20, os.SEEK_HOLE) == 1 << 20
    assert os.lseek(fd, 1 << 20, os.SEEK_DATA) == 2 << 20
    call("fallocate", fd, FALLOC_KEEP | FALLOC_PUNCH, ctypes.c_long(0), ctypes.c_long(1 << 20))
    assert os.pread(fd, 1 << 20, 0) == bytes(1 << 20)
    os.posix_fallocate(fd, 8 << 20, 4096)
    assert os.fstat(fd).st_size == (8 << 20) + 4096
    to = os.open("copy", os.O_RDWR | os.O_CREAT, 0o600)
    assert os.copy_file_range(fd, to, 1 << 20, 2 << 20, 0) == 1 << 20
    assert os.pread(to, 1 << 20, 0) == block
    os.unlink("copy")
    os.ftruncate(to, 10)		# after its name is gone
    assert os.fstat(to).st_size == 10 and os.fstat(to).st_nlink == 0
    os.close(to)
    os.close(fd)
    with open("data", "ab") as f:
        f.write(b"end")
    assert os.stat("data").st_size == (8 << 20) + 4099
    try:
        fd = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o600)
    except OSError as error:
        assert error.errno == errno.EOPNOTSUPP, error
    else:
        os.write(fd, b"unnamed")
        os.link(f"/proc/self/fd/{fd}", "named", src_dir_fd=0, follow_symlinks=True)
        os.close(fd)
        assert open("named", "rb").read() == b"unnamed"
        os.unlink("named")
    os.unlink("data")


def directories():
    os.mkdir("many")
    for i in range(700):
        os.close(os.open(f"many/{'n' * (i % 200)}{i}", os.O_CREAT | os.O_WRONLY))
    assert len(os.listdir("many")) == 700
    with os.scandir("many") as entries:
        assert sum(entry.stat().st_nlink for entry in entries) == 700
    fd = os.open("many", os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(fd)
    os.close(fd)
    for name in os.listdir("many"):
        os.unlink(f"many/{name}")
    os.rmdir("many")


def locks():
    one, two = (os.open("lock", os.O_RDWR | os.O_CREAT, 0o600) for _ in range(2))
    fcntl.flock(one, fcntl.LOCK_EX)
    refused(errno.EAGAIN, fcntl.flock, two, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(one, fcntl.LOCK_UN)
    fcntl.flock(two, fcntl.LOCK_EX | fcntl.LOCK_NB)
    lock = struct.pack("hhqqi", fcntl.F_WRLCK, 0, 0, 0, 0)
    fcntl.fcntl(one, 37, lock)		# F_OFD_SETLK
    refused(errno.EAGAIN, fcntl.fcntl, two, 37, lock)
    assert struct.unpack("hhqqi", fcntl.fcntl(two, 36, lock))[0] == fcntl.F_WRLCK	# F_OFD_GETLK
    fcntl.fcntl(one, 37, struct.pack("hhqqi", fcntl.F_UNLCK, 0, 0, 0, 0))
    fcntl.fcntl(two, 37, lock)
    os.close(one)
    one = os.open("lock", os.O_RDWR)
    refused(errno.EAGAIN, fcntl.fcntl, one, 37, lock)
    os.close(two)			# gives the lock back, though not at once: by a RELEASE
    for _ in range(1000):
        try:
            fcntl.fcntl(one, 37, lock)
            break
        except BlockingIOError:
            time.sleep(0.01)
    else:
        raise AssertionError("a closed file kept its lock")
    two = os.open("lock", os.O_RDWR)
    os.close(one)
    os.close(two)
    os.unlink("lock")


def main():
    os.chdir(sys.argv[1])
    for part in (names, attributes, data, directories, locks):
        part()


main()
