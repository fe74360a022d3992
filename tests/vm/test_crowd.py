# SPDX-License-Identifier: BSD-3-Clause
"""Several native guests and the host at work in one directory, checked by what each of them knows."""
import pytest

import crowd

GUESTS = 3


@pytest.mark.parametrize("checker", ["versions.py"])
def test_the_kernels_driver(natives, share, checker):
    crowd.run(natives, share, checker, GUESTS, "--cache", "never")


@pytest.mark.parametrize("checker", ["versions.py"])
def test_our_driver(checked, share, checked_module, checker):
    crowd.run(checked, share, checker, GUESTS, "--cache", "never", "--driver", "casement", "--module", checked_module)
