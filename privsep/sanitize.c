/*
 * sanitize: what a sanitizer build asks of its runtime.
 *
 * Runs in every process of builds made with SANITIZE=1, as whoever that is;
 * never part of others.  Leaks are not looked for: that needs ptrace, which an
 * undumpable process refuses.
 */
const char *__asan_default_options(void);
const char *__ubsan_default_options(void);

const char *
__asan_default_options(void)
{
	return "detect_leaks=0:abort_on_error=1";
}

const char *
__ubsan_default_options(void)
{
	return "print_stacktrace=1:abort_on_error=1";
}
