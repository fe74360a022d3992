# SPDX-License-Identifier: BSD-3-Clause
"""casement-matrix: commands and kernels of a casement.toml, and files that are wrong."""
import os
import subprocess
import sys

import pytest

from booted import BOOTED
from daemons import PATIENCE, TOP

MATRIX = """
[run]
accel = "uml"
memory = "256M"
env = ["A=run"]

[kernels]
plain = {}
loud = { append = "loglevel=7", env = ["B=kernel"] }

[commands]
good = "test $A-$B = run- || test $A-$B = run-kernel; touch made-$B"
words = ["sh", "-c", '''printf "said\\033]0;title\\007 \\302\\233 \\342\\200\\256 \\377 \\342\\234\\223\\n"; exit 3''']
bad = { command = "echo \\"$A $B $C\\"; exec sleep 1000", env = ["C=command"], timeout = 3 }
"""


def matrix(tmp_path, *words, text=MATRIX, boots=0, env=None):
    BOOTED["native"] += boots
    (tmp_path / "casement.toml").write_text(text)
    return subprocess.run([sys.executable, TOP / "scripts/casement-matrix", *words], cwd=tmp_path, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=2 * PATIENCE, check=False, env=env)


def test_the_cells_of_a_matrix(tmp_path):
    """What a failed one said does nothing to the terminal, whichever characters that has."""
    result = matrix(tmp_path, "-j2", "good", "loud/words", boots=3, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    lines = [line.split(" (")[0] for line in result.stdout.splitlines()]
    assert lines == ["ok     plain/good", "ok     loud/good", "FAILED loud/words",
                     r"    | said\033]0;title\007 \302\233 \342\200\256 \ufffd \u2713", "    |", "2 of 3 went well"], result
    assert result.returncode == 1 and "(status 3)" in result.stdout
    assert (tmp_path / "made-").exists() and (tmp_path / "made-kernel").exists()
    result = matrix(tmp_path, "plain/good", "plain/good", boots=1)
    assert result.returncode == 0 and result.stdout.endswith("1 of 1 went well\n"), result


def test_one_that_takes_too_long(tmp_path):
    """The machine is ended, and what it said is shown."""
    result = matrix(tmp_path, "loud/bad", text=MATRIX.replace("timeout = 3", "timeout = 8"), boots=1)
    assert result.returncode == 1 and "(not done after 8 s)" in result.stdout and "| run kernel command" in result.stdout, result


def test_their_names(tmp_path):
    names = [f"{kernel}/{command}" for kernel in ("plain", "loud") for command in ("good", "words", "bad")]
    assert matrix(tmp_path, "--list").stdout.split() == names
    assert matrix(tmp_path, "--list", "loud", "plain/bad").stdout.split() == [*names[3:], "plain/bad"]
    assert matrix(tmp_path, "--list", text='[commands]\nx = "true"\n').stdout == "default/x\n"


BAD = [("x = [", "casement.toml: "), ("[kernel]\n", "[kernel] is unknown"), ("", "[commands] is missing"),
       ("[commands]\nx = 3\n", "x: has no command"), ("[commands]\nx = [1]\n", "x: has no command"),
       ("[kernels]\nk = 1\n[commands]\nx = 'true'\n", "k: is no table"), ("[run]\na = 1.5\n[commands]\nx = 'true'\n", "a: is neither"),
       ("[commands]\nx = { command = 'true', timeout = 'x' }\n", "timeout is no number"), ("commands = 1\n", "[commands] is missing")]


@pytest.mark.parametrize("text,said", BAD)
def test_a_file_that_is_wrong(tmp_path, text, said):
    result = matrix(tmp_path, text=text)
    assert (result.returncode, result.stdout) == (2, "") and said in result.stderr and len(result.stderr.splitlines()) == 1, result


def test_no_such_file_and_no_such_cell(tmp_path):
    result = matrix(tmp_path, "-f", "none.toml")
    assert result.returncode == 2 and "none.toml: No such file" in result.stderr, result
    result = matrix(tmp_path, "nothing")
    assert result.returncode == 2 and "nothing: neither a kernel" in result.stderr, result
    result = matrix(tmp_path, text='[run]\nnonsense = "x"\n[commands]\nx = "true"\n')
    assert result.returncode == 1 and "nonsense" in result.stdout, result
