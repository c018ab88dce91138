/* The hooks of condition variables: those of a GIL, and all others, which are locks.
 *
 * In: gil.h and timing.h. Out: the hooks; the records of the GIL and of other condition variables.
 *
 * A signal to the condition of a GIL for which no thread waits does nothing, and most calls that may block send two of
 * them: they are answered here, without libc. TRACEKIT_WAITS_ALL_SIGNALS=1 passes them on: see learn_gil.
 */

static __attribute__((noinline)) int signal_condition(pthread_cond_t *cond)
{
    resolve_once();
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

/* The GIL is given up and taken in every call that may block. While no thread waits for it, this is all there is to
 * do. */
EXPORT HOT int pthread_cond_signal(pthread_cond_t *cond)
{
    struct gil *gil = &gils[0];
    if (atomic_load_explicit(&gil->cond, relaxed) == (void *)cond) {
        if (LIKELY(!atomic_load_explicit(&gil->waiters, relaxed) && !atomic_load_explicit(&gil->in_cond, relaxed))) {
            atomic_store_explicit(&gil->taken, 0, relaxed);
            return 0;
        }
    } else if (atomic_load_explicit(&gil->switch_cond, relaxed) == (void *)cond) {
        if (LIKELY(!atomic_load_explicit(&gil->waiters, relaxed) && self.dropped_ns == 0 &&
                   !atomic_load_explicit(&gil->in_switch_cond, relaxed))) {
            atomic_store_explicit(&gil->holder, self.tid, relaxed);
            atomic_store_explicit(&gil->taken, stamp_take(), relaxed);
            return 0;
        }
    }
    return signal_condition(cond);
}

/* A program that is not Python may load one later. Looking for it takes the loader's lock, and a thread that holds that
 * lock may be waiting for the one that calls us: so only the first thread looks, which is the one that loads. */
COLD static void look_for_python(struct waits_header *header)
{
    static unsigned looks;
    if (self.tid != (uint32_t)own_pid || looks >= 64)
        return;
    looks++;
    find_python();
    write_python(header);
}

/* A GIL is recognised when Python initialises it: two conditions at the distance they have in its struct. */
EXPORT int pthread_cond_init(pthread_cond_t *cond, const pthread_condattr_t *attributes)
{
    static __thread char *before __attribute__((tls_model("initial-exec")));
    resolve_once();
    struct waits_header *header = recording();
    if (header != NULL) {
        if (!is_python_known())
            look_for_python(header);
        if (is_from_python(__builtin_return_address(0))) {
            if (before != NULL && (char *)cond == before + SWITCH_OFFSET)
                learn_gil(before);
            before = (char *)cond;
        }
    }
    return real_pthread_cond_init(cond, attributes);
}

EXPORT int pthread_cond_destroy(pthread_cond_t *cond)
{
    resolve_once();
    forget_gil(cond);
    return real_pthread_cond_destroy(cond);
}

/* Every wait for a condition goes through these three: a signal that is not passed on for lack of waiters must not
 * be one that a thread waits for, whatever a future Python does with the conditions of its GIL. */
#define COUNT_WAITER(cond, call) \
    do { \
        _Atomic uint32_t *inside = find_waiter_count(cond); \
        if (inside != NULL) \
            atomic_fetch_add_explicit(inside, 1, relaxed); \
        int result = call; \
        if (inside != NULL) \
            atomic_fetch_sub_explicit(inside, 1, relaxed); \
        return result; \
    } while (0)

static int counted_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
    COUNT_WAITER(cond, real_pthread_cond_wait(cond, mutex));
}

static int counted_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *until)
{
    COUNT_WAITER(cond, real_pthread_cond_timedwait(cond, mutex, until));
}

static int counted_clockwait(pthread_cond_t *cond, pthread_mutex_t *mutex, clockid_t clock,
                             const struct timespec *until)
{
    COUNT_WAITER(cond, real_pthread_cond_clockwait(cond, mutex, clock, until));
}

EXPORT int pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *until)
{
    /* take_gil calls again every 5 ms, after it asked the holder to give the GIL up: that is still the same wait. */
    if (LIKELY(cond == self.gil_cond))
        return real_pthread_cond_timedwait(cond, mutex, until);
    resolve_once();
    struct gil *gil = find_gil(cond);
    if (gil == NULL)
        TIME_WAIT(KIND_LOCK, (uintptr_t)cond, int, counted_timedwait(cond, mutex, until));
    struct waits_header *header = recording();
    if (header == NULL)
        return counted_timedwait(cond, mutex, until);
    if (self.gil != NULL)
        end_gil_wait(now_ns());
    begin_gil_wait(header, gil, cond, until);
    return real_pthread_cond_timedwait(cond, mutex, until);
}

EXPORT int pthread_cond_clockwait(pthread_cond_t *cond, pthread_mutex_t *mutex, clockid_t clock,
                                  const struct timespec *until)
{
    TIME_WAIT(KIND_LOCK, (uintptr_t)cond, int, counted_clockwait(cond, mutex, clock, until));
}

/* drop_gil waits until another thread has the GIL. That thread was just woken and needs the mutex that this one
 * holds until its wait begins, and may have to sleep for it once more: so as little as possible is done before. The
 * function is looked up afterwards, when it is still the same. */
static int wait_for_switch(struct gil *gil, pthread_cond_t *cond, pthread_mutex_t *mutex)
{
    struct waits_header *header = recording();
    uint64_t object = (uintptr_t)atomic_load_explicit(&gil->cond, relaxed), start = 0;
    if (header != NULL) {
        start = now_ns();
        show_wait(KIND_GIL_SWITCH, start, object, 0);
    }
    int result = counted_wait(cond, mutex);
    int saved = errno;
    if (header != NULL && header == atomic_load_explicit(&file, relaxed)) {
        uint64_t now = now_ns();
        end_streak();
        write_drop(header);
        write_record(header, KIND_GIL_SWITCH, start, now - start, object, 0, find_site(header), native_flag());
        hide_wait();
    }
    errno = saved;
    return result;
}

EXPORT int pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
    resolve_once();
    unsigned count = atomic_load_explicit(&gil_count, memory_order_acquire);
    for (unsigned n = 0; n < count; n++)
        if (atomic_load_explicit(&gils[n].switch_cond, relaxed) == (void *)cond)
            return wait_for_switch(&gils[n], cond, mutex);
    TIME_WAIT(KIND_LOCK, (uintptr_t)cond, int, counted_wait(cond, mutex));
}
