# SPDX-License-Identifier: BSD-3-Clause
"""How many machines this process has booted, by kind: for the last line of a run."""
import collections

BOOTED = collections.Counter()
