/* The GILs of this process: where they are, who holds them, who waits, and the records of waits, takes and drops.
 *
 * In: the addresses of Python's condition variables, from conditions.h. Out: records of the GIL; its holder and
 * waiters, for mutexes.h too.
 */

static struct gil gils[GILS];
static _Atomic unsigned gil_count;
static uint32_t waiters_at_first; /* what the counts of waiters begin with: not 0 if every signal goes to libc */

/* switch_cond follows cond and mutex in struct _gil_runtime_state, in every version since 3.2. */
#define SWITCH_OFFSET (sizeof(pthread_cond_t) + sizeof(pthread_mutex_t))

HOT static inline struct gil *find_gil(const void *cond)
{
    unsigned count = atomic_load_explicit(&gil_count, memory_order_acquire);
    for (unsigned n = 0; n < count; n++)
        if (atomic_load_explicit(&gils[n].cond, relaxed) == cond)
            return &gils[n];
    return NULL;
}

/* The count of the threads that wait for this condition; NULL for one that is of no GIL. */
static _Atomic uint32_t *find_waiter_count(const void *cond)
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

/* Add a GIL that Python has just made, perhaps anew at the same address: in a fork child, or by a later interpreter. */
COLD static void learn_gil(void *cond)
{
    struct gil *gil = find_gil(cond);
    for (unsigned n = 0; n < GILS && gil == NULL; n++) {
        void *nothing = NULL;
        if (atomic_compare_exchange_strong_explicit(&gils[n].cond, &nothing, cond, memory_order_acq_rel, relaxed))
            gil = &gils[n];
    }
    if (gil == NULL)
        return;
    atomic_store_explicit(&gil->in_cond, waiters_at_first, relaxed);
    atomic_store_explicit(&gil->in_switch_cond, waiters_at_first, relaxed);
    atomic_store_explicit(&gil->waiters, 0, relaxed);
    atomic_store_explicit(&gil->holder, 0, relaxed);
    atomic_store_explicit(&gil->taken, 0, relaxed);
    atomic_store_explicit(&gil->switch_cond, (char *)cond + SWITCH_OFFSET, memory_order_release);
    unsigned wanted = (unsigned)(gil - gils) + 1, count = atomic_load_explicit(&gil_count, relaxed);
    while (count < wanted &&
           !atomic_compare_exchange_weak_explicit(&gil_count, &count, wanted, memory_order_release, relaxed))
        continue;
}

/* Remove a GIL that was destroyed, if it is one: something else may lie at its address now. */
COLD static void forget_gil(const void *cond)
{
    struct gil *gil = find_gil(cond);
    if (gil == NULL)
        return;
    atomic_store_explicit(&gil->switch_cond, NULL, relaxed);
    atomic_store_explicit(&gil->cond, NULL, memory_order_release);
}

/* The thread that takes or drops the GIL holds its mutexes meanwhile, and others that need them next are just waking
 * up or going to sleep: each 100 ns makes more of them sleep once more. So what can be done before or after is not
 * done there: the slot of a wait is drawn and filled before the thread sleeps, a drop is only stamped. */

/* Whether the calling thread holds this GIL. */
static inline bool holds_gil(const struct gil *gil)
{
    return atomic_load_explicit(&gil->taken, relaxed) != 0 && atomic_load_explicit(&gil->holder, relaxed) == self.tid;
}

/* The stamp of a take that nobody waits for: another thread may come to wait before the drop. It costs 15 to 30 ns, so a
 * process with one thread goes without in a dense row of calls: nobody can come, but for a thread that is made then. */
HOT static inline uint64_t stamp_take(void)
{
    return UNLIKELY(is_single_threaded() && self.streak > STREAK) ? TAKEN_UNSTAMPED : stamp();
}

/* Python asks for the GIL when the switch interval is over, and waits until then. It read the clock some 100 ns before
 * `now`; what is left of the interval is rounded up to its whole microseconds. */
static void note_switch_interval(struct waits_header *header, const struct timespec *until, uint64_t now)
{
    uint64_t end = (uint64_t)until->tv_sec * 1000000000u + (uint64_t)until->tv_nsec;
    uint64_t interval = end > now ? (end - now + 999) / 1000 * 1000 : 0;
    if (interval != 0 && interval <= LONGEST_INTERVAL_NS &&
        interval != atomic_load_explicit(&header->switch_interval_ns, relaxed))
        atomic_store_explicit(&header->switch_interval_ns, interval, relaxed);
}

