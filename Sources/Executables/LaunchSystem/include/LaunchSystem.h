// The system calls of a launcher that Swift cannot make: fork, and calls with variable arguments.
#pragma once

#include <sys/types.h>

/// Becomes the parent of orphaned descendants (PR_SET_CHILD_SUBREAPER). Returns 0 or an error number.
int launch_become_subreaper(void);

/// Takes note of the signals that a launcher passes on, and remembers for the child what they were to do. Call it before
/// anything else changes that. Returns a descriptor for `launch_next_signal`, or -1.
int launch_take_signals(void);

/// Waits for the next signal. Returns its number, or -1 at an error; `from_kernel` is not 0 for a signal that the kernel
/// sent by itself, as a terminal's does to the whole process group.
int launch_next_signal(int descriptor, int *from_kernel);

/// A child that waits before it becomes its program.
struct launch_child {
    pid_t pid;
    /// One byte written here lets the child go on; closing it ends the child.
    int gate;
    /// Gives the error number when the program could not be started, and its end when it was.
    int outcome;
};

/// Forks a child that waits at the gate and then becomes `arguments[0]`, looked up on PATH. Returns 0 or an error number.
int launch_fork(char *const arguments[], struct launch_child *child);
