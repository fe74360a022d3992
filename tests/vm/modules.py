# SPDX-License-Identifier: BSD-3-Clause
"""casement.ko for each kernel of the tests', built once for each state of what it is built of.

A build takes twenty seconds of processor time, and four kernels need one. Most changes of the tree leave the driver
as it is: a module is kept beside the kernels, under a name made of its sources, its kernel and the compiler.
"""
import fcntl
import hashlib
import os
import pathlib
import re
import shutil
import subprocess

from guests import TOP

SOURCES = TOP / "kmod"
# What scripts/kmod builds for, by its word; as scripts/vm-root calls what it takes from there.
TREES = {"": ["guest", "kbuild"], "--uml": ["uml"], "--uml-debug": ["uml-debug"], "--rt": ["rt"]}
MOST_KEPT = 16


def trees_of(kind):
    return subprocess.run([TOP / "scripts/vm-root", "--print", *TREES[kind]], check=True, capture_output=True,
                          text=True).stdout


def kept_path(kind, trees):
    """Where a module of these sources is, if it was built before."""
    made_of = hashlib.sha256((kind + trees).encode())
    made_of.update(subprocess.run(["cc", "--version"], check=True, capture_output=True).stdout)
    for path in [*sorted(SOURCES.glob("*.[ch]")), SOURCES / "Kbuild", TOP / "proto/fuse_extension.h", TOP / "scripts/kmod"]:
        data = path.read_bytes()
        made_of.update(f"\n{path.name} {len(data)}\n".encode() + data)
    cache = re.search(r"=(/.+?)/[a-z-]+-[0-9a-f]{12}(/|$)", trees, re.M)[1]
    return pathlib.Path(cache, "modules", made_of.hexdigest()[:24])


def keep(built, kept):
    """For others and for the next time, if that is ours to do; the oldest go."""
    if not os.access(kept.parents[1], os.W_OK):
        return
    kept.parent.mkdir(exist_ok=True)
    draft = kept.with_name(f"{kept.name}.{os.getpid()}")
    shutil.copy(built, draft)
    draft.rename(kept)
    for path in sorted(kept.parent.iterdir(), key=lambda path: path.stat().st_mtime)[:-MOST_KEPT]:
        path.unlink(missing_ok=True)


def module_for(kind, directory):
    """The module, with casement-guest beside it, in that directory of the build. Of several workers one builds."""
    directory.mkdir(exist_ok=True)
    kept = kept_path(kind, trees_of(kind))
    with open(directory / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            # With the PATH that an ordinary user of Debian's has.
            subprocess.run([TOP / "scripts/kmod", *([kind] if kind else []), SOURCES, directory], check=True,
                           env={**os.environ, "PATH": "/usr/local/bin:/usr/bin:/bin"})
            keep(directory / "casement.ko", kept)
            return directory / "casement.ko"
        # Not among what make(1) made there of other sources.
        ready = directory / "kept" / kept.name
        if not ready.exists():
            draft = ready.with_suffix(".draft")
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(parents=True)
            shutil.copy(kept, draft / "casement.ko")
            shutil.copy(SOURCES / "guest/casement-guest", draft)
            draft.rename(ready)
        if os.access(kept, os.W_OK):
            os.utime(kept)
        return ready / "casement.ko"
