/* A library that counts the signals to condition variables that reach libc, and prints the count to stderr at exit.
 *
 * With SLOW_SIGNALS in the environment the first ones sleep, with the mutexes that their caller has, until another thread
 * has slept for the mutex behind the condition for 2 ms; their begin and end (CLOCK_MONOTONIC ns) are printed instead.
 * With SLOW_SIGNALS=first only the first one in a process with threads does, and it is for the mutex in front: the signal
 * is that of a take, which holds the GIL's first mutex as well.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/single_threaded.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 40, LONGEST_NS = 100000000, LONGEST_FIRST_NS = 2000000000 };

static _Atomic long signals, slow_signals;
static long long begins[MOST], ends[MOST];

static long long now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

int pthread_cond_signal(pthread_cond_t *cond)
{
    int (*real)(pthread_cond_t *) = (int (*)(pthread_cond_t *))dlvsym(RTLD_NEXT, "pthread_cond_signal", "GLIBC_2.3.2");
    if (real == NULL)
        real = (int (*)(pthread_cond_t *))dlsym(RTLD_NEXT, "pthread_cond_signal");
    atomic_fetch_add(&signals, 1);
    const char *slow = getenv("SLOW_SIGNALS");
    int is_first = slow != NULL && strcmp(slow, "first") == 0;
    long number = slow == NULL || __libc_single_threaded ? MOST : atomic_fetch_add(&slow_signals, 1);
    if (number < (is_first ? 1 : MOST)) {
        /* A GIL's mutex; libc has 2 in it while a thread sleeps for it. */
        const volatile int *mutex = is_first ? (const int *)((pthread_mutex_t *)cond - 1) : (const int *)(cond + 1);
        const struct timespec step = {0, 100000}, last = {0, 2000000};
        begins[number] = now_ns();
        while (*mutex != 2 && now_ns() - begins[number] < (is_first ? LONGEST_FIRST_NS : LONGEST_NS))
            syscall(SYS_nanosleep, &step, NULL);
        syscall(SYS_nanosleep, &last, NULL);
        ends[number] = now_ns();
    }
    return real(cond);
}

__attribute__((destructor)) static void report(void)
{
    if (getenv("SLOW_SIGNALS") == NULL)
        fprintf(stderr, "%ld\n", atomic_load(&signals));
    for (int n = 0; n < MOST && ends[n] != 0; n++)
        fprintf(stderr, "%lld %lld\n", begins[n], ends[n]);
}
