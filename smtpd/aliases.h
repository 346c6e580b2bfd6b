/*
 * aliases: the aliases(5) file.
 *
 * "name: target[, target...]"; a line that begins with white space goes on
 * with the one before; "#" begins a comment line; names are compared without
 * regard to case, double quotes and backslash quote.  A target is an account
 * or another alias, either with a local domain or none; "\name", the account
 * and never an alias; an address elsewhere; "/dev/null", nobody;
 * ":include:PATH", whose file lists more of these; ":group:NAME", the members
 * of a Unix group; or, but not in such a file, a command or a file (program.h).
 * An alias with any other target is told of in the log and kept as a bad one:
 * mail for it waits.
 *
 * Two other files are read in the same way, of which the second has no
 * targets.  Their names are addresses, in the form of address_key.h:
 *
 * The domain map: "address target[, target...]", where "@domain" stands for
 * all other addresses of that domain.
 * Recipients of the relay domains: an address or "@domain" a line, and what
 * follows "#" is a comment.
 */
#ifndef SMTPD_ALIASES_H
#define SMTPD_ALIASES_H

#include <sys/stat.h>

#include <stddef.h>

#include "privsep/config.h"
#include "smtpd/address_key.h"

#define ALIASES_FILE_MAX	(64 * 1024 * 1024)	/* octets */
#define ALIASES_INCLUDE_MAX	(1024 * 1024)		/* octets */
#define ALIAS_NAME_MAX		65			/* with its NUL */
#define ALIASES_KEY_MAX		ADDRESS_KEY_MAX		/* any name, with NUL */

enum names_kind {
	NAMES_ALIASES,
	NAMES_DOMAIN_MAP,
	NAMES_RECIPIENTS
};

enum target_kind {
	TARGET_NAME,		/* an alias or an account */
	TARGET_ACCOUNT,		/* an account and never an alias */
	TARGET_REMOTE,		/* "local@domain" as in a command, the domain
				 * in lower case and not a local one */
	TARGET_NOTHING,		/* "/dev/null" */
	TARGET_INCLUDE,		/* an absolute path */
	TARGET_GROUP,		/* a Unix group's name */
	TARGET_PROGRAM		/* a command or a file: program.h */
};

struct target {
	enum target_kind kind;
	const char	*text;
};

struct alias {
	const char	*name;		/* lower case */
	size_t		 line;		/* of the file, from 1 */
	size_t		 offset;	/* of what was parsed for it */
	size_t		 length;
	int		 is_bad;	/* as if not set, and mail waits */
	size_t		 first;		/* index in targets */
	size_t		 count;
};

/* One of the domains that there are addresses of. */
struct alias_domain {
	const char	*name;		/* lower case */
	size_t		 entry;		/* one that is of it */
};

struct aliases {
	struct alias	*entries;	/* sorted by name, no two the same */
	size_t		 count;
	struct target	*targets;
	size_t		 target_count;
	struct alias_domain *domains;	/* the same; of a domain map */
	size_t		 domain_count;
	char		*text;		/* what the strings lie in */
};

/* Where a mistake is told of: line, text. */
typedef void (*aliases_report)(const char *path, size_t line,
    const char *text);

/*
 * Parse; 0, or -1 with errno ENOMEM.  A mistake costs its line only.
 * aliases_free() afterwards, in both cases.
 */
int	aliases_parse(struct aliases *, const char *text, size_t len,
	    const char *path, const struct config *, aliases_report);
/* The same for any of these files. */
int	aliases_parse_as(struct aliases *, enum names_kind, const char *text,
	    size_t len, const char *path, const struct config *,
	    aliases_report);
/*
 * The same for a file that lists targets, at commas and at line ends: they
 * are those of the only entry, whose name is "".  With a mistake anywhere that
 * one is bad.
 */
int	aliases_parse_list(struct aliases *, const char *text, size_t len,
	    const char *path, const struct config *, aliases_report);
/* The same for ~/.forward, which may name commands and files. */
int	aliases_parse_forward(struct aliases *, const char *text, size_t len,
	    const struct config *);
