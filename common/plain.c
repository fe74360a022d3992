/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Foreign text, made harmless; see plain.h. The characters are decoded here: the C library's
 * functions would load tables for some locales, which a sandbox does not have.
 */
#include "common/plain.h"

#include <langinfo.h>
#include <locale.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "common/checked.h"

static bool plain_utf8;		/* [I] */

/* Characters past ASCII that are commands, not letters. */
static const struct {
	uint32_t first, last;
} commands[] = {
	{ 0x80, 0x9f },			/* C1 controls: CSI, OSC and others in one character */
	{ 0x61c, 0x61c },		/* direction of what follows */
	{ 0x200e, 0x200f },		/* the same */
	{ 0x2028, 0x202e },		/* line and paragraph ends, embeddings and overrides */
	{ 0x2066, 0x206f },		/* isolates, and old format characters */
	{ 0xd800, 0xdfff },		/* halves of UTF-16: no characters */
	{ 0xfeff, 0xfeff },		/* byte order mark */
	{ 0xfff9, 0xfffb },		/* annotations */
	{ 0xfffe, 0xffff },		/* no characters */
	{ 0xe0000, 0xe0fff },		/* tags, and what shows nothing */
};

/* What the first byte of a character says: how long it is, and the least that is written so. */
static const struct {
	uint8_t mask, value;
	uint32_t least;
} leads[] = {
	{ 0xe0, 0xc0, 0x80 }, { 0xf0, 0xe0, 0x800 }, { 0xf8, 0xf0, 0x10000 },
};

void plain_setup(void)
{
	locale_t locale = newlocale(LC_CTYPE_MASK, "", NULL);

	plain_utf8 = locale && !strcmp(nl_langinfo_l(CODESET, locale), "UTF-8");
	if (locale)
		freelocale(locale);
}

static bool is_command(uint32_t character)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (character >= commands[i].first && character <= commands[i].last)
			return true;
	return character > 0x10ffff;
}

/* The length of the character at `text` if it is whole and may be shown as it is, else 0. */
static size_t shown_length(const unsigned char *text, size_t len)
{
	uint32_t character;

	if (*text < 0x80)
		return *text >= ' ' && *text != 0x7f;
	for (size_t i = 0; plain_utf8 && i < ARRAY_SIZE(leads); i++) {
		size_t more = i + 1;

		if ((*text & leads[i].mask) != leads[i].value)
			continue;
		if (more >= len)
			return 0;
		character = *text & (uint8_t)~leads[i].mask;
		for (size_t k = 1; k <= more; k++) {
			if ((text[k] & 0xc0) != 0x80)
				return 0;
			character = character << 6 | (text[k] & 0x3f);
		}
		return character < leads[i].least || is_command(character) ? 0 : 1 + more;
	}
	return 0;
}

/* Write the next of `text` to `to`, which has PLAIN_MAX(1) bytes; *taken bytes it was. */
static size_t next_piece(const unsigned char *text, size_t len, char *to, size_t *taken)
{
	size_t n = shown_length(text, len);

	*taken = n ? n : 1;
	if (n) {
		memcpy(to, text, n);
		return n;
	}
	to[0] = '\\';
	to[1] = (char)('0' + (*text >> 6));
	to[2] = (char)('0' + (*text >> 3 & 7));
	to[3] = (char)('0' + (*text & 7));
	return 4;
}

size_t plain_text(const char *text, size_t len, char *to, size_t size)
{
	size_t done = 0, taken;

	for (size_t at = 0; at < len; at += taken) {
		char piece[PLAIN_MAX(1)];
		size_t n = next_piece((const unsigned char *)text + at, len - at, piece, &taken);

		if (n >= size - done)
			break;
		memcpy(to + done, piece, n);
		done += n;
	}
	to[done] = '\0';
	return done;
}

void plain_put(const char *text, FILE *to)
{
	size_t len = strlen(text), n = 0, taken;
	char piece[512];

	for (size_t at = 0; at < len; at += taken) {
		n += next_piece((const unsigned char *)text + at, len - at, piece + n, &taken);
		if (n + PLAIN_MAX(1) < sizeof(piece) && at + taken < len)
			continue;
		fwrite(piece, 1, n, to);
		n = 0;
	}
}
