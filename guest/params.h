/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What `casement run` and the guest's init tell each other: parameters through a file in the
 * folder that the guest boots from and cannot change (virtio-fs tag GUEST_BOOT_TAG), the rest
 * by lines through a port.
 *
 * The parameters file is a list of "key=value" records, each ended by a NUL:
 *
 *   root=ro | rw | cow            how the root file system is mounted; cow: below what is changed in memory
 *   modules=                      the share GUEST_MODULES_TAG has what belongs into /lib/modules
 *   fs=casement                   the root's type, by casement.ko; without: virtiofs
 *   ports=serial                  the ports are serial lines; without: a virtio console's
 *   hostname=NAME
 *   terminal=ROWSxCOLUMNS         the command gets a terminal; without: pipes
 *   mount=TYPE,TAG,ro|rw,OPTIONS/NAME  a share, mounted at GUEST_MOUNT_DIR/NAME; in order
 *   reboot=                       the ports may have input for the command of an earlier boot
 *   systemd=                      the root's systemd is the first process, and the command a service of it
 *   load=NAME                     a module that is of use, if there is one
 *   net=                          there is a network, GUEST_NET_NET
 *   user=NAME:UID:GID:HOME:SHELL  whom the command runs as; without: root
 *   group=NAME:GID                the groups of that user
 *   cwd=DIR                       where the command starts; relative: from the first share, else HOME
 *   env=NAME=VALUE
 *   arg=WORD                      the command, word by word
 *
 * The guest says "clock" before the command runs, and the host answers "clock SECONDS NANOSECONDS", its time.
 * The guest says "started" when the command runs; with reboot= "started MARK", and the host's input
 * for it begins behind that mark. Where the ports are serial lines it says "took
 * BYTES", how many of its input it has read from the port: the host sends GUEST_LINE_ROOM more than
 * that at most. User-mode Linux never reads from a line again once its buffer was full. The guest
 * says "exit STATUS OUT ERR" or "failed TEXT" when it is done; OUT and ERR are the bytes that it
 * sent through these ports. The last such line counts. The host says "size ROWSxCOLUMNS" when the
 * terminal's size has changed, "input-end BYTES" when the input is at its end and has that many
 * bytes in all, and "done" when it has all of the guest's output. Then the guest powers off.
 */
#ifndef CASEMENT_GUEST_PARAMS_H
#define CASEMENT_GUEST_PARAMS_H

#include <stdbool.h>
#include <stddef.h>

#define GUEST_BOOT_TAG "casement.boot"
#define GUEST_ROOT_TAG "casement.root"
#define GUEST_MODULES_TAG "casement.modules"
#define GUEST_ROOT_MOUNT "newroot"	/* folders in the boot share */
#define GUEST_COW_MOUNT "cow"
#define GUEST_MODULES_MOUNT "modules"
#define GUEST_PARAMS_FILE "params"
#define GUEST_MODULE_FILE "casement.ko"	/* in the boot share, where it is wanted */
#define GUEST_LOG_PREFIX "casement-init: "	/* of its lines in the kernel's log */
#define GUEST_STATUS_CLOCK "clock"
#define GUEST_STATUS_STARTED "started"
#define GUEST_STATUS_TOOK "took "
#define GUEST_STATUS_EXIT "exit "
#define GUEST_STATUS_FAILED "failed "
#define GUEST_TOLD_CLOCK "clock "
#define GUEST_TOLD_SIZE "size "
#define GUEST_TOLD_INPUT_END "input-end "
#define GUEST_TOLD_DONE "done"
#define GUEST_MARK_MAX 32	/* bytes, with a NUL */
#define GUEST_LINE_ROOM 2048	/* bytes of input on their way through a serial line */
#define GUEST_MOUNT_DIR "/mnt"
#define GUEST_MOUNTS_MAX 32
#define GUEST_PARAMS_MAX (4U << 20)	/* bytes; above Linux's limit for a command's words */

/* Names of a virtio console's ports. */
#define GUEST_PORT_OUT "casement.out"	/* the command's output, or its terminal's */
#define GUEST_PORT_ERR "casement.err"	/* its errors, where it has no terminal */
#define GUEST_PORT_IN "casement.in"	/* its input */
#define GUEST_PORT_INIT "casement.init"	/* the lines */
/*
 * A shell's terminal; not with serial lines. Its bytes and, between them, words (common/stuffed.h): the host
 * begins with GUEST_CONSOLE_OPEN "NONCE ROWSxCOLUMNS TERM", and the shell with GUEST_CONSOLE_OPEN "NONCE" (what
 * comes before that was for another). GUEST_CONSOLE_SIZE "ROWSxCOLUMNS" follows a change, and
 * GUEST_CONSOLE_END "STATUS" is the shell's end. GUEST_CONSOLE_SENT follows some output, and before the next
 * the host says GUEST_CONSOLE_GOT: QEMU keeps a buffer for good that it has not written when the host's
 * program leaves, and the port takes no more then.
 */
#define GUEST_PORT_CONSOLE "casement.console"
#define GUEST_CONSOLE_OPEN "open "
#define GUEST_CONSOLE_SIZE "size "
#define GUEST_CONSOLE_END "end "
#define GUEST_CONSOLE_SENT "sent"
#define GUEST_CONSOLE_GOT "got"

/* The same by serial lines. ttyS0 is always the kernel's log. */
#define GUEST_TTY_OUT "/dev/ttyS1"
#define GUEST_TTY_ERR "/dev/ttyS2"
#define GUEST_TTY_IN "/dev/ttyS3"
#define GUEST_TTY_INIT "/dev/ttyS4"

/* The network of QEMU's user mode. */
#define GUEST_NET_NET "10.0.2.0/24"
#define GUEST_NET_MASK "255.255.255.0"
#define GUEST_NET_ADDRESS "10.0.2.15"
#define GUEST_NET_HOST "10.0.2.2"
#define GUEST_NET_DNS "10.0.2.3"

struct guest_mount {
	const char *type;	/* "virtiofs", "casement" or "9p" */
	const char *tag;
	bool readonly;
	const char *options;	/* for mount(2), may be empty */
	const char *name;	/* its folder in GUEST_MOUNT_DIR */
};

struct guest_user {
	const char *name, *home, *shell;
	unsigned int uid, gid;
};

struct guest_group {
	const char *name;	/* may be empty */
	unsigned int gid;
};

/* All strings point into `text`. */
struct guest_params {
	char *text;
	bool root_readonly, root_cow;
	bool modules;		/* they are in a share of their own */
	const char *fs;		/* of the root: "virtiofs" or "casement" */
	bool serial;		/* the ports are serial lines */
	const char *hostname;
	bool terminal;
	unsigned short rows, columns;
	struct guest_mount mounts[GUEST_MOUNTS_MAX];
	unsigned int n_mounts;
	bool reboot;		/* a mark divides the input from that of an earlier boot */
	bool systemd;
	const char *load;	/* a module, or NULL */
	bool net;
	struct guest_user user;	/* name NULL: root */
	struct guest_group *groups;
	size_t n_groups;
	const char *cwd;	/* NULL: where it is */
	char **env;		/* NULL-terminated */
	char **argv;		/* NULL-terminated */
};

/*
 * Read and parse a parameters file. 0, or -errno (-EINVAL: a record that is
 * not understood). What it allocates lives as long as the guest.
 */
int guest_params_read(const char *path, struct guest_params *params);

#endif
