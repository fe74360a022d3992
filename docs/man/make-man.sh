#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Usage: make-man.sh TEMPLATE OUTPUT VERSION CASEMENTD PROGRAM [SUBCOMMAND]
# Puts the program's own option lists, the version and casementd's path into a manual.
set -eu
template=$1 output=$2 version=$3 casementd=$4
shift 4
options=$("$@" --help-man)
refused=$("$@" --help-man-refused)
while IFS= read -r line; do
	case $line in
	@OPTIONS@) printf '%s\n' "$options" ;;
	@REFUSED@) printf '%s\n' "$refused" ;;
	*@VERSION@*) printf '%s\n' "${line%%@VERSION@*}$version${line#*@VERSION@}" ;;
	*@CASEMENTD@*) printf '%s\n' "${line%%@CASEMENTD@*}$casementd${line#*@CASEMENTD@}" ;;
	*) printf '%s\n' "$line" ;;
	esac
done <"$template" >"$output"
