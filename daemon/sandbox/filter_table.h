/* SPDX-License-Identifier: BSD-3-Clause */
/* Which process may make which system calls, and why. Tables, no code. */
#ifndef CASEMENT_DAEMON_SANDBOX_FILTER_TABLE_H
#define CASEMENT_DAEMON_SANDBOX_FILTER_TABLE_H

#include <stddef.h>
#include <stdint.h>

#define FILTER_GROUP_CALLS 40

/* Calls allowed whatever their arguments are. */
struct filter_group {
	const char *why;
	const char *calls[FILTER_GROUP_CALLS];	/* names, NULL-terminated */
};

/* A call allowed only when (argument & mask) is one of some values. */
struct filter_limit {
	const char *call;
	unsigned int argument;		/* from 0 */
	uint64_t mask;
	const uint64_t *values;
	unsigned int n_values;
	const char *why;
};

/* A call that libseccomp may be too old to know by name; one number on all machines since Linux 5.1. */
struct filter_number {
	const char *call;
	int number;
};

struct filter_list {
	const char *who;		/* in messages */
	const struct filter_group *groups;
	unsigned int n_groups;
	const struct filter_limit *limits;
	unsigned int n_limits;
};

extern const struct filter_list filter_serving;		/* the process that serves a guest */
extern const struct filter_list filter_stand_ins;	/* the one that makes stand-ins for files */

extern const struct filter_number filter_numbers[];
extern const unsigned int filter_n_numbers;

#endif
