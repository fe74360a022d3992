/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file system object on a scratch directory, for the tests that drive
 * daemon/fs/fs.h. Relies on a writable /tmp. Everything is removed by
 * fixture_free(), also mounts below the directory.
 */
#ifndef CASEMENT_TESTS_FS_FIXTURE_H
#define CASEMENT_TESTS_FS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "daemon/fs/fs.h"

struct fixture {
	char dir[64];		/* the scratch directory, absolute */
	struct fs *fs;
};

extern const struct fs_caller root_caller;
extern const struct fs_caller user_caller;	/* 1000:1000 */

/* `config` without root_fd, or NULL for the defaults. Fails the test when it cannot. */
struct fixture *fixture_new(const struct fs_config *config);
void fixture_free(struct fixture *f);
/* Serve the same directory once more, with other settings; fs_free() it. */
struct fs *fixture_serve(const struct fixture *f, const struct fs_config *config);

/* True when fixture_serve() uses file handles although a test did not ask for them. */
bool fixture_by_handle(void);

/* The host's path of `name`, in one of a few static buffers. */
const char *host_path(const struct fixture *f, const char *name);
void host_write(const struct fixture *f, const char *name, const char *text);
/* The host's attributes of `name`, links not followed. */
struct stat host_stat(const struct fixture *f, const char *name);

/* Calls that must succeed. */
uint64_t must_lookup(struct fs *fs, uint64_t parent, const char *name);
uint64_t must_open(struct fs *fs, uint64_t node, uint32_t flags);
uint64_t must_create(struct fs *fs, uint64_t parent, const char *name, uint64_t *handle);
uint64_t must_mkdir(struct fs *fs, uint64_t parent, const char *name);

/* Where a write goes, and nothing else said of it. */
extern const struct fs_write as_opened, at_offset, at_end;

/* READ and WRITE with a plain buffer. */
ssize_t read_at(struct fs *fs, uint64_t handle, uint64_t offset, void *buf, size_t size);
ssize_t write_at(struct fs *fs, uint64_t handle, uint64_t offset, const void *buf, size_t size);

/* What is mounted from here on is seen by this process only, if it may at all. */
void fixture_private_mounts(void);

/* Descriptors this process has open now. */
unsigned int open_fds(void);

/* Run `body` on n threads at once, with numbers from 0, and wait for all. */
void run_threads(unsigned int n, void (*body)(void *arg, unsigned int number), void *arg);

#endif
