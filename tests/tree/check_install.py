#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Installs into a scratch directory, builds the program of libcasement(3) against the copy there,
and reads a file of a share with it. Installs the guest driver's sources, and asks which kernels DKMS
builds them for.

Usage: check_install.py BUILD_ROOT COMPILER...
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parents[2]
TEXT = "through the installed library\n"


def run(*command, **more):
    return subprocess.run([str(word) for word in command], check=True, text=True,
                          stdout=subprocess.PIPE, timeout=100, **more).stdout


def example(manual):
    """The program between .EX and .EE, without roff's escapes."""
    program = re.search(r"^\.EX\n(.*?)^\.EE$", manual.read_text(), re.M | re.S).group(1)
    return program.replace("\\e", "\\").replace("\\-", "-")


def find_one(root, name):
    found = list(root.rglob(name))
    assert len(found) == 1, f"{name}: installed as {found}"
    return found[0]


def build(root, compiler, to):
    config = find_one(root, "libcasement.pc").parent
    env = {**os.environ, "PKG_CONFIG_SYSROOT_DIR": str(root), "PKG_CONFIG_LIBDIR": str(config)}
    flags = run("pkg-config", "--cflags", "--libs", "libcasement", env=env).split()
    source = to.with_suffix(".c")
    source.write_text(example(find_one(root, "libcasement.3")))
    run(*compiler, "-Wall", "-Wextra", "-Werror", "-o", to, source, *flags)
    needed = run("readelf", "-d", to)
    assert "[libcasement.so.0]" in needed, needed


def read_through(root, program, scratch):
    share = scratch / "share"
    share.mkdir()
    (share / "file").write_text(TEXT)
    daemon = subprocess.Popen([find_one(root, "casementd"), "--shared-dir", share,
                               "--socket-path", scratch / "socket"],
                              stderr=subprocess.PIPE, text=True)
    try:
        line = daemon.stderr.readline()
        assert "waiting" in line, line
        env = {**os.environ, "LD_LIBRARY_PATH": str(find_one(root, "libcasement.so.0").parent)}
        assert run(program, scratch / "socket", "file", env=env) == TEXT
    finally:
        daemon.kill()
        daemon.communicate()


KERNELS = {"5.10.0-30-amd64": False, "6.1.0-40-amd64": False, "6.11.10+bpo-amd64": False,
           "6.12.57+deb13-amd64": True, "6.18.2-amd64": True, "6.13-rc1": True, "7.0.1": True, "61.1": True, "10.2.0": True}


def ask_dkms(root):
    """dkms(8) compares by bash's =~."""
    run("make", "-s", "-C", TOP / "kmod", "install", f"DESTDIR={root}")
    config = find_one(root, "dkms.conf")
    for kernel, serves in KERNELS.items():
        script = '. "$1"; [[ $2 =~ $BUILD_EXCLUSIVE_KERNEL ]] && echo yes || echo no'
        assert run("bash", "-ec", script, "bash", config, kernel) == ("yes\n" if serves else "no\n"), kernel
    version = run("bash", "-ec", '. "$1"; echo "$PACKAGE_VERSION"', "bash", config).strip()
    assert f'MODULE_VERSION("{version}")' in (config.parent / "super.c").read_text(), version


def main():
    build_root, compiler = pathlib.Path(sys.argv[1]), sys.argv[2:]
    with tempfile.TemporaryDirectory(prefix="casement-install-") as scratch:
        scratch = pathlib.Path(scratch)
        root = scratch / "root"
        run("meson", "install", "-C", build_root, "--no-rebuild", "--quiet", "--destdir", root)
        build(root, compiler, scratch / "program")
        read_through(root, scratch / "program", scratch)
        ask_dkms(root)
    return 0


sys.exit(main())
