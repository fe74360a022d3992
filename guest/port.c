/* SPDX-License-Identifier: BSD-3-Clause */
/* Serial ports; see port.h. */
#include "guest/port.h"

#include <errno.h>
#include <fcntl.h>
#include <termios.h>

#include "common/cleanup.h"

int port_open(const char *path)
{
	int fd = open(path, O_WRONLY | O_NOCTTY | O_CLOEXEC);
	struct termios t;

	if (fd < 0)
		return -errno;
	if (tcgetattr(fd, &t)) {
		int err = -errno;

		close_fd(&fd);
		return err;
	}
	cfmakeraw(&t);
	cfsetspeed(&t, B115200);
	t.c_cflag |= CLOCAL;
	tcsetattr(fd, TCSANOW, &t);
	return fd;
}
