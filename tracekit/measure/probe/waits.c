/* The wait probe: a library that is preloaded into a measured program and writes down when its threads wait.
 *
 * It stands between the program and libc for the calls a thread can block in, reads the clock around them, and leaves
 * one record per wait in a shared file mapping (waits.h). It needs no symbols, no privileges and no help from Python:
 *
 *   - take_gil blocks in pthread_cond_timedwait on the GIL's condition, 5 ms at a time, until it has the GIL, and then
 *     signals the GIL's second condition; drop_gil signals the first one. Both lie in one struct, cond, mutex,
 *     switch_cond, so that the second address follows from the first. A wait for the GIL is from the first of these
 *     calls to the signal. One GIL is told from another by the address: there is one per interpreter since 3.12.
 *   - threading's locks wait in sem_wait, sem_clockwait and sem_timedwait; so do PyMutex and the parking lot (3.13+).
 *   - I/O, polls, sleeps and waits for children are libc calls of their own.
 *
 * While a thread waits its own Python frame stands still, so that the function it is in can be read without the GIL.
 *
 * Rules that the code keeps: nothing is allocated and no lock is taken after the constructor (but to look for a Python
 * that is loaded later); a thread touches memory of its own, one atomic counter and the slot it drew; errno is the
 * caller's. No descriptor is kept open, because a program may close it and get the same number for a file of its own.
 * What finds no room is counted and left out. A thread that takes a free GIL pays two comparisons and one store.
 *
 * LD_PRELOAD follows exec; a fork child opens a file of its own. The folder is named by TRACEKIT_WAITS.
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
    SURE_NS = 1000000,           /* a call that does nothing but wait has left the CPU in this time */
    NO_WAIT_NS = 3000,           /* nobody who sleeps for the GIL has it sooner */
    SHORT_NS = 10000,            /* a call that left the CPU for less did not wait worth speaking of */
    SHORT_TICKS = 10000,         /* the same in ticks of the counter: at most 10 us on any machine of 1 GHz and more */
    CALM = 64,                   /* after so many calls that did not wait the next one is not timed either */
    CALM_AGAIN = 1024,           /* how often the clocks are read in a calm */
    DENSE = 2000,                /* ns or ticks from call to call, at most, in a calm */
    INSIDE = 1 << 30,            /* in place of the count: the thread is in such a call, this is a signal handler's */
    CHECKPOINT_NS = 50000000,    /* how old a thread's CPU time may be when the process is killed */
    QUEUE_NS = 500000000,        /* and its run-queue wait, which is in a file that costs 20 us to read */
    FIRST_SLOTS = 1600,          /* 64 kB: a child of 50 ms should not pay for more */
    STEP_SLOTS = 1 << 17,        /* 5 MB: the most the file grows by at a time */
    AGAIN_SLOTS = 1 << 12,       /* records until growing is tried again where it failed */
    SPACE_SHARE = 16,            /* what part of a limited address space may be ours */
    TEXT_BYTES = 32,             /* of a text in one slot */
    NAME_MOST = 200,             /* bytes of a function's name that are kept */
    PATH_MOST = 400,             /* bytes of a file's path that are kept */
    SEEN_BYTES = 256,            /* of a name and a path, so that a function is known again at a glance */
    SITES = 1 << 13,             /* different functions per process that can have an id */
    GILS = 64,                   /* interpreters with a GIL of their own */
    STARTS = 256,                /* threads being started at the same time */
};
#define LIMIT_BYTES (UINT64_C(1) << 30)

#ifndef WAITS_SOURCES
#define WAITS_SOURCES "tracekit-waits-sources: unknown"
#endif
__attribute__((used)) static const char sources[] = WAITS_SOURCES;

/* ---- libc's own functions ----------------------------------------------------------------------------------- */

#if defined(COND_VERSION)
/* Said by whoever compiles: between us and libc there is a sanitizer, which has no versions. */
#elif defined(__x86_64__)
#define COND_VERSION "GLIBC_2.3.2"
#else
#define COND_VERSION "GLIBC_2.17"
#endif

#define REAL(name) static __typeof__(&name) real_##name
REAL(pthread_cond_init);
REAL(pthread_cond_destroy);
REAL(pthread_cond_signal);
REAL(pthread_cond_wait);
REAL(pthread_cond_timedwait);
REAL(pthread_cond_clockwait);
REAL(pthread_create);
REAL(pthread_join);
REAL(pthread_cancel);
REAL(sem_wait);
REAL(sem_trywait);
REAL(sem_timedwait);
REAL(sem_clockwait);
REAL(read);
REAL(pread64);
REAL(readv);
REAL(preadv64);
REAL(preadv64v2);
REAL(recv);
REAL(recvfrom);
REAL(eventfd_read);
REAL(recvmsg);
REAL(recvmmsg);
REAL(write);
REAL(pwrite64);
REAL(writev);
REAL(pwritev64);
REAL(pwritev64v2);
REAL(send);
REAL(sendto);
REAL(sendmsg);
REAL(sendmmsg);
REAL(sendfile64);
REAL(splice);
REAL(copy_file_range);
REAL(connect);
REAL(accept);
REAL(accept4);
REAL(fsync);
REAL(fdatasync);
REAL(flock);
REAL(lockf64);
REAL(getaddrinfo);
REAL(poll);
REAL(ppoll);
REAL(select);
REAL(pselect);
REAL(epoll_wait);
REAL(epoll_pwait);
REAL(nanosleep);
REAL(clock_nanosleep);
REAL(usleep);
REAL(sleep);
REAL(pause);
REAL(sigwait);
REAL(sigwaitinfo);
REAL(sigtimedwait);
REAL(sigsuspend);
REAL(system);
REAL(pclose);
REAL(wait4);
REAL(waitid);
REAL(fork);
REAL(execve);
REAL(execv);
REAL(execvp);
REAL(execvpe);
REAL(fexecve);
static __typeof__(&_exit) real__exit;

static _Atomic bool resolved;

/* Another library's constructor may call us before our own ran. Whoever comes twice finds the same addresses. */
COLD static void resolve_libc(void)
{
#define FIND(name) real_##name = (__typeof__(real_##name))dlsym(RTLD_NEXT, #name)
    /* These have an old version with another layout, which dlsym may give. */
#define FIND_COND(name) \
    do { \
        real_##name = (__typeof__(real_##name))dlvsym(RTLD_NEXT, #name, COND_VERSION); \
        if (real_##name == NULL) \
            FIND(name); \
    } while (0)
    FIND_COND(pthread_cond_init);
    FIND_COND(pthread_cond_destroy);
    FIND_COND(pthread_cond_signal);
    FIND_COND(pthread_cond_wait);
    FIND_COND(pthread_cond_timedwait);
    FIND(pthread_cond_clockwait);
    FIND(pthread_create);
    FIND(pthread_join);
    FIND(pthread_cancel);
    FIND(sem_wait);
    FIND(sem_trywait);
    FIND(sem_timedwait);
    FIND(sem_clockwait);
    FIND(read);
    FIND(pread64);
    FIND(readv);
    FIND(preadv64);
    FIND(preadv64v2);
    FIND(recv);
    FIND(recvfrom);
    FIND(eventfd_read);
    FIND(recvmsg);
    FIND(recvmmsg);
    FIND(write);
    FIND(pwrite64);
    FIND(writev);
    FIND(pwritev64);
    FIND(pwritev64v2);
    FIND(send);
    FIND(sendto);
    FIND(sendmsg);
    FIND(sendmmsg);
    FIND(sendfile64);
    FIND(splice);
    FIND(copy_file_range);
    FIND(connect);
    FIND(accept);
    FIND(accept4);
    FIND(fsync);
    FIND(fdatasync);
    FIND(flock);
    FIND(lockf64);
    FIND(getaddrinfo);
    FIND(poll);
    FIND(ppoll);
    FIND(select);
    FIND(pselect);
    FIND(epoll_wait);
    FIND(epoll_pwait);
    FIND(nanosleep);
    FIND(clock_nanosleep);
    FIND(usleep);
    FIND(sleep);
    FIND(pause);
    FIND(sigwait);
    FIND(sigwaitinfo);
    FIND(sigtimedwait);
    FIND(sigsuspend);
    FIND(system);
    FIND(pclose);
    FIND(wait4);
    FIND(waitid);
    FIND(fork);
    FIND(execve);
    FIND(execv);
    FIND(execvp);
    FIND(execvpe);
    FIND(fexecve);
    FIND(_exit);
    atomic_store_explicit(&resolved, true, memory_order_release);
}

static inline void need_libc(void)
{
    if (UNLIKELY(!atomic_load_explicit(&resolved, memory_order_acquire)))
        resolve_libc();
}

/* ---- clocks --------------------------------------------------------------------------------------------------- */

static inline uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline uint64_t now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

/* The processor's counter costs half of what the clock does, and an I/O call that does not wait must cost next to
 * nothing. It is only a way to write "the clock, read later": see stamp_ns. */
static bool has_counter;
static uint64_t base_ticks, base_ns;

#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>
static inline uint64_t counter(void)
{
    return __rdtsc();
}
static bool counter_is_steady(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(0x80000007u, &a, &b, &c, &d) && (d & (1u << 8));
}
#elif defined(__aarch64__)
static inline uint64_t counter(void)
{
    uint64_t value;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(value));
    return value;
}
static bool counter_is_steady(void)
{
    return false; /* often 1 GHz and less: SHORT_TICKS would mean too much */
}
#else
static inline uint64_t counter(void)
{
    return 0;
}
static bool counter_is_steady(void)
{
    return false;
}
#endif

static inline uint64_t stamp(void)
{
    return LIKELY(has_counter) ? counter() : now_ns();
}

/* When a stamp was, in ns, given that it is `now` now. The rate is known from the constructor's readings; a process that
 * is a millisecond old knows it to a ten thousandth. */
static uint64_t stamp_ns(uint64_t then, uint64_t now)
{
    if (!has_counter)
        return then;
    uint64_t ticks = counter();
    if (ticks <= base_ticks || ticks <= then || now <= base_ns)
        return now;
    double per_tick = (double)(now - base_ns) / (double)(ticks - base_ticks);
    uint64_t ago = (uint64_t)((double)(ticks - then) * per_tick);
    return ago < now ? now - ago : now;
}

/* ---- "was I taken off the CPU?" ------------------------------------------------------------------------------- */

/* A call that may wait or not waits if and only if the kernel takes the thread off the CPU in it, and the kernel says so
 * for two nanoseconds: when a thread comes back, it clears the field rseq_cs of the thread's restartable-sequence area
 * (rseq(2); glibc has registered one since 2.35) unless the thread was inside the sequence that the field describes. So
 * we have a sequence that nothing is ever inside of, and look whether it is still there. It is not there either when a
 * signal was delivered or when somebody else (tcmalloc) has put a sequence of his own: then the clock decides.
 *
 * From 6.19 on the kernel spares itself the clearing where a thread comes back from a system call to the same CPU. What
 * an emulated kernel does is seen in the first wait that is long enough: see end_wait. */
struct rseq_area {
    uint32_t cpu_id_start, cpu_id;
    uint64_t rseq_cs;
};

static ptrdiff_t rseq_offset;
static _Atomic bool has_rseq;

#if defined(__x86_64__) || defined(__aarch64__)
/* The kernel wants this number before the address that an abort would jump to, and checks it. */
#if defined(__x86_64__)
#define RSEQ_SIGNATURE "0x53053053"
#else
#define RSEQ_SIGNATURE "0xd428bc00"
#endif
__asm__(".pushsection .text\n"
        ".balign 8\n"
        "waits_sequence: .int 0\n"
        ".int " RSEQ_SIGNATURE "\n"
        "waits_abort: .int 0\n"
        ".popsection\n");
extern const char waits_sequence[] __attribute__((visibility("hidden")));
extern const char waits_abort[] __attribute__((visibility("hidden")));

static struct {
    uint32_t version, flags;
    uint64_t start_ip, post_commit_offset, abort_ip;
} sequence __attribute__((aligned(32)));

static inline char *thread_pointer(void)
{
#if defined(__x86_64__)
    /* gcc has __builtin_thread_pointer for it since 11 only. */
    char *own;
    __asm__("mov %%fs:0, %0" : "=r"(own));
    return own;
#else
    return __builtin_thread_pointer();
#endif
}

/* The calling thread's area, NULL when it has none. */
static inline struct rseq_area *own_rseq(void)
{
    if (!has_rseq)
        return NULL;
    struct rseq_area *area = (struct rseq_area *)(thread_pointer() + rseq_offset);
    /* The kernel writes a CPU there, glibc a negative number where the kernel refused. */
    return (int32_t) * (volatile uint32_t *)&area->cpu_id >= 0 ? area : NULL;
}

