/*
 * lame: stands where a role's executable is expected, and runs the script
 * beside it, FILE.py, which makes a system call lame and execs the role.
 *
 * Roles are exec'd by descriptor, which a script can't be.
 */
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

int
main(void)
{
	char own[PATH_MAX], script[PATH_MAX + 4];
	ssize_t n = readlink("/proc/self/exe", own, sizeof(own) - 1);

	if (n == -1)
		return 126;
	own[n] = '\0';
	snprintf(script, sizeof(script), "%s.py", own);
	execl("/usr/bin/python3", "python3", "-I", script, (char *)NULL);
	return 126;
}
