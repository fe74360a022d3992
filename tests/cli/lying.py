# SPDX-License-Identifier: BSD-3-Clause
"""A virtio-fs daemon in Python whose answers are what a test says: for what a client must withstand.

A Tree is the honest part: nodes by their numbers, each a directory, a file or a link. A test
derives from it and overrides `answer`. Serving is a thread for the connection and one for each queue.
"""
import array
import errno
import mmap
import os
import pathlib
import select
import socket
import stat
import struct
import threading

OPCODES = {
    "LOOKUP": 1, "FORGET": 2, "GETATTR": 3, "SETATTR": 4, "READLINK": 5, "SYMLINK": 6, "MKNOD": 8,
    "MKDIR": 9, "UNLINK": 10, "RMDIR": 11, "RENAME": 12, "OPEN": 14, "READ": 15, "WRITE": 16, "STATFS": 17,
    "RELEASE": 18, "FLUSH": 25, "INIT": 26, "OPENDIR": 27, "READDIR": 28, "RELEASEDIR": 29,
    "CREATE": 35, "INTERRUPT": 36, "BMAP": 37, "DESTROY": 38, "BATCH_FORGET": 42, "READDIRPLUS": 44,
    "SETUPMAPPING": 48,
}
NAMES = {number: name for name, number in OPCODES.items()}
UNANSWERED = ("FORGET", "BATCH_FORGET", "INTERRUPT")
ROOT = 1

DIR, FILE, LINK = stat.S_IFDIR | 0o755, stat.S_IFREG | 0o644, stat.S_IFLNK | 0o777

# vhost-user
GET_FEATURES, SET_MEM_TABLE, SET_NUM, SET_ADDR, SET_BASE, GET_BASE = 1, 5, 8, 9, 10, 11
SET_KICK, SET_CALL, GET_PROTOCOL, GET_QUEUES, SET_ENABLE = 12, 13, 15, 17, 18
SET_BACKEND_FD, GET_SHMEM = 21, 44
NEED_REPLY, REPLY = 1 << 3, 1 << 2 | 1
FEATURES = 1 << 32 | 1 << 30 | 1 << 28		# version 1, protocol features, indirect descriptors
PROTOCOL = 1 << 0 | 1 << 3			# several queues, acknowledgements
WINDOWS = 1 << 5 | 1 << 10 | 1 << 22		# a channel of the daemon's, descriptors on it, shared memory


def attr(node, mode, size=0, uid=0, gid=0):
    return struct.pack("<6Q3I7I", node, size, 0, 0, 0, 0, 0, 0, 0, mode, 1, uid, gid, 0, 4096, 0)


def entry(node, mode, **more):
    return struct.pack("<4Q2I", node, 0, 0, 0, 0, 0) + attr(node, mode, **more)


def attr_out(node, mode, **more):
    return struct.pack("<Q2I", 0, 0, 0) + attr(node, mode, **more)


def ring_index(memory, at):
    """A ring's index, read and written at once: struct.pack_into() makes it 0 for a moment."""
    return memoryview(memory)[at + 2:at + 4].cast("H")


def dirent(name, offset, node=7, length=None, kind=0):
    text = struct.pack("<QQII", node, offset, len(name) if length is None else length, kind) + name
    return text + bytes(-len(text) % 8)


OPENED = struct.pack("<QII", 3, 0, 0)
INIT_OUT = struct.pack("<4I2H2I2HI", 7, 38, 1 << 17, 1 << 22, 16, 12, 1 << 20, 1, 256, 0, 0).ljust(64, b"\0")
EMPTY = ("RELEASE", "RELEASEDIR", "FLUSH", "DESTROY", "UNLINK", "RMDIR", "RENAME", *UNANSWERED)


class Tree:
    """Nodes: number -> {name: number}, bytes, or str, a link's target. A body, or -errno, is the answer."""
    window = 0		# bytes of a DAX window; nothing is mapped into it

    def __init__(self, nodes, modes=()):
        self.nodes, self.modes = nodes, dict(modes)

    def mode(self, node):
        what = self.nodes[node]
        return self.modes.get(node) or (DIR if isinstance(what, dict) else FILE if isinstance(what, bytes) else LINK)

    def attributes(self, node):
        return {"mode": self.mode(node), "size": len(self.nodes[node])}

    def answer(self, request):
        """The answer to a request: bytes, a negative errno, or None for no answer (yet)."""
        if request.name in EMPTY:
            return b""
        handler = getattr(self, request.name.lower(), None)
        return handler(request) if handler else -errno.ENOSYS

    def init(self, _request):
        return INIT_OUT

    def getattr(self, request):
        return attr_out(request.node, **self.attributes(request.node))

    def lookup(self, request):
        node = self.nodes[request.node].get(request.body.split(b"\0")[0].decode())
        return entry(node, **self.attributes(node)) if node else -errno.ENOENT

    def readlink(self, request):
        return self.nodes[request.node].encode()

    def open(self, _request):
        return OPENED

    opendir = open

    def read(self, request):
        offset, size = struct.unpack_from("<QI", request.body, 8)
        return self.nodes[request.node][offset:offset + size]

    def readdir(self, request):
        offset, text = struct.unpack_from("<Q", request.body, 8)[0], b""
        for i, (name, node) in list(enumerate(self.nodes[request.node].items()))[offset:]:
            one = dirent(name.encode(), i + 1, node)
            if len(text) + len(one) > request.room:
                break
            text += one
        return text


