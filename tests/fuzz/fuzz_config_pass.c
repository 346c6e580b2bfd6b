/* LINK: privsep/config privsep/config_pass privsep/config_coder privsep/config_pass_relay privsep/config_route */
/*
 * A role's decoder of its configuration on any octets; the first one names
 * the role.  What it accepts must be what the encoder writes.
 */
#include <stdlib.h>
#include <string.h>

#include "privsep/config.h"
#include "privsep/config_table.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct config config;
	static uint8_t buf[CONFIG_PASS_MAX];
	enum role role;
	ssize_t len;

	if (size == 0)
		return 0;
	role = (enum role)(data[0] % (ROLE_LAST + 1));
	if (config_decode(data + 1, size - 1, role, &config) == -1)
		return 0;
	len = config_encode(&config, role, buf, sizeof(buf));
	if (len == -1 || (size_t)len != size - 1 ||
	    memcmp(buf, data + 1, (size_t)len) != 0)
		abort();
	return 0;
}
