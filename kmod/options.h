/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* What mount(8) can be told: see the table in README, "Mount options". */
#ifndef CASEMENT_KMOD_OPTIONS_H
#define CASEMENT_KMOD_OPTIONS_H

#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/seq_file.h>

/* dax= */
enum cs_dax_mode {
	CS_DAX_AUTO,		/* what the daemon offers; the default */
	CS_DAX_ALWAYS,		/* every file, whatever the daemon says */
	CS_DAX_NEVER,
};

/* cache= */
enum cs_cache_mode {
	CS_CACHE_AUTO,		/* as long as the daemon says; the default */
	CS_CACHE_ALWAYS,	/* until this guest changes it: nobody else does */
	CS_CACHE_NEVER,		/* nothing is believed, contents go straight to the daemon */
};

/* All zero: the defaults. */
struct cs_options {
	u8 dax;			/* enum cs_dax_mode */
	u8 cache;		/* enum cs_cache_mode */
	u32 timeout;		/* seconds that a reply may take; 0: any time */
	u32 given;		/* a bit for each that was named; see options.c */
};

extern const struct fs_parameter_spec cs_parameters[];

/* Take one over: 0, or -errno, said in the context's log. -ENOPARAM for one that is not ours. */
int cs_options_parse(struct fs_context *fc, struct cs_options *options, struct fs_parameter *param);

/* Those that are not the default, for /proc/mounts. */
void cs_options_show(struct seq_file *file, const struct cs_options *options);

/* -EBUSY, said in the context's log, if one was given that differs from what the mounted one has. */
int cs_options_agree(struct fs_context *fc, const struct cs_options *mounted, const struct cs_options *options);

#endif
