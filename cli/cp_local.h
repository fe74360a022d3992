/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What casement cp makes on this host, where somebody else says what: below the
 * word that the user named no link is followed, whoever made it, and nothing but
 * files, directories and links is opened.
 */
#ifndef CASEMENT_CLI_CP_LOCAL_H
#define CASEMENT_CLI_CP_LOCAL_H

#include <stdbool.h>
#include <sys/types.h>

/* Where one thing goes. */
struct cp_target {
	int dir;		/* a descriptor, or AT_FDCWD: borrowed */
	const char *name;	/* in it: one name, but for a word of the command line */
	const char *shown;	/* the same as messages say it */
	/* `name` is TARGET itself, and no directory: a link there is the user's own, and so is a device. */
	bool named;
};

/*
 * Open a file to be written from its start on, and make it where there is none; with `cut`, what is in it goes.
 * A named FIFO without a reader is -ENXIO. The descriptor, the caller's, or -errno.
 */
int cp_open_file(const struct cp_target *to, mode_t mode, bool cut);
/* Open a directory, and make it where there is none. The descriptor, the caller's, or -errno. */
int cp_open_dir(const struct cp_target *to, mode_t mode);
/* Make a symbolic link, in place of a file or link that is there. 0 or -errno. */
int cp_make_link(const struct cp_target *to, const char *target);

#endif
