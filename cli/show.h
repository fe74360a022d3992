/* SPDX-License-Identifier: BSD-3-Clause */
/* How files are shown to people. */
#ifndef CASEMENT_CLI_SHOW_H
#define CASEMENT_CLI_SHOW_H

#include <stdint.h>

#include <linux/fuse.h>

/* "-rwxr-xr-x" */
void show_mode(uint32_t mode, char text[11]);
/* "regular file", "directory", … */
const char *show_kind(uint32_t mode);
/* The user's or group's name on this host, or the number. The text is valid until the next call. */
const char *show_user(uint32_t uid);
const char *show_group(uint32_t gid);
/* "2026-01-31 12:00:00.123456789 +0000", local time. */
void show_time(uint64_t seconds, uint32_t nanoseconds, char text[64]);
/* A name on standard output: on a terminal, what could steer it is shown (common/plain.h). */
void show_name(const char *name);

#endif
