# SPDX-License-Identifier: BSD-3-Clause
"""Asynchronous direct I/O, all under way at once: aio.py read|write FILE COUNT BLOCK, in a guest on x86-64.

Opens FILE and says so; on a line of input submits COUNT reads, or writes of random bytes, of
BLOCK bytes in one io_submit(2) and says so; then waits for all, and prints whether each was
done, and the sum of what they moved.
"""
import ctypes
import hashlib
import mmap
import os
import sys

IO_SETUP, IO_GETEVENTS, IO_SUBMIT = 206, 208, 209
OPCODES = {"read": 0, "write": 1}
LIBC = ctypes.CDLL(None, use_errno=True)


class Iocb(ctypes.Structure):
    """struct iocb of linux/aio_abi.h."""
    _fields_ = [("data", ctypes.c_uint64), ("key", ctypes.c_uint32), ("rw_flags", ctypes.c_int32),
                ("opcode", ctypes.c_uint16), ("reqprio", ctypes.c_int16), ("fildes", ctypes.c_uint32),
                ("buf", ctypes.c_uint64), ("nbytes", ctypes.c_uint64), ("offset", ctypes.c_int64),
                ("reserved2", ctypes.c_uint64), ("flags", ctypes.c_uint32), ("resfd", ctypes.c_uint32)]


class Event(ctypes.Structure):
    """struct io_event."""
    _fields_ = [("data", ctypes.c_uint64), ("obj", ctypes.c_uint64),
                ("res", ctypes.c_int64), ("res2", ctypes.c_int64)]


def call(number, *args):
    result = LIBC.syscall(number, *args)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def main(what, path, count, block):
    fd = os.open(path, os.O_RDWR | os.O_DIRECT)
    room = mmap.mmap(-1, count * block)
    if what == "write":
        room[:] = os.urandom(count * block)
    address = ctypes.addressof(ctypes.c_char.from_buffer(room))
    context = ctypes.c_ulong(0)
    call(IO_SETUP, count, ctypes.byref(context))
    print("open", flush=True)
    sys.stdin.readline()
    blocks = [Iocb(data=n, opcode=OPCODES[what], fildes=fd, buf=address + n * block, nbytes=block, offset=n * block)
              for n in range(count)]
    pointers = (ctypes.POINTER(Iocb) * count)(*map(ctypes.pointer, blocks))
    print("submitted", call(IO_SUBMIT, context, ctypes.c_long(count), pointers), flush=True)
    events = (Event * count)()
    call(IO_GETEVENTS, context, ctypes.c_long(count), ctypes.c_long(count), events, None)
    print("done", sorted((event.data, event.res) for event in events) ==
          [(n, block) for n in range(count)], hashlib.sha256(room[:]).hexdigest())


main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
