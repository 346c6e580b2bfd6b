/*
 * program: the executables below libexec-dir.
 */
#ifndef PRIVSEP_PROGRAM_H
#define PRIVSEP_PROGRAM_H

#define PROGRAM_PATH_MAX	(CONFIG_PATH_MAX + 64)

/*
 * Open one for execveat(): a descriptor with O_PATH and close-on-exec.  Its
 * path, for who tells of it, goes to path in any case.  -1: errno says why, and
 * EPERM that somebody else than root (or who runs this) could have written it.
 */
int	program_open(const char *libexec_dir, const char *name,
	    char path[PROGRAM_PATH_MAX]);

#endif
