/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Decoding, handlers and replies above a file system that only remembers. On
 * top of well-formed replies: no name that is not one path component gets below.
 */
#include <string.h>

#include "common/log.h"
#include "tests/fuzz/requests.h"
#include "tests/unit/fake_fs.h"

static bool is_component(const char *name)
{
	return *name && strlen(name) <= NAME_MAX && !strchr(name, '/') && strcmp(name, ".") &&
	       strcmp(name, "..");
}

static void check_names(uint32_t opcode)
{
	FUZZ_CHECK(!*fake.name || is_component(fake.name), "opcode %u: \"%s\"", opcode, fake.name);
	if (fake.last && !strcmp(fake.last, "fs_rename"))
		FUZZ_CHECK(is_component(fake.name2), "\"%s\"", fake.name2);
	FUZZ_CHECK(fake.caller.n_groups <= FS_GROUPS_MAX, "opcode %u", opcode);
	FUZZ_CHECK(fake.waits >= 0, "opcode %u", opcode);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct server_config config = {
		.cache = CACHE_AUTO, .timeout_ms = 1000, .readdirplus = true, .posix_lock = true,
		.flock = true, .xattr = true, .posix_acl = DEMAND_AUTO, .security_label = DEMAND_AUTO,
	};
	struct fuzz_bytes bytes = { data, size };
	uint8_t first = fuzz_u8(&bytes);
	struct server *server;

	log_setup("fuzz_decode", LOG_LEVEL_OFF);
	fake_clear();
	/* The first byte is how the layers below answer. */
	fake.dirents = first & 31;
	fake.dirent_name_len = 1 + (first & 7) * 36;
	fake.result = first & 64 ? -(int64_t)first : 0;
	fake_window.present = first & 32;
	config.readonly = first & 128;
	if (server_new(NULL, &config, &fake_window_ops, &server))
		abort();
	requests_run(server, bytes.at, bytes.left, check_names);
	server_free(server);
	return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed)
{
	if (!size || !max)
		return LLVMFuzzerMutate(data, size, max);
	return 1 + requests_mutate(data + 1, size - 1, max - 1, seed);
}
