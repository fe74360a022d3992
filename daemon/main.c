/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * casementd: start-up in plain order. Reads the options, sets up the process,
 * makes the share (share.c), waits for a VMM, serves it, and ends when it leaves,
 * or waits for the next.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/config.h"
#include "daemon/fs/creds.h"
#include "daemon/listener.h"
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

static int process_setup(const struct config *config)
{
	int err = sigbus_setup();

	if (!err)
		err = creds_setup();
	if (err) {
		log_error("cannot set up the process: %s", strerror(-err));
		return err;
	}
	raise_nofile(config);
	return 0;
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
	return share_serve(config, share, sock, stop_fd, &door);
}

static bool was_stopped(int stop_fd)
{
	struct pollfd pfd = { .fd = stop_fd, .events = POLLIN };

	return poll(&pfd, 1, 0) > 0;
}

static int run(const struct config *config, struct share *share, int stop_fd)
{
	struct listener listener;
	int err = open_listener(config, &listener);

	if (err)
		return err;
	umask(0);
	do {
		cleanup_close int sock = -1;

		log_info("sharing %s%s; waiting for the VMM", config->shared_dir,
			 config->readonly ? " (read-only)" : "");
		sock = listener_accept(&listener, stop_fd);
		err = sock;
		if (sock < 0)
			break;
		err = serve_one(config, share, &listener, sock, stop_fd);
		/* What one VMM did wrong is not the next one's business. */
	} while (config->persist && !was_stopped(stop_fd));
	listener_close(&listener);
	return err;
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
}

int main(int argc, char **argv)
{
	struct share share = { 0 };
	struct config config;
	cleanup_close int stop_fd = -1;
	int err;

	log_setup("casementd", LOG_LEVEL_INFO);
	switch (config_parse(argc, argv, &config)) {
	case OPTIONS_DONE:
		return 0;
	case OPTIONS_BAD:
		return EXIT_USAGE;
	case OPTIONS_GO:
		break;
	}
	setup_log(&config);
	stop_fd = signals_setup();
	if (stop_fd < 0)
		return 1;
	err = process_setup(&config);
	if (!err)
		err = share_open(&config, &share);
	if (!err)
		err = run(&config, &share, stop_fd);
	share_close(&share);
	return err && err != -ECANCELED ? 1 : 0;
}
