# SPDX-License-Identifier: BSD-3-Clause
"""The file sizes that the window's tests use, and what is in the files."""

SIZES = [0, 1, 4095, 4096, 4097, 65536, 100000, 1 << 20, (2 << 20) - 1, 2 << 20, (2 << 20) + 1,
         (5 << 20) + 123]


def pattern(size, salt):
    return bytes((i * 7 + i // 4096 + salt) & 0xff
                 for i in range(min(size, 8192))) * (size // 8192 + 1)
