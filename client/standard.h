/*
 * standard: standard input, output and error, whoever has closed them.
 */
#ifndef CLIENT_STANDARD_H
#define CLIENT_STANDARD_H

/*
 * At the start of a program: what is opened later can be none of the three.
 * Reading where nothing was is an error, and not an empty message.
 */
void	standard_open(void);

#endif
