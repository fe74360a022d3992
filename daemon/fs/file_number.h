/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inode numbers for a guest that sees several file systems of the host as one.
 * There two files with one number are taken for two names of one file, and a copy
 * with hard links has the wrong content. So files of other file systems than the
 * guest takes its own for have numbers with device and number of the host mixed.
 *
 * A number says nothing here: nodes are known by their ids, and it is never taken apart.
 */
#ifndef CASEMENT_DAEMON_FS_FILE_NUMBER_H
#define CASEMENT_DAEMON_FS_FILE_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The number of a file of any device. Exact, and the same whenever it is asked,
 * for numbers below 2^31 (mostly: 2^32, 2^35), which are nearly all; others are mixed
 * with `seed` into 62 bits: two of a million such files have the same with a chance of
 * one in nine million.
 */
uint64_t file_number_mixed(uint64_t seed, uint32_t device, uint64_t ino);

/* True when a file's own number could be a mixed one of another file. */
bool file_number_is_like_mixed(uint64_t ino);

#endif