/* The thread begins to wait for a GIL, which has this condition, or for a mutex of it: then `until` is NULL. */
COLD static void begin_gil_wait(struct waits_header *header, struct gil *gil, void *cond, const struct timespec *until)
{
    uint64_t begun = now_ns();
    if (until != NULL)
        note_switch_interval(header, until, begun);
    checkpoint(begun);
    write_drop(header);
    uint32_t where = find_site(header);
    struct waits_slot *slot = self.gil_slot != NULL ? self.gil_slot : take_slot(header);
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
    /* Until it has the GIL, not only while it is in libc: take_gil waits again and again. */
    atomic_fetch_add_explicit(&gil->in_cond, 1, relaxed);
    show_wait(KIND_GIL, now, (uintptr_t)cond, where);
}

/* The thread's wait for a GIL ends at `now`. False when there was none: the GIL was given up just then, and the
 * thread never left the CPU. To ask the kernel whether it did would cost each wait half a microsecond. */
static bool end_gil_wait(uint64_t now)
{
    struct gil *gil = self.gil;
    bool waited = now - self.gil_since >= SHORTEST_GIL_WAIT_NS;
    self.gil = NULL;
    self.gil_cond = NULL;
    end_streak();
    atomic_fetch_sub_explicit(&gil->in_cond, 1, relaxed);
    /* The GIL was made anew meanwhile: no thread waits for the new one. */
    if (atomic_fetch_sub_explicit(&gil->waiters, 1, relaxed) == 0)
        atomic_store_explicit(&gil->waiters, 0, relaxed);
    if (waited && self.gil_slot != NULL) {
        self.gil_slot->dur_ns = now - self.gil_since;
        atomic_store_explicit(&self.gil_slot->kind, KIND_GIL, memory_order_release);
        self.gil_slot = NULL;
        write_long_stack(atomic_load_explicit(&file, relaxed), KIND_GIL, self.gil_since, now - self.gil_since);
    }
    hide_wait();
    return waited;
}

/* Record that the thread gave the GIL up, if that is still to be done. It has not had the GIL since: its function is
 * the same. */
static void write_drop(struct waits_header *header)
{
    uint64_t dropped = self.dropped_ns;
    if (dropped == 0)
        return;
    self.dropped_ns = 0;
    uint64_t taken = self.dropped_taken;
    if (taken == TAKEN_UNSTAMPED)
        taken = 0;
    else if (taken != 0)
        taken = taken & TAKEN_NS ? taken & ~TAKEN_NS : stamp_ns(taken, now_ns());
    write_record(header, KIND_GIL_DROP, dropped, taken ? subtract(dropped, taken) : 0, self.dropped_object, 0, find_site(header),
                 taken ? FLAG_KNOWN : 0);
    write_long_stack(header, KIND_GIL_DROP, dropped, taken ? subtract(dropped, taken) : 0);
}

COLD static void note_contended_take(struct gil *gil)
{
    struct waits_header *header = recording();
    uint64_t now = now_ns();
    if (header != NULL) {
        write_drop(header);
        if (self.gil != gil || !end_gil_wait(now))
            write_record(header, KIND_GIL_TAKE, now, 0, (uintptr_t)atomic_load_explicit(&gil->cond, relaxed), 0, 0, 0);
    }
    atomic_store_explicit(&gil->taken, now | TAKEN_NS, relaxed);
}

/* The GIL is taken and no thread waits any more. */
COLD static void note_free_take(struct gil *gil)
{
    struct waits_header *header = recording();
    if (header != NULL)
        write_drop(header);
    atomic_store_explicit(&gil->taken, stamp_take(), relaxed);
}

COLD static void note_contended_drop(struct gil *gil)
{
    struct waits_header *header = recording();
    if (header == NULL)
        return;
    write_drop(header);
    /* A thread without a number when it took the GIL: it waited for the mutex to give the GIL up, not to take it. */
    if (UNLIKELY(self.gil == gil))
        end_gil_wait(now_ns());
    self.dropped_taken = atomic_load_explicit(&gil->taken, relaxed);
    self.dropped_object = (uintptr_t)atomic_load_explicit(&gil->cond, relaxed);
    self.dropped_ns = self.drop_ns != 0 ? self.drop_ns : now_ns();
}

/* The clock is read only while a thread waits; otherwise the counter: a thread may come to wait before the drop. */
HOT static inline void note_taken(struct gil *gil)
{
    if (UNLIKELY(atomic_load_explicit(&gil->waiters, relaxed)))
        note_contended_take(gil);
    else
        note_free_take(gil);
    /* A thread that made no hooked call yet has tid 0: the holder is not known. */
    atomic_store_explicit(&gil->holder, self.tid, relaxed);
}

HOT static inline void note_dropped(struct gil *gil)
{
    if (UNLIKELY(atomic_load_explicit(&gil->waiters, relaxed)))
        note_contended_drop(gil);
    self.drop_ns = 0;
    atomic_store_explicit(&gil->taken, 0, relaxed);
}