static inline void arm(struct rseq_area *area)
{
    *(volatile uint64_t *)&area->rseq_cs = (uintptr_t)&sequence;
}

static inline bool stayed(const struct rseq_area *area)
{
    return *(const volatile uint64_t *)&area->rseq_cs == (uintptr_t)&sequence;
}

static bool kernel_clears_always(void)
{
    struct utsname system;
    if (uname(&system) != 0)
        return false;
    char *end;
    unsigned long major = strtoul(system.release, &end, 10), minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
    return major < 6 || (major == 6 && minor < 19);
}

COLD static void find_rseq(void)
{
    const ptrdiff_t *offset = (const ptrdiff_t *)dlsym(RTLD_DEFAULT, "__rseq_offset");
    const unsigned *size = (const unsigned *)dlsym(RTLD_DEFAULT, "__rseq_size");
    if (offset == NULL || size == NULL || *size < sizeof(struct rseq_area) || !kernel_clears_always())
        return;
    sequence.start_ip = (uintptr_t)waits_sequence;
    sequence.post_commit_offset = 1;
    sequence.abort_ip = (uintptr_t)waits_abort;
    rseq_offset = *offset;
    has_rseq = true;
}
#else
static void find_rseq(void)
{
}
static inline struct rseq_area *own_rseq(void)
{
    return NULL;
}
static inline void arm(struct rseq_area *area)
{
    (void)area;
}
static inline bool stayed(const struct rseq_area *area)
{
    (void)area;
    return false;
}
#endif

/* ---- the file ------------------------------------------------------------------------------------------------- */

static struct waits_header *_Atomic file; /* NULL: nothing is recorded */
static struct waits_slot *slots;
static struct waits_thread *threads;
static size_t mapped_bytes;
static char path[PATH_MAX];
static char folder[PATH_MAX];
static pid_t own_pid;
static size_t page_bytes;
static _Atomic bool growing;
static _Atomic uint64_t no_room_until; /* number of the record at which growing is worth another try */
static uint32_t first_id;              /* an image that follows another in this file has ids of its own */

/* What the kernel clears in a fork child: also in one that was made behind libc's back. */
static struct ours {
    _Atomic uint32_t alive;               /* 0: this is a child, nothing here is its own yet */
    _Atomic uint64_t site_hashes[SITES]; /* hash of a function -> its place is the id */
} *ours;

COLD static void begin_in_child(void);

/* A system call of our own must not change what the program sees in errno. */
static int open_file(const char *name, int flags)
{
    return (int)syscall(SYS_openat, AT_FDCWD, name, flags | O_CLOEXEC, 0666);
}

/* Make sure of room on disk: a page of a mapping that finds none when it is written is a SIGBUS. */
COLD static bool allocate(int fd, uint64_t from, uint64_t to)
{
    if (syscall(SYS_fallocate, fd, 0, (off_t)from, (off_t)(to - from)) == 0)
        return true;
    /* A file system that cannot, an old kernel, a sandbox that refuses: then by writing. */
    struct rlimit limit;
    if ((errno != EOPNOTSUPP && errno != ENOSYS && errno != EPERM) || getrlimit(RLIMIT_FSIZE, &limit) != 0 ||
        limit.rlim_cur < to)
        return false;
    static const char zeros[4096];
    for (uint64_t at = from; at < to; at += sizeof zeros) {
        size_t length = to - at < sizeof zeros ? (size_t)(to - at) : sizeof zeros;
        if (syscall(SYS_pwrite64, fd, zeros, length, (off_t)at) != (ssize_t)length)
            return false;
    }
    return true;
}

static uint64_t offset_of(uint64_t slot)
{
    return WAITS_SLOTS_AT + slot * sizeof(struct waits_slot);
}

/* Make sure of room through the mapping: it fails where a write would be a SIGBUS. All pages at once are cheaper than a
 * fault for every hundred records, too. */
COLD static bool populate(struct waits_header *header, uint64_t from, uint64_t to)
{
#ifdef MADV_POPULATE_WRITE
    uint64_t begin = from & ~(uint64_t)(page_bytes - 1);
    return madvise((char *)header + begin, to - begin, MADV_POPULATE_WRITE) == 0;
#else
    return false;
#endif
}

/* Give the file more room; one thread at a time, the others go on in what there is. */
COLD static void grow(struct waits_header *header, uint64_t number)
{
    if (number < atomic_load_explicit(&no_room_until, relaxed) ||
        atomic_exchange_explicit(&growing, true, memory_order_acquire))
        return;
    int saved = errno;
    uint64_t ready = atomic_load_explicit(&header->ready, relaxed);
    uint64_t step = ready < STEP_SLOTS ? ready : STEP_SLOTS;
    uint64_t wanted = ready + step < header->limit ? ready + step : header->limit;
    if (wanted > ready) {
        int fd = open_file(path, O_RDWR);
        bool room = fd >= 0 && allocate(fd, offset_of(ready), offset_of(wanted));
        if (room)
            atomic_store_explicit(&header->ready, wanted, memory_order_release);
        /* A program that has no descriptor left, or went to another root or user, cannot open the file again. */
        if (populate(header, offset_of(ready), offset_of(wanted)) && fd < 0)
            atomic_store_explicit(&header->ready, wanted, memory_order_release);
        else if (!room)
            atomic_store_explicit(&no_room_until, number + AGAIN_SLOTS, relaxed);
        if (fd >= 0)
            syscall(SYS_close, fd);
    }
    errno = saved;
    atomic_store_explicit(&growing, false, memory_order_release);
}

/* Draw a slot; NULL when there is no room, which is counted. */
HOT static struct waits_slot *draw(struct waits_header *header)
{
    uint64_t number = atomic_fetch_add_explicit(&header->taken, 1, relaxed);
    uint64_t ready = atomic_load_explicit(&header->ready, memory_order_acquire);
    uint64_t margin = ready < 2 * (uint64_t)STEP_SLOTS ? ready / 2 : (uint64_t)STEP_SLOTS;
    if (UNLIKELY(number + margin >= ready && ready < header->limit)) {
        grow(header, number);
        ready = atomic_load_explicit(&header->ready, memory_order_acquire);
    }
    if (UNLIKELY(number >= ready)) {
        atomic_fetch_add_explicit(&header->lost, 1, relaxed);
        return NULL;
    }
    /* Where the next records go: nobody has looked there yet, and to fetch it takes as long as all the rest. */
    __builtin_prefetch(&slots[number + 6], 1);
    return &slots[number];
}

/* ---- the calling thread ----------------------------------------------------------------------------------------- */

struct gil {
    _Atomic(void *) cond;
    _Atomic(void *) switch_cond;
    _Atomic uint32_t holder;  /* who took it last */
    _Atomic uint32_t waiters; /* threads blocked in take_gil */
    _Atomic uint64_t taken;   /* when, ns; 0: nobody waited then, so nobody looked at the clock */
    /* Threads inside any of libc's waits for cond and for switch_cond, counted while they hold the mutex that belongs to
     * it: where there is none, a signal does nothing. Each call that may block sends two of them, and what it saves not to
     * call libc for nothing pays for looking at them. */
    _Atomic uint32_t in_cond, in_switch_cond;
};

static __thread struct self {
    uint32_t tid;
    bool ended;
    bool python; /* it had a Python thread state at some time */
    uint32_t calm;   /* calls since the last one in which it left the CPU, or INSIDE */
    uint32_t nested; /* calls since it has been INSIDE */
    bool told;       /* it is known whether the kernel says that it left the CPU; to ask costs it 100 ns */
    struct rseq_area *rseq;
    int *errno_at; /* NULL: not asked for yet */
    struct waits_thread *entry;
    struct gil *gil;              /* the GIL it waits for, or NULL */
    pthread_cond_t *gil_cond;     /* its first condition */
    struct waits_slot *gil_slot;  /* the record of that wait, all but its end; kept for the next if it was none */
    uint64_t gil_since;
    uint64_t dropped_ns;          /* when it gave up a GIL that somebody waited for, and that is not written yet; or 0 */
    uint64_t dropped_taken, dropped_object;
    uint64_t checkpoint, queue_read; /* when its CPU time, its run-queue wait were written down last */
    uint64_t calm_since;        /* stamp of the first of these calls */
    uint64_t calm_ns, calm_cpu; /* both clocks, read while it was calm */
} self __attribute__((tls_model("initial-exec")));

static pthread_key_t end_key;
static bool has_end_key;

COLD static void begin_thread(struct waits_header *header);

/* The header to record into, or NULL; makes sure that it is this process's and that the thread is known. */
HOT static inline struct waits_header *recording(void)
{
    struct waits_header *header = atomic_load_explicit(&file, relaxed);
    if (UNLIKELY(header == NULL))
        return NULL;
    if (UNLIKELY(!atomic_load_explicit(&ours->alive, relaxed))) {
        begin_in_child();
        header = atomic_load_explicit(&file, relaxed);
        if (header == NULL)
            return NULL;
    }
    if (UNLIKELY(self.tid == 0))
        begin_thread(header);
    return header;
}

HOT static void put(struct waits_header *header, enum waits_kind kind, uint64_t start, uint64_t dur, uint64_t object,
                    uint32_t other, uint32_t site, unsigned flags)
{
    struct waits_slot *slot = draw(header);
    if (slot == NULL)
        return;
    slot->start_ns = start;
    slot->dur_ns = dur;
    slot->object = object;
    slot->tid = self.tid;
    slot->other = other;
    slot->site = site;
    slot->flags = (uint8_t)flags;
    atomic_store_explicit(&slot->kind, (uint16_t)kind, memory_order_release);
}

/* ---- texts ------------------------------------------------------------------------------------------------------ */

/* Write a text into slots; whoever reads puts them together by id and part. */
COLD static void put_text(struct waits_header *header, uint32_t id, const char *text, size_t length)
{
    unsigned parts = (unsigned)((length + TEXT_BYTES - 1) / TEXT_BYTES);
    for (unsigned part = 0; part < parts; part++) {
        struct waits_slot *slot = draw(header);
        if (slot == NULL)
            return;
        size_t left = length - part * TEXT_BYTES;
        memcpy(slot, text + part * TEXT_BYTES, left < TEXT_BYTES ? left : TEXT_BYTES);
        slot->site = id;
        slot->flags = (uint8_t)part;
        slot->parts = (uint8_t)parts;
        atomic_store_explicit(&slot->kind, KIND_TEXT, memory_order_release);
    }
}

/* The id of what has this hash; *fresh when it is seen for the first time. 0 when the table is full. */
static uint32_t text_id(uint64_t hash, bool *fresh)
{
    *fresh = false;
    if (hash == 0)
        hash = 1;
    for (unsigned probe = 0; probe < 64; probe++) {
        unsigned at = (unsigned)(hash + probe) % SITES;
        uint64_t found = atomic_load_explicit(&ours->site_hashes[at], relaxed);
        if (found == 0 &&
            atomic_compare_exchange_strong_explicit(&ours->site_hashes[at], &found, hash, relaxed, relaxed)) {
            *fresh = true;
            return first_id + at + 1;
        }
        if (found == hash)
            return first_id + at + 1;
    }
    return 0;
}

/* A hash of bytes, eight at a time (the mixing steps of wyhash). It must tell functions apart for the length of a run:
 * two of 10,000 functions collide once in 10^11 runs. */
