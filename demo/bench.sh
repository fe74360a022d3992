#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Runs in the guest: fio jobs on a mounted directory, one after the other.
# Usage: bench.sh DIRECTORY RESULTS PREFIX SECONDS SIZE ENGINE WORKLOAD...
# Leaves RESULTS/PREFIX-WORKLOAD-ENGINE.json for each.
set -eu
dir=$1 results=$2 prefix=$3 seconds=$4 size=$5 engine=$6
shift 6
echo "  $prefix, $engine: $*"
for workload in "$@"; do
	fio --name=demo --filename="$dir/fio.data" --size="$size" --bs=4k \
		--rw="$workload" --ioengine="$engine" --runtime="$seconds" --time_based \
		--iodepth=16 --invalidate=1 --fallocate=none --output-format=json \
		--output="$results/$prefix-$workload-$engine.json"
done
