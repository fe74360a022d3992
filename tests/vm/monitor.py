# SPDX-License-Identifier: BSD-3-Clause
"""QEMU's monitor, by its protocol (QMP)."""
import json
import socket

from guests import PATIENCE


class Monitor:
    """That of `casement run --monitor PATH`."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(str(path))
        self.file = self.socket.makefile("rw")
        self.events = []
        self.file.readline()
        self.call("qmp_capabilities")

    def read(self):
        answer = json.loads(self.file.readline())
        assert "error" not in answer, answer
        if "event" in answer:
            self.events.append(answer)
        return answer

    def call(self, command, **arguments):
        """Its result. Names have `_` for QEMU's `-`."""
        arguments = {name.replace("_", "-"): value for name, value in arguments.items()}
        self.file.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.file.flush()
        while True:
            answer = self.read()
            if "return" in answer:
                return answer["return"]

    def wait_event(self, name, **data):
        """Until that has happened, with that among its data. It counts once."""
        while True:
            for event in self.events:
                if event["event"] == name and data.items() <= event.get("data", {}).items():
                    self.events.remove(event)
                    return
            self.read()