static uint64_t mix(uint64_t a, uint64_t b)
{
    __uint128_t product = (__uint128_t)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t word_at(const unsigned char *bytes, size_t length)
{
    uint64_t word = 0;
    memcpy(&word, bytes, length < 8 ? length : 8);
    return word;
}

static uint64_t hash_bytes(const unsigned char *bytes, size_t length, uint64_t seed)
{
    uint64_t hash = seed ^ (length * UINT64_C(0x9E3779B97F4A7C15));
    for (; length >= 16; bytes += 16, length -= 16)
        hash = mix(word_at(bytes, 8) ^ UINT64_C(0xA0761D6478BD642F), word_at(bytes + 8, 8) ^ hash);
    uint64_t low = word_at(bytes, length), high = length > 8 ? word_at(bytes + 8, length - 8) : 0;
    return mix(mix(low ^ UINT64_C(0xA0761D6478BD642F), high ^ hash), UINT64_C(0xE7037ED1A0B428DB));
}

/* ---- Python's functions ----------------------------------------------------------------------------------------- */

/* Where things lie in this Python. 3.13 and newer say it in a table at the start of _PyRuntime; before, these are
 * constants of each minor version (offsetof on 3.9.18, 3.10.13, 3.11.7 and 3.12.1, 64 bit). */
struct layout {
    unsigned version; /* major << 8 | minor */
    unsigned frame;   /* in the thread state; in 3.11 and 3.12 of the cframe */
    int cframe;       /* offset of current_frame in the cframe, -1: the thread state has the frame itself */
    unsigned code, previous;
    unsigned filename, name, firstlineno;
    unsigned type; /* of an object */
    unsigned length, state, ascii, compact;
    unsigned kind_shift; /* of the bits kind:3 compact:1 ascii:1 in the string's state */
};

static const struct layout LAYOUTS[] = {
    {0x309, 24, -1, 32, 24, 104, 112, 40, 8, 16, 32, 48, 72, 2},
    {0x30A, 24, -1, 32, 24, 104, 112, 40, 8, 16, 32, 48, 72, 2},
    {0x30B, 56, 8, 32, 48, 112, 128, 72, 8, 16, 32, 48, 72, 2},
    {0x30C, 56, 0, 0, 8, 112, 128, 68, 8, 16, 32, 40, 56, 2},
};

/* Places in the table of _PyRuntime, counted in words. It begins with a cookie, the version and free_threaded. */
struct table {
    unsigned version;
    unsigned current_frame, previous, executable, filename, qualname, firstlineno, type, state, length, ascii;
};
static const struct table TABLES[] = {
    {0x30D, 23, 29, 30, 35, 37, 39, 45, 68, 69, 70},
    {0x30E, 26, 32, 33, 40, 42, 44, 51, 78, 79, 80},
};

static struct python {
    _Atomic bool known;  /* a Python is loaded: addresses below are its */
    bool sites;          /* and its layout is known */
    uint32_t version;    /* PY_VERSION_HEX without the level */
    uintptr_t low, high; /* the module that holds it */
    void *(*this_thread)(void);
    int (*initialized)(void);
    const void *code_type;
    struct layout at;
} python;

static int in_module(struct dl_phdr_info *info, size_t size, void *wanted)
{
    (void)size;
    uintptr_t address = *(uintptr_t *)wanted;
    uintptr_t low = UINTPTR_MAX, high = 0;
    for (int n = 0; n < info->dlpi_phnum; n++) {
        if (info->dlpi_phdr[n].p_type != PT_LOAD)
            continue;
        uintptr_t begin = info->dlpi_addr + info->dlpi_phdr[n].p_vaddr;
        uintptr_t end = begin + info->dlpi_phdr[n].p_memsz;
        low = begin < low ? begin : low;
        high = end > high ? end : high;
    }
    if (address < low || address >= high)
        return 0;
    python.low = low;
    python.high = high;
    return 1;
}

static bool layout_from_table(unsigned version, const uint64_t *table)
{
    if (table == NULL || memcmp(table, "xdebugpy", 8) != 0 || table[1] >> 16 != version)
        return false;
    for (size_t n = 0; n < LENGTH(TABLES); n++) {
        const struct table *row = &TABLES[n];
        if (row->version != version)
            continue;
        unsigned ascii = (unsigned)table[row->ascii];
        python.at = (struct layout){
            .version = version,
            .frame = (unsigned)table[row->current_frame],
            .cframe = -1,
            .code = (unsigned)table[row->executable],
            .previous = (unsigned)table[row->previous],
            .filename = (unsigned)table[row->filename],
            .name = (unsigned)table[row->qualname],
            .firstlineno = (unsigned)table[row->firstlineno],
            .type = (unsigned)table[row->type],
            .length = (unsigned)table[row->length],
            .state = (unsigned)table[row->state],
            .ascii = ascii,
            .compact = ascii + 2 * sizeof(void *), /* utf8_length and utf8 */
            /* Without a GIL `interned` is a byte of its own from 3.14 on. */
            .kind_shift = table[2] && version >= 0x30E ? 8 : 2,
        };
        return true;
    }
    return false;
}

/* Look for a Python in this process: in the constructor, and again when a program loads one later. */
COLD static void find_python(void)
{
    const char *(*get_version)(void) = (const char *(*)(void))dlsym(RTLD_DEFAULT, "Py_GetVersion");
    if (get_version == NULL)
        return;
    void *(*this_thread)(void) = (void *(*)(void))dlsym(RTLD_DEFAULT, "PyGILState_GetThisThreadState");
    int (*initialized)(void) = (int (*)(void))dlsym(RTLD_DEFAULT, "Py_IsInitialized");
    const void *code_type = dlsym(RTLD_DEFAULT, "PyCode_Type");
    uintptr_t inside = (uintptr_t)this_thread;
    if (this_thread == NULL || initialized == NULL || code_type == NULL)
        return;
    if (!dl_iterate_phdr(in_module, &inside))
        return;
    unsigned major = 0, minor = 0, micro = 0;
    const char *text = get_version();
    if (text == NULL || sscanf(text, "%u.%u.%u", &major, &minor, &micro) < 2)
        return;
    unsigned version = major << 8 | minor;
    python.this_thread = this_thread;
    python.initialized = initialized;
    python.code_type = code_type;
    for (size_t n = 0; n < LENGTH(LAYOUTS) && sizeof(void *) == 8; n++) {
        if (LAYOUTS[n].version == version) {
            python.at = LAYOUTS[n];
            python.sites = true;
        }
    }
    if (sizeof(void *) == 8 && version >= 0x30D)
        python.sites = layout_from_table(version, dlsym(RTLD_DEFAULT, "_PyRuntime"));
    python.version = major << 24 | minor << 16 | (micro & 0xFF) << 8;
    atomic_store_explicit(&python.known, true, memory_order_release);
}

static inline bool knows_python(void)
{
    return atomic_load_explicit(&python.known, memory_order_acquire);
}

static void name_python(struct waits_header *header)
{
    header->python = knows_python() ? python.version : 0;
    header->sites = knows_python() && python.sites;
}

static inline const char *follow(const char *base, unsigned offset)
{
    const char *found;
    memcpy(&found, base + offset, sizeof found);
    return found;
}

struct string {
    const unsigned char *bytes;
    size_t length; /* characters */
    unsigned width;
};

static bool read_string(const char *object, struct string *string)
{
    if (object == NULL)
        return false;
    uint32_t state;
    memcpy(&state, object + python.at.state, sizeof state);
    state >>= python.at.kind_shift;
    unsigned width = state & 7u;
    bool compact = state >> 3 & 1u, ascii = state >> 4 & 1u;
    if (!compact || (width != 1 && width != 2 && width != 4))
        return false;
    ssize_t length;
    memcpy(&length, object + python.at.length, sizeof length);
    if (length < 0)
        return false;
    string->bytes = (const unsigned char *)object + (ascii ? python.at.ascii : python.at.compact);
    string->length = (size_t)length;
    string->width = width;
    return true;
}

static uint32_t character(const struct string *string, size_t at)
{
    uint32_t c = 0;
    memcpy(&c, string->bytes + at * string->width, string->width);
    return c;
}

static size_t utf8_bytes(uint32_t c)
{
    return c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
}

/* Copy as UTF-8, at most `most` bytes; of a longer one the end is kept, which tells more of a path or a name. */
static size_t copy_string(const struct string *string, char *into, size_t most)
{
    static const unsigned char FIRST[] = {0, 0, 0xC0, 0xE0, 0xF0};
    size_t from = string->length, used = 0;
    while (from > 0 && used + utf8_bytes(character(string, from - 1)) <= most)
        used += utf8_bytes(character(string, --from));
    unsigned char *out = (unsigned char *)into;
    for (size_t n = from; n < string->length; n++) {
        uint32_t c = character(string, n);
        size_t bytes = utf8_bytes(c);
        for (size_t at = bytes - 1; at > 0; at--, c >>= 6)
            out[at] = (unsigned char)(0x80 | (c & 63));
        out[0] = (unsigned char)(c == 0 && bytes == 1 ? '?' : FIRST[bytes] | c);
        out += bytes;
    }
    return used;
}

COLD static void put_site(struct waits_header *header, uint32_t id, const struct string *name,
                          const struct string *filename, int line)
{
    char text[NAME_MOST + PATH_MOST + 16];
    size_t used = copy_string(name, text, NAME_MOST);
    text[used++] = '\0';
    used += copy_string(filename, text + used, PATH_MOST);
    text[used++] = '\0';
    used += (size_t)snprintf(text + used, 12, "%d", line) + 1;
    put_text(header, id, text, used);
}

/* The function that the thread was in last: it is often the next one too, and comparing takes a third of hashing. */
static __thread struct seen {
    uint32_t id; /* 0: none */
    int line;
    unsigned name_width, file_width;
    size_t name_bytes, file_bytes;
    unsigned char text[SEEN_BYTES];
} seen __attribute__((tls_model("initial-exec")));

static inline bool is_seen(const struct string *name, const struct string *filename, int line)
{
    return seen.id != 0 && seen.line == line && seen.name_width == name->width && seen.file_width == filename->width &&
           seen.name_bytes == name->length * name->width && seen.file_bytes == filename->length * filename->width &&
           memcmp(seen.text, name->bytes, seen.name_bytes) == 0 &&
           memcmp(seen.text + seen.name_bytes, filename->bytes, seen.file_bytes) == 0;
}

static void set_seen(uint32_t id, const struct string *name, const struct string *filename, int line)
{
    /* While it is half written it is none: a signal handler may ask. */
    *(volatile uint32_t *)&seen.id = 0;
    atomic_signal_fence(memory_order_seq_cst);
    size_t name_bytes = name->length * name->width, file_bytes = filename->length * filename->width;
    if (name_bytes > SEEN_BYTES || file_bytes > SEEN_BYTES - name_bytes)
        return;
    seen.line = line;
    seen.name_width = name->width;
    seen.file_width = filename->width;
    seen.name_bytes = name_bytes;
    seen.file_bytes = file_bytes;
    memcpy(seen.text, name->bytes, name_bytes);
    memcpy(seen.text + name_bytes, filename->bytes, file_bytes);
    atomic_signal_fence(memory_order_seq_cst);
    *(volatile uint32_t *)&seen.id = id;
}

/* The id of the Python function that the calling thread is in, 0 when there is none or it cannot be told.
 *
 * Reads the thread's own frame, which stands still while the thread is in a C call, with or without the GIL. A code
 * object is known by what it says of itself, not by its address, which another one may have later. */
HOT static uint32_t site(struct waits_header *header)
{
    if (!knows_python())
        return 0;
    /* From the begin of finalization on a daemon thread's state may be gone. */
    if (!python.initialized())
        return 0;
    const char *thread = python.this_thread();
    if (thread == NULL)
        return 0;
    self.python = true;
    if (!python.sites)
        return 0;
    const char *frame = follow(thread, python.at.frame);
    if (frame != NULL && python.at.cframe >= 0)
        frame = follow(frame, (unsigned)python.at.cframe);
    /* Frames of C code lie between those of Python's: their code is none. */
    for (int depth = 0; frame != NULL && depth < 16; depth++, frame = follow(frame, python.at.previous)) {
        const char *code = (const char *)((uintptr_t)follow(frame, python.at.code) & ~(uintptr_t)7);
        if (code == NULL || follow(code, python.at.type) != python.code_type)
            continue;
        struct string name, filename;
        int line;
        memcpy(&line, code + python.at.firstlineno, sizeof line);
        if (!read_string(follow(code, python.at.name), &name) ||
            !read_string(follow(code, python.at.filename), &filename))
            return 0;
        if (is_seen(&name, &filename, line))
            return seen.id;
        uint64_t hash = hash_bytes(name.bytes, name.length * name.width, (uint64_t)(unsigned)line << 3 | name.width);
        hash = hash_bytes(filename.bytes, filename.length * filename.width, hash);
        bool fresh;
        uint32_t id = text_id(hash, &fresh);
        if (UNLIKELY(fresh))
            put_site(header, id, &name, &filename, line);
        set_seen(id, &name, &filename, line);
        return id;
    }
    return 0;
}

static inline void not_calm(void)
{
    if (self.calm != INSIDE)
        self.calm = 0;
}

static inline unsigned native_flag(void)
{
    return self.python ? 0 : FLAG_NATIVE;
}

/* ---- lives of threads ------------------------------------------------------------------------------------------- */

static bool read_small_file(const char *name, char *into, size_t size)
{
    int fd = open_file(name, O_RDONLY);
    if (fd < 0)
        return false;
    ssize_t length = syscall(SYS_read, fd, into, size - 1);
    syscall(SYS_close, fd);
    if (length <= 0)
        return false;
    into[length] = '\0';
    return true;
}

/* CPU time and run-queue delay as the kernel counts them for the scheduler. */
static bool read_schedstat(const char *name, uint64_t *cpu, uint64_t *queue)
{
    char text[96];
    if (!read_small_file(name, text, sizeof text))
        return false;
    char *end;
    *cpu = strtoull(text, &end, 10);
    *queue = strtoull(end, NULL, 10);
    return true;
}

/* What a thread used in its life as far as the probe knows it: without what its process did before the probe came. */
struct used {
    uint64_t cpu, queue, voluntary, involuntary;
    bool queue_known;
};

static uint64_t less(uint64_t value, uint64_t before)
{
    return value > before ? value - before : 0;
}

static void take_off_before(const struct waits_header *header, uint32_t tid, struct used *used)
{
    if (tid != header->pid)
        return;
    used->cpu = less(used->cpu, header->before_cpu_ns);
    used->queue = less(used->queue, header->before_queue_ns);
    used->voluntary = less(used->voluntary, header->before_voluntary);
    used->involuntary = less(used->involuntary, header->before_involuntary);
}

/* Of the calling thread, since it was made. */
COLD static struct used own_use(void)
{
    struct used used = {0};
    struct rusage counts = {0};
    uint64_t stale;
    used.queue_known = read_schedstat("/proc/thread-self/schedstat", &stale, &used.queue);
    getrusage(RUSAGE_THREAD, &counts);
    used.voluntary = (uint64_t)counts.ru_nvcsw;
    used.involuntary = (uint64_t)counts.ru_nivcsw;
    used.cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    return used;
}

/* Keep what the thread has used so far, so that little of it is lost if the process is killed. */
static void checkpoint(uint64_t now)
{
    if (LIKELY(now - self.checkpoint < CHECKPOINT_NS) || self.entry == NULL)
        return;
    int saved = errno;
    struct used used = {0};
    uint64_t stale;
    self.checkpoint = now;
    struct waits_header *header = atomic_load_explicit(&file, relaxed);
    if (header != NULL) {
        /* One of the threads that come by: the two belong together. */
        uint64_t last = atomic_load_explicit(&header->later_ns, relaxed);
        if (now - last >= CHECKPOINT_NS && now > last &&
            atomic_compare_exchange_strong_explicit(&header->later_ns, &last, now, relaxed, relaxed))
            atomic_store_explicit(&header->later_ticks, counter(), relaxed);
        bool again = now - self.queue_read < QUEUE_NS;
        if (again || read_schedstat("/proc/thread-self/schedstat", &stale, &used.queue)) {
            used.cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
            take_off_before(header, self.tid, &used);
            self.entry->cpu_ns = used.cpu;
            self.entry->checkpoint_ns = now;
            if (!again) {
                self.entry->run_queue_ns = used.queue;
                self.queue_read = now;
            }
        }
    }
    errno = saved;
}

COLD static void put_thread_name(struct waits_header *header, uint32_t tid, const char *name)
{
    size_t length = strnlen(name, 15);
    bool fresh;
    uint32_t id = text_id(hash_bytes((const unsigned char *)name, length, 7), &fresh);
    if (id == 0 || length == 0)
        return;
    if (fresh)
        put_text(header, id, name, length + 1);
    struct waits_slot *slot = draw(header);
    if (slot == NULL)
        return;
    slot->start_ns = now_ns();
    slot->tid = tid;
    slot->site = id;
    atomic_store_explicit(&slot->kind, KIND_THREAD_NAME, memory_order_release);
}

/* What it waits for now. The record of the wait is whole before this is taken back: a reader knows one by the other. */
static void set_open(enum waits_kind kind, uint64_t start, uint64_t object, uint32_t where)
{
    struct waits_thread *entry = self.entry;
    if (entry == NULL)
        return;
    entry->open_site = where;
    atomic_store_explicit(&entry->open_object, object, relaxed);
    atomic_store_explicit(&entry->open_start_ns, start, relaxed);
    atomic_store_explicit(&entry->open_kind, (uint32_t)kind, memory_order_release);
}

static inline void set_shut(void)
{
    if (self.entry != NULL)
        atomic_store_explicit(&self.entry->open_kind, 0, relaxed);
}

COLD static void begin_thread(struct waits_header *header)
{
    uint32_t tid = (uint32_t)syscall(SYS_gettid);
    self.tid = tid;
    self.rseq = own_rseq();
    self.calm = 0;
    self.checkpoint = now_ns();
    if (self.ended)
        return;
    for (unsigned n = 0; n < WAITS_THREADS; n++) {
        uint32_t nobody = 0;
        /* Neighbours start looking at different places. */
        struct waits_thread *entry = &threads[(tid + n) % WAITS_THREADS];
        if (atomic_load_explicit(&entry->tid, relaxed) != 0)
            continue;
        if (atomic_compare_exchange_strong_explicit(&entry->tid, &nobody, tid, memory_order_acq_rel, relaxed)) {
            atomic_store_explicit(&entry->open_kind, 0, relaxed);
            entry->start_ns = 0;
            entry->checkpoint_ns = 0;
            self.entry = entry;
            break;
        }
    }
    if (self.entry == NULL)
        atomic_fetch_add_explicit(&header->no_thread_entry, 1, relaxed);
    if (has_end_key)
        pthread_setspecific(end_key, &self);
}

static uint64_t count_after(const char *text, const char *label)
{
    const char *found = strstr(text, label);
    return found == NULL ? 0 : strtoull(found + strlen(label), NULL, 10);
}

static void put_end(struct waits_header *header, uint32_t tid, struct used used)
{
    take_off_before(header, tid, &used);
    struct waits_slot *slot = draw(header);
    if (slot == NULL)
        return;
    slot->start_ns = now_ns();
    slot->dur_ns = used.cpu;
    slot->object = used.queue;
    slot->tid = tid;
    slot->other = (uint32_t)used.voluntary;
    slot->site = (uint32_t)used.involuntary;
    slot->flags = used.queue_known ? FLAG_KNOWN : 0;
    atomic_store_explicit(&slot->kind, KIND_THREAD_END, memory_order_release);
}

/* The end of the calling thread, with what it used. */
COLD static void put_own_end(struct waits_header *header)
{
    put_end(header, self.tid, own_use());
}

COLD static void put_end_of(struct waits_header *header, uint32_t tid)
{
    char name[64], text[4096];
    struct used used = {.queue_known = true};
    snprintf(name, sizeof name, "/proc/self/task/%u/schedstat", tid);
    if (!read_schedstat(name, &used.cpu, &used.queue))
        return;
    snprintf(name, sizeof name, "/proc/self/task/%u/status", tid);
    if (!read_small_file(name, text, sizeof text))
        return;
    used.voluntary = count_after(text, "\nvoluntary_ctxt_switches:");
    used.involuntary = count_after(text, "\nnonvoluntary_ctxt_switches:");
    put_end(header, tid, used);
}

COLD static void put_own_name(struct waits_header *header)
{
    char name[32] = "";
    if (prctl(PR_GET_NAME, name) == 0)
        put_thread_name(header, self.tid, name);
}

COLD static void put_name_of(struct waits_header *header, uint32_t tid)
{
    char name[64], text[32];
    snprintf(name, sizeof name, "/proc/self/task/%u/comm", tid);
    if (!read_small_file(name, text, sizeof text))
        return;
    text[strcspn(text, "\n")] = '\0';
    put_thread_name(header, tid, text);
}

/* All threads that are there: their process ends, or becomes another program. */
COLD static void put_all_ends(struct waits_header *header)
{
    for (unsigned n = 0; n < WAITS_THREADS; n++) {
        uint32_t tid = atomic_load_explicit(&threads[n].tid, relaxed);
        if (tid == 0)
            continue;
        if (tid == self.tid) {
            put_own_name(header);
            put_own_end(header);
        } else {
            put_name_of(header, tid);
            put_end_of(header, tid);
        }
    }
    if (self.entry == NULL)
        put_own_end(header);
}

static bool settle_gil(uint64_t now);
static void put_drop(struct waits_header *header);

static void end_thread(void *unused)
{
    (void)unused;
    int saved = errno;
    struct waits_header *header = recording();
    if (header != NULL && !self.ended) {
        if (self.gil != NULL)
            settle_gil(now_ns());
        put_drop(header);
        put_own_name(header);
        put_own_end(header);
        self.ended = true;
        if (self.entry != NULL) {
            atomic_store_explicit(&self.entry->open_kind, 0, relaxed);
            atomic_store_explicit(&self.entry->tid, 0, memory_order_release);
            self.entry = NULL;
        }
    }
    errno = saved;
}

/* What a new thread must know; it copies it and gives the place back. */
static struct start {
    _Atomic bool used;
    void *(*routine)(void *);
    void *argument;
    uint64_t asked_ns;
    uint32_t creator;
} starts[STARTS];

static void *begin_routine(void *place)
{
    struct start start = *(struct start *)place;
    atomic_store_explicit(&((struct start *)place)->used, false, memory_order_release);
    struct waits_header *header = recording();
    if (header != NULL) {
        uint64_t now = now_ns();
        if (self.entry != NULL)
            self.entry->start_ns = now;
        put(header, KIND_THREAD_START, now, now - start.asked_ns, 0, start.creator, 0, 0);
    }
    return start.routine(start.argument);
}

EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*routine)(void *), void *argument)
{
    need_libc();
    struct waits_header *header = recording();
    if (header == NULL)
        return real_pthread_create(thread, attributes, routine, argument);
    uint64_t now = now_ns();
    for (unsigned n = 0; n < STARTS; n++) {
        struct start *start = &starts[(now + n) % STARTS];
        bool free = false;
        if (!atomic_compare_exchange_strong_explicit(&start->used, &free, true, memory_order_acquire, relaxed))
            continue;
        start->routine = routine;
        start->argument = argument;
        start->asked_ns = now;
        start->creator = self.tid;
        int result = real_pthread_create(thread, attributes, begin_routine, start);
        if (result != 0)
            atomic_store_explicit(&start->used, false, memory_order_release);
        return result;
    }
    return real_pthread_create(thread, attributes, routine, argument);
}

