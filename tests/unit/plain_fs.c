/* SPDX-License-Identifier: BSD-3-Clause */
/* One file system a test; see plain_fs.h. */
#include "tests/unit/plain_fs.h"

#include <sys/stat.h>

struct fixture *f;
struct fs *fs;

int setup(void **state)
{
	(void)state;
	f = fixture_new(NULL);
	fs = f->fs;
	return chmod(f->dir, 0777);
}

int teardown(void **state)
{
	(void)state;
	fixture_free(f);
	return 0;
}
