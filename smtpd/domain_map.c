/*
 * domain_map: the look-up of an address in the domain map.
 *
 * Runs in the session agent and in the queue, both as queue-user; reads the
 * map through aliases_file.c.
 */
#include <string.h>

#include "smtpd/domain_map.h"

int
address_without_detail(const struct config *config, const char *local,
    char user[ADDRESS_LOCAL_LIMIT + 1])
{
	const char *at;
	size_t len;

	if (config->recipient_delimiter == '\0')
		return -1;
	at = strchr(local, config->recipient_delimiter);
	if (at == NULL || at == local)
		return -1;
	len = (size_t)(at - local);
	if (len > ADDRESS_LOCAL_LIMIT)
		return -1;
	memcpy(user, local, len);
	user[len] = '\0';
	return 0;
}

static const struct alias *
find(struct aliases_file *map, const char *local, const char *domain,
    const struct aliases **in)
{
	char key[ADDRESS_KEY_MAX];

	return address_key(local, domain, key) == 0 ?
	    aliases_lookup(map, key, in) : NULL;
}

enum map_answer
domain_map_has(struct aliases_file *map, const char *domain)
{
	char key[ADDRESS_KEY_MAX];

	if (map->path[0] == '\0' || domain[0] == '\0' ||
	    address_key("", domain, key) == -1)
		return MAP_OTHER;
	if (map->state == ALIASES_REFUSED)
		return MAP_FAILED;
	return aliases_has_domain(map, address_key_domain(key)) ?
	    MAP_FOUND : MAP_OTHER;
}

enum map_answer
domain_map_find(struct aliases_file *map, const char *local,
    const char *domain, const struct alias **entry, const struct aliases **in)
{
	enum map_answer has = domain_map_has(map, domain);
	char user[ADDRESS_LOCAL_LIMIT + 1];

	if (has != MAP_FOUND)
		return has;
	*entry = find(map, local, domain, in);
	if (*entry == NULL &&
	    address_without_detail(map->config, local, user) == 0)
		*entry = find(map, user, domain, in);
	if (*entry == NULL)
		*entry = find(map, "", domain, in);
	return *entry != NULL ? MAP_FOUND : MAP_UNKNOWN;
}
