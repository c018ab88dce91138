/* A library that counts the signals to condition variables that reach libc, and prints the count to stderr at exit. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

static _Atomic long signals;

int pthread_cond_signal(pthread_cond_t *cond)
{
    int (*real)(pthread_cond_t *) = (int (*)(pthread_cond_t *))dlvsym(RTLD_NEXT, "pthread_cond_signal", "GLIBC_2.3.2");
    if (real == NULL)
        real = (int (*)(pthread_cond_t *))dlsym(RTLD_NEXT, "pthread_cond_signal");
    atomic_fetch_add(&signals, 1);
    return real(cond);
}

__attribute__((destructor)) static void report(void)
{
    fprintf(stderr, "%ld\n", atomic_load(&signals));
}
