/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Assertions as rows: somebody does one thing to a path, and the result is as
 * said. Several users, without processes of their own: root takes their ids
 * for one step, which takes its capabilities away, too.
 */
#ifndef CASEMENT_TESTS_POSIX_STEPS_H
#define CASEMENT_TESTS_POSIX_STEPS_H

#include <stddef.h>
#include <sys/types.h>

enum who {
	ME,	/* whoever runs the program */
	OWNER,	/* 1001, group 1001 */
	GROUP,	/* 1002, whose group is 1001 */
	SUPP,	/* 1003, group 1003, and 1001 among its other groups */
	OTHER,	/* 1004, group 1004 */
};

#define OWNER_UID 1001
#define OWNER_GID 1001
#define GROUP_UID 1002
#define SUPP_UID 1003
#define SUPP_GID 1003
#define OTHER_UID 1004
#define OTHER_GID 1004

void who_become(enum who who);
void who_return(void);

/* 0 or a fact, or -errno. */
typedef long op_fn(const char *a, const char *b, long arg);

struct step {
	const char *name;	/* NULL: preparation, which is expected to work all the same */
	enum who who;
	op_fn *op;
	const char *a, *b;
	long arg;
	long want;
};

/* One thing done by somebody. */
long do_as(enum who who, op_fn *op, const char *a, const char *b, long arg);

void run_steps(const struct step *steps, size_t count);
#define RUN_STEPS(steps) run_steps(steps, sizeof(steps) / sizeof((steps)[0]))

/* Do something to `a`; `arg` and `b` as said. 0 or -errno. */
op_fn op_open;		/* arg: flags, made with mode 0666; closed again */
op_fn op_create;	/* arg: mode; O_CREAT|O_EXCL|O_WRONLY */
op_fn op_fill;		/* make or replace: b is its content */
op_fn op_append;	/* add b at its end by O_APPEND */
op_fn op_mkdir;		/* arg: mode */
op_fn op_rmdir;
op_fn op_unlink;
op_fn op_link;		/* b: new name */
op_fn op_symlink;	/* a: target, b: name */
op_fn op_rename;	/* b: new name; arg: renameat2(2)'s flags */
op_fn op_mknod;		/* arg: type and mode; devices are 1:3 */
op_fn op_chmod;		/* arg: mode */
op_fn op_chown;		/* arg: uid */
op_fn op_chgrp;		/* arg: gid */
op_fn op_lchown;	/* arg: uid */
op_fn op_truncate;	/* arg: length */
op_fn op_touch;		/* utimensat(2) to now */
op_fn op_set_times;	/* arg: both times, in seconds */
op_fn op_chdir;		/* and back */
op_fn op_list;		/* opendir(3) and one readdir(3) */
op_fn op_access;	/* arg: R_OK ...; as the real user */
op_fn op_execute;	/* run it: its exit status, or -errno */
op_fn op_umask;		/* a is not used; arg: mask */
op_fn op_sync_file;	/* fsync(2) */

/* Facts; -errno without `a`. */
op_fn op_exists;	/* 0, links not followed */
op_fn op_mode;		/* the permission bits */
op_fn op_type;		/* the S_IFMT bits, links not followed */
op_fn op_nlink;
op_fn op_size;
op_fn op_uid;		/* links not followed */
op_fn op_gid;
op_fn op_blocks;
op_fn op_holds;		/* 1: its content is b */
op_fn op_points;	/* 1: it is a link to b */
op_fn op_same;		/* 1: a and b are one file */

#endif
