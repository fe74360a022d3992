/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A small tmpfs of this process alone, with a share in it and a secret beside
 * the share. Whatever a fuzzer does in the share, the secret stays as it was.
 */
#ifndef CASEMENT_TESTS_FUZZ_SCRATCH_H
#define CASEMENT_TESTS_FUZZ_SCRATCH_H

#define SCRATCH_SHARE "/mnt/share"

/* Once. Ends the process with status 77 where no mount can be had. */
void scratch_mount(void);
/* End the process with that status, having said why. */
_Noreturn void scratch_skip(const char *why);
/* Bring the share back to its first state: a few files, folders and links. */
void scratch_fill(void);
/* Abort unless all outside the share is as it was. */
void scratch_check(void);

#endif
