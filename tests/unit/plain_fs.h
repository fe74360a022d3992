/* SPDX-License-Identifier: BSD-3-Clause */
/* cmocka's setup and teardown of tests that want a directory of their own, served with the defaults. */
#ifndef CASEMENT_TESTS_UNIT_PLAIN_FS_H
#define CASEMENT_TESTS_UNIT_PLAIN_FS_H

#include "tests/unit/fs_fixture.h"

/* As setup() leaves them; anybody may write to the directory. */
extern struct fixture *f;
extern struct fs *fs;

int setup(void **state);
int teardown(void **state);

#endif
