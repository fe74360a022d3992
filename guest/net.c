/* SPDX-License-Identifier: BSD-3-Clause */
/* The guest's network; see net.h. No program of the root's is needed. */
#include "guest/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "guest/modules.h"
#include "guest/report.h"

#define INTERFACE "eth0"
#define RESOLVER "/etc/resolv.conf"
#define SWITCH "/etc/nsswitch.conf"

/* ---- the interface ---- */

static struct sockaddr_in address(const char *text)
{
	struct sockaddr_in in = { .sin_family = AF_INET };

	inet_pton(AF_INET, text, &in.sin_addr);
	return in;
}

static int interface_up(int fd, const char *name)
{
	struct ifreq request = { .ifr_flags = IFF_UP };

	strcpy(request.ifr_name, name);
	return ioctl(fd, SIOCSIFFLAGS, &request) ? -errno : 0;
}

static int set_address(int fd, unsigned long what, const char *text)
{
	struct sockaddr_in in = address(text);
	struct ifreq request = { .ifr_name = INTERFACE };

	memcpy(&request.ifr_addr, &in, sizeof(in));
	return ioctl(fd, what, &request) ? -errno : 0;
}

static int add_route(int fd)
{
	struct sockaddr_in gateway = address(GUEST_NET_HOST), any = address("0.0.0.0");
	struct rtentry route = { .rt_flags = RTF_UP | RTF_GATEWAY };

	memcpy(&route.rt_gateway, &gateway, sizeof(gateway));
	memcpy(&route.rt_dst, &any, sizeof(any));
	memcpy(&route.rt_genmask, &any, sizeof(any));
	return ioctl(fd, SIOCADDRT, &route) ? -errno : 0;
}

/* Its driver may be a module. Once that is loaded, the interface is there. */
static int find_interface(void)
{
	return if_nametoindex(INTERFACE) ? 0 : modules_load("/", "virtio_net");
}

static int interface_setup(int fd)
{
	int err = find_interface();

	if (!err)
		err = set_address(fd, SIOCSIFADDR, GUEST_NET_ADDRESS);
	if (!err)
		err = set_address(fd, SIOCSIFNETMASK, GUEST_NET_MASK);
	if (!err)
		err = interface_up(fd, INTERFACE);
	return err ? err : add_route(fd);
}

/* ---- names ---- */

/* What is in /etc is the guest's to change: of a root that is only read, a copy in memory. */
static int make_etc_writable(void)
{
	static const char options[] = "lowerdir=/etc,upperdir=/run/casement-etc/upper,workdir=/run/casement-etc/work";

	if (mkdir("/run/casement-etc", 0700) || mkdir("/run/casement-etc/upper", 0755) ||
	    mkdir("/run/casement-etc/work", 0755))
		return -errno;
	if (!mount("overlay", "/etc", "overlay", 0, options))
		return 0;
	if (errno != ENODEV)
		return -errno;
	return modules_load("/", "overlay") || mount("overlay", "/etc", "overlay", 0, options) ? -ENODEV : 0;
}

static int write_text(const char *path, const char *text)
{
	cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	return fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/* In the place of what is there, which may be a link to what a service would make; or over a file of the host's. */
static int put_file(const struct guest_params *params, const char *path, const char *text)
{
	const char *copy = "/run/casement-file";
	int err;

	if (params->root_readonly || params->root_cow) {
		unlink(path);
		return write_text(path, text);
	}
	err = write_text(copy, text);
	if (!err && mount(copy, path, NULL, MS_BIND, NULL))
		err = -errno;
	unlink(copy);
	return err;
}

/* Our small Debian looks in files alone for hosts, as it has no network otherwise. */
static int ask_dns(const struct guest_params *params)
{
	cleanup_fclose FILE *file = fopen(SWITCH, "re");
	char text[4096], line[256];
	size_t len = 0;
	bool changed = false;

	while (file && fgets(line, sizeof(line), file) && len < sizeof(text) - sizeof(line) - 8) {
		bool hosts = !strncmp(line, "hosts:", 6) && !strstr(line, "dns") && !strstr(line, "resolve");

		len += (size_t)snprintf(text + len, sizeof(text) - len, "%.*s%s\n", (int)strcspn(line, "\n"), line,
					hosts ? " dns" : "");
		changed = changed || hosts;
	}
	/* One that is longer, or that is not there, is of another root. */
	return changed && file && feof(file) ? put_file(params, SWITCH, text) : 0;
}

static void set_names(const struct guest_params *params)
{
	int err = params->root_readonly ? make_etc_writable() : 0;

	if (!err)
		err = put_file(params, RESOLVER, "nameserver " GUEST_NET_DNS "\n");
	if (!err)
		err = ask_dns(params);
	if (err)
		report_note("no names of the network's hosts: %s: %s", RESOLVER, strerror(-err));
}

void net_up(const struct guest_params *params)
{
	cleanup_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int err = fd < 0 ? -errno : interface_up(fd, "lo");

	if (err)
		report_note("no loopback: %s", strerror(-err));
	if (!params->net)
		return;
	err = fd < 0 ? err : interface_setup(fd);
	if (err)
		report_failure("the guest has no network: %s; its kernel needs virtio-net, built in or as a module in the root's /lib/modules",
			       strerror(-err));
	set_names(params);
}
