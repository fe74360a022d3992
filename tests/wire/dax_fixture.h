/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of the DAX window share: ranges, and mappings that are sent and not waited for. */
#ifndef CASEMENT_TESTS_DAX_FIXTURE_H
#define CASEMENT_TESTS_DAX_FIXTURE_H

#include "client/raw.h"
#include "daemon_fixture.h"

#define MIB ((uint64_t)1 << 20)
#define RANGE (2 * MIB)		/* what a mainline guest maps at a time */
#define READ FUSE_SETUPMAPPING_FLAG_READ
#define WRITE (FUSE_SETUPMAPPING_FLAG_READ | FUSE_SETUPMAPPING_FLAG_WRITE)

/* A 64 MiB window of a VMM that maps everything writable; skips where there is no window. */
extern const struct fixture_config window_64;

/* The window's bytes here. */
char *window_at(struct fixture *f, uint64_t at);
/* Live mappings. */
unsigned int live(struct fixture *f);
/* True when just this is mapped, once. */
bool mapped(struct fixture *f, uint64_t at, uint64_t offset, uint64_t len);

/* SETUPMAPPING and REMOVEMAPPING as a mainline guest sends them: 0 or -errno. */
int map(struct fixture *f, uint64_t node, uint64_t offset, uint64_t len, uint64_t flags,
	uint64_t at);
int unmap(struct fixture *f, uint64_t at, uint64_t len);

/* A SETUPMAPPING of one RANGE for reading, in flight. */
struct pending {
	struct fuse_setupmapping_in body;
	struct iovec iov;
	struct casement_request request;
};
void map_begin(struct fixture *f, struct pending *p, uint64_t node, uint64_t offset, uint64_t at);
/* Wait for it: its result. */
ssize_t map_end(struct fixture *f, struct pending *p);
/* True when nothing completes on the queue within TEST_QUIET_MS. */
bool still_pending(struct fixture *f);

#endif
