/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Text of others for people: names in a share, a guest's last words, a peer's messages. What
 * could steer a terminal, forge a line or change the order of what is read is shown byte by
 * byte as \ooo.
 */
#ifndef CASEMENT_COMMON_PLAIN_H
#define CASEMENT_COMMON_PLAIN_H

#include <stddef.h>
#include <stdio.h>

/* How many bytes `len` bytes may become, without the NUL. */
#define PLAIN_MAX(len) (4 * (len))

/*
 * Learn whether this user's characters are UTF-8; else all but ASCII is shown as \ooo. Before
 * threads, and before a change of root. Without a call they are not.
 */
void plain_setup(void);

/*
 * Write `len` bytes of `text` to `to` so that a terminal shows them and nothing else happens.
 * Stops before what does not fit in `size` bytes, and ends with a NUL. The length written.
 */
size_t plain_text(const char *text, size_t len, char *to, size_t size);

/* The same to a stream. */
void plain_put(const char *text, FILE *to);

#endif
