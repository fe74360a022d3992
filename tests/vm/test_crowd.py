# SPDX-License-Identifier: BSD-3-Clause
"""Several native guests and the host at work in one directory, checked by what each of them knows."""
import pytest

import crowd

GUESTS = 3
CHECKERS = pytest.mark.parametrize("checker", ["versions.py", "names.py"])
# For longer than the checker runs: nobody's own names may depend on a time that is over.
CACHED = ["--share-arg", "--timeout=600"]


def ours(module):
    return ["--driver", "casement", "--module", module]


@CHECKERS
def test_the_kernels_driver(natives, share, checker):
    crowd.run(natives, share, checker, GUESTS, "--cache", "never")


@CHECKERS
def test_our_driver(checked, share, checked_module, checker):
    crowd.run(checked, share, checker, GUESTS, "--cache", "never", *ours(checked_module))


def test_own_names_where_names_are_believed(checked, share, checked_module):
    """Two guests and the host, each sure of its own names alone, by our driver."""
    (share / ".cached").touch()
    crowd.run(checked, share, "names.py", 2, "--cache", "auto", *CACHED, *ours(checked_module))


# Files in each way that a guest may keep them. Where others may write to the same file, by two guests.
FILES = pytest.mark.parametrize("mode, guests", [("auto", 2), ("always", 1), ("never", 2), ("metadata", 1), ("back", 1)])


@FILES
def test_a_file_on_the_kernels_driver(natives, share, mode, guests):
    crowd.run(natives, share, f"file.py {mode} mainline", guests, *crowd.MODES[mode])


@FILES
def test_a_file_on_our_driver(checked, share, checked_module, mode, guests):
    crowd.run(checked, share, f"file.py {mode} casement", guests, *crowd.MODES[mode], *ours(checked_module))
