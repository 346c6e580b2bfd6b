/*
 * clock: preloaded into popa3d, whose standalone server refuses a source its
 * eleventh connection, and everybody the 101st, within ten seconds; the limits
 * are compiled in.  It reads the time once a connection by times(2), so here
 * each call is ten minutes after the one before.
 */
#include <sys/times.h>

clock_t
times(struct tms *buf)
{
	static clock_t now;

	buf->tms_utime = buf->tms_stime = 0;
	buf->tms_cutime = buf->tms_cstime = 0;
	return now += 60000;
}
