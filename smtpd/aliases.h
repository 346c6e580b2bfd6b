/*
 * aliases: the aliases(5) file, as far as targets on this host go.
 *
 * "name: target[, target...]"; a line that begins with white space goes on
 * with the one before; "#" begins a comment line; names are compared without
 * regard to case, double quotes and backslash quote.  A target is an account,
 * another alias, or either with a local domain; "\name" is the account and
 * never an alias.  An alias with any other target (|command, /file, :include:,
 * a remote address) is told of in the log and kept as a bad one: mail for it
 * waits.
 */
#ifndef SMTPD_ALIASES_H
#define SMTPD_ALIASES_H

#include <sys/stat.h>

#include <stddef.h>

#include "privsep/config.h"

#define ALIASES_FILE_MAX	(16 * 1024 * 1024)	/* octets */
#define ALIAS_NAME_MAX		65			/* with its NUL */

struct alias {
	const char	*name;		/* lower case */
	size_t		 line;		/* of the file, from 1 */
	int		 is_bad;	/* as if not set, and mail waits */
	size_t		 first;		/* index in targets */
	size_t		 count;
};

/* Targets are names; one that begins with a backslash is an account. */
struct aliases {
	struct alias	*entries;	/* sorted by name, no two the same */
	size_t		 count;
	const char	**targets;
	size_t		 target_count;
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
void	aliases_free(struct aliases *);
/* NULL: none.  Costs as the logarithm of the count. */
const struct alias *aliases_find(const struct aliases *, const char *name);
const char *aliases_target(const struct aliases *, const struct alias *,
	    size_t i);

/*
 * The file.  One that anybody but root could have written is refused as a
 * whole, and so is one that can't be read: mail that needs it waits.  A
 * missing one is fine.
 */
enum aliases_state {
	ALIASES_NONE,		/* no file */
	ALIASES_GOOD,
	ALIASES_REFUSED		/* there is one, and we may not use it */
};

struct aliases_file {
	int		 dir;		/* the file's directory, -1: none */
	int		 held;		/* the file, kept open, or -1 */
	const char	*path;		/* as configured */
	const char	*base;		/* below dir */
	const struct config *config;
	aliases_report	 report;
	enum aliases_state state;
	struct stat	 seen;
	struct aliases	 aliases;
};

/* Open the file's directory; nothing is read yet. */
void	aliases_open(struct aliases_file *, const struct config *,
	    aliases_report);
/*
 * Open the file for good and let the directory go, for a short-lived process
 * that won't be able to open it later.
 */
void	aliases_hold(struct aliases_file *);
/* Read it if it is new or has changed (one fstatat() if not). */
void	aliases_refresh(struct aliases_file *);
void	aliases_close(struct aliases_file *);

/* Puts mistakes in the log, one event each; line 0 is the whole file. */
void	aliases_log(const char *path, size_t line, const char *text);
/* Doesn't: the queue does already. */
void	aliases_ignore(const char *path, size_t line, const char *text);

#endif
