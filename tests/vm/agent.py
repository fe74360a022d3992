# SPDX-License-Identifier: BSD-3-Clause
"""A guest that does as it is told: shell lines go in through a share, what they print comes back.

One shell runs all lines, so descriptors and variables stay. The share is in cache mode
`never`, where a guest sees a new name at once. It looks for one now and then: nothing
tells a guest of another's files.
"""
import time

import limits
from guests import PATIENCE

LOOP = r"""
number=0
while :; do
    while [ ! -e /mnt/control/{name}.$number.in ]; do sleep 0.02; done
    . /mnt/control/{name}.$number.in > /mnt/control/{name}.tmp 2>&1
    mv /mnt/control/{name}.tmp /mnt/control/{name}.$number.out
    number=$((number+1))
done
"""


class Agent:
    """A guest with a control directory, and the shares that `args` give it."""

    def __init__(self, machines, name, control, *args):
        self.name, self.control, self.number = name, control, 0
        self.guest = machines(LOOP.format(name=name), "--share", f"{control}:control",
                              "--share-arg", "--cache=never", *args, name=name)

    def ask(self, lines, patience=PATIENCE):
        """Have the guest run these lines; what they printed."""
        path = self.control / f"{self.name}.{self.number}"
        self.number += 1
        draft = path.with_suffix(path.suffix + ".draft")
        draft.write_text(lines + "\n")
        draft.rename(f"{path}.in")
        answer = path.with_name(path.name + ".out")
        end = limits.now() + patience
        # Nothing tells of another machine's files.
        while not answer.exists():
            assert self.guest.process.poll() is None, self.guest.stderr()
            assert limits.now() < end, f"{self.name} does not answer: {lines}"
            time.sleep(0.01)
        return answer.read_text()

    def end(self):
        """The shell ends, and its machine."""
        draft = self.control / f"{self.name}.draft"
        draft.write_text("exit 0\n")
        draft.rename(self.control / f"{self.name}.{self.number}.in")
        self.guest.finish()
