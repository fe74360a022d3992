# SPDX-License-Identifier: BSD-3-Clause
"""casement bench from the outside: every workload, both daemons, what it writes and what it leaves."""
import json
import os
import pathlib
import signal
import subprocess

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("CASEMENT_BUILD", TOP / "build"))
CASEMENT = BUILD / "casement"
CASEMENTD = BUILD / "casementd"
PATIENCE = 120
SMALL = ["--time", "100", "--warm", "5", "--file-size", "2M", "--entries", "300"]


@pytest.fixture
def shared(tmp_path):
    (tmp_path / "dir").mkdir()
    return tmp_path / "dir"


@pytest.fixture
def daemon(tmp_path, shared):
    """Starts daemons that share the same directory; each ends by itself with its client."""
    running = []

    def start(*args):
        path = tmp_path / f"{len(running)}.sock"
        process = subprocess.Popen(
            [CASEMENTD, "--shared-dir", shared, "--socket-path", path, *map(str, args)],
            stderr=subprocess.PIPE, text=True)
        running.append(process)
        assert "waiting for the VMM" in process.stderr.readline()
        return path

    yield start
    for process in running:
        try:
            said = process.communicate(timeout=PATIENCE)[1]
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        assert process.returncode == 0 and "malformed" not in said, said


def bench(*args):
    return subprocess.run([CASEMENT, "bench", *map(str, args)], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=PATIENCE)


def all_works():
    lines = bench("--list").stdout.splitlines()
    assert len(lines) >= 16
    return [line.split()[0] for line in lines]


def may_count():
    """Only root may ask the kernel to count another process's system calls, and not in every container."""
    return os.geteuid() == 0 and subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tracefs", "tracefs", "/mnt"],
        capture_output=True).returncode == 0


def check_row(row, whos, depth):
    assert row["depth"] == depth
    for who in whos:
        if who == "local" and row["work"] == "nothing":
            continue
        figures = row[who]
        assert figures["ops_per_s"]["min"] > 0, row
        if row["block"]:
            assert figures["mib_per_s"]["min"] > 0, row
        if who == "local":
            continue
        assert 0 < figures["p50_us"]["median"] <= figures["p99_us"]["median"] \
            <= figures["p999_us"]["median"], row
        # None also where a busy host let the counter be read too late.
        assert figures["calls_per_op"] is None or (row["work"] != "dax-read" and 0 < figures["calls_per_op"] < 100), row


def test_every_workload(daemon, shared, tmp_path):
    """One after the other on two daemons and the host, with a window, at two depths."""
    window = ["--tag", "t", "--window-size", "4M"]
    a, b = daemon(*window), daemon(*window)
    rows = [f"{name}:{depth}" for name in all_works() for depth in (1, 4)]
    out = tmp_path / "out.json"
    result = bench(a, "--compare", b, "--local", shared, "--runs", 1, "--json", out,
                   "--work", ",".join(rows), *SMALL)
    assert result.returncode == 0, result
    report = json.loads(out.read_text())
    assert [f"{row['work']}:{row['depth']}" for row in report["rows"]] == rows
    for row in report["rows"]:
        check_row(row, ["A", "B", "local"], row["depth"])
        assert row["A/B"]["ops_per_s"]["median"] > 0
        assert ("A/local" in row) == (row["work"] != "nothing")
        assert f"{row['work']:<13} {row['depth']:>5}" in result.stdout
    assert os.listdir(shared) == []
    assert not may_count() or any(row[who]["calls_per_op"] for row in report["rows"] for who in "AB")


@pytest.mark.parametrize("more", [[], ["--poll"]], ids=["events", "poll"])
def test_two_queues(daemon, shared, tmp_path, more):
    out = tmp_path / "out.json"
    result = bench("--queues", 2, "--json", out, *more, *SMALL, "--work", "getattr:4,write,untar:2",
                   daemon("--queues", 2))
    assert result.returncode == 0, result
    report = json.loads(out.read_text())
    assert report["queues"] == 2 and len(report["rows"]) == 3
    for row, depth in zip(report["rows"], (4, 1, 2)):
        check_row(row, ["A"], depth)
    assert os.listdir(shared) == []


def test_no_window_is_said(daemon):
    result = bench(daemon(), "--work", "dax-read,getattr", *SMALL)
    assert result.returncode == 0, result
    assert "dax-read: left out" in result.stderr and "getattr" in result.stdout


def test_an_end_from_outside_leaves_nothing(daemon, shared):
    """It goes on for an hour, if nobody stops it."""
    process = subprocess.Popen([CASEMENT, "bench", daemon(), "--work", "getattr,create", *SMALL,
                                "--time", "3600000"], stdout=subprocess.PIPE, text=True)
    while "ops/s" not in process.stdout.readline():
        assert process.poll() is None
    assert os.listdir(shared)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert os.listdir(shared) == []


def test_a_file_in_the_window_is_cut(daemon, shared):
    """By another program on the host: the load is a SIGBUS, and the answer a message."""
    process = subprocess.Popen([CASEMENT, "bench", daemon("--tag", "t", "--window-size", "4M"), "--work", "dax-read",
                                *SMALL, "--time", "3600000"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while "ops/s" not in process.stdout.readline():
        assert process.poll() is None
    [data] = shared.glob("*/b*")
    os.truncate(data, 0)
    said = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == 1 and "dax-read: a load from the window failed" in said, said
    assert os.listdir(shared) == []


BAD = [
    (2, [], "socket"),
    (2, ["a", "b"], "b"),
    (2, ["a", "--work", "nonsense"], "nonsense"),
    (2, ["a", "--work", "read:0"], "depth"),
    (2, ["a", "--work", "read:1:huge"], "block size"),
    (2, ["a", "--work", "read:1:4K:more"], "more"),
    (2, ["a", "--work", "read:1:4M", "--file-size", "1M"], "--file-size"),
    (2, ["a", "--cpu-list", "0,x"], "--cpu-list"),
    (1, ["nowhere.sock"], "nowhere.sock"),
]


@pytest.mark.parametrize("status,args,word", BAD, ids=[" ".join(a) or "none" for _, a, _ in BAD])
def test_bad_input(status, args, word):
    result = bench(*args)
    lines = result.stderr.splitlines()
    assert (result.returncode, len(lines)) == (status, 1), result
    assert word in lines[0] and lines[0].startswith("casement bench: error: ")


def test_only_root_makes_files_cold():
    result = subprocess.run([CASEMENT, "bench", "nowhere.sock", "--cold"], capture_output=True, text=True, user=65534, check=False)
    assert result.returncode == 2 and "only root may empty the page cache" in result.stderr