/* ---- the GIL ---------------------------------------------------------------------------------------------------- */

static struct gil gils[GILS];
static _Atomic unsigned gil_count;

/* switch_cond follows cond and mutex in struct _gil_runtime_state, in every version since 3.2. */
#define SWITCH_OFFSET (sizeof(pthread_cond_t) + sizeof(pthread_mutex_t))

HOT static inline struct gil *gil_of_cond(const void *cond)
{
    unsigned count = atomic_load_explicit(&gil_count, memory_order_acquire);
    for (unsigned n = 0; n < count; n++)
        if (atomic_load_explicit(&gils[n].cond, relaxed) == cond)
            return &gils[n];
    return NULL;
}

/* Where the threads are counted that wait for this condition; NULL for one that is of no GIL. */
static _Atomic uint32_t *inside_of(const void *cond)
{
    unsigned count = atomic_load_explicit(&gil_count, memory_order_acquire);
    for (unsigned n = 0; n < count; n++) {
        if (atomic_load_explicit(&gils[n].cond, relaxed) == cond)
            return &gils[n].in_cond;
        if (atomic_load_explicit(&gils[n].switch_cond, relaxed) == cond)
            return &gils[n].in_switch_cond;
    }
    return NULL;
}

/* A GIL that was made, perhaps anew at the same place: in a fork child, or by a later interpreter. */
COLD static void learn_gil(void *cond)
{
    struct gil *gil = gil_of_cond(cond);
    for (unsigned n = 0; n < GILS && gil == NULL; n++) {
        void *nothing = NULL;
        if (atomic_compare_exchange_strong_explicit(&gils[n].cond, &nothing, cond, memory_order_acq_rel, relaxed))
            gil = &gils[n];
    }
    if (gil == NULL)
        return;
    atomic_store_explicit(&gil->in_cond, 0, relaxed);
    atomic_store_explicit(&gil->in_switch_cond, 0, relaxed);
    atomic_store_explicit(&gil->waiters, 0, relaxed);
    atomic_store_explicit(&gil->holder, 0, relaxed);
    atomic_store_explicit(&gil->taken, 0, relaxed);
    atomic_store_explicit(&gil->switch_cond, (char *)cond + SWITCH_OFFSET, memory_order_release);
    unsigned wanted = (unsigned)(gil - gils) + 1, count = atomic_load_explicit(&gil_count, relaxed);
    while (count < wanted &&
           !atomic_compare_exchange_weak_explicit(&gil_count, &count, wanted, memory_order_release, relaxed))
        continue;
}

/* Its memory may be anybody's now. The place is free for another one. */
COLD static void forget_gil(const void *cond)
{
    struct gil *gil = gil_of_cond(cond);
    if (gil == NULL)
        return;
    atomic_store_explicit(&gil->switch_cond, NULL, relaxed);
    atomic_store_explicit(&gil->cond, NULL, memory_order_release);
}

