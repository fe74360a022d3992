#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Usage: make-man.sh TEMPLATE OUTPUT VERSION PROGRAM [SUBCOMMAND]
# Puts the program's own option list and version into its manual.
set -eu
template=$1 output=$2 version=$3
shift 3
options=$("$@" --help-man)
while IFS= read -r line; do
	case $line in
	@OPTIONS@) printf '%s\n' "$options" ;;
	*@VERSION@*) printf '%s\n' "${line%%@VERSION@*}$version${line#*@VERSION@}" ;;
	*) printf '%s\n' "$line" ;;
	esac
done <"$template" >"$output"
