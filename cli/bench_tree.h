/* SPDX-License-Identifier: BSD-3-Clause */
/* What workloads work on, made in a share by FUSE requests, and removed again. */
#ifndef CASEMENT_CLI_BENCH_TREE_H
#define CASEMENT_CLI_BENCH_TREE_H

#include "cli/bench_target.h"

/* Make directory target->name and the parts that target->needs names. 0, or -errno, logged. */
int tree_make(struct bench_target *target, unsigned int n_entries, uint64_t file_size);
/* Remove it, as far as it was made. */
void tree_remove(struct bench_target *target);

#endif