static inline bool from_python(const void *caller)
{
    return knows_python() && (uintptr_t)caller >= python.low && (uintptr_t)caller < python.high;
}

/* Who takes or drops the GIL holds its mutexes meanwhile, and those that are about to want them are just being woken or
 * going to sleep: each 100 ns makes more of them sleep once more. So what can be done before or after is not done there:
 * the record of a wait is drawn and filled before the thread sleeps, a drop is only stamped. */

/* The thread begins to wait for a GIL. */
COLD static void begin_gil_wait(struct waits_header *header, struct gil *gil, pthread_cond_t *cond)
{
    checkpoint(now_ns());
    put_drop(header);
    uint32_t where = site(header);
    struct waits_slot *slot = self.gil_slot != NULL ? self.gil_slot : draw(header);
    uint64_t now = now_ns();
    if (slot != NULL) {
        slot->start_ns = now;
        slot->object = (uintptr_t)cond;
        slot->tid = self.tid;
        slot->other = atomic_load_explicit(&gil->holder, relaxed);
        slot->site = where;
        slot->flags = (uint8_t)native_flag();
    }
    self.gil_slot = slot;
    self.gil_since = now;
    self.gil_cond = cond;
    self.gil = gil;
    atomic_fetch_add_explicit(&gil->waiters, 1, relaxed);
    /* Until it has the GIL, which is longer than it is in libc: take_gil waits again and again. */
    atomic_fetch_add_explicit(&gil->in_cond, 1, relaxed);
    set_open(KIND_GIL, now, (uintptr_t)cond, where);
}

/* The wait for the GIL that the thread is in ends at `now`. False when it was none: the GIL was given up just then, and the
 * thread never left the CPU. To ask the kernel whether it did would cost each wait half a microsecond. */
static bool settle_gil(uint64_t now)
{
    struct gil *gil = self.gil;
    bool waited = now - self.gil_since >= NO_WAIT_NS;
    self.gil = NULL;
    self.gil_cond = NULL;
    not_calm();
    atomic_fetch_sub_explicit(&gil->in_cond, 1, relaxed);
    /* It was made anew meanwhile: nobody waits for that one. */
    if (atomic_fetch_sub_explicit(&gil->waiters, 1, relaxed) == 0)
        atomic_store_explicit(&gil->waiters, 0, relaxed);
    if (waited && self.gil_slot != NULL) {
        self.gil_slot->dur_ns = now - self.gil_since;
        atomic_store_explicit(&self.gil_slot->kind, KIND_GIL, memory_order_release);
        self.gil_slot = NULL;
    }
    set_shut();
    return waited;
}

/* Write down that the thread gave the GIL up, if that is still to be done. It has not had it since: its function is the
 * same. */
static void put_drop(struct waits_header *header)
{
    uint64_t dropped = self.dropped_ns;
    if (dropped == 0)
        return;
    self.dropped_ns = 0;
    uint64_t taken = self.dropped_taken;
    put(header, KIND_GIL_DROP, dropped, taken ? dropped - taken : 0, self.dropped_object, 0, site(header),
        taken ? FLAG_KNOWN : 0);
}

COLD static void taken_contended(struct gil *gil)
{
    struct waits_header *header = recording();
    uint64_t now = now_ns();
    if (header != NULL) {
        put_drop(header);
        if (self.gil != gil || !settle_gil(now))
            put(header, KIND_GIL_TAKE, now, 0, (uintptr_t)atomic_load_explicit(&gil->cond, relaxed), 0, 0, 0);
    }
    atomic_store_explicit(&gil->taken, now, relaxed);
}

/* Nobody waits any more. */
COLD static void taken_freely(struct gil *gil)
{
    struct waits_header *header = recording();
    if (header != NULL)
        put_drop(header);
    atomic_store_explicit(&gil->taken, 0, relaxed);
}

COLD static void dropped_contended(struct gil *gil)
{
    struct waits_header *header = recording();
    if (header == NULL)
        return;
    put_drop(header);
    self.dropped_taken = atomic_load_explicit(&gil->taken, relaxed);
    self.dropped_object = (uintptr_t)atomic_load_explicit(&gil->cond, relaxed);
    self.dropped_ns = now_ns();
}

/* The clock is read only while somebody waits: else the moment at which it was taken before must not stand for this. */
HOT static inline void note_taken(struct gil *gil)
{
    if (UNLIKELY(atomic_load_explicit(&gil->waiters, relaxed)))
        taken_contended(gil);
    else if (UNLIKELY(atomic_load_explicit(&gil->taken, relaxed) || self.dropped_ns != 0))
        taken_freely(gil);
    /* A thread that has not been seen yet has no number, and is nobody. */
    atomic_store_explicit(&gil->holder, self.tid, relaxed);
}

HOT static inline void note_dropped(struct gil *gil)
{
    if (UNLIKELY(atomic_load_explicit(&gil->waiters, relaxed)))
        dropped_contended(gil);
}

static __attribute__((noinline)) int any_signal(pthread_cond_t *cond)
{
    need_libc();
    unsigned count = atomic_load_explicit(&gil_count, memory_order_acquire);
    for (unsigned n = 0; n < count; n++) {
        struct gil *gil = &gils[n];
        if (atomic_load_explicit(&gil->cond, relaxed) == (void *)cond) {
            note_dropped(gil);
            if (atomic_load_explicit(&gil->in_cond, relaxed) == 0)
                return 0;
        } else if (atomic_load_explicit(&gil->switch_cond, relaxed) == (void *)cond) {
            note_taken(gil);
            if (atomic_load_explicit(&gil->in_switch_cond, relaxed) == 0)
                return 0;
        }
    }
    return real_pthread_cond_signal(cond);
}

/* The GIL is given up and taken in every call that may block. While nobody wants it, that is all there is to do. */
EXPORT HOT int pthread_cond_signal(pthread_cond_t *cond)
{
    struct gil *gil = &gils[0];
    if (atomic_load_explicit(&gil->cond, relaxed) == (void *)cond) {
        if (LIKELY(!atomic_load_explicit(&gil->waiters, relaxed) && !atomic_load_explicit(&gil->in_cond, relaxed)))
            return 0;
    } else if (atomic_load_explicit(&gil->switch_cond, relaxed) == (void *)cond) {
        if (LIKELY(!atomic_load_explicit(&gil->waiters, relaxed) && !atomic_load_explicit(&gil->taken, relaxed) &&
                   self.dropped_ns == 0 && !atomic_load_explicit(&gil->in_switch_cond, relaxed))) {
            atomic_store_explicit(&gil->holder, self.tid, relaxed);
            return 0;
        }
    }
    return any_signal(cond);
}

/* A program that is not Python may load one later. Looking for it takes the loader's lock, and a thread that holds that
 * may be waiting for the one that calls us: so only the first thread looks, which is the one that loads. */
COLD static void look_for_python(struct waits_header *header)
{
    static unsigned looks;
    if (self.tid != (uint32_t)own_pid || looks >= 64)
        return;
    looks++;
    find_python();
    name_python(header);
}

/* A GIL announces itself when it is made: two conditions at the distance they have in its struct. */
EXPORT int pthread_cond_init(pthread_cond_t *cond, const pthread_condattr_t *attributes)
{
    static __thread char *before __attribute__((tls_model("initial-exec")));
    need_libc();
    struct waits_header *header = recording();
    if (header != NULL) {
        if (!knows_python())
            look_for_python(header);
        if (from_python(__builtin_return_address(0))) {
            if (before != NULL && (char *)cond == before + SWITCH_OFFSET)
                learn_gil(before);
            before = (char *)cond;
        }
    }
    return real_pthread_cond_init(cond, attributes);
}

EXPORT int pthread_cond_destroy(pthread_cond_t *cond)
{
    need_libc();
    forget_gil(cond);
    return real_pthread_cond_destroy(cond);
}

/* ---- blocking calls --------------------------------------------------------------------------------------------- */

/* A call that does nothing but wait: the clock is read before and after. */
struct wait {
    struct waits_header *header;
    enum waits_kind kind;
    uint64_t start, object;
    uint32_t site;
};

static struct wait begin_wait(enum waits_kind kind, uint64_t object)
{
    struct wait wait = {.header = recording(), .kind = kind, .object = object};
    if (wait.header == NULL)
        return wait;
    put_drop(wait.header);
    wait.start = now_ns();
    if (self.gil != NULL)
        settle_gil(wait.start);
    if (UNLIKELY(!self.told) && self.rseq != NULL && self.calm != INSIDE)
        arm(self.rseq);
    wait.site = site(wait.header);
    set_open(kind, wait.start, object, wait.site);
    return wait;
}

static void end_wait(const struct wait *wait)
{
    /* Another header: a signal handler forked, and this is the child. */
    if (wait->header == NULL || wait->header != atomic_load_explicit(&file, relaxed))
        return;
    uint64_t now = now_ns();
    if (UNLIKELY(!self.told) && now - wait->start > SURE_NS && self.rseq != NULL && self.calm != INSIDE) {
        if (stayed(self.rseq)) {
            has_rseq = false;
            self.rseq = NULL;
        }
        self.told = true;
    }
    not_calm();
    put(wait->header, wait->kind, wait->start, now - wait->start, wait->object, 0, wait->site, native_flag());
    set_shut();
    checkpoint(now);
}

#define WAITING(kind, object, type, call) \
    do { \
        need_libc(); \
        struct wait waited = begin_wait(kind, (uint64_t)(object)); \
        type given = call; \
        int saved = errno; \
        end_wait(&waited); \
        errno = saved; \
        return given; \
    } while (0)

/* A call that may wait or not is recorded when the thread left the CPU in it, for SHORT_NS or more.
 *
 * Its begin is stamped with the counter. In a calm, a dense row of calls that did not wait, even that would cost more
 * than all the rest: both clocks are read once in a while, and again whenever the thread left the CPU between two calls,
 * so that if it leaves it in a call, the time it was away is what the wall clock went ahead of the CPU clock.
 *
 * A signal handler may run in the middle of such a call and make others. Those go by the clock alone and leave the
 * sequence as it is: the signal has removed it, so that the call around them is looked at. */
struct maybe {
    uint64_t then; /* the stamp of its begin; 0: in a calm */
    uint32_t calm; /* as it was before; INSIDE: made by a signal handler */
};

COLD static void read_both_clocks(uint64_t now)
{
    arm(self.rseq);
    self.calm_ns = now;
    self.calm_cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

/* The call before this one has to be the last of the calm, unless calls still come as densely. */
COLD static bool go_on_calm(uint32_t calm)
{
    uint64_t now = now_ns();
    if (calm % CALM_AGAIN == 0 && now - self.calm_ns > (uint64_t)CALM_AGAIN * DENSE)
        return false;
    read_both_clocks(now);
    return true;
}

static struct maybe begin_stamped(enum waits_kind kind, uint64_t object, uint32_t calm)
{
    /* One that jumped out of a call, and away from its handler, is not in that call any more. */
    if (UNLIKELY(calm == INSIDE)) {
        if (++self.nested < CALM)
            return (struct maybe){.then = stamp(), .calm = INSIDE};
        self.calm = 0;
    }
    self.nested = 0;
    if (UNLIKELY(self.tid == 0 || self.dropped_ns != 0 || !atomic_load_explicit(&ours->alive, relaxed))) {
        struct waits_header *header = recording();
        if (header != NULL)
            put_drop(header);
    }
    /* Anew: in a fork child it is another one now. */
    calm = self.calm;
    self.calm = INSIDE;
    if (calm > CALM) {
        if (go_on_calm(calm))
            return (struct maybe){.calm = calm == INSIDE - CALM_AGAIN ? CALM_AGAIN : calm};
        calm = 0;
    }
    struct maybe begun = {.then = stamp(), .calm = calm};
    if (self.rseq != NULL) {
        if (calm == 0)
            self.calm_since = begun.then;
        if (calm == CALM && begun.then - self.calm_since < (uint64_t)CALM * DENSE) {
            read_both_clocks(now_ns());
        } else {
            arm(self.rseq);
            if (calm == CALM) {
                begun.calm = 0;
                self.calm_since = begun.then;
            }
        }
    }
    struct waits_thread *entry = self.entry;
    if (entry != NULL) {
        entry->open_site = 0;
        atomic_store_explicit(&entry->open_object, object, relaxed);
        atomic_store_explicit(&entry->open_start_ns, begun.then, relaxed);
        atomic_store_explicit(&entry->open_kind, (uint32_t)kind | (has_counter ? WAITS_OPEN_TICKS : 0), relaxed);
    }
    return begun;
}

/* Whether a call need not be stamped. */
HOT static inline bool is_calm(uint32_t calm)
{
    return calm > CALM && calm % CALM_AGAIN != 0 && stayed(self.rseq);
}

HOT static inline struct maybe begin_call(enum waits_kind kind, uint64_t object)
{
    uint32_t calm = self.calm;
    if (LIKELY(is_calm(calm))) {
        self.calm = INSIDE;
        return (struct maybe){.calm = calm};
    }
    return begin_stamped(kind, object, calm);
}

COLD static void end_long(enum waits_kind kind, uint64_t object, uint64_t then)
{
    struct waits_header *header = recording();
    if (header == NULL)
        return;
    int saved = errno;
    uint64_t now = now_ns(), start;
    if (then != 0) {
        start = stamp_ns(then, now);
    } else {
        uint64_t wall = now - self.calm_ns, cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID) - self.calm_cpu;
        start = wall > cpu ? now - (wall - cpu) : now;
    }
    if (now - start >= SHORT_NS) {
        put(header, kind, start, now - start, object, 0, site(header), native_flag());
        checkpoint(now);
    }
    errno = saved;
}

