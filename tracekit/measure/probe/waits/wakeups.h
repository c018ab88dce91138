/* Who ended a wait for a semaphore: the hook of sem_post, and what the hooks of the waits make of it.
 *
 * In: timing.h. Out: WAIT_FOR_POST, for the hooks of the waits; a record KIND_WAKEUP for waits of CERTAIN_WAIT_NS or more.
 *
 * Python's locks are semaphores with one post for each thread that goes on: up to 3.12 the lock itself, later one of the
 * waiter's own, on its stack. So the last post before a wait's end is the one that ended it. The thread that posts leaves
 * its name in the place of the semaphore; but only where a thread waits there, and has waited for long enough. A
 * semaphore that finds no place leaves no record, and neither do those of sem_open, which other processes post as well.
 */

enum {
    PLACES = 256,
    TRIES = 4,                /* places that a semaphore can have */
    PAGE = 4096,              /* each semaphore of sem_open begins one */
    OPENED = 256,             /* semaphores of sem_open that are told from others at the beginning of a page */
    NEAR = 1 << 16,           /* bytes of the stack in which the entry of a wait is looked for */
    LOWEST_ADDRESS = 1 << 16, /* no object in memory lies below it */
};

static struct place {
    _Atomic uintptr_t semaphore;
    _Atomic uint32_t waiters;
    _Atomic uint32_t poster, site; /* who posted last, and the function that it was in */
    _Atomic uint64_t since;        /* when the first of these waiters came */
    _Atomic uint64_t posted;       /* when it was posted last, 0: not since then */
} places[PLACES];

static _Atomic uintptr_t opened[OPENED];
static _Atomic uint32_t opened_count;

EXPORT sem_t *sem_open(const char *name, int flags, ...)
{
    resolve_once();
    mode_t mode = 0;
    unsigned value = 0;
    if (flags & O_CREAT) {
        va_list rest;
        va_start(rest, flags);
        mode = (mode_t)va_arg(rest, unsigned);
        value = va_arg(rest, unsigned);
        va_end(rest);
    }
    sem_t *semaphore = real_sem_open(name, flags, mode, value);
    uint32_t number = atomic_fetch_add_explicit(&opened_count, 1, relaxed);
    if (number < OPENED)
        atomic_store_explicit(&opened[number], (uintptr_t)semaphore, memory_order_release);
    return semaphore;
}

/* Whether other processes may post it. */
static bool is_shared(const sem_t *semaphore)
{
    uint32_t count = atomic_load_explicit(&opened_count, memory_order_acquire);
    if ((uintptr_t)semaphore % PAGE != 0 || count == 0)
        return false;
    for (uint32_t n = 0; n < count && n < OPENED; n++)
        if (atomic_load_explicit(&opened[n], relaxed) == (uintptr_t)semaphore)
            return true;
    return count > OPENED;
}

/* Threads that have a place, by the first place of their semaphore: a post looks here and nowhere else while no thread
 * waits for it. */
static _Atomic uint32_t waiting[PLACES];

static inline unsigned find_first(const sem_t *semaphore)
{
    return (unsigned)((((uintptr_t)semaphore >> 4) * UINT64_C(0x9E3779B97F4A7C15)) >> 56) % PLACES;
}

/* The threads that waited are not in a child that was forked. */
COLD static void forget_places(void)
{
    memset(places, 0, sizeof places);
    memset(waiting, 0, sizeof waiting);
}

