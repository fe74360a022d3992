# SPDX-License-Identifier: BSD-3-Clause
"""Our own guest driver: what several do to one file at once leaves the bytes and the size that it must."""
import shutil

import pytest

from guests import BUILD

CHECK = BUILD / "tests" / "data" / "data-check"
WRITE_BACK = ["--share-arg", "--writeback"]


@pytest.mark.parametrize("args", [[], WRITE_BACK], ids=["through", "back"])
def test_appends_beside_those_who_ask_for_the_size(guest, share, args):
    shutil.copy(CHECK, share)
    guest("./data-check appends\n", *args).finish()