static void end_stamped(enum waits_kind kind, uint64_t object, struct maybe begun)
{
    /* A signal handler forked in the middle of the call, and this is the child, which did not make it. */
    if (UNLIKELY(self.calm != INSIDE))
        return;
    bool nested = begun.calm == INSIDE, told = self.rseq != NULL && !nested;
    bool left = told ? !stayed(self.rseq)
                     : stamp() - begun.then >= (has_counter ? (uint64_t)SHORT_TICKS : (uint64_t)SHORT_NS);
    if (UNLIKELY(left))
        end_long(kind, object, begun.then);
    if (nested)
        return;
    self.calm = left || !told ? 0 : begun.calm + 1;
    if (begun.then != 0)
        set_shut();
}

HOT static inline void end_call(enum waits_kind kind, uint64_t object, struct maybe begun)
{
    if (LIKELY(begun.then == 0 && stayed(self.rseq)))
        self.calm = begun.calm + 1;
    else
        end_stamped(kind, object, begun);
}

#define MAYBE_WAITING(name, kind, object, type, call) \
    do { \
        if (UNLIKELY(atomic_load_explicit(&file, relaxed) == NULL)) { \
            need_libc(); \
            return call; \
        } \
        struct maybe begun = begin_call(kind, (uint64_t)(object)); \
        type given = call; \
        end_call(kind, (uint64_t)(object), begun); \
        return given; \
    } while (0)

/* Some thread was cancelled: from now on every call that ends a cancelled thread has to be made. */
static _Atomic bool cancels;

EXPORT int pthread_cancel(pthread_t thread)
{
    need_libc();
    atomic_store_explicit(&cancels, true, relaxed);
    return real_pthread_cancel(thread);
}

/* Every way to wait for a condition goes through these three: a signal that is held back for want of waiters must not be
 * one that somebody waits for, whatever a future Python does with the conditions of its GIL. */
#define COUNTED(cond, call) \
    do { \
        _Atomic uint32_t *inside = inside_of(cond); \
        if (inside != NULL) \
            atomic_fetch_add_explicit(inside, 1, relaxed); \
        int result = call; \
        if (inside != NULL) \
            atomic_fetch_sub_explicit(inside, 1, relaxed); \
        return result; \
    } while (0)

static int counted_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
    COUNTED(cond, real_pthread_cond_wait(cond, mutex));
}

static int counted_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *until)
{
    COUNTED(cond, real_pthread_cond_timedwait(cond, mutex, until));
}

static int counted_clockwait(pthread_cond_t *cond, pthread_mutex_t *mutex, clockid_t clock,
                             const struct timespec *until)
{
    COUNTED(cond, real_pthread_cond_clockwait(cond, mutex, clock, until));
}

EXPORT int pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *until)
{
    /* take_gil comes again every 5 ms: it is one wait. Who comes again has just asked the holder to give the GIL up. */
    if (LIKELY(cond == self.gil_cond))
        return real_pthread_cond_timedwait(cond, mutex, until);
    need_libc();
    struct gil *gil = gil_of_cond(cond);
    if (gil == NULL)
        WAITING(KIND_LOCK, (uintptr_t)cond, int, counted_timedwait(cond, mutex, until));
    struct waits_header *header = recording();
    if (header == NULL)
        return counted_timedwait(cond, mutex, until);
    if (self.gil != NULL)
        settle_gil(now_ns());
    begin_gil_wait(header, gil, cond);
    return real_pthread_cond_timedwait(cond, mutex, until);
}

EXPORT int pthread_cond_clockwait(pthread_cond_t *cond, pthread_mutex_t *mutex, clockid_t clock,
                                  const struct timespec *until)
{
    WAITING(KIND_LOCK, (uintptr_t)cond, int, counted_clockwait(cond, mutex, clock, until));
}

/* The thread that was just woken to take the GIL needs the mutex that is held until this wait begins, and may have to sleep
 * for it once more: so as little as possible is done before. The function is looked up afterwards, it is still the same. */
static int wait_for_switch(struct gil *gil, pthread_cond_t *cond, pthread_mutex_t *mutex)
{
    struct waits_header *header = recording();
    uint64_t object = (uintptr_t)atomic_load_explicit(&gil->cond, relaxed), start = 0;
    if (header != NULL) {
        start = now_ns();
        set_open(KIND_GIL_SWITCH, start, object, 0);
    }
    int result = counted_wait(cond, mutex);
    int saved = errno;
    if (header != NULL && header == atomic_load_explicit(&file, relaxed)) {
        uint64_t now = now_ns();
        not_calm();
        put_drop(header);
        put(header, KIND_GIL_SWITCH, start, now - start, object, 0, site(header), native_flag());
        set_shut();
    }
    errno = saved;
    return result;
}

EXPORT int pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
    need_libc();
    unsigned count = atomic_load_explicit(&gil_count, memory_order_acquire);
    for (unsigned n = 0; n < count; n++)
        if (atomic_load_explicit(&gils[n].switch_cond, relaxed) == (void *)cond)
            return wait_for_switch(&gils[n], cond, mutex);
    WAITING(KIND_LOCK, (uintptr_t)cond, int, counted_wait(cond, mutex));
}

/* Where the thread has its errno: to ask libc each time costs a tenth of taking a free lock. */
static inline int *own_errno(void)
{
    if (UNLIKELY(self.errno_at == NULL))
        self.errno_at = &errno;
    return self.errno_at;
}

/* A lock that is free needs no record. But a thread that was cancelled ends here, free or not, and a try that fails must
 * leave errno alone: Python without a GIL waits in a lock between a system call that failed and the look at errno. */
static inline bool take_at_once(sem_t *lock)
{
    need_libc();
    if (UNLIKELY(atomic_load_explicit(&cancels, relaxed)))
        return false;
    int *error = own_errno(), before = *error;
    if (LIKELY(real_sem_trywait(lock) == 0))
        return true;
    *error = before;
    return false;
}

EXPORT int sem_wait(sem_t *lock)
{
    if (take_at_once(lock))
        return 0;
    WAITING(KIND_LOCK, (uintptr_t)lock, int, real_sem_wait(lock));
}

EXPORT int sem_timedwait(sem_t *lock, const struct timespec *until)
{
    if (take_at_once(lock))
        return 0;
    WAITING(KIND_LOCK, (uintptr_t)lock, int, real_sem_timedwait(lock, until));
}

EXPORT int sem_clockwait(sem_t *lock, clockid_t clock, const struct timespec *until)
{
    if (take_at_once(lock))
        return 0;
    WAITING(KIND_LOCK, (uintptr_t)lock, int, real_sem_clockwait(lock, clock, until));
}

EXPORT int pthread_join(pthread_t thread, void **value)
{
    MAYBE_WAITING(pthread_join, KIND_LOCK, 0, int, real_pthread_join(thread, value));
}

EXPORT int flock(int fd, int operation)
{
    MAYBE_WAITING(flock, KIND_LOCK, fd, int, real_flock(fd, operation));
}

EXPORT int lockf64(int fd, int operation, off64_t length)
{
    MAYBE_WAITING(lockf64, KIND_LOCK, fd, int, real_lockf64(fd, operation, length));
}

/* Whether a system call may be made right here. A function between the program and the call costs 17 ns in its return
 * alone, which no processor predicts after a system call: three times what all the rest of the hook costs. While there
 * is one thread and nothing was cancelled, libc's own function does nothing but the call. */
static const char *single_thread = "";

#if defined(__x86_64__)
HOT static inline ssize_t call_kernel(long number, int fd, const void *buffer, size_t length)
{
    ssize_t result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"(number), "D"((long)fd), "S"(buffer), "d"(length)
                     : "rcx", "r11", "memory");
    return result;
}

HOT static inline bool may_call_kernel(void)
{
    return *(const volatile char *)single_thread && !atomic_load_explicit(&cancels, relaxed);
}

static inline ssize_t with_errno(ssize_t result)
{
    if (LIKELY(result >= 0))
        return result;
    errno = (int)-result;
    return -1;
}

/* What is left to do when a call that was made in a calm waited or failed. */
COLD static ssize_t end_direct(ssize_t result, int fd, enum waits_kind kind, uint32_t calm)
{
    end_call(kind, (uint64_t)fd, (struct maybe){.calm = calm});
    return with_errno(result);
}

