/* SPDX-License-Identifier: BSD-3-Clause */
/* QEMU's command line; see run_qemu.h. */
#include "cli/run_qemu.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "cli/run_net.h"
#include "common/cleanup.h"
#include "guest/params.h"

#define VIRTIO_ID_FS 26
#define FS_CONFIG_SIZE 40	/* of struct virtio_fs_config: tag and number of queues */
#define QUEUE_SIZE 1024
#define DEFAULT_CPUS 2ULL
/*
 * The timer interrupt of a second emulated processor can be lost while it is
 * brought up on a busy host; the guest then panics, or waits for ever.
 */
#define DEFAULT_CPUS_EMULATED 1ULL
/*
 * Several emulated processors take turns on one thread. On a thread each, they can run code that
 * another has just changed as it was before; a kernel that patches itself then dies ("int3").
 */
#define EMULATED "tcg,thread=single"

bool run_share_has_window(const struct run_parts *parts, const struct run_share *share)
{
	return parts->window && !share->readonly && !share->is_9p;
}

unsigned int run_count_windows(const struct run_config *config, const struct run_parts *parts)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < config->n_shares; i++)
		n += run_share_has_window(parts, &config->shares[i]);
	return n;
}

bool run_reboots_anew(const struct run_config *config, const struct run_parts *parts)
{
	return config->reboot && (config->dump || run_count_windows(config, parts));
}

static void add_machine(const struct run_config *config, const struct run_parts *parts,
			struct words *words)
{
	unsigned long long memory = config->memory >> 20;

	words_add(words, "%s", parts->qemu);
	words_option(words, "-name", "casement");
	words_add(words, "-nodefaults");
	words_add(words, "-no-user-config");
	if (parts->sandbox)
		words_option(words, "-sandbox", "%s", RUN_QEMU_SANDBOX);
	words_option(words, "-display", "none");
	run_net_words(config, words);
	words_option(words, "-machine", "q35,memory-backend=memory");
	words_option(words, "-accel", parts->kvm ? "kvm" : EMULATED);
	/* Without the flags by which a kernel copies and zeroes by "rep movsb": emulated byte by byte. */
	words_option(words, "-cpu", parts->kvm ? "host" : "max,erms=off,fsrm=off");
	words_option(words, "-smp", "%llu", config->cpus ? (unsigned long long)config->cpus :
		     parts->kvm ? DEFAULT_CPUS : DEFAULT_CPUS_EMULATED);
	words_option(words, "-m", "%lluM", memory);
	/* The daemons read and write requests where the guest has them. */
	words_option(words, "-object", "memory-backend-memfd,id=memory,size=%lluM,share=on", memory);
	if (!config->reboot || run_reboots_anew(config, parts))
		words_add(words, "-no-reboot");
	if (!config->dump)
		return;
	/* It waits at the machine's end, whose memory is there then. The device takes a note of the kernel's for the core. */
	words_add(words, "-no-shutdown");
	words_option(words, "-device", "vmcoreinfo");
}

/*
 * For an emulated guest. Its kernel counts ticks at start, and can miss them on a busy host. And
 * QEMU keeps what it translated of a page of code until the guest writes to that page, but does
 * not see a daemon write to it: a page that held other code before would run as that code. The
 * zeros that the kernel writes to each page it hands out make QEMU forget. The kernel's tests of
 * its own ciphers would be a fifth of the time that it takes to boot. A processor that a busy host
 * lets stand still is no lockup before two minutes, the longest that its watchdog knows, and no
 * stall of RCU before five, the longest that one knows.
 */
#define APPEND_EMULATED							\
	" no_timer_check init_on_alloc=1 cryptomgr.notests watchdog_thresh=60"	\
	" rcupdate.rcu_cpu_stall_timeout=300"

/* For systemd: no disk of the host's is here, and no console for a login. A crash of it is the end. */
#define APPEND_SYSTEMD " systemd.unit=multi-user.target systemd.crash_reboot=1 systemd.gpt_auto=no systemd.getty_auto=no fstab=no"

/* panic=-1: a dead kernel resets the machine at once, and that ends QEMU. */
static void add_kernel(const struct run_config *config, const struct run_parts *parts,
		       struct words *words)
{
	words_option(words, "-kernel", "%s", parts->kernel);
	words_option(words, "-append",
		     "root=" GUEST_BOOT_TAG " rootfstype=virtiofs ro init=/init console=ttyS0 panic=-1%s%s%s%s%s",
		     parts->kvm ? "" : APPEND_EMULATED, config->gdb || config->dump ? " nokaslr" : "",
		     config->systemd ? APPEND_SYSTEMD : "", config->append ? " " : "", config->append ? config->append : "");
}

