/* The hook of mutexes: the two of each GIL. All others go straight through.
 *
 * In: gil.h. Out: the hook; records of sleeps on these mutexes.
 *
 * take_gil and drop_gil lock the GIL's mutex for less than a microsecond, but it may be taken: then the thread sleeps,
 * on a busy machine until the one that has it gets a CPU. In take_gil that is part of the wait for the GIL, in drop_gil
 * one of the kind gil-switch. The mutexes follow the conditions in the GIL's struct: they are known from the first on.
 */

static inline bool is_mutex_of(const struct gil *gil, const void *cond)
{
    return atomic_load_explicit(&gil->cond, relaxed) == cond || atomic_load_explicit(&gil->switch_cond, relaxed) == cond;
}

/* Whether the calling thread is in take_gil: it holds the GIL's mutex there when it locks the second one. */
static bool is_taking(const struct gil *gil, const pthread_mutex_t *mutex)
{
    const char *cond = atomic_load_explicit(&gil->cond, relaxed);
    const pthread_mutex_t *first = (const pthread_mutex_t *)(const void *)(cond + sizeof(pthread_cond_t));
    return mutex == first ? !holds_gil(gil) : first->__data.__owner == (int)self.tid;
}

COLD static int wait_for_gil_mutex(struct gil *gil, pthread_mutex_t *mutex)
{
    struct waits_header *header = recording();
    /* In a wait for the GIL already: it goes on. */
    if (header == NULL || self.gil != NULL)
        return real_pthread_mutex_lock(mutex);
    int saved = errno, result;
    if (is_taking(gil, mutex)) {
        begin_gil_wait(header, gil, atomic_load_explicit(&gil->cond, relaxed), NULL);
        result = real_pthread_mutex_lock(mutex);
    } else {
        uint64_t object = (uintptr_t)atomic_load_explicit(&gil->cond, relaxed), start = now_ns();
        if (holds_gil(gil))
            self.drop_ns = start;
        show_wait(KIND_GIL_SWITCH, start, object, 0);
        result = real_pthread_mutex_lock(mutex);
        uint64_t now = now_ns();
        end_streak();
        if (now - start >= SHORTEST_GIL_WAIT_NS)
            write_record(header, KIND_GIL_SWITCH, start, now - start, object, 0, find_site(header), native_flag());
        hide_wait();
    }
    errno = saved;
    return result;
}

/* A look at the lock's word, not a try: a try is an atomic operation more, as dear as the whole lock. A mutex that is
 * taken in the few nanoseconds after the look is waited for unseen. */
static __attribute__((noinline)) int lock_gil_mutex(struct gil *gil, pthread_mutex_t *mutex)
{
    bool is_free = *(const volatile int *)&mutex->__data.__lock == 0;
    return LIKELY(is_free) ? real_pthread_mutex_lock(mutex) : wait_for_gil_mutex(gil, mutex);
}

/* libc's own, by a name that needs no looking up: dlsym may allocate, and a malloc may lock a mutex. */
#if defined(__x86_64__)
__asm__(".symver libc_mutex_lock, __pthread_mutex_lock@GLIBC_2.2.5");
#else
__asm__(".symver libc_mutex_lock, __pthread_mutex_lock@GLIBC_2.17");
#endif
extern int libc_mutex_lock(pthread_mutex_t *);

EXPORT HOT int pthread_mutex_lock(pthread_mutex_t *mutex)
{
    /* With one thread no mutex is waited for. */
    if (is_single_threaded() && LIKELY(real_pthread_mutex_lock != NULL))
        return real_pthread_mutex_lock(mutex);
    const void *cond = (const char *)mutex - sizeof(pthread_cond_t);
    if (UNLIKELY(is_mutex_of(&gils[0], cond)))
        return lock_gil_mutex(&gils[0], mutex);
    unsigned count = atomic_load_explicit(&gil_count, memory_order_acquire);
    for (unsigned n = 1; n < count; n++)
        if (UNLIKELY(is_mutex_of(&gils[n], cond)))
            return lock_gil_mutex(&gils[n], mutex);
    return LIKELY(real_pthread_mutex_lock != NULL) ? real_pthread_mutex_lock(mutex) : libc_mutex_lock(mutex);
}
