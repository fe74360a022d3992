/* SPDX-License-Identifier: BSD-3-Clause */
/* Ports to the host; see port.h. */
#include "guest/port.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "guest/params.h"

#define DRIVER "/sys/bus/virtio/drivers/virtio_console"
#define CLASS "/sys/class/virtio-ports"

static const char *const port_names[PORTS] = {
	[PORT_OUT] = GUEST_PORT_OUT, [PORT_ERR] = GUEST_PORT_ERR, [PORT_IN] = GUEST_PORT_IN,
	[PORT_CONSOLE] = GUEST_PORT_CONSOLE, [PORT_INIT] = GUEST_PORT_INIT,
};

static const char *const port_lines[PORTS] = {
	[PORT_OUT] = GUEST_TTY_OUT, [PORT_ERR] = GUEST_TTY_ERR, [PORT_IN] = GUEST_TTY_IN,
	[PORT_INIT] = GUEST_TTY_INIT,
};

static int port_fds[PORTS] = { -1, -1, -1, -1, -1 };	/* [I] */

int port_fd(enum port port)
{
	return port_fds[port];
}

/* ---- serial lines ---- */

/* Without line editing: bytes pass as they are. */
static int open_line(const char *path)
{
	int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	struct termios t;

	if (fd < 0 || tcgetattr(fd, &t))
		return -errno;
	cfmakeraw(&t);
	cfsetspeed(&t, B115200);
	t.c_cflag |= CLOCAL;
	tcsetattr(fd, TCSANOW, &t);
	return fd;
}

static int open_lines(void)
{
	for (int i = 0; i < PORTS; i++) {
		if (!port_lines[i])
			continue;
		port_fds[i] = open_line(port_lines[i]);
		if (port_fds[i] < 0)
			return port_fds[i];
	}
	return 0;
}

/* ---- ports of a virtio console ---- */

/* The kernel's messages about devices. */
static int open_events(void)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);

	return fd < 0 || bind(fd, (struct sockaddr *)&kernel, sizeof(kernel)) ? -errno : fd;
}

/* Open "vport2p1" if its name is one of ours and it is not open yet. */
static int open_named(const char *device)
{
	char path[300], name[64] = "";
	cleanup_close int fd = -1;

	snprintf(path, sizeof(path), CLASS "/%s/name", device);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, name, sizeof(name) - 1) <= 0)
		return 0;
	name[strcspn(name, "\n")] = '\0';
	snprintf(path, sizeof(path), "/dev/%s", device);
	for (int i = 0; i < PORTS; i++) {
		if (port_fds[i] >= 0 || strcmp(name, port_names[i]))
			continue;
		port_fds[i] = open(path, O_RDWR | O_CLOEXEC);
		return port_fds[i] < 0 ? -errno : 0;
	}
	return 0;
}

/* Open those that are there by now. */
static int open_present(void)
{
	DIR *ports = opendir(CLASS);
	struct dirent *entry;
	int err = 0;

	if (!ports)
		return 0;
	while (!err && (entry = readdir(ports)))
		err = open_named(entry->d_name);
	closedir(ports);
	return err;
}

static bool all_open(void)
{
	for (int i = 0; i < PORTS; i++)
		if (port_fds[i] < 0)
			return false;
	return true;
}

/* The device announces one after the other, and its name after the port. */
static int open_console(void)
{
	cleanup_close int events = open_events();
	char event[4096];
	int err;

	if (events < 0)
		return events;
	if (access(DRIVER, F_OK))
		return -ENODEV;
	for (;;) {
		err = open_present();
		if (err || all_open())
			return err;
		if (recv(events, event, sizeof(event), 0) < 0 && errno != EINTR && errno != ENOBUFS)
			return -errno;
	}
}

int ports_open(bool serial)
{
	int err = serial ? open_lines() : open_console();

	if (err || serial)
		return err;
	/*
	 * Until the host has opened a port, a read of it returns 0 as at its end, and a blocking write
	 * waits. The device announces ports in order, so that a write to the last waits for all. An
	 * empty line means nothing.
	 */
	if (write(port_fds[PORT_INIT], "\n", 1) < 0)
		return -errno;
	for (int i = 0; i < PORTS; i++)
		fcntl(port_fds[i], F_SETFL, O_NONBLOCK);
	return 0;
}
