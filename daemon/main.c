/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * casementd: start-up in plain order. Reads the options, opens the socket,
 * forks the process that serves (sandbox/), which makes the share (share.c),
 * shuts itself in, waits for a VMM, serves it, and ends when it leaves, or
 * waits for the next.
 */
#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/config.h"
#include "daemon/ending.h"
#include "daemon/fs/creds.h"
#include "daemon/fs/fs.h"
#include "daemon/listener.h"
#include "daemon/sandbox/process.h"
#include "daemon/sandbox/sandbox.h"
#include "daemon/share.h"
#include "daemon/transport/sigbus.h"

#define EXIT_USAGE 2
#define DEFAULT_NOFILE 1000000

static void raise_nofile(const struct config *config)
{
	struct rlimit limit;
	rlim_t wanted = config->rlimit_nofile == UINT64_MAX ? DEFAULT_NOFILE : config->rlimit_nofile;

	if (!wanted || getrlimit(RLIMIT_NOFILE, &limit))
		return;
	if (wanted > limit.rlim_max) {
		struct rlimit both = { wanted, wanted };

		if (!setrlimit(RLIMIT_NOFILE, &both))
			return;
		if (config->rlimit_nofile != UINT64_MAX)
			log_warn("--rlimit-nofile %llu: not allowed; it is %llu",
				 (unsigned long long)wanted, (unsigned long long)limit.rlim_max);
		wanted = limit.rlim_max;
	}
	limit.rlim_cur = wanted;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* With fewer a guest that walks through a tree comes to the end of them: files are let go all the time then. */
#define MANY_FILES 65536

/* Who takes casementd over has the whole host anyway: nothing is lost by file handles (SECURITY.md). */
static bool has_walls(const struct sandbox_config *sandbox)
{
	const uint64_t as_good_as_root = CAPS_BIT(CAP_SYS_ADMIN) | CAPS_BIT(CAP_DAC_READ_SEARCH);

	return sandbox->mode != SANDBOX_NONE && !(sandbox_keeps(sandbox) & as_good_as_root);
}

/*
 * Handles weaken the sandbox, so that without being asked for they are used only
 * where there is none, or hardly, and a guest would soon come to the end of files.
 */
static void choose_handles(struct config *config)
{
	uint64_t needed = CAPS_BIT(CAP_DAC_READ_SEARCH);
	struct rlimit limit;
	bool few;

	config->ids_stay = config->inode_file_handles == FS_HANDLES_NEVER;
	if (config->inode_file_handles != FS_HANDLES_AUTO)
		return;
	few = config->rlimit_nofile == UINT64_MAX && !getrlimit(RLIMIT_NOFILE, &limit) &&
	      limit.rlim_cur < MANY_FILES;
	config->file_handles_late = few && caps_held() & needed && !has_walls(&config->sandbox);
	config->inode_file_handles = config->file_handles_late ? FS_HANDLES_PREFER : FS_HANDLES_NEVER;
	config->sandbox.file_handles = config->file_handles_late;
}

/*
 * Signals that end us become readable; SIGPIPE and SIGXFSZ are error returns.
 * SIGIO says that a lease stands in somebody's way: it is given back anyway.
 */
static int signals_setup(void)
{
	sigset_t set;
	int fd;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGIO, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return -errno;
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

static int open_listener(const struct config *config, struct listener *listener)
{
	if (config->socket_path)
		return listener_open(listener, config->socket_path, config->socket_group);
	return listener_adopt(listener, (int)config->fd);
}

static void refuse_another(void *ctx)
{
	listener_refuse(ctx);
}

static int serve_one(const struct config *config, struct share *share, struct listener *listener,
		     int sock, int stop_fd)
{
	struct vu_bystander door = { .fd = -1, .ready = refuse_another, .ctx = listener };

	/* One VMM is served; another is refused at once instead of waiting for ever. */
	if (config->persist)
		door.fd = listener->fd;
	else
		listener_deafen(listener);
	return share_serve(share, sock, stop_fd, &door);
}

static bool was_stopped(int stop_fd)
{
	struct pollfd pfd = { .fd = stop_fd, .events = POLLIN };

	return poll(&pfd, 1, 0) > 0;
}

/* One VMM, or one after the other. */
static int serve_all(const struct config *config, struct share *share, struct listener *listener,
		     int stop_fd)
{
	int err;

	umask(0);
	do {
		cleanup_close int sock = -1;

		log_info("sharing %s%s; waiting for the VMM", config->shared_dir,
			 config->readonly ? " (read-only)" : "");
		sock = listener_accept(listener, stop_fd);
		err = sock;
		if (sock < 0)
			break;
		err = serve_one(config, share, listener, sock, stop_fd);
		/* What one VMM did wrong is not the next one's business. */
	} while (config->persist && !was_stopped(stop_fd));
	return err;
}

/* Made on both sides of the sandbox's door, and sealed. */
static int open_share(const struct config *config, struct share *share)
{
	struct sandbox_roots roots;
	int err = sigbus_setup();

	if (!err) {
		share_prepare(config, share);
		err = sandbox_enter(&config->sandbox, &roots);
	}
	if (!err && sandbox_has_users()) {
		err = creds_setup(sandbox_keeps(&config->sandbox));
		if (err)
			log_error("cannot drop the groups of the process: %s", strerror(-err));
	}
	if (!err)
		err = sandbox_renounce(&config->sandbox);
	if (!err)
		err = share_open(config, &roots, share);
	return err ? err : sandbox_seal(&config->sandbox);
}

/* What must not be left behind by a process that ends without its main thread. */
static void close_listener(void *ctx)
{
	listener_close(ctx);
}

static int serve_until_told(const struct config *config, struct share *share,
			    struct listener *listener, int signal_fd)
{
	cleanup_close int stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int err = stop_fd < 0 ? -errno : ending_start(signal_fd, stop_fd, close_listener, listener);

	if (err) {
		log_error("cannot start a thread: %s", strerror(-err));
		share_close(share);
		return err;
	}
	err = serve_all(config, share, listener, stop_fd);
	share_close(share);
	ending_finish();
	return err;
}

/* The process that serves: its exit status. */
static int serve(const struct config *config, struct listener *listener, int signal_fd)
{
	/* A request that cannot be ended goes on with it until the process ends. */
	static struct share share;
	int err = open_share(config, &share);

	if (err)
		share_close(&share);
	else
		err = serve_until_told(config, &share, listener, signal_fd);
	listener_close(listener);
	return err && err != -ECANCELED ? 1 : 0;
}

/* The parent of the process that serves: ends as that does. */
static int wait_for(pid_t child, struct listener *listener, int signal_fd)
{
	int status;

	listener_deafen(listener);
	status = process_wait(child, signal_fd);
	listener_close(listener);
	if (status >= 0)
		process_end_alike(status);
	return 1;
}

static int run(const struct config *config, int signal_fd)
{
	struct listener listener;
	pid_t child = 0;

	if (open_listener(config, &listener))
		return 1;
	if (sandbox_fork(&config->sandbox, &child)) {
		listener_close(&listener);
		return 1;
	}
	if (child)
		return wait_for(child, &listener, signal_fd);
	if (config->sandbox.mode != SANDBOX_NONE)
		listener_disown(&listener);
	return serve(config, &listener, signal_fd);
}

/* What our starter forgot to close is no way out of the sandbox. */
static void close_strangers(const struct config *config)
{
	unsigned int kept = config->fd == CONFIG_NO_FD ? STDERR_FILENO : (unsigned int)config->fd;

	if (kept > STDERR_FILENO + 1)
		close_range(STDERR_FILENO + 1, kept - 1, 0);
	close_range(MAX(kept, STDERR_FILENO) + 1, ~0U, 0);
}

static void setup_log(const struct config *config)
{
	int err = 0;

	log_setup("casementd", (enum log_level)config->log_level);
	if (config->syslog)
		err = log_to_syslog();
	if (err)
		log_warn("--syslog: nobody listens at /dev/log (%s); logging to standard error",
			 strerror(-err));
	log_while_serving();
}

int main(int argc, char **argv)
{
	struct config config;
	cleanup_close int signal_fd = -1;

	log_setup("casementd", LOG_LEVEL_INFO);
	switch (config_parse(argc, argv, &config)) {
	case OPTIONS_DONE:
		return 0;
	case OPTIONS_BAD:
		return EXIT_USAGE;
	case OPTIONS_GO:
		break;
	}
	close_strangers(&config);
	setup_log(&config);
	signal_fd = signals_setup();
	if (signal_fd < 0 || sandbox_check(&config.sandbox) || share_check(&config))
		return 1;
	raise_nofile(&config);
	choose_handles(&config);
	return run(&config, signal_fd);
}
