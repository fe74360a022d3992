/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The whole server on a scratch tree, by sequences of requests. On top of
 * well-formed replies: nothing outside the tree changes, and no descriptor
 * stays open when the file system is gone.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "common/log.h"
#include "daemon/fs/creds.h"
#include "daemon/fs/fs.h"
#include "tests/fuzz/fds.h"
#include "tests/fuzz/requests.h"
#include "tests/fuzz/scratch.h"

/* The first byte of an input. */
#define MODE_READONLY	0x80
#define MODE_WRITEBACK	0x40
#define MODE_CACHE	0x03

static void prepare(void)
{
	static bool done;

	if (done)
		return;
	log_setup("fuzz_server", LOG_LEVEL_OFF);
	scratch_mount();
	/* In a user namespace without groups there is no being everybody. */
	if (creds_setup(UINT64_MAX))
		scratch_skip("ids cannot be taken here");
	done = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_bytes bytes = { data, size };
	uint8_t mode = fuzz_u8(&bytes);
	struct fs_config fs_config = { .readonly = mode & MODE_READONLY, .writeback = mode & MODE_WRITEBACK };
	struct server_config config = {
		.cache = (enum cache_mode)(mode & MODE_CACHE), .timeout_ms = 1000, .readdirplus = true,
		.posix_lock = true, .flock = true, .readonly = fs_config.readonly,
		.writeback = fs_config.writeback,
	};
	unsigned int open_before;
	struct server *server;
	struct fs *fs;

	prepare();
	creds_home();
	scratch_fill();
	open_before = count_fds();
	fs_config.root_fd = open(SCRATCH_SHARE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fs_new(&fs_config, &fs) || server_new(fs, &config, NULL, &server))
		abort();
	requests_run(server, bytes.at, bytes.left, NULL);
	server_free(server);
	fs_free(fs);
	FUZZ_CHECK(count_fds() == open_before, "%u descriptors, %u before", count_fds(), open_before);
	creds_home();
	scratch_check();
	return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed)
{
	if (!size || !max)
		return LLVMFuzzerMutate(data, size, max);
	return 1 + requests_mutate(data + 1, size - 1, max - 1, seed);
}
