#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Runs in the guest: fio jobs on a mounted directory, one after the other.
# Usage: bench.sh DIRECTORY RESULTS NAME TIME SIZE ENGINE WORKLOAD...
# Leaves their figures in RESULTS/NAME-ENGINE.json, one job for each workload.
set -eu
dir=$1 results=$2 name=$3 time=$4 size=$5 engine=$6
shift 6
jobs=
for workload in "$@"; do
	jobs="$jobs --name=$workload --rw=$workload --stonewall"
done
# shellcheck disable=SC2086	# $jobs is several words
fio --name=global --filename="$dir/fio.data" --size="$size" --bs=4k --ioengine="$engine" --runtime="$time" \
	--time_based --iodepth=16 --invalidate=1 --fallocate=none --output-format=json \
	--output="$results/$name-$engine.json" $jobs
