# SPDX-License-Identifier: BSD-3-Clause
"""fs-verity through our own guest driver, of a host that seems to have it (tests/liar/verity.c)."""
from guests import BUILD, CASEMENTD

# ENABLE or MEASURE of each file; its digest, or which error.
VERITY = r"""
import ctypes, errno, fcntl, os, struct
ENABLE, MEASURE = 0x40806685, 0xc0046686
def enable(fd, salt, signature, version=1):
    salt, signature = ctypes.create_string_buffer(salt), ctypes.create_string_buffer(signature)
    fcntl.ioctl(fd, ENABLE, struct.pack("=4IQ2IQ88x", version, 1, 4096, len(salt) - 1, ctypes.addressof(salt),
                                        len(signature) - 1, 0, ctypes.addressof(signature)))
    return "enabled"
def measure(fd, room):
    digest = fcntl.ioctl(fd, MEASURE, struct.pack("=HH", 7, room) + bytes(room))
    return struct.unpack("=HH", digest[:4]), digest[4:]
def tell(function, *args):
    try:
        print(function(*args))
    except OSError as error:
        print(errno.errorcode[error.errno])
fd = os.open("file", os.O_RDONLY)
tell(measure, fd, 64)
tell(enable, fd, b"salt", b"", 2)
tell(enable, fd, b"s" * 33, b"x")
tell(enable, fd, b"s", b"x" * 5000)
os.setresuid(1000, 1000, 0); tell(enable, fd, b"salt", b""); os.setresuid(0, 0, 0)
tell(enable, fd, b"salt", b"signature" * 9)
tell(enable, fd, b"salt", b"")
tell(measure, fd, 64)
tell(measure, fd, 32)
tell(measure, fd, 31)
tell(measure, os.open(".", os.O_RDONLY), 64)
"""


def test_verity(guest, share, tmp_path):
    (share / "file").write_text("text")
    (share / "verity.py").write_text(VERITY)
    daemon = tmp_path / "casementd"
    daemon.write_text(f'#!/bin/sh\nLD_PRELOAD={BUILD / "tests/liar/verity.so"} exec {CASEMENTD} "$@"\n')
    daemon.chmod(0o755)
    digest = b"saltsignaturesignaturesignature"[:31] + b"s"
    said = guest("python3 verity.py\n", "--daemon", daemon).finish()
    assert said.splitlines() == ["ENODATA", "EINVAL", "EMSGSIZE", "EMSGSIZE", "EACCES", "enabled", "EEXIST",
                                 f"((1, 32), {digest + bytes(32)})", f"((1, 32), {digest})", "EOVERFLOW", "ENOTTY"]


def test_a_host_without(guest, share):
    """It is the host's file system that has it or not."""
    (share / "verity.py").write_text(VERITY)
    (share / "file").write_text("text")
    assert set(guest("python3 verity.py\n").finish().split()) <= {"ENOTTY", "EOPNOTSUPP", "EMSGSIZE", "EACCES", "EINVAL"}
