#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Run each fuzz target for so many seconds: run.sh BUILD SECONDS [TARGET...]
#
# Starts from tests/fuzz/corpus/; what is new goes to BUILD/corpus/TARGET, and an
# input that ends a target to BUILD/TARGET-*. Status 1 when there was one.
set -u
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$1" && pwd) || exit 2
seconds=$2
shift 2
[ $# -gt 0 ] || set -- decode virtqueue session server rules

status=0
for target; do
	new=$build/corpus/$target
	log=$build/fuzz_$target.log
	mkdir -p "$new"
	# SIGBUS in guest memory is the daemon's own to handle.
	if ! "$build/tests/fuzz/fuzz_$target" -max_total_time="$seconds" -max_len=4096 -timeout=20 \
		-handle_bus=0 -print_final_stats=1 -artifact_prefix="$build/$target-" \
		"$new" "$here/corpus/$target" >"$log" 2>&1; then
		tail -n 60 "$log"
		status=1
	fi
	printf '%s: %s inputs run, %s\n' "$target" \
		"$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" \
		"$(ls "$build/$target"-* 2>/dev/null | wc -l) findings"
done
exit $status
