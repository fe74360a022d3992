/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * Every difference between the kernels that this module is built for. The
 * code is written to 6.12; what a later kernel changed is put right here.
 */
#ifndef CASEMENT_KMOD_COMPAT_H
#define CASEMENT_KMOD_COMPAT_H

#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
#error "casement.ko needs Linux 6.12 or newer"
#endif

#endif
