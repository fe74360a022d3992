/* SPDX-License-Identifier: BSD-3-Clause */
/* casement: finds the subcommand in a table and hands over. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/subcommand.h"
#include "common/checked.h"
#include "common/log.h"

static const struct subcommand {
	const char *name;
	const char *help;
	int (*main)(int argc, char **argv);
} subcommands[] = {
	{ "bench", "Measure a virtio-fs daemon without a virtual machine.", bench_main },
	{ "run", "Run a command in a virtual machine that shares directories with this one.", run_main },
	{ "console", "A shell in a machine of run's that runs already.", console_main },
	{ "mount", "Mount a daemon's share on this host, without a virtual machine.", mount_main },
	{ "ls", "List what is in a daemon's share.", ls_main },
	{ "stat", "Show what a share says of a file.", stat_main },
	{ "cat", "Write files of a share to standard output.", cat_main },
	{ "cp", "Copy files between a share and this host.", cp_main },
};

static const struct subcommand *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(subcommands); i++)
		if (!strcmp(name, subcommands[i].name))
			return &subcommands[i];
	return NULL;
}

static void print_help(void)
{
	printf("Usage: casement SUBCOMMAND [OPTION]... [ARGUMENT]...\n"
	       "Work with directories shared with virtual machines.\n\nSubcommands:\n");
	for (size_t i = 0; i < ARRAY_SIZE(subcommands); i++)
		printf("  %-10s %s\n", subcommands[i].name, subcommands[i].help);
	printf("\n'casement SUBCOMMAND --help' tells more.\n");
}

/* For the manual (docs/man/make-man.sh). */
static void print_man(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(subcommands); i++)
		printf(".TP\n.BR casement\\-%s (1)\n%s\n", subcommands[i].name, subcommands[i].help);
}

/*
 * Else a socket or a file of ours would be read or written in their place. Input and output are opened
 * for the other direction: reading or writing them is an error, EBADF, as it is with a closed stream.
 * Messages without a place are lost.
 */
static void open_closed_streams(void)
{
	static const int flags[] = { O_WRONLY, O_RDONLY, O_RDWR };

	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			open("/dev/null", flags[fd]);
}

/* At every end: what could not be written was not shown, and that is no success. */
static void close_output(void)
{
	bool failed = ferror(stdout);
	const char *why = fflush(stdout) ? strerror(errno) : "something was not written";

	if (!failed && !ferror(stdout))
		return;
	log_error("standard output: %s", why);
	_exit(STATUS_ERROR);
}

/* "casement help run" is "casement run --help". */
static int help_main(const char *name)
{
	const struct subcommand *subcommand = find(name);
	char *words[] = { (char *)name, (char *)"--help", NULL };

	if (subcommand)
		return subcommand->main(2, words);
	log_error("%s: no such subcommand; see casement --help", name);
	return STATUS_USAGE;
}

int main(int argc, char **argv)
{
	const struct subcommand *subcommand;

	open_closed_streams();
	atexit(close_output);
	/* A file that grows past a limit of the user's is an error like any other: EFBIG. */
	signal(SIGXFSZ, SIG_IGN);
	log_setup("casement", LOG_LEVEL_INFO);
	if (argc < 2) {
		log_error("no subcommand; see casement --help");
		return STATUS_USAGE;
	}
	if (!strcmp(argv[1], "help") && argc > 2)
		return help_main(argv[2]);
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		print_help();
		return 0;
	}
	if (!strcmp(argv[1], "--help-man") || !strcmp(argv[1], "--help-man-refused")) {
		if (!strcmp(argv[1], "--help-man"))
			print_man();
		return 0;
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		printf("casement %s\n", CASEMENT_VERSION);
		return 0;
	}
	subcommand = find(argv[1]);
	if (subcommand)
		return subcommand->main(argc - 1, argv + 1);
	log_error("%s: no such subcommand; see casement --help", argv[1]);
	return STATUS_USAGE;
}
