# SPDX-License-Identifier: BSD-3-Clause
"""A machine of QEMU's that is lent to one test after the other: to boot it costs more than most of them do in it.

It has several shares, each with an empty directory, and none is mounted between two tests. A test
gets one of them as a new machine has it: on our driver, loaded anew, or mounted by the kernel's own.
A test that fails, or has its guest's kernel complain, has spoilt the machine, and the next test gets
a new one.
"""
import shutil

from agent import Agent
from guests import Guest, PATIENCE
from kmod_guest import LEAVE, take

# The test's script has a shell of its own; what this one is to know of it is its status.
RUN = r"""
rm -rf /tmp/*
sh /mnt/control/script 2> /mnt/control/errors
printf '\nstatus %d' $?
cd /; umount /mnt/t 2>/dev/null
"""


class Place:
    """A share of the machine: its directory on the host, and what runs scripts in it."""

    def __init__(self, machine, tag):
        self.machine, self.tag, self.directory = machine, tag, machine.top / tag

    def run(self, script, options="", leave=LEAVE, patience=PATIENCE):
        """On our driver, with these of mount(8)'s words, and without it in the end; what it printed."""
        return self.machine.run(f"tag={self.tag}; mount -t virtiofs $tag /mnt/t\n{take(options)}{script}{leave}",
                                patience)

    def run_on_the_kernels(self, script, options=""):
        """On the kernel's own driver."""
        return self.machine.run(f"mount -t virtiofs {options} {self.tag} /mnt/t && cd /mnt/t || exit\n{script}")


class Machine:
    """One with a share for each row of `shares`: its tag, and casementd's words. `top` is theirs on the host."""

    def __init__(self, directory, top, shares, module, *args):
        self.top, self.users, self.judged, self.spoilt = top, [], 0, False
        self.control = directory / "control"
        self.control.mkdir(parents=True)
        words = ["--share", f"{module.parent}:kmod:ro", *args]
        for tag, options in shares.items():
            (top / tag).mkdir(parents=True)
            words += ["--share", f"{top / tag}:{tag}"]
            words += [word for option in options for word in ("--share-arg", option)]
        self.agent = Agent(lambda script, *args, name: Guest(directory, name, args, ["sh", "-c", script]),
                           "lent", self.control, *words)
        self.agent.ask(f"cd /mnt; umount {' '.join(shares)}; cd /; mkdir /mnt/t")

    def run(self, script, patience=PATIENCE):
        self.spoilt = True
        (self.control / "script").write_text(script)
        said, _, status = self.agent.ask(RUN, patience).rpartition("\nstatus ")
        errors = (self.control / "errors").read_text()
        assert status == "0", f"status {status}\n{said}\n{errors}\n{self.agent.guest.kernel_log()}"
        self.spoilt = False
        return said

    def judge(self, user):
        """After a test: what the guest's kernel said meanwhile, and the directories are empty again."""
        self.users.append(user)
        before, self.judged = self.judged, len(self.agent.guest.kernel_log().splitlines())
        for path in self.top.glob("*/*"):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        try:
            self.agent.guest.judge(before)
        except AssertionError as error:
            self.spoilt = True
            raise AssertionError(f"{error}\nthis machine's tests so far: {self.users}") from None

    def close(self):
        try:
            self.agent.guest.close()
        finally:
            shutil.rmtree(self.top)


class Lender:
    """Lends one machine at a time. When a test asks for another kind than the last did, it boots a new one."""

    def __init__(self):
        self.kind, self.machine = None, None

    def lend(self, kind, boot, user):
        """A function that gives the place of a tag. As a fixture does, it goes on after the test."""
        if kind != self.kind:
            self.close()
        self.machine, self.kind = self.machine or boot(), kind
        machine = self.machine
        yield lambda tag: Place(machine, tag)
        try:
            machine.judge(user)
        finally:
            if machine.spoilt:
                self.close()

    def close(self):
        machine, self.kind, self.machine = self.machine, None, None
        if machine:
            machine.close()