class Request:
    def __init__(self, queue, head, pieces):
        self.queue, self.head = queue, head
        self.out = [(memory, at, size) for memory, at, size, write in pieces if write]
        text = b"".join(bytes(memory[at:at + size]) for memory, at, size, write in pieces if not write)
        opcode, self.unique, self.node = struct.unpack_from("<IQQ", text, 4)
        self.name, self.body = NAMES.get(opcode, str(opcode)), text[40:]
        self.room = sum(size for _, _, size in self.out) - 16

    def reply(self, answer):
        """Put the answer where the client reads it. May be called late, by any thread."""
        self.queue.push(self.head, self.place(answer))

    def place(self, answer):
        """The answer, without telling the client; its size."""
        error, body = (answer, b"") if isinstance(answer, int) else (0, answer)
        text = struct.pack("<IiQ", 16 + len(body), error, self.unique) + body if self.out else b""
        self.write(text)
        return len(text)

    def write(self, text):
        for memory, at, size in self.out:
            piece, text = text[:size], text[size:]
            memory[at:at + len(piece)] = piece


class Queue:
    def __init__(self, connection):
        self.connection, self.size, self.next, self.thread = connection, 0, 0, None
        self.kick = self.call = -1
        self.lock = threading.Lock()

    def start(self):
        if not self.thread:
            self.thread = threading.Thread(target=self.run, daemon=True)
            self.thread.start()

    def run(self):
        """Until the connection's end, which makes its pipe readable."""
        poll = select.poll()
        poll.register(self.kick, select.POLLIN)
        poll.register(self.connection.ending, select.POLLIN)
        while not any(fd == self.connection.ending for fd, _ in poll.poll()):
            os.read(self.kick, 8)
            memory, at = self.avail
            while ring_index(memory, at)[0] != self.next:
                head = struct.unpack_from("<H", memory, at + 4 + 2 * (self.next % self.size))[0]
                self.next = (self.next + 1) & 0xffff
                self.connection.liar.serve(Request(self, head, self.chain(head)))

    def chain(self, head):
        (table, at), i, pieces = self.desc, head, []
        guest, size, flags, link = struct.unpack_from("<QIHH", table, at + 16 * i)
        if flags & 4:
            (table, at), i = self.connection.guest(guest), 0
        while True:
            guest, size, flags, link = struct.unpack_from("<QIHH", table, at + 16 * i)
            pieces.append((*self.connection.guest(guest), size, bool(flags & 2)))
            if not flags & 1:
                return pieces
            i = link

    def push(self, head, size):
        self.push_all([(head, size)])

    def push_all(self, used):
        """Heads and sizes, which the client sees at once."""
        with self.lock:
            memory, at = self.used
            index = ring_index(memory, at)
            for i, element in enumerate(used, index[0]):
                struct.pack_into("<II", memory, at + 4 + 8 * (i % self.size), *element)
            index[0] = (index[0] + len(used)) & 0xffff
        self.notify()

    def notify(self):
        os.write(self.call, struct.pack("<Q", 1))


