/*
 * config_secrets: the file that relay-auth names: who we are for the hosts
 * that mail is given to; and the one of srs-secret.
 *
 * Runs in smtpd's master only, as root, at its start and at SIGHUP.  Opens the
 * files that the administrator named, if only root can change them (C24), or
 * read them.  What they hold goes to the queue, srs-secret's to agents as well,
 * and to no other role.
 */
#include <sys/stat.h>

#include <arpa/inet.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "config.h"
#include "config_table.h"

#define SECRETS_MAX	(64 * 1024)	/* octets of the file */

struct secret_line;

struct secret_file {
	const char	*keyword;
	const char	*path;
	int		 (*take)(const struct secret_line *, char *);
};

/* One line on its way; never quoted in what is reported. */
struct secret_line {
	const struct secret_file *file;
	struct config	*config;
	unsigned	 number;
	config_report	 report;
};

static int
refuse(const struct secret_file *f, const char *where, const char *text,
    config_report report)
{
	char line[CONFIG_PATH_MAX + 128];

	snprintf(line, sizeof(line), "%s: %s: %s", f->keyword, where, text);
	report(line);
	return -1;
}

static int
wrong(const struct secret_line *l, const char *text)
{
	char where[CONFIG_PATH_MAX + 16];

	snprintf(where, sizeof(where), "%s:%u", l->file->path, l->number);
	return refuse(l->file, where, text, l->report);
}

/* The next word of a line, ended in place; *rest is what comes after it. */
static char *
word(char **rest)
{
	char *p = *rest + strspn(*rest, " \t");

	*rest = p + strcspn(p, " \t");
	if (**rest != '\0')
		*(*rest)++ = '\0';
	*rest += strspn(*rest, " \t");
	return p;
}

/* "[2001:db8::1]" or a name; the brackets go. */
static int
take_host(char *host)
{
	size_t len = strlen(host);
	struct in6_addr a;

	if (host[0] == '[' && len > 2 && host[len - 1] == ']') {
		memmove(host, host + 1, len - 2);
		host[len - 2] = '\0';
		return inet_pton(AF_INET6, host, &a) == 1 ||
		    inet_pton(AF_INET, host, &a) == 1 ? 0 : -1;
	}
	return config_is_hostname(host) ? 0 : -1;
}

/* HOST USER PASSWORD, whose password is all of the rest. */
static int
take_login(const struct secret_line *l, char *text)
{
	struct config *c = l->config;
	struct relay_auth *new;
	char *host, *user;

	host = word(&text);
	if (host[0] == '\0' || host[0] == '#')
		return 0;
	user = word(&text);
	if (text[0] == '\0')
		return wrong(l, "needs a host, a user and a password");
	if (take_host(host) == -1)
		return wrong(l, "does not begin with a host's name");
	if (config_relay_auth(c, host) != NULL)
		return wrong(l, "that host was named before");
	if (c->relay_auth_count == CONFIG_RELAY_AUTH_MAX)
		return wrong(l, "too many hosts");
	new = &c->relay_auths[c->relay_auth_count];
	if (strlcpy(new->host, host, sizeof(new->host)) >= sizeof(new->host) ||
	    strlcpy(new->user, user, sizeof(new->user)) >= sizeof(new->user) ||
	    strlcpy(new->secret, text, sizeof(new->secret)) >=
	    sizeof(new->secret))
		return wrong(l, "a name or the password is too long");
	config_lower(new->host);
	c->relay_auth_count++;
	return 0;
}

/* All of the line. */
static int
take_srs(const struct secret_line *l, char *text)
{
	struct config *c = l->config;
	size_t len = strlen(text);

	if (text[strspn(text, " \t")] == '\0' || text[0] == '#')
		return 0;
	if (c->srs_secret_count == CONFIG_SRS_SECRETS_MAX)
		return wrong(l, "too many secrets");
	if (len < CONFIG_SRS_SECRET_MIN)
		return wrong(l, "too short a secret: 16 characters at least");
	if (len >= CONFIG_SECRET_MAX)
		return wrong(l, "too long a secret");
	memcpy(c->srs_secrets[c->srs_secret_count++], text, len + 1);
	return 0;
}

static int
take_all(const struct secret_file *f, struct config *c, char *text,
    config_report report)
{
	struct secret_line l = { .file = f, .config = c, .report = report };
	char *end;
	size_t i;
	int result = 0;

	for (; text != NULL; text = end) {
		l.number++;
		end = strchr(text, '\n');
		if (end != NULL)
			*end++ = '\0';
		for (i = 0; text[i] != '\0'; i++)
			if (((unsigned char)text[i] < ' ' && text[i] != '\t') ||
			    text[i] == 127)
				break;
		if (text[i] != '\0')
			result = wrong(&l, "a control character");
		else if (f->take(&l, text) == -1)
			result = -1;
	}
	return result;
}

/* The octets of a file that nobody but its owner may read; NULL or why not. */
static const char *
read_secret(int fd, char *text, size_t size)
{
	struct stat st;
	size_t len = 0;
	ssize_t n = 0;

	if (fstat(fd, &st) == -1)
		return strerror(errno);
	if (!S_ISREG(st.st_mode))
		return "not a file";
	if ((st.st_mode & 077) != 0)
		return "refused: must have mode 0600, for it holds passwords";
	while (len < size - 1 && (n = read(fd, text + len, size - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	if (n == -1)		/* half a secret is another one */
		return strerror(errno);
	if (len == size - 1)
		return "too long";
	return strlen(text) != len ? "a NUL character" : NULL;
}

static int
read_file(const struct secret_file *f, struct config *c, config_report report)
{
	static char text[SECRETS_MAX];
	const char *why;
	int fd, result;

	if (f->path[0] == '\0')
		return 0;
	fd = config_open(f->path);
	if (fd == -1)
		return refuse(f, f->path, errno == EPERM ?
		    "refused: somebody else than root can change it or a "
		    "directory above it" : strerror(errno), report);
	why = read_secret(fd, text, sizeof(text));
	close(fd);
	result = why != NULL ? refuse(f, f->path, why, report) :
	    take_all(f, c, text, report);
	explicit_bzero(text, sizeof(text));
	return result;
}

int
config_read_secrets(struct config *c, config_report report)
{
	const struct secret_file auth = {
		"relay-auth", c->relay_auth_file, take_login
	};
	const struct secret_file srs = {
		"srs-secret", c->srs_secret_file, take_srs
	};
	int result;

	config_forget_secrets(c);
	result = read_file(&auth, c, report);
	if (read_file(&srs, c, report) == -1)
		return -1;
	if (srs.path[0] != '\0' && c->srs_secret_count == 0)
		return refuse(&srs, srs.path, "there is no secret in it",
		    report);
	return result;
}

void
config_forget_secrets(struct config *c)
{
	explicit_bzero(c->relay_auths, sizeof(c->relay_auths));
	c->relay_auth_count = 0;
	explicit_bzero(c->srs_secrets, sizeof(c->srs_secrets));
	c->srs_secret_count = 0;
}
