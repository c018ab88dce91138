/* Timing a call: what a hook does before and after libc's own function.
 *
 * In: kind and object of a wait, and the call itself. Out: the result of the call, and a record if the thread waited.
 * TIME_WAIT is for calls that do nothing but wait, TIME_CALL for those that may wait or not; both return from the hook.
 */

/* A call that does nothing but wait: the clock is read before it and after it. */
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
    write_drop(wait.header);
    wait.start = now_ns();
    if (self.gil != NULL)
        end_gil_wait(wait.start);
    if (UNLIKELY(!self.rseq_checked) && self.rseq != NULL && self.streak != IN_CALL)
        arm_rseq(self.rseq);
    wait.site = find_site(wait.header);
    show_wait(kind, wait.start, object, wait.site);
    return wait;
}

static void end_wait(const struct wait *wait)
{
    /* Another header: a signal handler forked, and this is the child. */
    if (wait->header == NULL || wait->header != atomic_load_explicit(&file, relaxed))
        return;
    uint64_t now = now_ns();
    if (UNLIKELY(!self.rseq_checked) && now - wait->start > CERTAIN_WAIT_NS && self.rseq != NULL &&
        self.streak != IN_CALL) {
        /* It certainly left the CPU: if the kernel does not say so, it never does. */
        if (stayed_on_cpu(self.rseq)) {
            has_rseq = false;
            self.rseq = NULL;
        }
        self.rseq_checked = true;
    }
    end_streak();
    write_record(wait->header, wait->kind, wait->start, now - wait->start, wait->object, 0, wait->site, native_flag());
    hide_wait();
    write_long_stack(wait->header, wait->kind, wait->start, now - wait->start);
    checkpoint(now);
}

#define TIME_WAIT(kind, object, type, call) \
    do { \
        resolve_once(); \
        struct wait waited = begin_wait(kind, (uint64_t)(object)); \
        type given = call; \
        int saved = errno; \
        end_wait(&waited); \
        errno = saved; \
        return given; \
    } while (0)

/* A call that may wait or not is recorded when the thread left the CPU in it, for SHORTEST_CALL_NS or more.
 *
 * Its begin is stamped with the counter. In a streak, a dense row of calls that did not wait, even that would cost
 * more than all the rest of the hook. There both clocks are read once in a while, and again whenever the thread left
 * the CPU between two calls. If it then leaves the CPU in a call, the time it was away is the time that passed on
 * the wall clock less the time that passed on the thread's CPU clock.
 *
 * A signal handler may run in the middle of such a call and make others. Those use the clock alone and leave the
 * sequence as it is: the signal has removed it, so that the call around them is examined. */
struct timed_call {
    uint64_t then;   /* the stamp of its begin; 0: not stamped, in a streak */
    uint32_t streak; /* the length of the streak before it; IN_CALL: made by a signal handler */
};

COLD static void read_both_clocks(uint64_t now)
{
    arm_rseq(self.rseq);
    self.streak_ns = now;
    self.streak_cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

/* Whether the streak goes on: calls still come as densely. Reads both clocks anew if so. */
COLD static bool continue_streak(uint32_t streak)
{
    uint64_t now = now_ns();
    if (streak % STREAK_RECHECK == 0 && now - self.streak_ns > (uint64_t)STREAK_RECHECK * STREAK_STEP)
        return false;
    read_both_clocks(now);
    return true;
}

static struct timed_call begin_stamped(enum waits_kind kind, uint64_t object, uint32_t streak)
{
    /* A thread that left a call by siglongjmp is not in that call any more. */
    if (UNLIKELY(streak == IN_CALL)) {
        if (++self.nested < STREAK)
            return (struct timed_call){.then = stamp(), .streak = IN_CALL};
        self.streak = 0;
    }
    self.nested = 0;
    if (UNLIKELY(self.tid == 0 || self.dropped_ns != 0 || !atomic_load_explicit(&ours->alive, relaxed))) {
        struct waits_header *header = recording();
        if (header != NULL)
            write_drop(header);
    }
    /* Read again: begin_in_child may have reset it. */
    streak = self.streak;
    self.streak = IN_CALL;
    if (streak > STREAK) {
        if (continue_streak(streak))
            return (struct timed_call){.streak = streak == IN_CALL - STREAK_RECHECK ? STREAK_RECHECK : streak};
        streak = 0;
    }
    struct timed_call begun = {.then = stamp(), .streak = streak};
    if (self.rseq != NULL) {
        if (streak == 0)
            self.streak_since = begun.then;
        if (streak == STREAK && begun.then - self.streak_since < (uint64_t)STREAK * STREAK_STEP) {
            read_both_clocks(now_ns());
        } else {
            arm_rseq(self.rseq);
            if (streak == STREAK) {
                begun.streak = 0;
                self.streak_since = begun.then;
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

/* Whether the next call need not be stamped. */
HOT static inline bool in_streak(uint32_t streak)
{
    return streak > STREAK && streak % STREAK_RECHECK != 0 && stayed_on_cpu(self.rseq);
}

HOT static inline struct timed_call begin_call(enum waits_kind kind, uint64_t object)
{
    uint32_t streak = self.streak;
    if (LIKELY(in_streak(streak))) {
        self.streak = IN_CALL;
        return (struct timed_call){.streak = streak};
    }
    return begin_stamped(kind, object, streak);
}

/* The thread left the CPU in the call: record it if that was for long enough. */
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
        uint64_t wall = now - self.streak_ns, cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID) - self.streak_cpu;
        start = wall > cpu ? now - (wall - cpu) : now;
    }
    if (now - start >= SHORTEST_CALL_NS) {
        write_record(header, kind, start, now - start, object, 0, find_site(header), native_flag());
        write_long_stack(header, kind, start, now - start);
        checkpoint(now);
    }
    errno = saved;
}

static void end_stamped(enum waits_kind kind, uint64_t object, struct timed_call begun)
{
    /* A signal handler forked in the middle of the call, and this is the child, which did not make it. */
    if (UNLIKELY(self.streak != IN_CALL))
        return;
    uint64_t shortest = has_counter ? SHORTEST_CALL_TICKS : SHORTEST_CALL_NS;
    bool nested = begun.streak == IN_CALL, by_rseq = self.rseq != NULL && !nested;
    bool left = by_rseq ? !stayed_on_cpu(self.rseq) : stamp() - begun.then >= shortest;
    if (UNLIKELY(left))
        end_long(kind, object, begun.then);
    if (nested)
        return;
    self.streak = left || !by_rseq ? 0 : begun.streak + 1;
    if (begun.then != 0)
        hide_wait();
}

HOT static inline void end_call(enum waits_kind kind, uint64_t object, struct timed_call begun)
{
    if (LIKELY(begun.then == 0 && stayed_on_cpu(self.rseq)))
        self.streak = begun.streak + 1;
    else
        end_stamped(kind, object, begun);
}

#define TIME_CALL(kind, object, type, call) \
    do { \
        if (UNLIKELY(atomic_load_explicit(&file, relaxed) == NULL)) { \
            resolve_once(); \
            return call; \
        } \
        struct timed_call begun = begin_call(kind, (uint64_t)(object)); \
        type given = call; \
        end_call(kind, (uint64_t)(object), begun); \
        return given; \
    } while (0)
