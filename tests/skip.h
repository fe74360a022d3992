/* SPDX-License-Identifier: BSD-3-Clause */
/* A test that is skipped says why: tests/check shows it. After cmocka.h. */
#ifndef CASEMENT_TESTS_SKIP_H
#define CASEMENT_TESTS_SKIP_H

#define SKIP_BECAUSE(reason) \
	do { \
		print_message("[  BECAUSE ] %s: %s\n", __func__, reason); \
		skip(); \
	} while (0)

#endif
