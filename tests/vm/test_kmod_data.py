# SPDX-License-Identifier: BSD-3-Clause
"""Our own guest driver: what several do to one file at once leaves the bytes and the size that it must."""
import shutil
import signal
import subprocess

import pytest

from guests import BUILD
from kmod_guest import signal_daemon

CHECK = BUILD / "tests" / "data" / "data-check"
WRITE_BACK = ["--share-arg", "--writeback"]


@pytest.mark.parametrize("args", [[], WRITE_BACK], ids=["through", "back"])
def test_appends_beside_those_who_ask_for_the_size(guest, share, args):
    shutil.copy(CHECK, share)
    guest("./data-check appends\n", *args).finish()


RACES = ["cut", "cut-refused", "empty", "punch", "punch-beside", "copy", "copy-beside"]


@pytest.mark.parametrize("args", [[], WRITE_BACK], ids=["through", "back"])
def test_stores_beside_what_changes_the_file(agent, share, args):
    """The daemon is stopped while both are under way, so neither can be too late for the other."""
    shutil.copy(CHECK, share)
    agent = agent(*args)
    agent.ask("cp data-check /tmp; mkfifo /tmp/go")
    wrong = ""
    for race in RACES:
        agent.ask("rm -f race source; exec 9<> /tmp/go\n"
                  f"/tmp/data-check {race} < /tmp/go > /tmp/said & pid=$!\n"
                  "until grep -q ready /tmp/said; do :; done; settle")
        if race == "cut-refused":
            subprocess.run(["chattr", "+a", share / "race"], check=True)
        signal_daemon(share, signal.SIGSTOP)
        try:
            agent.ask("echo >&9; until grep -q stored /tmp/said; do :; done")
        finally:
            signal_daemon(share, signal.SIGCONT)
        said = agent.ask("wait $pid; echo $?; cat /tmp/said; stat -c '%s bytes' race")
        subprocess.run(["chattr", "-a", share / "race"], check=True)
        if not said.startswith("0\n") or f"{(share / 'race').stat().st_size} bytes" not in said:
            wrong += f"{race}: {(share / 'race').stat().st_size} on the host, {said}"
    assert not wrong
    agent.end()