class Connection:
    """One client, until it closes the connection or the liar does."""

    def __init__(self, liar, sock):
        self.liar, self.sock, self.regions, self.queues = liar, sock, [], {}
        self.ending, self.end = os.pipe()

    def guest(self, address, by=0):
        """Where a guest address (`by` 1: one of the client's own) is: the mapping, and the offset in it."""
        for *starts, size, memory, _ in self.regions:
            if starts[by] <= address < starts[by] + size:
                return memory, address - starts[by]
        raise KeyError(hex(address))

    def own(self, address):
        return self.guest(address, by=1)

    def receive(self, size, fds):
        text = b""
        while len(text) < size:
            piece, more, _, _ = socket.recv_fds(self.sock, size - len(text), 8)
            fds += more
            if not piece:
                raise ConnectionError
            text += piece
        return text

    def run(self):
        try:
            while True:
                fds = []
                number, flags, size = struct.unpack("<III", self.receive(12, fds))
                answer = self.message(number, self.receive(size, fds), fds)
                if answer is None and flags & NEED_REPLY:
                    answer = bytes(8)
                if answer is not None:
                    self.liar.send(self.sock, struct.pack("<III", number, REPLY, len(answer)) + answer)
        except OSError:
            pass
        os.close(self.end)
        for queue in self.queues.values():
            if queue.thread:
                queue.thread.join()
        fds = [queue.kick for queue in self.queues.values()] + [queue.call for queue in self.queues.values()]
        for fd in [*fds, *(region[-1] for region in self.regions), self.ending]:
            if fd >= 0:		# else it never came
                os.close(fd)
        self.sock.close()

    def message(self, number, payload, fds):
        window = self.liar.tree.window
        words = {GET_FEATURES: FEATURES, GET_PROTOCOL: PROTOCOL | (WINDOWS if window else 0), GET_QUEUES: 64}
        if number in words:
            return struct.pack("<Q", words[number])
        if number == SET_MEM_TABLE:
            for i, fd in enumerate(fds):
                guest, size, user, offset = struct.unpack_from("<4Q", payload, 8 + 32 * i)
                self.regions.append((guest, user, size, mmap.mmap(fd, size, offset=offset), fd))
            return None
        if number == GET_SHMEM:
            return struct.pack("<II256Q", 1, 0, window, *[0] * 255)
        if number == SET_BACKEND_FD:
            os.close(fds[0])
        if len(payload) < 8:
            return None
        index, value = struct.unpack_from("<II", payload)
        queue = self.queues.setdefault(index & 0xff, Queue(self))
        if number == SET_NUM:
            queue.size = value
        elif number == SET_ADDR:
            queue.desc, queue.used, queue.avail = map(self.own, struct.unpack_from("<3Q", payload, 8))
        elif number == SET_BASE:
            queue.next = value
        elif number == SET_KICK:
            queue.kick = fds[0]
        elif number == SET_CALL:
            queue.call = fds[0]
        elif number == SET_ENABLE:
            queue.start()
        elif number == GET_BASE:
            return struct.pack("<II", index, queue.next)
        return None

    def client_pid(self):
        return struct.unpack("3i", self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]

    def words(self):
        """All 8-byte words of the guest memory that was ever touched, but for zeros."""
        for _, _, size, memory, fd in self.regions:
            at = 0
            while True:
                try:
                    at = os.lseek(fd, at, os.SEEK_DATA)
                except OSError:		# ENXIO: none up to the end
                    break
                end = os.lseek(fd, at, os.SEEK_HOLE)
                yield from filter(None, array.array("Q", memory[at:end]))
                at = end

    def client_addresses(self):
        """Words of guest memory that are addresses of something that the client may write."""
        try:
            lines = pathlib.Path(f"/proc/{self.client_pid()}/maps").read_text().splitlines()
        except FileNotFoundError:
            return set()	# It has ended, and left its last requests behind.
        ranges = [[int(end, 16) for end in line.split()[0].split("-")] for line in lines if " rw" in line]
        # A sanitizer's own maps are as large as all memory, and hold any number.
        ranges = [(low, high) for low, high in ranges if high - low < 1 << 32]
        return {hex(word) for word in set(self.words()) for low, high in ranges if low <= word < high}


class Liar:
    """Listens on a socket, serves a Tree to one client after the other, until it is closed."""

    def __init__(self, path, tree):
        self.path, self.tree = path, tree
        self.seen = []			# names of the requests that came, under `news`
        self.news = threading.Condition()
        self.connection = None
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(str(path))
        self.listening.listen(8)
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            try:
                sock = self.listening.accept()[0]
            except OSError:
                return
            self.connection = Connection(self, sock)
            self.connection.run()

    def serve(self, request):
        answer = self.tree.answer(request)
        with self.news:
            self.seen.append(request.name)
            self.news.notify_all()
        if answer is not None:
            request.reply(answer)

    def send(self, sock, text):
        sock.sendall(text)

    def wait_for(self, names, times=1, timeout=60):
        """Until that many requests of these kinds came in, all in all."""
        def came():
            return sum(self.seen.count(name) for name in names.split()) >= times

        with self.news:
            assert self.news.wait_for(came, timeout), (names, self.seen[-20:])

    def close(self):
        self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        if self.connection:
            try:
                self.connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass			# it has gone
        self.thread.join(timeout=60)
        assert not self.thread.is_alive()
