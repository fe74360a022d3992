/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counting hostile cases: each has a name of its own, and a suite that ran too
 * few of them has failed, whatever else it says.
 */
#ifndef CASEMENT_TESTS_HOSTILE_CASES_H
#define CASEMENT_TESTS_HOSTILE_CASES_H

/* A case begins; the name is printf's and must be new. Fails the test when it is not. */
void hostile_case(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The name of the current case, for messages. */
const char *hostile_case_name(void);

/* A suite sets this: the least number of cases it must have run. */
extern unsigned int hostile_cases_least;
/* A cmocka test, the last of a suite: prints how many cases ran, fails when too few. */
void test_cases_counted(void **state);

#endif
