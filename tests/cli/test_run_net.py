# SPDX-License-Identifier: BSD-3-Clause
"""casement run --net user and --publish: from the guest to the host's loopback, and from the host to a port of the guest."""
import contextlib
import http.server
import socket
import subprocess
import threading
import urllib.request

import pytest

from booted import BOOTED
from daemons import CASEMENT, PATIENCE, short_path  # noqa: F401

# The guest has no other program that speaks to a network.
FETCH = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=60).read().decode())"
SERVE = """
import socket
server = socket.create_server(("0.0.0.0", 80))
print("ready", flush=True)
for answer in (b"one", b"two"):
    connection = server.accept()[0]
    connection.recv(4096)
    connection.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\n" + answer)
    connection.close()
"""


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"from the host")

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving():
    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def listeners(port):
    """Addresses of this host at which something listens on the port."""
    rows = [line.split() for line in open("/proc/net/tcp")][1:]
    return [row[1].split(":")[0] for row in rows if row[3] == "0A" and int(row[1].split(":")[1], 16) == port]


def words(*options):
    return [CASEMENT, "run", "--no-share", *map(str, options)]


@pytest.mark.parametrize("mode", ["its own", "cow"])
def test_to_the_host_and_back(short_path, monkeypatch, mode):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_path))
    root = [] if mode == "its own" else ["--root", "/:cow"]
    port = free_port()
    with serving() as server:
        BOOTED["QEMU"] += 1
        script = f"""set -e
            python3 -c '{FETCH}' http://10.0.2.2:{server}/
            cat /etc/resolv.conf; grep ^hosts: /etc/nsswitch.conf | grep -c dns
            touch /etc/other 2>/dev/null && rm /etc/other
            exec python3 -c '{SERVE}'"""
        guest = subprocess.Popen(words(*root, "--publish", f"{port}:80", "--", "sh", "-c", script), stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, text=True)
        assert [guest.stdout.readline() for _ in range(4)] == ["from the host\n", "nameserver 10.0.2.3\n", "1\n", "ready\n"]
        assert listeners(port) == ["0100007F"]
        for answer in (b"one", b"two"):
            assert urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=PATIENCE).read() == answer
    guest.communicate(timeout=PATIENCE)
    assert guest.returncode == 0 and not listeners(port)


def test_there_is_none_unasked(short_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_path))
    BOOTED["native"] += 1
    result = subprocess.run(words("--accel", "uml", "--", "ls", "/sys/class/net"), stdin=subprocess.DEVNULL, capture_output=True,
                            text=True, timeout=PATIENCE, check=False)
    assert (result.returncode, result.stdout) == (0, "lo\n"), result


BAD = ["", "x", "0", "65536", "80:", ":80", "80:x", "80:0", "1.2.3:80:80", "1.2.3.4:80:80:80", "127.0.0.1", "80,hostfwd=tcp::1-:1",
       "1.2.3.4,x:80", "123456", "-1"]


@pytest.mark.parametrize("word", BAD)
def test_no_port(word):
    result = subprocess.run(words(f"--publish={word}", "--", "true"), capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert result.returncode == 2 and "give PORT" in result.stderr and len(result.stderr.splitlines()) == 1, result


def test_a_port_that_is_taken():
    with serving() as port:
        result = subprocess.run(words("-p", port, "--", "true"), capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert result.returncode == 1 and f"127.0.0.1:{port}: Address already in use" in result.stderr, result


@pytest.mark.parametrize("option", ["--net=user", "--publish=8080"])
def test_a_native_guest_has_none(option):
    result = subprocess.run(words("--accel", "uml", option, "--", "true"), capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert result.returncode == 2 and option.split("=")[0] in result.stderr and "User-mode Linux" in result.stderr, result