/* Calls in a calm go first and save no register: in a storm of them half of what the hook does would be that. */
#define IN_A_CALM(name, kind, fd, buffer, length) \
    do { \
        uint32_t calm = self.calm; \
        if (UNLIKELY(!is_calm(calm) || !may_call_kernel())) \
            break; \
        self.calm = INSIDE; \
        ssize_t result = call_kernel(SYS_##name, fd, buffer, length); \
        if (UNLIKELY(result < 0 || !stayed(self.rseq))) \
            return end_direct(result, fd, kind, calm); \
        self.calm = calm + 1; \
        return result; \
    } while (0)
#define DIRECT(name, ...) \
    (may_call_kernel() ? with_errno(call_kernel(SYS_##name, __VA_ARGS__)) : real_##name(__VA_ARGS__))
#else
#define IN_A_CALM(name, kind, fd, buffer, length)
#define DIRECT(name, ...) real_##name(__VA_ARGS__)
#endif

#define READING(name, type, call) MAYBE_WAITING(name, KIND_IO_READ, fd, type, call)
#define WRITING(name, type, call) MAYBE_WAITING(name, KIND_IO_WRITE, fd, type, call)

__attribute__((noinline)) static ssize_t any_read(int fd, void *buffer, size_t length)
{
    READING(read, ssize_t, DIRECT(read, fd, buffer, length));
}

EXPORT HOT ssize_t read(int fd, void *buffer, size_t length)
{
    IN_A_CALM(read, KIND_IO_READ, fd, buffer, length);
    return any_read(fd, buffer, length);
}

EXPORT ssize_t pread64(int fd, void *buffer, size_t length, off64_t offset)
{
    READING(pread64, ssize_t, real_pread64(fd, buffer, length, offset));
}

EXPORT ssize_t preadv64(int fd, const struct iovec *vectors, int count, off64_t offset)
{
    READING(preadv64, ssize_t, real_preadv64(fd, vectors, count, offset));
}

EXPORT ssize_t preadv64v2(int fd, const struct iovec *vectors, int count, off64_t offset, int flags)
{
    READING(preadv64v2, ssize_t, real_preadv64v2(fd, vectors, count, offset, flags));
}

EXPORT ssize_t readv(int fd, const struct iovec *vectors, int count)
{
    READING(readv, ssize_t, real_readv(fd, vectors, count));
}

EXPORT ssize_t recv(int fd, void *buffer, size_t length, int flags)
{
    READING(recv, ssize_t, real_recv(fd, buffer, length, flags));
}

EXPORT ssize_t recvfrom(int fd, void *restrict buffer, size_t length, int flags, __SOCKADDR_ARG from,
                        socklen_t *restrict size)
{
    READING(recvfrom, ssize_t, real_recvfrom(fd, buffer, length, flags, from, size));
}

EXPORT ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    READING(recvmsg, ssize_t, real_recvmsg(fd, message, flags));
}

EXPORT int recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout)
{
    READING(recvmmsg, int, real_recvmmsg(fd, messages, count, flags, timeout));
}

EXPORT int eventfd_read(int fd, eventfd_t *value)
{
    READING(eventfd_read, int, real_eventfd_read(fd, value));
}

EXPORT int accept(int fd, __SOCKADDR_ARG from, socklen_t *restrict size)
{
    READING(accept, int, real_accept(fd, from, size));
}

EXPORT int accept4(int fd, __SOCKADDR_ARG from, socklen_t *restrict size, int flags)
{
    READING(accept4, int, real_accept4(fd, from, size, flags));
}

EXPORT int getaddrinfo(const char *restrict node, const char *restrict service, const struct addrinfo *restrict hints,
                       struct addrinfo **restrict result)
{
    MAYBE_WAITING(getaddrinfo, KIND_IO_READ, -1, int, real_getaddrinfo(node, service, hints, result));
}

__attribute__((noinline)) static ssize_t any_write(int fd, const void *buffer, size_t length)
{
    WRITING(write, ssize_t, DIRECT(write, fd, buffer, length));
}

EXPORT HOT ssize_t write(int fd, const void *buffer, size_t length)
{
    IN_A_CALM(write, KIND_IO_WRITE, fd, buffer, length);
    return any_write(fd, buffer, length);
}

EXPORT ssize_t pwrite64(int fd, const void *buffer, size_t length, off64_t offset)
{
    WRITING(pwrite64, ssize_t, real_pwrite64(fd, buffer, length, offset));
}

EXPORT ssize_t pwritev64(int fd, const struct iovec *vectors, int count, off64_t offset)
{
    WRITING(pwritev64, ssize_t, real_pwritev64(fd, vectors, count, offset));
}

EXPORT ssize_t pwritev64v2(int fd, const struct iovec *vectors, int count, off64_t offset, int flags)
{
    WRITING(pwritev64v2, ssize_t, real_pwritev64v2(fd, vectors, count, offset, flags));
}

EXPORT ssize_t writev(int fd, const struct iovec *vectors, int count)
{
    WRITING(writev, ssize_t, real_writev(fd, vectors, count));
}

EXPORT ssize_t send(int fd, const void *buffer, size_t length, int flags)
{
    WRITING(send, ssize_t, real_send(fd, buffer, length, flags));
}

EXPORT ssize_t sendto(int fd, const void *buffer, size_t length, int flags, __CONST_SOCKADDR_ARG to, socklen_t size)
{
    WRITING(sendto, ssize_t, real_sendto(fd, buffer, length, flags, to, size));
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    WRITING(sendmsg, ssize_t, real_sendmsg(fd, message, flags));
}

EXPORT int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
    WRITING(sendmmsg, int, real_sendmmsg(fd, messages, count, flags));
}

EXPORT ssize_t sendfile64(int fd, int from, off64_t *offset, size_t count)
{
    WRITING(sendfile64, ssize_t, real_sendfile64(fd, from, offset, count));
}

EXPORT ssize_t splice(int from, off64_t *from_offset, int fd, off64_t *offset, size_t length, unsigned flags)
{
    WRITING(splice, ssize_t, real_splice(from, from_offset, fd, offset, length, flags));
}

EXPORT ssize_t copy_file_range(int from, off64_t *from_offset, int fd, off64_t *offset, size_t length, unsigned flags)
{
    WRITING(copy_file_range, ssize_t, real_copy_file_range(from, from_offset, fd, offset, length, flags));
}

EXPORT int connect(int fd, __CONST_SOCKADDR_ARG to, socklen_t size)
{
    WRITING(connect, int, real_connect(fd, to, size));
}

EXPORT int fsync(int fd)
{
    WRITING(fsync, int, real_fsync(fd));
}

EXPORT int fdatasync(int fd)
{
    WRITING(fdatasync, int, real_fdatasync(fd));
}

/* The same functions under the names that a program has which was compiled without large files. */
#if ULONG_MAX > 0xFFFFFFFFu
#define ALSO(name, of) EXPORT __typeof__(of) name __attribute__((alias(#of)))
ALSO(lockf, lockf64);
ALSO(pread, pread64);
ALSO(preadv, preadv64);
ALSO(preadv2, preadv64v2);
ALSO(pwrite, pwrite64);
ALSO(pwritev, pwritev64);
ALSO(pwritev2, pwritev64v2);
ALSO(sendfile, sendfile64);
#endif

EXPORT int poll(struct pollfd *fds, nfds_t count, int timeout)
{
    enum waits_kind kind = count == 0 && timeout >= 0 ? KIND_SLEEP : KIND_POLL;
    MAYBE_WAITING(poll, kind, count, int, real_poll(fds, count, timeout));
}

EXPORT int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
    enum waits_kind kind = count == 0 && timeout != NULL ? KIND_SLEEP : KIND_POLL;
    MAYBE_WAITING(ppoll, kind, count, int, real_ppoll(fds, count, timeout, mask));
}

/* select without a descriptor is how time.sleep waits up to 3.10. */
EXPORT int select(int count, fd_set *restrict readable, fd_set *restrict writable, fd_set *restrict except,
                  struct timeval *restrict timeout)
{
    enum waits_kind kind = count == 0 ? KIND_SLEEP : KIND_POLL;
    MAYBE_WAITING(select, kind, count, int, real_select(count, readable, writable, except, timeout));
}

EXPORT int pselect(int count, fd_set *restrict readable, fd_set *restrict writable, fd_set *restrict except,
                   const struct timespec *restrict timeout, const sigset_t *restrict mask)
{
    enum waits_kind kind = count == 0 ? KIND_SLEEP : KIND_POLL;
    MAYBE_WAITING(pselect, kind, count, int, real_pselect(count, readable, writable, except, timeout, mask));
}

EXPORT int epoll_wait(int fd, struct epoll_event *events, int most, int timeout)
{
    MAYBE_WAITING(epoll_wait, KIND_POLL, fd, int, real_epoll_wait(fd, events, most, timeout));
}

EXPORT int epoll_pwait(int fd, struct epoll_event *events, int most, int timeout, const sigset_t *mask)
{
    MAYBE_WAITING(epoll_pwait, KIND_POLL, fd, int, real_epoll_pwait(fd, events, most, timeout, mask));
}

EXPORT int nanosleep(const struct timespec *length, struct timespec *left)
{
    WAITING(KIND_SLEEP, 0, int, real_nanosleep(length, left));
}

EXPORT int clock_nanosleep(clockid_t clock, int flags, const struct timespec *length, struct timespec *left)
{
    WAITING(KIND_SLEEP, 0, int, real_clock_nanosleep(clock, flags, length, left));
}

EXPORT int usleep(useconds_t length)
{
    WAITING(KIND_SLEEP, 0, int, real_usleep(length));
}

EXPORT unsigned sleep(unsigned seconds)
{
    WAITING(KIND_SLEEP, 0, unsigned, real_sleep(seconds));
}

EXPORT int pause(void)
{
    WAITING(KIND_SLEEP, 0, int, real_pause());
}

EXPORT int sigwait(const sigset_t *restrict set, int *restrict number)
{
    WAITING(KIND_SLEEP, 0, int, real_sigwait(set, number));
}

EXPORT int sigwaitinfo(const sigset_t *restrict set, siginfo_t *restrict info)
{
    WAITING(KIND_SLEEP, 0, int, real_sigwaitinfo(set, info));
}

EXPORT int sigtimedwait(const sigset_t *restrict set, siginfo_t *restrict info, const struct timespec *restrict timeout)
{
    WAITING(KIND_SLEEP, 0, int, real_sigtimedwait(set, info, timeout));
}

EXPORT int sigsuspend(const sigset_t *mask)
{
    WAITING(KIND_SLEEP, 0, int, real_sigsuspend(mask));
}

/* ---- children --------------------------------------------------------------------------------------------------- */

COLD static void put_child_ended(pid_t child, int status, const struct rusage *used)
{
    struct waits_header *header = recording();
    if (header == NULL)
        return;
    int saved = errno;
    uint64_t cpu = ((uint64_t)used->ru_utime.tv_sec + (uint64_t)used->ru_stime.tv_sec) * 1000000000u +
                   ((uint64_t)used->ru_utime.tv_usec + (uint64_t)used->ru_stime.tv_usec) * 1000u;
    put(header, KIND_CHILD_ENDED, now_ns(), cpu, (uint32_t)status, (uint32_t)child, 0, FLAG_KNOWN);
    errno = saved;
}

static pid_t wait_for(pid_t pid, int *status, int options, struct rusage *used)
{
    struct rusage own;
    int result_status = 0;
    need_libc();
    struct wait wait = {0};
    if (!(options & WNOHANG))
        wait = begin_wait(KIND_CHILD_WAIT, (uint64_t)(int64_t)pid);
    pid_t child = real_wait4(pid, &result_status, options, &own);
    int saved = errno;
    end_wait(&wait);
    if (child > 0) {
        if (WIFEXITED(result_status) || WIFSIGNALED(result_status))
            put_child_ended(child, result_status, &own);
        if (status != NULL)
            *status = result_status;
        if (used != NULL)
            *used = own;
    }
    errno = saved;
    return child;
}

EXPORT pid_t wait(int *status)
{
    return wait_for(-1, status, 0, NULL);
}

EXPORT pid_t wait3(int *status, int options, struct rusage *used)
{
    return wait_for(-1, status, options, used);
}

EXPORT pid_t waitpid(pid_t pid, int *status, int options)
{
    return wait_for(pid, status, options, NULL);
}

EXPORT pid_t wait4(pid_t pid, int *status, int options, struct rusage *used)
{
    return wait_for(pid, status, options, used);
}

/* These wait for their child inside libc. */
EXPORT int system(const char *command)
{
    WAITING(KIND_CHILD_WAIT, (uint64_t)-1, int, real_system(command));
}

EXPORT int pclose(FILE *stream)
{
    WAITING(KIND_CHILD_WAIT, (uint64_t)-1, int, real_pclose(stream));
}

EXPORT int waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
    need_libc();
    struct wait wait = {0};
    if (!(options & WNOHANG))
        wait = begin_wait(KIND_CHILD_WAIT, type == P_PID ? (uint64_t)id : (uint64_t)-1);
    int result = real_waitid(type, id, info, options);
    int saved = errno;
    end_wait(&wait);
    if (result == 0 && info != NULL && info->si_pid != 0 && !(options & WNOWAIT)) {
        static const struct rusage none;
        bool exited = info->si_code == CLD_EXITED;
        if (exited || info->si_code == CLD_KILLED || info->si_code == CLD_DUMPED)
            put_child_ended(info->si_pid, exited ? (info->si_status & 0xFF) << 8 : info->si_status & 0x7F, &none);
    }
    errno = saved;
    return result;
}

/* ---- lives of processes ----------------------------------------------------------------------------------------- */

static uint64_t start_ticks(void)
{
    char text[1024];
    if (!read_small_file("/proc/self/stat", text, sizeof text))
        return 0;
    /* The name in brackets may hold anything, brackets too; start time is the 20th field after it. */
    char *at = strrchr(text, ')');
    for (int field = 0; at != NULL && field < 20; field++)
        at = strchr(at + 1, ' ');
    return at == NULL ? 0 : strtoull(at + 1, NULL, 10);
}

static uint64_t most_bytes(void)
{
    struct rlimit limit;
    uint64_t most = LIMIT_BYTES;
    /* Beyond this limit a longer file is a signal that would end the program. */
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < most)
        most = limit.rlim_cur;
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur / SPACE_SHARE < most)
        most = limit.rlim_cur / SPACE_SHARE;
    return most;
}

/* Which pid namespace we are in: containers that start in the same tick have the same pids. */
static uint64_t pid_namespace(void)
{
    struct stat found;
    return stat("/proc/self/ns/pid", &found) == 0 ? (uint64_t)found.st_ino : 0;
}

static bool is_ours(const struct waits_header *header, uint64_t ticks)
{
    return memcmp(header->magic, WAITS_MAGIC, sizeof header->magic) == 0 && header->format == WAITS_FORMAT &&
           header->slots_at == WAITS_SLOTS_AT && header->pid == (uint32_t)own_pid && header->start_ticks == ticks &&
           header->pid_namespace == pid_namespace();
}

/* Whether there is enough of the file to look into: whoever is making it may just have begun. */
static bool has_begun(int fd)
{
    struct stat found;
    return fstat(fd, &found) == 0 && found.st_size >= (off_t)offset_of(FIRST_SLOTS);
}

/* The image before may have had more address space: no slot is handed out that is not mapped now. */
static bool fits(struct waits_header *header)
{
    uint64_t most = (mapped_bytes - WAITS_SLOTS_AT) / sizeof(struct waits_slot);
    if (header->limit <= most)
        return true;
    if (atomic_load_explicit(&header->taken, relaxed) > most)
        return false;
    header->limit = most;
    if (atomic_load_explicit(&header->ready, relaxed) > most)
        atomic_store_explicit(&header->ready, most, relaxed);
    return true;
}

