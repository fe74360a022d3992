# SPDX-License-Identifier: BSD-3-Clause
"""Files that several processes change in every way there is; each knows every byte of its part.

Each participant has a file of its own, and a process for each of its parts (part.py). Every
half minute all processes end. The host finds in each file what they left, and changes it: its
bytes, and where it ends. Each participant must see that when it opens its file again. One more
process of each works on pages of its own in a file that all participants share (pages.py). At the
end all participants read all files.

Words: the cache mode of the guests, their driver, and "window" if they have one. docs/caching.md says
what a mode promises.
"""
import collections
import os
import random
import time

import checker
import pages
import watched
from part import PART, PARTS, Part, split

STAGE = 30		# seconds, at most
STAGES = 3		# at least
CHANGES = 30		# operations of the host's on each part
ATTRIBUTES_LAST = 20	# seconds: --timeout is one, and the guest may be slow

Promise = collections.namedtuple("Promise", "changes resizes while_open shares")
PROMISES = {
    # A guest sees at an open what the host changed; a new size as well; both through a file that was
    # open all the time; several guests may write to pages of one file.
    "never": Promise(True, True, True, True),
    "auto": Promise(True, True, False, True),
    "metadata": Promise(True, False, True, True),	# a size is an attribute
    "always": Promise(False, False, False, False),
    "back": Promise(True, True, False, False),
}


def promise_of(mode, driver):
    promise = PROMISES[mode]
    # With --writeback the kernel's driver does not ask for a file's size.
    return promise._replace(resizes=False) if mode == "back" and driver == "mainline" else promise


def read(path):
    with open(path, "rb") as file:
        return file.read()


def path_of(top, owner):
    """In a directory of its own: a guest may ask for all names of one at once, and believe them for as long as the mode says."""
    return f"{top}/of-{owner}/file"


def left_of(path):
    return b"".join(read(f"{path}.{number}") for number in range(PARTS))


def check_file(path):
    """It is what its parts' processes left."""
    found, left = read(path), left_of(path)
    assert found == left, f"{path} is not what was left: {len(found)} bytes of {len(left)}"


def change(path, stage, choice, promise):
    """By the host, which writes the new contents to a file beside it, too."""
    check_file(path)
    parts = [Part(path, number, choice, data, grows=promise.resizes) for number, data in enumerate(split(left_of(path)))]
    for part in parts:
        for _ in range(CHANGES):
            part.work()
        part.close()
    with open(f"{path}.changed-{stage}", "wb") as changed:
        changed.write(b"".join(part.data for part in parts))


def expect(found, changed, how):
    wrong = next((at for at in range(len(changed)) if found[at:at + 1] != changed[at:at + 1]), None)
    assert found == changed, f"{how}: {len(found)} bytes of {len(changed)}, not what the host left from {wrong} on"


def look(path, changed, waits):
    """By its name, as a program that comes new."""
    end = time.monotonic() + ATTRIBUTES_LAST
    while waits and os.stat(path).st_size != len(changed) and time.monotonic() < end:
        time.sleep(0.01)
    with open(path, "rb", buffering=0) as file:
        expect(file.readall(), changed, "read")
        size = os.fstat(file.fileno()).st_size
    assert size == os.stat(path).st_size == len(changed), f"{size} bytes instead of {len(changed)}"


class Participant:
    """The host or a guest: its file, its processes, and what its driver promises."""

    def __init__(self, top, mine, count, choice, mode, driver, has_window):
        self.top, self.mine, self.count, self.choice = top, mine, count, choice
        self.promise = promise_of(mode, driver)
        self.synced = driver == "mainline" and mine
        # A size is an attribute, and believed for a second also at an open.
        self.waits = mode in ("auto", "back") and mine
        self.asks = has_window
        self.path, self.shared = path_of(top, mine), f"{top}/shared"
        self.running = []		# processes

    def join(self, where, over=False):
        return checker.join(self.top, self.mine, self.count, where, over)

    def start(self, worker, name, seconds, *args):
        """The worker is a class; these are its arguments."""
        child = watched.Watched(name, lambda: worker(*args).run(seconds))
        self.running.append(child)
        return child

    def wait_for(self, children):
        """A failure of any other is one, too."""
        watched.wait(self.running, children, checker.end_of_patience())

    def fork_choice(self):
        return random.Random(self.choice.getrandbits(32))

    def work(self, content, seconds):
        """A stage of all parts' processes."""
        self.wait_for([self.start(Part, f"part {number}", seconds, self.path, number, self.fork_choice(), data, self.synced)
                       for number, data in enumerate(split(content))])

    def see_changes(self, stage, held):
        """All wait while the host changes all files. What ours is then."""
        if self.mine == 0:
            for owner in range(self.count):
                change(path_of(self.top, owner), stage, self.choice, self.promise)
        self.join(f"change {stage}")
        changed = read(f"{self.path}.changed-{stage}")
        os.unlink(f"{self.path}.changed-{stage}")
        try:
            # A read through the window sends no request for the file's size.
            if self.asks:
                os.fstat(held)
            if self.promise.while_open or self.mine == 0:
                expect(os.pread(held, len(changed) + 1, 0), changed, "pread of what was open")
            look(self.path, changed, self.waits)
        except AssertionError as error:
            raise AssertionError(f"{self.path}, changed by the host in stage {stage}: {error}") from error
        return changed

    def left_pages(self, owner):
        return f"{path_of(self.top, owner)}.pages"

    def start_pages(self, seconds):
        """Beside all stages."""
        if not self.promise.shares:
            return []
        if self.mine == 0:
            pages.make(self.shared, self.count)
        self.join("shared file")
        return [self.start(pages.Pages, "pages", seconds, self.shared, self.left_pages(self.mine), self.mine, self.count,
                           self.fork_choice())]

    def stages(self, content, held, seconds):
        """The host says which is the last. On a slow machine a stage takes longer, and there are fewer."""
        end = time.monotonic() + seconds
        length = seconds / max(STAGES, int(seconds / STAGE)) if self.promise.changes else seconds
        stage = 0
        while True:
            self.work(content, length)
            over = time.monotonic() >= end and (stage + 1 >= STAGES or not self.promise.changes)
            if self.join(f"end of stage {stage}", over):
                return
            content = self.see_changes(stage, held)
            stage += 1

    def run(self, seconds):
        beside = self.start_pages(seconds)
        content = bytes(PARTS * PART)
        os.mkdir(os.path.dirname(self.path))
        with open(self.path, "wb") as file:
            file.write(content)
        held = os.open(self.path, os.O_RDONLY)
        self.stages(content, held, seconds)
        self.wait_for(beside)
        self.join("end")
        for owner in range(self.count):
            check_file(path_of(self.top, owner))
        if beside:
            pages.check_all(self.shared, [self.left_pages(owner) for owner in range(self.count)])


def check(top, mine, count, choice, seconds, mode, driver, window=""):
    Participant(top, mine, count, choice, mode, driver, bool(window)).run(seconds)


if __name__ == "__main__":
    checker.main(check)
