/*
 * place: looks where the server is.
 *
 * Runs in sendmail and in postern, as whoever called it; reads the server's
 * configuration, or what the caller says is one: it decides nothing but which
 * socket of the caller's choice is connected to.
 */
#include <string.h>

#include "place.h"

#define LINE_MAX_OCTETS	1024

/* Room, and of what it was made, so that a word that does not fit is none. */
static void
set(char *dst, size_t size, const char *word)
{
	if (strlen(word) < size)
		strlcpy(dst, word, size);
}

void
place_read(struct place *place, FILE *file)
{
	char line[LINE_MAX_OCTETS], *at, *keyword, *value;

	while (fgets(line, sizeof(line), file) != NULL) {
		line[strcspn(line, "#\n")] = '\0';
		at = line + strspn(line, " \t");
		keyword = strsep(&at, " \t");
		if (at == NULL)
			continue;
		value = at + strspn(at, " \t");
		if (strcmp(keyword, "domains") == 0 &&
		    place->domains[0] == '\0')
			set(place->domains, sizeof(place->domains), value);
		value[strcspn(value, " \t")] = '\0';
		if (*value == '\0')
			continue;
		if (strcmp(keyword, "run-dir") == 0)
			set(place->run_dir, sizeof(place->run_dir), value);
		else if (strcmp(keyword, "aliases") == 0)
			set(place->aliases, PLACE_PATH_MAX, value);
		else if (strcmp(keyword, "domain-map") == 0)
			set(place->domain_map, PLACE_PATH_MAX, value);
		else if (strcmp(keyword, "relay-recipients") == 0)
			set(place->relay_recipients, PLACE_PATH_MAX, value);
		else if (strcmp(keyword, "domains") == 0 &&
		    place->domain[0] == '\0')
			set(place->domain, sizeof(place->domain), value);
	}
}

void
place_find(struct place *place, const char *path)
{
	FILE *file;

	memset(place, 0, sizeof(*place));
	strlcpy(place->run_dir, RUNDIR, sizeof(place->run_dir));
	strlcpy(place->aliases, "/etc/aliases", sizeof(place->aliases));
	file = fopen(path != NULL ? path : SYSCONFDIR "/postern/postern.conf",
	    "re");
	if (file == NULL)
		return;
	place_read(place, file);
	fclose(file);
}