void	aliases_free(struct aliases *);
/* For the parser: of two with one name the first in the file counts. */
void	aliases_sort(struct aliases *, const char *path, aliases_report);
/* And after it: the domains, each once; -1: no memory. */
int	aliases_list_domains(struct aliases *);
/* NULL: none.  Costs as the logarithm of the count. */
const struct alias *aliases_find(const struct aliases *, const char *name);
/* A name as it is looked up, in lower case; -1: none is so long. */
int	aliases_key(const char *name, char key[ALIASES_KEY_MAX]);
/* Is there an address of that domain (lower case)?  Costs the same. */
int	aliases_find_domain(const struct aliases *, const char *domain);
const struct target *aliases_target(const struct aliases *,
	    const struct alias *, size_t i);

/*
 * The file.  One that anybody but root could have written is refused as a
 * whole, and so is one that can't be read: mail that needs it waits.  A
 * missing one is fine.
 *
 * The other two must be there.  Of a domain map that can't be used any more the
 * table that was read before stays in force, for who has it.
 */
enum aliases_state {
	ALIASES_NONE,		/* no file */
	ALIASES_GOOD,
	ALIASES_REFUSED		/* there is one, and we may not use it */
};

struct aliases_file {
	enum names_kind	 kind;
	int		 dir;		/* the file's directory, -1: none */
	int		 held;		/* the file, kept open, or -1 */
	int		 index_dir;	/* write an index there, or -1 */
	int		 index;		/* of the file held, or -1 */
	int		 is_indexed;	/* aliases has what was looked up */
	const char	*path;		/* as configured */
	const char	*base;		/* below dir */
	const struct config *config;
	aliases_report	 report;
	enum aliases_state state;
	int		 is_told;	/* that it can't be used */
	struct stat	 seen;
	struct aliases	 aliases;
};

/* Open the file's directory; nothing is read yet. */
void	aliases_open(struct aliases_file *, const struct config *,
	    aliases_report);
/* The same for any of the files: the one that the configuration names, if any;
 * path is "" and the state ALIASES_NONE without. */
void	aliases_open_as(struct aliases_file *, enum names_kind,
	    const struct config *, aliases_report);
/*
 * Open the file for good and let the directory go, for a short-lived process
 * that won't be able to open it later.
 */
void	aliases_hold(struct aliases_file *);
/* Read it if it is new or has changed (one fstatat() if not). */
void	aliases_refresh(struct aliases_file *);
void	aliases_close(struct aliases_file *);

/*
 * The alias of that name, or NULL; after a refresh.  *in is what its targets
 * are in; both are good until the next look-up.  With an index, what it costs
 * does not grow with the file.
 */
const struct alias *aliases_lookup(struct aliases_file *, const char *name,
	    const struct aliases **in);

/* The same of a domain, in any case, of a domain map. */
int	aliases_has_domain(struct aliases_file *, const char *domain);

/*
 * aliases_index.c.  An index in the spool directory, for files of
 * ALIASES_INDEX_MIN octets or more: written after a refresh; 0, or -1 with
 * errno.
 */
#define ALIASES_INDEX_MIN	4096
int	aliases_index_write(const struct aliases_file *, int dir);
/* Use it, if there is one, for the file held. */
void	aliases_index_open(struct aliases_file *, int dir);
/* For aliases_file.c: is there one of this file? */
int	aliases_index_is_of(const struct aliases_file *, const struct stat *);
/*
 * The same: 1, and aliases has it; 0, there is none; -1, the index can't be
 * used.  The name is in lower case.
 */
int	aliases_index_find(struct aliases_file *, const char *name);
int	aliases_index_find_domain(struct aliases_file *, const char *domain);

/*
 * A file that ":include:PATH" names, read now.  It must lie in the directory
 * of the aliases file or below, not behind a link, and be writable by its
 * owner only; whose it is, the administrator decides.  So it lists names and
 * addresses and nothing else, and what it says is never quoted.  0 with a list
 * as of aliases_parse_list(); or -1 with *why, good until the next call.
 */
int	aliases_include(const struct aliases_file *, const char *path,
	    struct aliases *list, const char **why);

/*
 * Up to size octets from the beginning of an open file, in memory of the
 * caller's; NULL with errno.
 */
char	*aliases_read(int fd, size_t size, size_t *len);

/* Puts mistakes in the log, one event each; line 0 is the whole file. */
void	aliases_log(const char *path, size_t line, const char *text);
/* Doesn't: the queue does already. */
void	aliases_ignore(const char *path, size_t line, const char *text);

#endif
