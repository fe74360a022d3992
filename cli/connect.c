/* SPDX-License-Identifier: BSD-3-Clause */
/* Connecting to a daemon; see connect.h. */
#include "cli/connect.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "common/checked.h"
#include "common/log.h"

#define TIMEOUT_MAX 1000000	/* seconds */

static const struct {
	int error;
	const char *remedy;
} remedies[] = {
	{ ENOENT, "start a daemon there: casementd --shared-dir DIR --socket-path SOCKET" },
	{ ECONNREFUSED, "its daemon has ended, or has another client already: start one for this client" },
	{ EACCES, "ask for the rights to the socket (casementd --socket-group)" },
	{ ECONNRESET, "it may have another client already: start a daemon for this one" },
	{ ETIMEDOUT, "it may have another client already: start a daemon for this one" },
	{ EOPNOTSUPP, "give the daemon more queues (casementd --queues), or ask for fewer" },
};

/* The library's own where there is none, or none that makes sense. */
static unsigned int timeout_ms(void)
{
	const char *text = getenv(CONNECT_TIMEOUT);
	double seconds = text ? strtod(text, NULL) : 0;

	return seconds >= 0.001 && seconds <= TIMEOUT_MAX ? (unsigned int)(seconds * 1000) : 0;
}

/*
 * Guest memory counts as a file, and is larger than what ulimit -f may leave; it takes no room on a
 * disk. Raise the limit as far as may be; *before is what it was. No thread of ours writes meanwhile.
 */
static void raise_file_limit(struct rlimit *before)
{
	struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY };

	if (getrlimit(RLIMIT_FSIZE, before))
		*before = none;
	if (before->rlim_cur == RLIM_INFINITY || !setrlimit(RLIMIT_FSIZE, &none))
		return;
	/* Not root's: up to what the user may have. */
	none = (struct rlimit){ before->rlim_max, before->rlim_max };
	setrlimit(RLIMIT_FSIZE, &none);
}

static void say_why(const char *socket, int err)
{
	const char *remedy = "";
	struct stat st;

	/* connect(2) refuses these as it refuses a socket that a daemon has left. */
	if (err == -ECONNREFUSED && !stat(socket, &st) && !S_ISSOCK(st.st_mode)) {
		log_error("%s: not a socket; name the one that casementd listens on", socket);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(remedies); i++)
		if (remedies[i].error == -err)
			remedy = remedies[i].remedy;
	/* The library names the socket where connect(2) failed. */
	if (!strncmp(casement_error(), socket, strlen(socket)))
		log_error("%s%s%s", casement_error(), *remedy ? "; " : "", remedy);
	else
		log_error("%s: %s%s%s", socket, casement_error(), *remedy ? "; " : "", remedy);
}

int connect_daemon(const char *socket, const struct casement_options *options,
		   struct casement **out)
{
	struct casement_options ours = *options;
	struct rlimit limit;
	int err;

	ours.timeout_ms = timeout_ms();
	raise_file_limit(&limit);
	err = casement_connect(socket, &ours, out);
	setrlimit(RLIMIT_FSIZE, &limit);
	if (err)
		say_why(socket, err);
	return err;
}
