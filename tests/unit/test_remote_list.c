/* SPDX-License-Identifier: BSD-3-Clause */
/* Listings of a share in memory: each has a limit, and so have all together, as ls -R and cp -r hold several. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/remote.h"

#define LONGEST 255u
#define MANY 1200000ull		/* names of that length: more than half of what may be kept */

static uint64_t names_left;

int casement_opendir(struct casement_queue *queue, uint64_t node, struct fuse_open_out *out)
{
	(void)queue, (void)node;
	*out = (struct fuse_open_out){ 0 };
	return 0;
}

int casement_releasedir(struct casement_queue *queue, uint64_t node, uint64_t fh)
{
	(void)queue, (void)node, (void)fh;
	return 0;
}

ssize_t casement_readdir(struct casement_queue *queue, uint64_t node, uint64_t fh, uint64_t offset,
			 void *buf, size_t size)
{
	size_t at = 0;

	(void)queue, (void)node, (void)fh, (void)offset;
	while (names_left && at + FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + LONGEST) <= size) {
		struct fuse_dirent *entry = (void *)((char *)buf + at);

		*entry = (struct fuse_dirent){ .off = names_left--, .namelen = LONGEST };
		memset(entry->name, 'n', LONGEST);
		at += FUSE_DIRENT_SIZE(entry);
	}
	return (ssize_t)at;
}

/* List a directory of `n` names: 0 or -errno. */
static int list(struct remote *remote, struct remote_names *names, uint64_t n)
{
	names_left = n;
	return remote_list(remote, CASEMENT_ROOT, names);
}

static void test_listings_have_one_limit(void **state)
{
	struct remote_names outer, inner;
	struct remote remote = { 0 };

	(void)state;
	assert_int_equal(list(&remote, &outer, MANY), 0);
	assert_int_equal(list(&remote, &inner, 3), 0);
	remote_names_free(&remote, &inner);
	assert_int_equal(list(&remote, &inner, MANY), -EFBIG);
	remote_names_free(&remote, &inner);
	remote_names_free(&remote, &outer);
	/* Memory of a listing that was freed can be used again. */
	assert_int_equal(list(&remote, &outer, MANY), 0);
	assert_int_equal(outer.n, MANY);
	remote_names_free(&remote, &outer);
	assert_int_equal(remote.listed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_listings_have_one_limit) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
