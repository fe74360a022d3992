/* SPDX-License-Identifier: BSD-3-Clause */
/* Files that the host has to read from its disk. */
#ifndef CASEMENT_CLI_BENCH_COLD_H
#define CASEMENT_CLI_BENCH_COLD_H

/* 0, or -errno, logged: the page cache of the host is not ours to empty. */
int cold_check(void);
/* Write out what is dirty and empty the host's page cache, of all files. 0, or -errno, logged. */
int cold_make(void);

#endif
