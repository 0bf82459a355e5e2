#define _GNU_SOURCE
#include "LaunchSystem.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

// What a launcher takes note of: the ends of its children, and what it passes on.
static const int taken[] = {SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGCONT};
enum { taken_count = sizeof taken / sizeof *taken };

// What the caller gave this process, and what the child gets.
static struct sigaction original_actions[taken_count];
static struct sigaction original_sigpipe;
static sigset_t original_mask;

struct note {
    int number;
    int from_kernel;
};

// Written by the handler, which runs on any thread.
static int notes = -1;

static void take_note(int number, siginfo_t *info, void *context) {
    (void)context;
    int error = errno;
    struct note note = {number, info->si_code == SI_KERNEL};
    // A full pipe holds thousands of signals that wait already.
    ssize_t count = write(notes, &note, sizeof note);
    (void)count;
    errno = error;
}

int launch_become_subreaper(void) {
    return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0 ? 0 : errno;
}

int launch_take_signals(void) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0 || fcntl(ends[1], F_SETFL, O_NONBLOCK) != 0) {
        return -1;
    }
    notes = ends[1];
    if (sigaction(SIGPIPE, NULL, &original_sigpipe) != 0 || sigprocmask(SIG_SETMASK, NULL, &original_mask) != 0) {
        return -1;
    }
    struct sigaction action = {.sa_sigaction = take_note, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < taken_count; i++) {
        if (sigaction(taken[i], NULL, &original_actions[i]) != 0) {
            return -1;
        }
        // What the caller ignores (nohup) stays ignored, but for the ends of children.
        if (taken[i] != SIGCHLD && original_actions[i].sa_handler == SIG_IGN) {
            continue;
        }
        if (sigaction(taken[i], &action, NULL) != 0) {
            return -1;
        }
    }
    return ends[0];
}

int launch_next_signal(int descriptor, int *from_kernel) {
    struct note note;
    ssize_t count;
    do {
        count = read(descriptor, &note, sizeof note);
    } while (count < 0 && errno == EINTR);
    if (count != sizeof note) {
        return -1;
    }
    *from_kernel = note.from_kernel;
    return note.number;
}

// Runs in the child of a process with threads: system calls only, until the program is there.
static _Noreturn void become(char *const arguments[], int gate, int outcome) {
    char byte;
    ssize_t count;
    // Before the mask: a handler would tell the launcher of a signal that is not its own.
    for (int i = 0; i < taken_count; i++) {
        sigaction(taken[i], &original_actions[i], NULL);
    }
    sigaction(SIGPIPE, &original_sigpipe, NULL);
    sigprocmask(SIG_SETMASK, &original_mask, NULL);
    do {
        count = read(gate, &byte, 1);
    } while (count < 0 && errno == EINTR);
    if (count == 1) {
        execvp(arguments[0], arguments);
        int error = errno;
        count = write(outcome, &error, sizeof error);
    }
    _exit(127);
}

int launch_fork(char *const arguments[], struct launch_child *child) {
    int gate[2], outcome[2];
    if (pipe2(gate, O_CLOEXEC) != 0) {
        return errno;
    }
    if (pipe2(outcome, O_CLOEXEC) != 0) {
        int error = errno;
        close(gate[0]);
        close(gate[1]);
        return error;
    }
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    int error = errno;
    if (pid == 0) {
        // With its own copy of the writing end the child would never see the launcher go.
        close(gate[1]);
        become(arguments, gate[0], outcome[1]);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(gate[0]);
    close(outcome[1]);
    if (pid < 0) {
        close(gate[1]);
        close(outcome[0]);
        return error;
    }
    child->pid = pid;
    child->gate = gate[1];
    child->outcome = outcome[0];
    return 0;
}
