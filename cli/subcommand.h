/* SPDX-License-Identifier: BSD-3-Clause */
/* The subcommands of `casement`: each gets its own argv, argv[0] being its name. */
#ifndef CASEMENT_CLI_SUBCOMMAND_H
#define CASEMENT_CLI_SUBCOMMAND_H

/* Exit statuses of our own; any other is that of the command which was run. */
enum casement_status {
	STATUS_ERROR = 1,	/* what was asked for was not done, or not wholly */
	STATUS_MISSING = 1,	/* a part or folder that is needed is not there */
	STATUS_USAGE = 2,	/* the command line is wrong */
	STATUS_FAILED = 125,	/* casement, the machine or a daemon failed */
};

int bench_main(int argc, char **argv);
int run_main(int argc, char **argv);
int console_main(int argc, char **argv);
int mount_main(int argc, char **argv);
int ls_main(int argc, char **argv);
int stat_main(int argc, char **argv);
int cat_main(int argc, char **argv);
int cp_main(int argc, char **argv);

#endif