/* Map `bytes` of the file, or as many as the address space allows. */
static struct waits_header *map_file(int fd, uint64_t bytes)
{
    for (; bytes >= offset_of(FIRST_SLOTS); bytes /= 2) {
        void *place = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
        if (place != MAP_FAILED) {
            /* Else the first touch of a page reads ahead as far as the file seems to go: 3 ms instead of 10 us. */
            madvise(place, bytes, MADV_RANDOM);
            mapped_bytes = bytes;
            return place;
        }
    }
    return NULL;
}

/* Open this process's file: its own from before exec, or a new one. NULL when that cannot be. */
COLD static struct waits_header *open_own_file(uint64_t ticks, bool *again)
{
    uint64_t bytes = most_bytes();
    if (bytes < offset_of(FIRST_SLOTS))
        return NULL;
    for (unsigned number = 0; number < 1000; number++) {
        int length = number == 0 ? snprintf(path, sizeof path, "%s/%d.bin", folder, own_pid)
                                 : snprintf(path, sizeof path, "%s/%d.%u.bin", folder, own_pid, number);
        if (length < 0 || (size_t)length >= sizeof path)
            return NULL;
        int fd = open_file(path, O_RDWR | O_CREAT | O_EXCL);
        *again = false;
        if (fd < 0 && errno == EEXIST) {
            fd = open_file(path, O_RDWR);
            *again = true;
        }
        if (fd < 0)
            return NULL;
        if (*again && !has_begun(fd)) {
            syscall(SYS_close, fd);
            continue;
        }
        struct waits_header *header = NULL;
        if (*again || (allocate(fd, 0, offset_of(FIRST_SLOTS)) && ftruncate(fd, (off_t)bytes) == 0))
            header = map_file(fd, bytes);
        syscall(SYS_close, fd);
        if (header == NULL && !*again)
            syscall(SYS_unlinkat, AT_FDCWD, path, 0);
        if (header == NULL || !*again)
            return header;
        bool ours_again = is_ours(header, ticks);
        if (ours_again && fits(header))
            return header;
        munmap(header, mapped_bytes);
        if (ours_again)
            return NULL;
        /* A process that had this pid before. */
    }
    return NULL;
}

COLD static void fill_header(struct waits_header *header, uint64_t ticks)
{
    memset(header, 0, sizeof *header);
    header->format = WAITS_FORMAT;
    header->slot_bytes = sizeof(struct waits_slot);
    header->slots_at = WAITS_SLOTS_AT;
    header->threads = WAITS_THREADS;
    header->pid = (uint32_t)own_pid;
    header->ppid = (uint32_t)getppid();
    header->start_ticks = ticks;
    header->pid_namespace = pid_namespace();
    header->monotonic_ns = now_ns();
    header->boottime_ns = clock_ns(CLOCK_BOOTTIME);
    header->realtime_ns = clock_ns(CLOCK_REALTIME);
    header->limit = (mapped_bytes - WAITS_SLOTS_AT) / sizeof(struct waits_slot);
    atomic_store_explicit(&header->ready, FIRST_SLOTS, relaxed);
    struct used used = own_use();
    header->before_cpu_ns = used.cpu;
    header->before_queue_ns = used.queue;
    header->before_voluntary = (uint32_t)used.voluntary;
    header->before_involuntary = (uint32_t)used.involuntary;
    /* Last: a file that has it is whole. */
    memcpy(header->magic, WAITS_MAGIC, sizeof header->magic);
}

/* A fork child is the program that its parent is. */
static void name_executable(struct waits_header *header, const struct waits_header *parents)
{
    if (parents != NULL) {
        memcpy(header->executable, parents->executable, sizeof header->executable);
        return;
    }
    ssize_t length = readlink("/proc/self/exe", header->executable, sizeof header->executable - 1);
    header->executable[length > 0 ? length : 0] = '\0';
}

/* What the other threads waited for when one of them made the process another program. */
COLD static void put_open_waits(struct waits_header *header)
{
    uint64_t now = now_ns(), ticks = counter();
    double per_tick = 0;
    if (header->base_ticks != 0 && ticks > header->base_ticks)
        per_tick = (double)(now - header->base_ns) / (double)(ticks - header->base_ticks);
    for (unsigned n = 0; n < WAITS_THREADS; n++) {
        uint32_t tid = atomic_load_explicit(&threads[n].tid, relaxed);
        uint32_t kind = atomic_load_explicit(&threads[n].open_kind, relaxed);
        uint64_t start = atomic_load_explicit(&threads[n].open_start_ns, relaxed);
        if (tid == 0 || kind == 0)
            continue;
        if (kind & WAITS_OPEN_TICKS)
            start = start < ticks ? now - (uint64_t)((double)(ticks - start) * per_tick) : now;
        self.tid = tid;
        put(header, (enum waits_kind)(kind & ~WAITS_OPEN_TICKS), start, now - start,
            atomic_load_explicit(&threads[n].open_object, relaxed), 0, threads[n].open_site, 0);
    }
    self.tid = 0;
}

/* Begin to record in this process, as an image that was just loaded or as a fork child. */
COLD static void begin_process(const struct waits_header *parents)
{
    int saved = errno;
    own_pid = getpid();
    atomic_store_explicit(&growing, false, relaxed);
    atomic_store_explicit(&no_room_until, 0, relaxed);
    self = (struct self){.rseq = self.rseq};
    seen.id = 0;
    uint64_t ticks = start_ticks();
    bool again = false;
    struct waits_header *header = open_own_file(ticks, &again);
    if (header != NULL) {
        slots = (struct waits_slot *)((char *)header + WAITS_SLOTS_AT);
        threads = (struct waits_thread *)((char *)header + WAITS_HEADER_BYTES);
        if (again) {
            /* exec ended all threads but this one. Texts keep the ids of the image before: new ones follow. */
            put_open_waits(header);
            memset(threads, 0, WAITS_THREADS * sizeof *threads);
            atomic_store_explicit(&header->ended, END_NONE, relaxed);
        } else {
            fill_header(header, ticks);
        }
        first_id = atomic_fetch_add_explicit(&header->images, 1, relaxed) * SITES;
        name_executable(header, parents);
        name_python(header);
        header->base_ticks = has_counter ? base_ticks : 0;
        header->base_ns = base_ns;
        atomic_store_explicit(&ours->alive, 1, relaxed);
        atomic_store_explicit(&file, header, memory_order_release);
        begin_thread(header);
        uint64_t now = now_ns();
        if (self.entry != NULL)
            self.entry->start_ns = now;
        if (parents != NULL) {
            put(header, KIND_THREAD_START, now, 0, 0, 0, 0, 0);
        } else {
            bool fresh;
            size_t length = strlen(header->executable);
            uint32_t id = text_id(hash_bytes((const unsigned char *)header->executable, length, 11), &fresh);
            put_text(header, id, header->executable, length + 1);
            put(header, KIND_IMAGE, now, 0, 0, 0, id, 0);
        }
    }
    errno = saved;
}

/* In a fork child: the parent's file is not ours, and the other threads are not there. */
COLD static void begin_in_child(void)
{
    struct waits_header *parents = atomic_load_explicit(&file, relaxed);
    /* Another library's handler, or a signal's, may have come to us before. */
    if (parents == NULL || atomic_load_explicit(&ours->alive, relaxed))
        return;
    size_t parents_bytes = mapped_bytes;
    atomic_store_explicit(&file, NULL, relaxed);
    for (unsigned n = 0; n < STARTS; n++)
        atomic_store_explicit(&starts[n].used, false, relaxed);
    begin_process(parents);
    munmap(parents, parents_bytes);
    /* Who forks in Python holds the GIL, and nobody else is left to wait for it. */
    for (unsigned n = 0; n < GILS; n++) {
        atomic_store_explicit(&gils[n].waiters, 0, relaxed);
        atomic_store_explicit(&gils[n].holder, self.tid, relaxed);
        atomic_store_explicit(&gils[n].taken, 0, relaxed);
    }
}

EXPORT pid_t fork(void)
{
    need_libc();
    struct waits_header *header = recording();
    uint64_t start = now_ns();
    pid_t child = real_fork();
    int saved = errno;
    if (child == 0) {
        recording();
    } else if (header != NULL && child > 0) {
        put(header, KIND_FORK, start, now_ns() - start, (uint64_t)child, 0, site(header), 0);
    }
    errno = saved;
    return child;
}

/* Before exec: in a child of vfork, which borrows our memory, only a stamp; else all threads end here. */
static void before_exec(void)
{
    struct waits_header *header = recording();
    if (header == NULL)
        return;
    int saved = errno;
    pid_t asking = (pid_t)syscall(SYS_getpid);
    put(header, KIND_EXEC, now_ns(), 0, (uint64_t)asking, 0, 0, 0);
    if (asking == own_pid) {
        put_drop(header);
        put_all_ends(header);
    }
    errno = saved;
}

/* Whoever looks through $PATH asks for many files that are not there. */
static void before_exec_of(const char *name)
{
    int saved = errno;
    need_libc();
    if (syscall(SYS_faccessat, AT_FDCWD, name, X_OK) == 0)
        before_exec();
    errno = saved;
}

EXPORT int execve(const char *name, char *const arguments[], char *const environment[])
{
    before_exec_of(name);
    return real_execve(name, arguments, environment);
}

EXPORT int execv(const char *name, char *const arguments[])
{
    before_exec_of(name);
    return real_execv(name, arguments);
}

EXPORT int execvp(const char *name, char *const arguments[])
{
    need_libc();
    before_exec();
    return real_execvp(name, arguments);
}

EXPORT int execvpe(const char *name, char *const arguments[], char *const environment[])
{
    need_libc();
    before_exec();
    return real_execvpe(name, arguments, environment);
}

EXPORT int fexecve(int fd, char *const arguments[], char *const environment[])
{
    need_libc();
    before_exec();
    return real_fexecve(fd, arguments, environment);
}

COLD static void end_process(enum waits_end how, int code)
{
    struct waits_header *header = recording();
    /* A child of vfork that ends borrows our memory: its end is not ours. */
    if (header == NULL || (pid_t)syscall(SYS_getpid) != own_pid)
        return;
    if (self.gil != NULL)
        settle_gil(now_ns());
    put_drop(header);
    put_all_ends(header);
    uint64_t now = now_ns();
    put(header, KIND_EXIT, now, 0, (uint64_t)(uint32_t)code, 0, 0, 0);
    header->exit_code = code & 0xFF;
    header->ended_ns = now;
    atomic_store_explicit(&header->ended, (uint32_t)how, memory_order_release);
}

static void at_exit(int code, void *unused)
{
    (void)unused;
    end_process(END_EXIT, code);
}

EXPORT void _exit(int code)
{
    need_libc();
    end_process(END_UNDERSCORE_EXIT, code);
    real__exit(code);
    __builtin_unreachable();
}

EXPORT void _Exit(int code) __attribute__((alias("_exit")));

/* Whether what we stand before is libc itself, and not another preloaded library or a sanitizer. */
static bool is_before_libc(void)
{
    void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    if (libc == NULL)
        return false;
    bool same = dlsym(libc, "read") == (void *)real_read && dlsym(libc, "write") == (void *)real_write;
    dlclose(libc);
    return same;
}

static void load(void)
{
    need_libc();
    const char *wanted = getenv("TRACEKIT_WAITS");
    if (wanted == NULL || wanted[0] != '/' || strlen(wanted) >= sizeof folder)
        return;
    strcpy(folder, wanted);
    page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    ours = mmap(NULL, sizeof *ours, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (ours == MAP_FAILED || madvise(ours, sizeof *ours, MADV_WIPEONFORK) != 0)
        return;
    char source[16] = "";
    read_small_file("/sys/devices/system/clocksource/clocksource0/current_clocksource", source, sizeof source);
    /* Where the kernel itself does not trust the counter across processors, neither do we. */
    has_counter = strncmp(source, "tsc", 3) == 0 && counter_is_steady();
    base_ns = now_ns();
    base_ticks = counter();
    const char *single = (const char *)dlsym(RTLD_DEFAULT, "__libc_single_threaded");
    if (single != NULL && is_before_libc())
        single_thread = single;
    find_rseq();
    has_end_key = pthread_key_create(&end_key, end_thread) == 0;
    find_python();
    begin_process(NULL);
    if (atomic_load_explicit(&file, relaxed) == NULL)
        return;
    on_exit(at_exit, NULL);
    /* First of all handlers in the child: the others may already wait for something. */
    pthread_atfork(NULL, NULL, begin_in_child);
}

__attribute__((constructor)) static void construct(void)
{
    /* A program begins with errno 0. */
    int saved = errno;
    load();
    errno = saved;
}
