/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * posix-check: what Linux promises of files, one assertion a line, so that the
 * same program's output on two file systems can be compared line by line.
 *
 * Output: "ok SUBJECT.NAME", "FAIL SUBJECT.NAME: got X want Y" or "skip
 * SUBJECT.NAME: why", always in the same order. Names are unique (a second one
 * ends the program). Not for threads.
 */
#ifndef CASEMENT_TESTS_POSIX_CHECK_H
#define CASEMENT_TESTS_POSIX_CHECK_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

struct subject {
	const char *name;
	bool needs_root;	/* it is several users, or makes devices */
	void (*run)(void);	/* in a new, empty directory of its own */
};

/* Every subject of this program, in the order in which they run (main.c). */
extern const struct subject subject_acl, subject_append, subject_chown, subject_copy, subject_dir,
	subject_hole, subject_io, subject_link, subject_lock, subject_mmap, subject_name,
	subject_open, subject_perm, subject_rename, subject_setid, subject_special, subject_stat,
	subject_symlink, subject_time, subject_tmpfile, subject_truncate, subject_unlink,
	subject_xattr;

/* Names that follow are those of this subject. */
void check_begin(const struct subject *subject);

/* One assertion: `got` is `want`. Negative numbers are shown as errors. */
void check(long got, long want, const char *name, ...) __attribute__((format(printf, 3, 4)));

/* An assertion that cannot be made here. */
void check_skip(const char *why, const char *name, ...) __attribute__((format(printf, 2, 3)));

/* How many there were of each. */
unsigned int check_failures(void);
unsigned int check_count(void);

/* A system call's result, or its error as a negative number. */
static inline long rc(long result)
{
	return result < 0 ? -errno : result;
}

#endif
