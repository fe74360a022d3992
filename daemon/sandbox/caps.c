/* SPDX-License-Identifier: BSD-3-Clause */
/* Which capabilities stay; see caps.h. */
#include "daemon/sandbox/caps.h"

#include <cap-ng.h>
#include <ctype.h>
#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <strings.h>

#include "common/checked.h"

#define NAME_MAX_LEN 32

/* What serving files for users of any id takes: virtiofsd's set. */
static const unsigned int serving[] = {
	CAP_CHOWN,		/* SETATTR of an owner */
	CAP_DAC_OVERRIDE,	/* the guest has checked permissions, by its own users */
	CAP_FOWNER,		/* mode, times, xattrs and sticky directories of anybody's files */
	CAP_FSETID,		/* a set-id bit stays where the guest's kernel lets it; see fs/creds.h */
	CAP_SETGID,		/* new files belong to the guest's caller */
	CAP_SETUID,
	CAP_MKNOD,		/* device nodes: made, never opened */
	CAP_SETFCAP,		/* security.capability */
	CAP_LEASE,		/* who writes to anybody's file, asked for a moment; see fs/op_keep.c */
};

static int capability_number(const char *name)
{
	if (!strncasecmp(name, "cap_", 4))
		name += 4;
	for (int cap = 0; cap <= CAP_LAST_CAP; cap++) {
		const char *known = capng_capability_to_name((unsigned int)cap);

		if (known && !strcasecmp(known, name))
			return cap;
	}
	return -EINVAL;
}

static int modcaps_add(struct modcaps *modcaps, const char *part, size_t len)
{
	char name[NAME_MAX_LEN];
	int cap;

	if (len < 2 || len > sizeof(name) || (part[0] != '+' && part[0] != '-'))
		return -EINVAL;
	memcpy(name, part + 1, len - 1);
	name[len - 1] = '\0';
	cap = capability_number(name);
	if (cap < 0)
		return cap;
	/* The last word on a capability is the one that counts. */
	modcaps->add &= ~CAPS_BIT(cap);
	modcaps->remove &= ~CAPS_BIT(cap);
	*(part[0] == '+' ? &modcaps->add : &modcaps->remove) |= CAPS_BIT(cap);
	return 0;
}

int modcaps_parse(const char *text, struct modcaps *modcaps, char *bad, unsigned int bad_size)
{
	*modcaps = (struct modcaps){ 0 };
	for (;;) {
		size_t len = strcspn(text, ":");

		if (modcaps_add(modcaps, text, len)) {
			len = MIN(len, (size_t)bad_size - 1);
			memcpy(bad, text, len);
			bad[len] = '\0';
			return -EINVAL;
		}
		if (!text[len])
			return 0;
		text += len + 1;
	}
}

uint64_t caps_wanted(const struct modcaps *modcaps, bool file_handles)
{
	uint64_t wanted = file_handles ? CAPS_BIT(CAP_DAC_READ_SEARCH) : 0;

	for (size_t i = 0; i < ARRAY_SIZE(serving); i++)
		wanted |= CAPS_BIT(serving[i]);
	return (wanted | modcaps->add) & ~modcaps->remove;
}

uint64_t caps_held(void)
{
	uint64_t held = 0;

	if (capng_get_caps_process())
		return 0;
	for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
		if (capng_have_capability(CAPNG_PERMITTED, (unsigned int)cap))
			held |= CAPS_BIT(cap);
	return held;
}

int caps_keep(uint64_t keep)
{
	uint64_t held = caps_held();
	capng_select_t sets = CAPNG_SELECT_CAPS | CAPNG_SELECT_AMBIENT;

	/* Only who has CAP_SETPCAP may empty the bounding set; without it there is nothing to gain from it. */
	if (held & CAPS_BIT(CAP_SETPCAP))
		sets |= CAPNG_SELECT_BOUNDS;
	capng_clear(CAPNG_SELECT_ALL);
	for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
		if (keep & held & CAPS_BIT(cap))
			capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, (unsigned int)cap);
	return capng_apply(sets) ? -EPERM : 0;
}
