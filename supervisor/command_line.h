/*
 * command_line - a command line against the table of commands: finds the command, reads its options
 * and operand, says what is wrong, and gives help.  Called by main; the table is commands.c.
 */
#ifndef WAXSEAL_SUPERVISOR_COMMAND_LINE_H
#define WAXSEAL_SUPERVISOR_COMMAND_LINE_H

#include "supervisor/commands.h"

/* Runs a command line without the program's name; gives the exit status. */
int command_line_run(int count, char *const words[]);

#endif