/* Of the virtio console's ports the first, 0, would be a console. */
static void add_port(const char *name, int fd, unsigned int number, struct words *words)
{
	const char *listens = strcmp(name, GUEST_PORT_CONSOLE) ? "" : ",server=on,wait=off";

	words_option(words, "-chardev", "socket,id=%s,fd=%d%s", name, fd, listens);
	words_option(words, "-device", "virtserialport,bus=ports.0,nr=%u,chardev=%s,name=%s", number, name, name);
}

/*
 * The kernel's log goes through a serial port, which it has from its first line on. What the guest tells of by
 * itself comes last: init waits for that port, and all are there then.
 */
static void add_ports(const struct run_qemu_fds *fds, struct words *words)
{
	words_option(words, "-add-fd", "fd=%d,set=1", fds->log);
	words_option(words, "-chardev", "file,id=log,append=on,path=/dev/fdset/1");
	words_option(words, "-serial", "chardev:log");
	words_option(words, "-device", "virtio-serial-pci,id=ports,max_ports=6");
	add_port(GUEST_PORT_OUT, fds->out, 1, words);
	add_port(GUEST_PORT_ERR, fds->err, 2, words);
	add_port(GUEST_PORT_IN, fds->in, 3, words);
	add_port(GUEST_PORT_CONSOLE, fds->console, 4, words);
	add_port(GUEST_PORT_INIT, fds->init, 5, words);
}

/* A device of its own kind: its front end in QEMU knows tag and queues, and has no window. */
static void add_fs(const struct run_control *control, const char *socket, const char *tag,
		   unsigned long long queues, struct words *words)
{
	cleanup_free char *escaped = NULL;
	char path[PATH_MAX];

	control_path(control, socket, path, sizeof(path));
	escaped = words_escape_commas(path);
	words_option(words, "-chardev", "socket,id=%s,path=%s", socket, escaped);
	words_option(words, "-device",
		     "vhost-user-fs-pci,chardev=%s,tag=%s,queue-size=%d,num-request-queues=%llu",
		     socket, tag, QUEUE_SIZE, queues);
}

/* QEMU's generic device: all it knows comes from the daemon, a window too. */
static void add_fs_with_window(const struct run_control *control, const char *socket,
			       unsigned long long queues, struct words *words)
{
	cleanup_free char *escaped = NULL;
	char path[PATH_MAX];

	control_path(control, socket, path, sizeof(path));
	escaped = words_escape_commas(path);
	words_option(words, "-chardev", "socket,id=%s,path=%s", socket, escaped);
	words_option(words, "-device",
		     "vhost-user-test-device-pci,chardev=%s,virtio-id=%d,num_vqs=%llu,vq_size=%d,config_size=%d",
		     socket, VIRTIO_ID_FS, 1 + queues, QUEUE_SIZE, FS_CONFIG_SIZE);
}

static void add_9p(const struct run_share *share, unsigned int i, struct words *words)
{
	cleanup_free char *escaped = words_escape_commas(share->dir);

	words_option(words, "-fsdev", "local,id=p%u,path=%s,security_model=none,multidevs=remap%s", i,
		     escaped, share->readonly ? ",readonly=on" : "");
	words_option(words, "-device", "virtio-9p-pci,fsdev=p%u,mount_tag=%s", i, share->tag);
}

static void add_shares(const struct run_config *config, const struct run_parts *parts,
		       const struct run_control *control, struct words *words)
{
	for (unsigned int i = 0; i < config->n_shares; i++) {
		const struct run_share *share = &config->shares[i];
		char socket[32];

		snprintf(socket, sizeof(socket), RUN_SHARE_SOCKET, i);
		if (share->is_9p)
			add_9p(share, i, words);
		else if (run_share_has_window(parts, share))
			add_fs_with_window(control, socket, config->queues, words);
		else
			add_fs(control, socket, share->tag, config->queues, words);
	}
}

void run_qemu_words(const struct run_config *config, const struct run_parts *parts,
		    const struct run_control *control, const struct run_qemu_fds *fds,
		    struct words *words)
{
	add_machine(config, parts, words);
	add_kernel(config, parts, words);
	add_ports(fds, words);
	words_option(words, "-chardev", "socket,id=events,fd=%d", fds->events);
	words_option(words, "-qmp", "chardev:events");
	if (fds->gdb >= 0) {
		words_option(words, "-chardev", "socket,id=gdb,fd=%d,server=on,wait=off", fds->gdb);
		words_option(words, "-gdb", "chardev:gdb");
	}
	add_fs(control, RUN_BOOT_SOCKET, GUEST_BOOT_TAG, 1, words);
	add_fs(control, RUN_ROOT_SOCKET, GUEST_ROOT_TAG, 1, words);
	if (parts->modules)
		add_fs(control, RUN_MODULES_SOCKET, GUEST_MODULES_TAG, 1, words);
	add_shares(config, parts, control, words);
	if (config->monitor) {
		cleanup_free char *escaped = words_escape_commas(config->monitor);

		words_option(words, "-qmp", "unix:%s,server=on,wait=off", escaped);
	}
}
