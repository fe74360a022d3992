/* SPDX-License-Identifier: BSD-3-Clause */
/* Inode numbers of several file systems in one; see file_number.h. */
#include "daemon/fs/file_number.h"

#include "common/mix.h"

/*
 * A mixed number begins with the bits that are named here, and one that is given
 * unmixed with none of these. Nearly all are of the first two kinds, which are below
 * 2^53: a program whose numbers are floating-point (JavaScript) tells them apart.
 */
#define ANONYMOUS (2ULL << 51)	/* 16 bits of minor, 35 of number: tmpfs, Btrfs, overlayfs, network */
#define OF_A_DISK (3ULL << 51)	/* 10 bits of major, 9 of minor, 32 of number */
#define ANY_EXACT (1ULL << 63)	/* 32 bits of device, 31 of number */
#define ANY_MIXED (1ULL << 62)	/* 62 bits of both */

uint64_t file_number_mixed(uint64_t seed, uint32_t device, uint64_t ino)
{
	uint32_t major = device >> 20, minor = device & 0xfffff;

	if (!major && !(minor >> 16) && !(ino >> 35))
		return ANONYMOUS | (uint64_t)minor << 35 | ino;
	if (major && !(major >> 10) && !(minor >> 9) && !(ino >> 32))
		return OF_A_DISK | (uint64_t)major << 41 | (uint64_t)minor << 32 | ino;
	if (!(ino >> 31))
		return ANY_EXACT | (uint64_t)device << 31 | ino;
	return ANY_MIXED | mix64(mix64(ino + seed) ^ device) >> 2;
}

bool file_number_is_like_mixed(uint64_t ino)
{
	return ino >> 52 == 1 || ino & (ANY_EXACT | ANY_MIXED);
}
