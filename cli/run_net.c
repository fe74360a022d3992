/* SPDX-License-Identifier: BSD-3-Clause */
/* The network of QEMU's user mode; see run_net.h. */
#include "cli/run_net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "guest/params.h"

#define DEFAULT_ADDRESS "127.0.0.1"

/* 0: none. */
static unsigned short parse_port(const char *text)
{
	size_t digits = strspn(text, "0123456789");
	unsigned long port = digits && digits < 6 && !text[digits] ? strtoul(text, NULL, 10) : 0;

	return port > 0xffff ? 0 : (unsigned short)port;
}

/* `text` is cut into parts. */
static int parse_publish(char *text, struct run_port *port)
{
	char *part = strsep(&text, ":");

	*port = (struct run_port){ .address = DEFAULT_ADDRESS };
	if (part && strchr(part, '.')) {
		struct in_addr in;

		if (inet_pton(AF_INET, part, &in) != 1 || !inet_ntop(AF_INET, &in, port->address, sizeof(port->address)))
			return -EINVAL;
		part = strsep(&text, ":");
	}
	port->host = part ? parse_port(part) : 0;
	port->guest = text ? parse_port(text) : port->host;
	return port->host && port->guest ? 0 : -EINVAL;
}

int run_net_publish(struct run_config *config, const char *argument)
{
	cleanup_free char *text = strdup(argument);

	if (!text)
		return -ENOMEM;
	if (config->n_ports == RUN_PORTS_MAX) {
		log_error("--publish %s: more than %d of them", argument, RUN_PORTS_MAX);
		return -E2BIG;
	}
	if (parse_publish(text, &config->ports[config->n_ports])) {
		log_error("--publish %s: give PORT, PORT:GUESTPORT or ADDRESS:PORT:GUESTPORT, as in 127.0.0.1:8080:80", argument);
		return -EINVAL;
	}
	config->n_ports++;
	return 0;
}

int run_net_check(const struct run_config *config)
{
	for (unsigned int i = 0; i < config->n_ports; i++) {
		const struct run_port *port = &config->ports[i];
		cleanup_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port->host) };
		int one = 1;

		inet_pton(AF_INET, port->address, &in.sin_addr);
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		if (fd >= 0 && !bind(fd, (struct sockaddr *)&in, sizeof(in)))
			continue;
		log_error("--publish %s:%u: %s; give another port", port->address, port->host, strerror(errno));
		return -EADDRINUSE;
	}
	return 0;
}

void run_net_words(const struct run_config *config, struct words *words)
{
	char option[128 + RUN_PORTS_MAX * 64];
	int len;

	if (config->net == RUN_NET_NONE) {
		words_option(words, "-nic", "none");
		return;
	}
	len = snprintf(option, sizeof(option), "user,id=net,ipv6=off,net=%s,host=%s,dns=%s", GUEST_NET_NET, GUEST_NET_HOST,
		       GUEST_NET_DNS);
	for (unsigned int i = 0; i < config->n_ports; i++)
		len += snprintf(option + len, sizeof(option) - (size_t)len, ",hostfwd=tcp:%s:%u-%s:%u", config->ports[i].address,
				config->ports[i].host, GUEST_NET_ADDRESS, config->ports[i].guest);
	words_option(words, "-netdev", "%s", option);
	/* Its ROM would be for a boot from the network. */
	words_option(words, "-device", "virtio-net-pci,netdev=net,romfile=");
}
