/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* Mount options; see options.h. */
#include "options.h"

/* What `timeout=` may be at most: a day. */
#define TIMEOUT_MOST 86400

enum option { OPTION_DAX, OPTION_CACHE, OPTION_TIMEOUT };

static const struct constant_table dax_modes[] = {
	{ "always", CS_DAX_ALWAYS },
	{ "auto", CS_DAX_AUTO },
	{ "inode", CS_DAX_AUTO },
	{ "never", CS_DAX_NEVER },
	{ },
};

static const struct constant_table cache_modes[] = {
	{ "always", CS_CACHE_ALWAYS },
	{ "auto", CS_CACHE_AUTO },
	{ "never", CS_CACHE_NEVER },
	{ },
};

const struct fs_parameter_spec cs_parameters[] = {
	fsparam_enum("dax", OPTION_DAX, dax_modes),
	fsparam_enum("cache", OPTION_CACHE, cache_modes),
	fsparam_u32("timeout", OPTION_TIMEOUT),
	{ },
};

int cs_options_parse(struct fs_context *fc, struct cs_options *options, struct fs_parameter *param)
{
	struct fs_parse_result result;
	int option = fs_parse(fc, cs_parameters, param, &result);

	if (option < 0)
		return option;
	options->given |= BIT(option);
	switch (option) {
	case OPTION_DAX:
		options->dax = result.uint_32;
		break;
	case OPTION_CACHE:
		options->cache = result.uint_32;
		break;
	case OPTION_TIMEOUT:
		if (result.uint_32 > TIMEOUT_MOST)
			return invalf(fc, "casement: timeout=%u: at most %u seconds, or 0 for none",
				       result.uint_32, TIMEOUT_MOST);
		options->timeout = result.uint_32;
		break;
	}
	return 0;
}

/* The name of a mode that is not the default. */
static const char *name_of(const struct constant_table *modes, u8 mode)
{
	while (modes->value != mode)
		modes++;
	return modes->name;
}

void cs_options_show(struct seq_file *file, const struct cs_options *options)
{
	if (options->dax != CS_DAX_AUTO)
		seq_printf(file, ",dax=%s", name_of(dax_modes, options->dax));
	if (options->cache != CS_CACHE_AUTO)
		seq_printf(file, ",cache=%s", name_of(cache_modes, options->cache));
	if (options->timeout)
		seq_printf(file, ",timeout=%u", options->timeout);
}

int cs_options_agree(struct fs_context *fc, const struct cs_options *mounted, const struct cs_options *options)
{
	const char *differs = NULL;

	if ((options->given & BIT(OPTION_DAX)) && options->dax != mounted->dax)
		differs = "dax";
	if ((options->given & BIT(OPTION_CACHE)) && options->cache != mounted->cache)
		differs = "cache";
	if ((options->given & BIT(OPTION_TIMEOUT)) && options->timeout != mounted->timeout)
		differs = "timeout";
	if (!differs)
		return 0;
	errorf(fc, "casement: it is mounted with another %s=; unmount it everywhere to change that", differs);
	return -EBUSY;
}