/* The caller is about to wait: its place, or NULL where its waker will not be known. */
static struct place *enter_place(const sem_t *semaphore, uint64_t now)
{
    if (is_shared(semaphore))
        return NULL;
    unsigned first = find_first(semaphore);
    for (unsigned n = 0; n < TRIES; n++) {
        struct place *place = &places[(first + n) % PLACES];
        uint32_t there = atomic_load_explicit(&place->waiters, memory_order_acquire);
        while (there != 0 && atomic_load_explicit(&place->semaphore, relaxed) == (uintptr_t)semaphore)
            if (atomic_compare_exchange_weak_explicit(&place->waiters, &there, there + 1, memory_order_acq_rel, relaxed)) {
                atomic_fetch_add_explicit(&waiting[first], 1, relaxed);
                return place;
            }
        if (there != 0 ||
            !atomic_compare_exchange_strong_explicit(&place->waiters, &there, 1, memory_order_acq_rel, relaxed))
            continue;
        atomic_store_explicit(&place->posted, 0, relaxed);
        atomic_store_explicit(&place->since, now, relaxed);
        atomic_store_explicit(&place->semaphore, (uintptr_t)semaphore, memory_order_release);
        atomic_fetch_add_explicit(&waiting[first], 1, memory_order_release);
        return place;
    }
    return NULL;
}

/* What the caller waits for: from CPython 3.13 on the semaphore of a wait for a lock is a part of an entry on the waiter's
 * stack, struct wait_entry of parking_lot.c, and the word before it is the lock's address. Only the interpreter's own
 * raw mutexes have something else there, another entry or nothing. */
static uintptr_t find_lock(const sem_t *semaphore)
{
    uintptr_t address = (uintptr_t)semaphore, here = (uintptr_t)__builtin_frame_address(0);
    if (!is_python_known() || python.version < 0x030D0000u || address - here >= NEAR)
        return address;
    uintptr_t lock = ((const uintptr_t *)address)[-1];
    return lock < LOWEST_ADDRESS ? address : lock;
}

static void leave_place(struct place *place, const sem_t *semaphore, const struct wait *wait, bool woken)
{
    /* Another header: a signal handler forked, and this is the child, which has no places. */
    if (place == NULL || wait->header != atomic_load_explicit(&file, relaxed))
        return;
    uint64_t posted = atomic_load_explicit(&place->posted, memory_order_acquire);
    if (woken && posted >= wait->start + CERTAIN_WAIT_NS &&
        atomic_load_explicit(&place->semaphore, relaxed) == (uintptr_t)semaphore)
        write_record(wait->header, KIND_WAKEUP, wait->start, posted - wait->start, wait->object,
                     atomic_load_explicit(&place->poster, relaxed), atomic_load_explicit(&place->site, relaxed), 0);
    atomic_fetch_sub_explicit(&place->waiters, 1, memory_order_release);
    atomic_fetch_sub_explicit(&waiting[find_first(semaphore)], 1, relaxed);
}

/* Threads wait: leave word for those of this semaphore of who ends it. */
static __attribute__((noinline)) void note_post(const sem_t *semaphore)
{
    for (unsigned n = 0; n < TRIES; n++) {
        struct place *place = &places[(find_first(semaphore) + n) % PLACES];
        if (atomic_load_explicit(&place->waiters, relaxed) == 0 ||
            atomic_load_explicit(&place->semaphore, memory_order_acquire) != (uintptr_t)semaphore)
            continue;
        int saved = errno;
        struct waits_header *header = recording();
        uint64_t now = now_ns();
        if (header != NULL && now - atomic_load_explicit(&place->since, relaxed) >= CERTAIN_WAIT_NS) {
            atomic_store_explicit(&place->poster, self.tid, relaxed);
            atomic_store_explicit(&place->site, find_site(header), relaxed);
            atomic_store_explicit(&place->posted, now, memory_order_release);
        }
        errno = saved;
    }
}

EXPORT HOT int sem_post(sem_t *semaphore)
{
    resolve_once();
    if (UNLIKELY(atomic_load_explicit(&waiting[find_first(semaphore)], relaxed) != 0))
        note_post(semaphore);
    return real_sem_post(semaphore);
}

#define WAIT_FOR_POST(semaphore, call) \
    do { \
        resolve_once(); \
        struct wait waited = begin_wait(KIND_LOCK, find_lock(semaphore)); \
        struct place *place = waited.header == NULL ? NULL : enter_place(semaphore, waited.start); \
        int given = call; \
        int saved = errno; \
        end_wait(&waited); \
        leave_place(place, semaphore, &waited, given == 0); \
        errno = saved; \
        return given; \
    } while (0)
