#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Runs in the guest: one fio job after the other on a mounted directory.
# Usage: bench.sh DIRECTORY RESULTS PREFIX SECONDS SIZE ENGINE...
# Leaves RESULTS/PREFIX-WORKLOAD-ENGINE.json for each.
set -u
dir=$1 results=$2 prefix=$3 seconds=$4 size=$5
shift 5
for engine in "$@"; do
	for workload in read randread write randwrite; do
		echo "  $prefix: $workload, $engine"
		fio --name=demo --filename="$dir/fio.data" --size="$size" --bs=4k \
			--rw="$workload" --ioengine="$engine" --runtime="$seconds" --time_based \
			--iodepth=16 --invalidate=1 --fallocate=none --output-format=json \
			--output="$results/$prefix-$workload-$engine.json" \
			>"$results/$prefix-$workload-$engine.err" 2>&1 ||
			echo "  $prefix: $workload, $engine failed: $(tail -n 1 "$results/$prefix-$workload-$engine.err")"
	done
done
