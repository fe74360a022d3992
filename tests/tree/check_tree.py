#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The tree's own rules: layers, sizes, headers that stand alone, licences.

Usage: check_tree.py SOURCE_ROOT COMPILER...
"""
import pathlib
import re
import subprocess
import sys

MAX_LINES = 600

# A layer may include itself and what it lists; main.c, share.c and config.c see all.
LAYERS = {
    "proto": set(),
    "common": set(),
    "daemon/transport": {"common", "proto"},
    "daemon/protocol": {"common", "proto", "daemon/fs"},
    "daemon/dax": {"common", "proto", "daemon/fs"},
    "daemon/fs": {"common"},
    "daemon/sandbox": {"common"},
    "client": {"common", "proto", "client/include/casement"},
    "cli": {"client/include/casement", "common", "guest", "proto"},
    "guest": {"common"},
}


def layer_of(path):
    matches = [name for name in LAYERS if path == name or path.startswith(name + "/")]
    return max(matches, key=len) if matches else None


def check_layers(root, files):
    for path in files:
        mine = layer_of(str(path.relative_to(root).parent))
        if mine is None:
            continue
        for included in re.findall(r'^#include "([^"]+)"', path.read_text(), re.M):
            theirs = layer_of(str(pathlib.PurePath(included).parent))
            if theirs and theirs != mine and theirs not in LAYERS[mine]:
                yield f"{path.relative_to(root)}: {mine} may not include {included}"


# Who may open files of the host, and why nobody else needs to: daemon/fs/safe_open.h.
OPENERS = {"safe_open.c", "file_handle.c"}


def check_openers(root):
    """The file system opens by one checked name or by a descriptor it holds, in one place."""
    calls = re.compile(r"(?<![\w>.])((?:open|openat|creat|fopen|opendir|open_by_handle_at)(?=\()|"
                       r"SYS_open\w*)")
    comments = re.compile(r"/\*.*?\*/", re.S)
    for path in sorted((root / "daemon/fs").glob("*.c")):
        found = calls.search(comments.sub("", path.read_text()))
        if found and path.name not in OPENERS:
            yield f"{path.relative_to(root)}: {found[1]} is safe_open.c's"


def check_clocks(root, files):
    """A wait by the time of day ends early, or in years, when somebody sets the clock."""
    calls = re.compile(r"\b(pthread_cond_timedwait|pthread_mutex_timedlock|pthread_rwlock_timed\w+|"
                       r"pthread_timedjoin_np|sem_timedwait|alarm|ualarm|setitimer)\(|"
                       r"\b((?:timerfd_create|timer_create|clock_nanosleep|pthread_cond_clockwait)"
                       r"\([^;]*CLOCK_REALTIME)")
    for path in files:
        found = calls.search(path.read_text())
        if found and path.relative_to(root).parts[0] != "tests":
            yield f"{path.relative_to(root)}: {(found[1] or found[2])} waits by the time of day"


def check_skips(root, files):
    """A skipped test gives its reason: SKIP_BECAUSE() of tests/skip.h."""
    for path in files:
        if path.name != "skip.h" and re.search(r"(?<!\w)skip\(\)", path.read_text()):
            yield f"{path.relative_to(root)}: skip() without a reason; tests/skip.h has SKIP_BECAUSE()"


def check_sizes(root, files):
    for path in files:
        lines = path.read_text().count("\n")
        if lines > MAX_LINES:
            yield f"{path.relative_to(root)}: {lines} lines; at most {MAX_LINES}"


def check_licences(root, files):
    for path in files:
        head = "\n".join(path.read_text().splitlines()[:3])
        if "SPDX-License-Identifier:" not in head:
            yield f"{path.relative_to(root)}: no SPDX-License-Identifier"


def check_headers(root, files, compiler):
    headers = [p for p in files if p.suffix == ".h"]
    for path in headers:
        result = subprocess.run(
            [*compiler, "-std=gnu11", "-D_GNU_SOURCE", "-I", root, "-I", root / "client/include",
             "-Wall", "-fsyntax-only", "-x", "c", path],
            capture_output=True, text=True)
        if result.returncode or result.stderr:
            yield f"{path.relative_to(root)}: does not compile alone:\n{result.stderr}"


def main():
    root = pathlib.Path(sys.argv[1])
    folders = ["proto", "common", "daemon", "client", "cli", "guest", "tests", "demo"]
    files = sorted(p for f in folders for p in (root / f).rglob("*.[ch]"))
    scripts = sorted(p for f in [*folders, "bench", "scripts"] for p in (root / f).rglob("*.py"))
    # The kernel's headers are not here to compile these with.
    module = sorted((root / "kmod").glob("*.[ch]"))
    problems = [*check_layers(root, files), *check_openers(root), *check_clocks(root, files),
                *check_skips(root, files),
                *check_sizes(root, files + scripts + module),
                *check_licences(root, files + scripts + module),
                *check_headers(root, files, sys.argv[2:])]
    for problem in problems:
        print(problem)
    print(f"{len(files)} files looked at, {len(problems)} problems")
    return 1 if problems or len(files) < 50 else 0


sys.exit(main())
