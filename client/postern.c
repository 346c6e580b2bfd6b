/*
 * postern: what people see to their server with, one subcommand for each
 * thing.
 *
 * Runs as whoever called it and has no rights of its own: nothing is set-id.
 * What somebody may, the server decides, whom the kernel tells who that is.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "fail.h"
#include "queue.h"
#include "standard.h"

static const struct command {
	const char	*name;
	int		(*run)(int argc, char **argv);
	const char	*text;
} commands[] = {
	{ "queue", queue_main, "letters that wait: list, show, retry, hold, "
	    "release, delete" },
};

static void
print_usage(FILE *out)
{
	size_t i;

	fputs("usage: postern command [argument ...]\n\n", out);
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(out, "  %-10s%s\n", commands[i].name,
		    commands[i].text);
	fputs("\npostern command --help says more.\n", out);
}

int
main(int argc, char **argv)
{
	size_t i;

	standard_open();
	signal(SIGPIPE, SIG_IGN);
	fail_as("postern", 1);
	if (argc > 1 && (strcmp(argv[1], "--help") == 0 ||
	    strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0)) {
		print_usage(stdout);
		return EX_OK;
	}
	for (i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]);
	    i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	print_usage(stderr);
	return EX_USAGE;
}
