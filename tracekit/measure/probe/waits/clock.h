/* Clocks, the processor's counter, and whether the thread left the CPU (restartable sequences).
 *
 * In: nothing. Out: ns on CLOCK_MONOTONIC, cheap stamps that are converted to ns later, and arm_rseq before a call with
 * stayed_on_cpu after it.
 */

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

/* The processor's counter costs half of what the clock does, and a hook around an I/O call that does not wait must cost
 * next to nothing. stamp_ns converts what it says when that is needed. */
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
    return false; /* often 1 GHz and less: SHORTEST_CALL_TICKS would mean too long a time */
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

/* Convert a stamp to ns; `now` is the time now. The rate follows from the constructor's readings: in a process that
 * is a millisecond old it is known to a ten thousandth. */
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

/* Whether a thread waited in a call that may wait or not: it did if the kernel took it off the CPU, and the kernel
 * says so for two nanoseconds. When a thread comes back, the kernel clears the field rseq_cs of the thread's
 * restartable-sequence area (rseq(2); glibc has registered one since 2.35) unless the thread was inside the sequence
 * that the field describes. So the probe has a sequence that no thread is ever inside of, and checks whether it is
 * still there. It is gone too when a signal was delivered or when other code (tcmalloc) has put a sequence of its
 * own: then the clock decides.
 *
 * From 6.19 on the kernel does not clear it where a thread comes back from a system call to the same CPU. What an
 * emulated kernel does shows in the first wait that is long enough: see end_wait. */
struct rseq_area {
    uint32_t cpu_id_start, cpu_id;
    uint64_t rseq_cs;
};

static ptrdiff_t rseq_offset;
static _Atomic bool has_rseq;

#if defined(__x86_64__) || defined(__aarch64__)
/* The kernel checks for this number before the address that an abort would jump to. */
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
    /* gcc has __builtin_thread_pointer for it only since 11. */
    char *own;
    __asm__("mov %%fs:0, %0" : "=r"(own));
    return own;
#else
    return __builtin_thread_pointer();
#endif
}

/* The calling thread's area, NULL when it has none. */
static inline struct rseq_area *find_own_rseq(void)
{
    if (!has_rseq)
        return NULL;
    struct rseq_area *area = (struct rseq_area *)(thread_pointer() + rseq_offset);
    /* The kernel writes a CPU there, glibc a negative number where the kernel refused. */
    return (int32_t) * (volatile uint32_t *)&area->cpu_id >= 0 ? area : NULL;
}

static inline void arm_rseq(struct rseq_area *area)
{
    *(volatile uint64_t *)&area->rseq_cs = (uintptr_t)&sequence;
}

static inline bool stayed_on_cpu(const struct rseq_area *area)
{
    return *(const volatile uint64_t *)&area->rseq_cs == (uintptr_t)&sequence;
}

static bool kernel_clears_always(void)
{
    struct utsname system;
    if (uname(&system) != 0)
        return false;
    const char *end;
    uint64_t major = read_number(system.release, &end), minor = *end == '.' ? read_number(end + 1, NULL) : 0;
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
static inline struct rseq_area *find_own_rseq(void)
{
    return NULL;
}
static inline void arm_rseq(struct rseq_area *area)
{
    (void)area;
}
static inline bool stayed_on_cpu(const struct rseq_area *area)
{
    (void)area;
    return false;
}
#endif
