# SPDX-License-Identifier: BSD-3-Clause
"""demo/record: a command's lines, as a picture in which they come one by one."""
import importlib.machinery
import importlib.util
import pathlib
import subprocess
import xml.etree.ElementTree as tree

RECORD = pathlib.Path(__file__).resolve().parents[2] / "demo" / "record"
SVG = "{http://www.w3.org/2000/svg}"


def record(out, script):
    return subprocess.run([RECORD, out, "sh", "-c", script], stdin=subprocess.DEVNULL, capture_output=True)


def texts_of(picture):
    return tree.fromstring(picture).findall(f"{SVG}text")


def test_what_a_terminal_gets_is_drawn(tmp_path):
    out = tmp_path / "out.svg"
    done = record(out, r"[ -t 1 ] && echo terminal; printf 'a <b> & %s\n\033[1mbol\t\377\nlast' '(c)'")
    assert done.returncode == 0 and done.stderr == b""
    command, *texts = texts_of(out.read_text())
    assert command.text.startswith("$ sh -c ")
    assert [text.text for text in texts] == ["terminal", 'a <b> & (c)', "\ufffd[1mbol \ufffd", "last"]


def test_lines_come_in_their_time(tmp_path):
    loader = importlib.machinery.SourceFileLoader("record", str(RECORD))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("record", loader))
    loader.exec_module(module)
    command, *texts = texts_of(module.draw(["true"], [(0.5, b"one"), (60, b""), (60.25, b"three")]))
    top = int(command.get("y"))
    assert [(text.text, int(text.get("y")) - top, text.get("style")) for text in texts] == [
        ("one", 17, "animation-delay: 0.50s"),
        ("three", 51, "animation-delay: 3.25s")], "a pause is 2.5 s at most; an empty line keeps its place"


def test_a_command_that_fails_leaves_the_picture(tmp_path):
    out = tmp_path / "out.svg"
    out.write_text("the last one")
    done = record(out, "echo oh; exit 3")
    assert done.returncode == 1 and b"ended with 3" in done.stderr and done.stdout == b"oh\r\n"
    assert out.read_text() == "the last one"
