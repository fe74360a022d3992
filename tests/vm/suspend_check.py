# SPDX-License-Identifier: BSD-3-Clause
"""In a guest: have files in use in every way while the machine is suspended, as often as it is told.

usage: suspend_check.py ROUNDS SUSPEND...
SUSPEND is the command that suspends it, run each time.
"""
import fcntl
import mmap
import os
import subprocess
import sys
import threading

SIZE = 4 << 20


def busy(stop, once, errors):
    """Write, read and remove all the time: what is sent meanwhile must come back, too. `once` is set each time."""
    number = 0
    while not stop.is_set():
        number += 1
        path, text = f"busy{number % 7}", bytes(f"{number}\n", "ascii") * 999
        try:
            with open(path, "wb") as file:
                file.write(text)
            with open(path, "rb") as file:
                if file.read() != text:
                    errors.append(f"{path} is not what was written")
            os.unlink(path)
        except OSError as error:
            errors.append(str(error))
        once.set()


def is_locked():
    """Another process cannot have the lock."""
    return subprocess.run(["flock", "-n", "lock", "true"], check=False).returncode == 1


def main():
    rounds, suspend = int(sys.argv[1]), sys.argv[2:]
    # With no name any more, it is known by this session alone.
    unlinked = open("unlinked", "w+b")
    unlinked.write(bytes(range(256)) * (SIZE // 256))
    unlinked.flush()
    os.unlink("unlinked")
    with open("mapped", "w+b") as file:
        file.truncate(SIZE)
    mapped = open("mapped", "r+b")
    memory = mmap.mmap(mapped.fileno(), SIZE)
    lock = open("lock", "w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    for number in range(1, rounds + 1):
        stop, once, errors = threading.Event(), threading.Event(), []
        worker = threading.Thread(target=busy, args=(stop, once, errors))
        memory[::4096] = bytes([number]) * (SIZE // 4096)
        worker.start()
        once.wait()
        try:
            subprocess.run(suspend, check=True)
            once.clear()
            once.wait()
        finally:
            stop.set()
            worker.join()
        assert not errors, errors
        assert memory[::4096] == bytes([number]) * (SIZE // 4096)
        unlinked.seek(0)
        assert unlinked.read() == bytes(range(256)) * (SIZE // 256)
        assert is_locked()
    print("suspended", rounds)


main()
