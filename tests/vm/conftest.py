# SPDX-License-Identifier: BSD-3-Clause
"""What tests with guests have in common.

A guest is a machine of QEMU's (`machines`, `qemu_guest`), or native, by User-mode Linux
(`natives`, `checked`, `guest`, `agent`): that boots in half a second and runs at the host's
speed, with one processor, without a window, and cannot be rebooted, paused or suspended. A
test of what programs see takes a native one; one of devices takes QEMU's. With a kernel of the
developer's (CASEMENT_TEST_KERNEL) all are in QEMU, on that.
"""
import pathlib
import subprocess

import pytest

from agent import Agent
from guests import BUILD, DEVICES, KERNEL, MODULE, TOP, in_memory, starter
from kmod_guest import LEAVE, take
from lent import Lender, Machine
from modules import module_for

# Fixtures whose tests have one machine after the other.
LENT = ["window", "processors"]
LENDER = Lender()


# More than twenty seconds on a quiet machine.
LONG = {
    "test_posix", "test_everyday_in_qemu", "test_lies", "test_lies_about_a_window", "test_data_in_large_folios",
    "test_nothing_sleeps_where_it_may_not", "test_a_machine_lives_on_it", "test_mounts_leave_nothing", "test_out_and_in",
    "test_a_large_window", "test_every_workload", "test_timeout", "test_nothing_is_leaked", "test_a_cut_meets_every_kind_of_use",
}


def is_long(item):
    return bool(item.get_closest_marker("xdist_group")) or item.originalname in LONG


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Tests that share a machine go to one worker. Long tests come first: one that began last would run alone
    at the end. The sort keeps the order of the others."""
    for item in items:
        for fixture in LENT:
            if fixture in item.fixturenames:
                item.add_marker(pytest.mark.xdist_group(fixture))
    items.sort(key=lambda item: not is_long(item))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(nextitem):
    """An idle machine looks for its next script again and again, so it ends with its last test."""
    if LENDER.kind and (not nextitem or LENDER.kind not in nextitem.fixturenames):
        LENDER.close()


@pytest.fixture
def machines(tmp_path):
    """Starts guests in QEMU."""
    yield from starter(tmp_path)


@pytest.fixture(scope="session")
def kernels():
    """User-mode Linux, as it is and with checks: UML and UML_DEBUG."""
    said = subprocess.run([TOP / "scripts/vm-root", "--print", "uml", "uml-debug"], check=True,
                          capture_output=True, text=True).stdout
    return dict(line.split("=", 1) for line in said.splitlines())


def native_words(request, kernel):
    return [] if KERNEL else ["--accel", "uml", "--kernel", request.getfixturevalue("kernels")[kernel]]


# What a guest with checks is spared: much memory, since KASAN has a byte for each eight, which the host copies the
# tables of when the guest forks; and kmemleak's stack trace of each allocation, since it looks after a minute first.
SMALL = [] if KERNEL else ["--memory", "512M", "--append", "kmemleak=off"]


@pytest.fixture
def natives(tmp_path, request):
    """Starts native guests."""
    yield from starter(tmp_path, *native_words(request, "UML"))


@pytest.fixture
def checked(tmp_path, request):
    """Starts native guests whose kernel looks for mistakes of its drivers."""
    yield from starter(tmp_path, *native_words(request, "UML_DEBUG"), *SMALL)


@pytest.fixture
def share(tmp_path):
    """An empty directory in memory, to be shared."""
    directory = in_memory("test")
    yield directory
    subprocess.run(["rm", "-rf", directory], check=True)


@pytest.fixture(params=DEVICES)
def device(request):
    return DEVICES[request.param]


@pytest.fixture(scope="session")
def module():
    """Our own guest driver, built for the kernel that guests in QEMU boot."""
    return pathlib.Path(MODULE) if MODULE else module_for("", BUILD / "kmod")


@pytest.fixture(scope="session")
def checked_module():
    """The same for the kernel of `checked`."""
    return pathlib.Path(MODULE) if MODULE else module_for("--uml-debug", BUILD / "kmod-uml-debug")


@pytest.fixture(scope="session")
def native_module():
    """And for that of `natives`."""
    return pathlib.Path(MODULE) if MODULE else module_for("--uml", BUILD / "kmod-uml")


def on_our_driver(start, share, module):
    def run(script, *args, leave=LEAVE, options=""):
        return start(take(options) + script + leave, "--share", f"{share}:t",
                     *args, "--share", f"{module.parent}:kmod:ro")
    return run


@pytest.fixture
def guest(checked, share, checked_module):
    """A function that runs a script in a native guest whose share `t` is on our driver."""
    return on_our_driver(checked, share, checked_module)


@pytest.fixture
def plain_guest(natives, share, native_module):
    """The same on a kernel without checks, for what moves much data."""
    return on_our_driver(natives, share, native_module)


@pytest.fixture
def agent(checked, share, checked_module, tmp_path):
    """A function that starts such a guest, which then does as it is told (agent.py)."""
    def start(*args, options=""):
        control = tmp_path / "control"
        control.mkdir()
        made = Agent(checked, "a", control, "--share", f"{share}:t", *args,
                     "--share", f"{checked_module.parent}:kmod:ro")
        made.ask(take(options) + "set +e")
        return made
    return start


@pytest.fixture
def qemu_guest(machines, share, module):
    """The same in QEMU."""
    return on_our_driver(machines, share, module)


def lend(request, kind, shares, *args):
    """A place of such a machine: lent.py."""
    directory = request.getfixturevalue("tmp_path_factory").mktemp("lent")
    module = request.getfixturevalue("module")
    return LENDER.lend(kind, lambda: Machine(directory, in_memory("lent"), shares, module, *args), request.node.name)


def window_words(size, *more):
    return [f"--window-size={size}", "--window-mappings=128", *more]


# Shares of the machine for tests of the window: one is in use at a time, so each may have all of QEMU's mappings.
WINDOWS = {
    "64M": window_words("64M"), "64M-never": window_words("64M", "--cache=never", "--allow-mmap"),
    "4M-never": window_words("4M", "--cache=never", "--allow-mmap"), "64M-always": window_words("64M", "--cache=always"),
    "16M": window_words("16M"), "32M": window_words("32M"), "128M": window_words("128M"), "256M": window_words("256M"),
}


@pytest.fixture
def window(request):
    """A function that gives a share of the machine with windows."""
    yield from lend(request, "window", WINDOWS, "--window", "256M")


@pytest.fixture
def processors(request):
    """The same of a machine with two processors and two queues, and no window."""
    yield from lend(request, "processors", {
        "auto": ["--cache=auto"], "always": ["--cache=always"], "back": ["--cache=always", "--writeback"],
    }, "--cpus", 2, "--queues", 2)
