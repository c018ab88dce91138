/* The wait probe: a library that is preloaded into a measured program and records when its threads wait.
 *
 * It stands between the program and libc for the calls in which a thread can block, reads the clock around them, and
 * leaves one record per wait in a shared file mapping (waits.h). It needs no symbols, no privileges and no help from
 * Python:
 *
 *   - take_gil blocks in pthread_cond_timedwait on the GIL's condition, 5 ms at a time, until it has the GIL, and then
 *     signals the GIL's second condition; drop_gil signals the first one. Both lie in one struct, cond, mutex,
 *     switch_cond, so that the second address follows from the first. A wait for the GIL is from the first of these
 *     calls to the signal. A GIL is identified by its address: there is one per interpreter since 3.12. Its mutexes are
 *     locked by pthread_mutex_lock, which may be the first call that blocks.
 *   - threading's locks wait in sem_wait, sem_clockwait and sem_timedwait; so do PyMutex and the parking lot (3.13+).
 *   - I/O, polls, sleeps and waits for children are libc calls of their own.
 *
 * While a thread waits its own Python frame stands still, so that its function can be read without the GIL.
 *
 * Rules that the code keeps: nothing is allocated and no lock is taken after the constructor (except by the loader, for a
 * Python that is loaded later and for the library of a native thread); a thread touches memory of its own, one atomic
 * counter and the slot it drew; errno is the caller's. No descriptor is kept open, because a program may close it and
 * get the same number for a file of its own. A record that finds no room is counted and left out. A thread that takes a
 * free GIL pays some comparisons, two stores and a reading of the processor's counter.
 *
 * LD_PRELOAD follows exec; a fork child opens a file of its own. Environment: TRACEKIT_WAITS names the folder of the
 * files; TRACEKIT_WAITS_ALL_SIGNALS=1 passes every signal of a GIL on to libc (conditions.h).
 *
 * The parts are one compilation unit, so that the compiler can inline across them; each needs those before it.
 */
#define _GNU_SOURCE
#include "waits.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HOT __attribute__((hot))
#define COLD __attribute__((cold, noinline))
#define EXPORT __attribute__((visibility("default")))
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define relaxed memory_order_relaxed
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

enum {
    CERTAIN_WAIT_NS = 1000000,    /* a call that does nothing but wait has left the CPU in this time */
    SHORTEST_GIL_WAIT_NS = 3000,  /* a thread that sleeps for the GIL needs longer than this */
    SHORTEST_CALL_NS = 10000,     /* a call that left the CPU for less is not recorded */
    SHORTEST_CALL_TICKS = 10000,  /* the same in ticks of the counter: at most 10 µs on a machine of 1 GHz and more */
    STREAK = 64,                  /* after so many calls that did not wait the next one is not timed either */
    STREAK_RECHECK = 1024,        /* how often the clocks are read in a streak */
    STREAK_STEP = 2000,           /* ns or ticks from call to call, at most, in a streak */
    IN_CALL = 1 << 30,            /* in place of the count: the thread is in such a call, this is a signal handler's */
    CHECKPOINT_NS = 50000000,     /* how old a thread's CPU time may be when the process is killed */
    QUEUE_NS = 500000000,         /* and its run-queue wait, which is in a file that costs 20 µs to read */
    FIRST_SLOTS = 1600,           /* 64 kB: a child of 50 ms should not pay for more */
    STEP_SLOTS = 1 << 17,         /* 5 MB: the most the file grows by at a time */
    RETRY_SLOTS = 1 << 12,        /* records until growing is tried again where it failed */
    SPACE_SHARE = 16,             /* the part of a limited address space that the file may take */
    TEXT_BYTES = 32,              /* of a text in one slot */
    NAME_BYTES = 200,             /* of a function's or a thread's name that are kept */
    SYSTEM_NAME_BYTES = 15,       /* of a thread's name that the system has */
    PATH_BYTES = 400,             /* of a file's path that are kept */
    CACHED_BYTES = 256,           /* of a name and a path, to recognise the function of the wait before */
    SITES = 1 << 13,              /* different functions per process that can have an id */
    GILS = 64,                    /* interpreters with a GIL of their own */
    STARTS = 256,                 /* threads being started at the same time */
};
#define LIMIT_BYTES (UINT64_C(1) << 30)
#define LONGEST_INTERVAL_NS (UINT64_C(1000000) * 1000000000u) /* of a switch interval; more is a time on another clock */

/* Newer than the headers of glibc 2.17, which the wheel is built for; the kernel may have them. */
#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#ifndef WAITS_SOURCES
#define WAITS_SOURCES "tracekit-waits-sources: unknown"
#endif
static const char sources[] = WAITS_SOURCES;

#include "waits/hooks.h"
#include "waits/proc_files.h"
#include "waits/clock.h"
#include "waits/file.h"
#include "waits/texts.h"
#include "waits/layout.h"
#include "waits/check_functions.h"
#include "waits/python_frames.h"
#include "waits/stacks.h"
#include "waits/python_names.h"
#include "waits/threads.h"
#include "waits/starts.h"
#include "waits/gil.h"
#include "waits/timing.h"
#include "waits/conditions.h"
#include "waits/mutexes.h"
#include "waits/wakeups.h"
#include "waits/calls.h"
#include "waits/children.h"
#include "waits/own_file.h"
#include "waits/process.h"
