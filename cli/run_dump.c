/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guest's memory in a file; see run_dump.h. QEMU does not end with its machine then: it waits until
 * it is told what to do, with the memory and the processors as the guest left them. It gets the file as
 * a descriptor, and opens none.
 */
#include "cli/run_dump.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/run_machine.h"
#include "common/cleanup.h"
#include "common/log.h"

int run_dump_check(const struct run_config *config)
{
	cleanup_free char *copy = config->dump ? strdup(config->dump) : NULL;
	struct stat st;
	int err = 0;

	if (!copy)
		return config->dump ? -ENOMEM : 0;
	if (!stat(config->dump, &st))
		err = !S_ISREG(st.st_mode) ? -EINVAL : access(config->dump, W_OK) ? -errno : 0;
	else if (errno != ENOENT || access(dirname(copy), W_OK | X_OK))
		err = -errno;
	if (err)
		log_error("--dump %s: %s; name a file", config->dump, err == -EINVAL ? "not a regular file" : strerror(-err));
	return err;
}

/* QEMU keeps a descriptor of its own. */
static void start(struct machine *machine)
{
	const char *path = machine->config->dump;
	/* It may have become a pipe meanwhile, whose reader would be waited for. */
	cleanup_close int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
	int err = file < 0 ? -errno : events_dump(&machine->events, file);

	machine->dump.asked = false;
	machine->dump.writing = !err;
	if (err)
		log_error("--dump %s: cannot be written: %s", path, strerror(-err));
	else
		log_info("writing the guest's memory to %s", path);
}

/* A part of the memory is of no use, and may have filled the disk. */
static void give_up(struct machine *machine, const char *why)
{
	log_error("--dump %s: the guest's memory was not written: %s", machine->config->dump, why);
	if (unlink(machine->config->dump))
		log_warn("--dump %s: cannot be removed: %s", machine->config->dump, strerror(errno));
	machine->dump.writing = false;
}

static void take_answer(struct machine *machine)
{
	if (!machine->events.answered)
		return;
	if (machine->events.refused)
		give_up(machine, machine->events.refusal);
	else
		log_info("the guest's memory is in %s", machine->config->dump);
	machine->dump.writing = false;
}

/* All that the guest's kernel said is known. */
static void end(struct machine *machine)
{
	struct run_dump *dump = &machine->dump;

	if (machine->kernel_log.said[RUN_LOG_PANIC] && !dump->of_panic) {
		dump->of_panic = true;
		start(machine);
	}
	if (dump->writing)
		return;
	dump->quits = true;
	events_quit(&machine->events);
}

void run_dump_move(struct machine *machine)
{
	struct run_dump *dump = &machine->dump;

	if (!machine->config->dump || machine->events.fd < 0)
		return;
	if (dump->writing)
		take_answer(machine);
	if (dump->writing || dump->quits)
		return;
	if (!machine->events.down && dump->asked)
		start(machine);
	else if (machine->events.down && run_log_is_empty(&machine->kernel_log))
		end(machine);
}

void run_dump_close(struct machine *machine)
{
	if (machine->dump.writing)
		give_up(machine, machine->signal ? "this program was ended" : "QEMU ended");
	machine->dump = (struct run_dump){ .asked = false };
}
