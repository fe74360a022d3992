/* SPDX-License-Identifier: BSD-3-Clause */
/* Giving the guest's devices to casement.ko instead of the kernel's own driver. */
#ifndef CASEMENT_GUEST_DRIVER_H
#define CASEMENT_GUEST_DRIVER_H

/*
 * Take every virtio-fs device but the boot share's from the kernel's driver and load
 * casement.ko from the boot share, which then has them. Before the root is mounted;
 * does not return on an error.
 */
void driver_take(void);

/* When the root has changed: the boot share's device, too. The kernel's driver would keep the guest from being suspended. */
void driver_take_boot(void);

#endif
