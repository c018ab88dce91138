/* Who ended a wait for a semaphore: the hook of sem_post, and what the hooks of the waits make of it.
 *
 * In: timing.h. Out: WAIT_FOR_POST, for the hooks of the waits; a record KIND_WAKEUP for waits of CERTAIN_WAIT_NS or more.
 *
 * Python's locks are semaphores with one post for each thread that goes on: up to 3.12 the lock itself, later one of the
 * waiter's own, on its stack. So the last post before a wait's end is the one that ended it. The thread that posts leaves
 * its name in the place of the semaphore; but only where a thread waits there, and has waited for long enough. Two
 * semaphores of one place leave no record, and neither do those of sem_open, which other processes post as well: they
 * have a page of their own, so that their addresses are those of pages.
 */

enum { PLACES = 256, PAGE = 4096 };

static struct place {
    _Atomic uintptr_t semaphore;
    _Atomic uint32_t waiters;
    _Atomic uint32_t poster, site; /* who posted last, and the function that it was in */
    _Atomic uint64_t since;        /* when the first of these waiters came */
    _Atomic uint64_t posted;       /* when it was posted last, 0: not since then */
} places[PLACES];

static inline struct place *find_place(const sem_t *semaphore)
{
    uintptr_t address = (uintptr_t)semaphore;
    return &places[(address >> 4 ^ address >> 12) % PLACES];
}

/* The threads that waited are not in a child that was forked. */
COLD static void forget_places(void)
{
    memset(places, 0, sizeof places);
}

/* The caller is about to wait: its place, or NULL where its waker will not be known. */
static struct place *enter_place(const sem_t *semaphore, uint64_t now)
{
    struct place *place = find_place(semaphore);
    if ((uintptr_t)semaphore % PAGE == 0)
        return NULL;
    if (atomic_fetch_add_explicit(&place->waiters, 1, memory_order_acq_rel) == 0) {
        atomic_store_explicit(&place->posted, 0, relaxed);
        atomic_store_explicit(&place->since, now, relaxed);
        atomic_store_explicit(&place->semaphore, (uintptr_t)semaphore, memory_order_release);
    } else if (atomic_load_explicit(&place->semaphore, relaxed) != (uintptr_t)semaphore) {
        atomic_fetch_sub_explicit(&place->waiters, 1, relaxed);
        return NULL;
    }
    return place;
}

static void leave_place(struct place *place, const struct wait *wait, bool woken)
{
    /* Another header: a signal handler forked, and this is the child, which has no places. */
    if (place == NULL || wait->header != atomic_load_explicit(&file, relaxed))
        return;
    uint64_t posted = atomic_load_explicit(&place->posted, memory_order_acquire);
    if (woken && posted >= wait->start + CERTAIN_WAIT_NS &&
        atomic_load_explicit(&place->semaphore, relaxed) == (uintptr_t)wait->object)
        write_record(wait->header, KIND_WAKEUP, wait->start, posted - wait->start, wait->object,
                     atomic_load_explicit(&place->poster, relaxed), atomic_load_explicit(&place->site, relaxed), 0);
    atomic_fetch_sub_explicit(&place->waiters, 1, relaxed);
}

/* Somebody waits for it: leave word of who ended that. */
static __attribute__((noinline)) void note_post(struct place *place)
{
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

EXPORT HOT int sem_post(sem_t *semaphore)
{
    struct place *place = find_place(semaphore);
    resolve_once();
    if (UNLIKELY(atomic_load_explicit(&place->waiters, relaxed) != 0) &&
        atomic_load_explicit(&place->semaphore, memory_order_acquire) == (uintptr_t)semaphore)
        note_post(place);
    return real_sem_post(semaphore);
}

#define WAIT_FOR_POST(semaphore, call) \
    do { \
        resolve_once(); \
        struct wait waited = begin_wait(KIND_LOCK, (uintptr_t)(semaphore)); \
        struct place *place = waited.header == NULL ? NULL : enter_place(semaphore, waited.start); \
        int given = call; \
        int saved = errno; \
        end_wait(&waited); \
        leave_place(place, &waited, given == 0); \
        errno = saved; \
        return given; \
    } while (0)
