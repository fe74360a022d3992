# SPDX-License-Identifier: BSD-3-Clause
"""Asynchronous direct reads, all under way at once: aio_read.py FILE COUNT, in a guest on x86-64.

Opens FILE and says so; on a line of input submits COUNT reads of a block in one
io_submit(2) and says so; then waits for all, and prints the sum of what they read.
"""
import ctypes
import hashlib
import mmap
import os
import sys

BLOCK = 4096
IO_SETUP, IO_GETEVENTS, IO_SUBMIT = 206, 208, 209
PREAD = 0
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


def main(path, count):
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    room = mmap.mmap(-1, count * BLOCK)
    address = ctypes.addressof(ctypes.c_char.from_buffer(room))
    context = ctypes.c_ulong(0)
    call(IO_SETUP, count, ctypes.byref(context))
    print("open", flush=True)
    sys.stdin.readline()
    reads = [Iocb(data=n, opcode=PREAD, fildes=fd, buf=address + n * BLOCK, nbytes=BLOCK, offset=n * BLOCK)
             for n in range(count)]
    pointers = (ctypes.POINTER(Iocb) * count)(*map(ctypes.pointer, reads))
    print("submitted", call(IO_SUBMIT, context, ctypes.c_long(count), pointers), flush=True)
    events = (Event * count)()
    call(IO_GETEVENTS, context, ctypes.c_long(count), ctypes.c_long(count), events, None)
    print("read", sorted((event.data, event.res) for event in events) ==
          [(n, BLOCK) for n in range(count)], hashlib.sha256(room[:]).hexdigest())


main(sys.argv[1], int(sys.argv[2]))
