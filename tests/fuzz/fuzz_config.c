/* LINK: privsep/config privsep/config_parse privsep/config_set privsep/config_listen privsep/config_relay privsep/config_pass privsep/config_coder privsep/config_pass_relay privsep/config_route */
/*
 * The parser of postern.conf on any octets; what it accepts must survive the
 * way to a role unchanged.
 */
#include <stdlib.h>
#include <string.h>

#include "privsep/config.h"
#include "privsep/config_table.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
ignore(const char *text)
{
	if (strlen(text) == 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct config config, received;
	static uint8_t buf[CONFIG_PASS_MAX];
	ssize_t len;
	int role;

	config_default_fixed(&config);
	if (config_parse(&config, (const char *)data, size, "f", ignore) == -1)
		return 0;
	if (config_finish(&config, ignore) == -1)
		return 0;
	config.worker_user.uid = config.worker_user.gid = 1;
	config.queue_user.uid = config.queue_user.gid = 2;
	config.key_user.uid = config.key_user.gid = 3;
	config.relay_user.uid = config.relay_user.gid = 4;
	config.resolver_user.uid = config.resolver_user.gid = 5;
	config.command_user.uid = config.command_user.gid = 6;
	for (role = ROLE_SPAWNER; role <= ROLE_LAST; role++) {
		len = config_encode(&config, (enum role)role, buf, sizeof(buf));
		if (len == -1 || config_decode(buf, (size_t)len,
		    (enum role)role, &received) == -1)
			abort();
	}
	return 0;
}
