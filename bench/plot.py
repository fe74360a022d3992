#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Plots of `casement bench --json`: rates, latencies and processor time, as bars.

Usage: plot.py REPORT.json OUT.svg|OUT.png    (needs gnuplot)
"""
import json
import pathlib
import subprocess
import sys

TERMINALS = {".svg": "svg size 1100,1200 font 'sans,13' background '#ffffff'",
             ".png": "pngcairo size 1100,1200 font 'sans,11'"}
WHO = [("A", "casementd", "#2a6f97"), ("B", "virtiofsd", "#e07a5f"), ("local", "the machine itself", "#9aa5b1")]
# Title, figure, who has it, logarithmic.
PANELS = [
    ("operations a second", "ops_per_s", ["A", "B", "local"], True),
    ("latency, median, us", "p50_us", ["A", "B"], True),
    ("processor time of the daemon, us an operation", "cpu_s_per_mop", ["A", "B"], True),
]


def names_of(report):
    """Labels of the two daemons: what compare wrote, else their sockets."""
    given = report.get("names", {})
    return {who: given.get(who, report.get(who, name)) for who, name, _ in WHO}


def label(row):
    return f"{row['work']}, {row['depth']}".replace("_", "-")


def data_block(number, rows, figure, whos):
    lines = [f"$data{number} << EOD"]
    for row in rows:
        values = [row[who][figure]["median"] if who in row else 0 for who in whos]
        # A bar that is not there, not one of no height: a logarithm has none.
        lines.append(f'"{label(row)}" ' + " ".join(str(v) if v > 0 else "NaN" for v in values))
    return lines + ["EOD"]


def panel(number, rows, names, title, figure, whos, logarithmic):
    present = [(who, colour) for who, _, colour in WHO if who in whos and any(who in row for row in rows)]
    lines = data_block(number, rows, figure, [who for who, _ in present])
    lines += [f"set title '{title}'", "set logscale y" if logarithmic else "unset logscale y"]
    bars = [f"$data{number} using {column}:xtic(1) title '{names[who]}' linecolor rgb '{colour}'"
            for column, (who, colour) in enumerate(present, start=2)]
    return lines + ["plot " + ", ".join(bars)]


def script(report, out):
    rows, names = report["rows"], names_of(report)
    lines = [f"set terminal {TERMINALS[out.suffix]}", f"set output '{out}'",
             f"set multiplot layout {len(PANELS)},1",
             "set style data histogram", "set style histogram clustered gap 1",
             "set style fill solid 0.9 border -1", "set boxwidth 0.9", "set xtics rotate by -35 nomirror",
             "set grid ytics", "set key top right horizontal outside", "set format y '%.0s%c'"]
    for number, (title, figure, whos, logarithmic) in enumerate(PANELS):
        lines += panel(number, rows, names, title, figure, whos, logarithmic)
    return "\n".join([*lines, "unset multiplot", ""])


def main():
    if len(sys.argv) != 3 or pathlib.Path(sys.argv[2]).suffix not in TERMINALS:
        print(__doc__, file=sys.stderr)
        return 2
    report = json.loads(pathlib.Path(sys.argv[1]).read_text())
    return subprocess.run(["gnuplot"], input=script(report, pathlib.Path(sys.argv[2])), text=True).returncode


if __name__ == "__main__":
    sys.exit(main())
