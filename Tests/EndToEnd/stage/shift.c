// Preloaded into a process, this shifts its wall clock by the milliseconds in the file that SHIFT_FILE names, which a test
// changes while the process runs. Monotonic clocks stay, as they do when an administrator sets the time.
//
// libfaketime would do, but it changes the environment before `main`, and Swift then does not find its arguments.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *shift_ms;

__attribute__((constructor)) static void map_file(void) {
    const char *path = getenv("SHIFT_FILE");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) abort();
    void *page = mmap(NULL, sizeof *shift_ms, PROT_READ, MAP_SHARED, file, 0);
    if (page == MAP_FAILED) abort();
    close(file);
    shift_ms = page;
}

static struct timespec moved(struct timespec at, int64_t by_ms) {
    int64_t ns = at.tv_nsec + by_ms % 1000 * 1000000;
    at.tv_sec += by_ms / 1000;
    if (ns < 0) { ns += 1000000000; at.tv_sec--; }
    if (ns >= 1000000000) { ns -= 1000000000; at.tv_sec++; }
    at.tv_nsec = ns;
    return at;
}

static int64_t shift(void) { return shift_ms ? *shift_ms : 0; }

int clock_gettime(clockid_t clock, struct timespec *at) {
    if (syscall(SYS_clock_gettime, clock, at) != 0) return -1;
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) *at = moved(*at, shift());
    return 0;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    (void)zone;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}

// Waits until a moment of the shifted clock; the kernel knows only its own.
int pthread_cond_timedwait(pthread_cond_t *restrict cond, pthread_mutex_t *restrict mutex, const struct timespec *restrict end) {
    static int (*real)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    struct timespec real_end = moved(*end, -shift());
    return real(cond, mutex, &real_end);
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict end) {
    static int (*real)(sem_t *, const struct timespec *);
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "sem_timedwait");
    struct timespec real_end = moved(*end, -shift());
    return real(semaphore, &real_end);
}
