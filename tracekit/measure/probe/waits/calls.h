/* The hooks of the calls that a thread can block in: semaphores, read and write, and all those of the list in hooks.h.
 *
 * In: timing.h, wakeups.h, the list. Out: the hooks themselves. Conditions have their own file, as they are the GIL's too.
 */

/* A thread was cancelled: from now on every call that ends a cancelled thread has to be made. */
static _Atomic bool cancels;

EXPORT int pthread_cancel(pthread_t thread)
{
    resolve_once();
    atomic_store_explicit(&cancels, true, relaxed);
    return real_pthread_cancel(thread);
}

/* The address of the thread's errno: to get it from libc each time costs a tenth of taking a free lock. */
static inline int *find_errno(void)
{
    if (UNLIKELY(self.errno_at == NULL))
        self.errno_at = &errno;
    return self.errno_at;
}

/* A lock that is free needs no record. But a thread that was cancelled ends here, free or not, and a try that fails
 * must leave errno alone: Python without a GIL waits in a lock between a system call that failed and the look at
 * errno. */
static inline bool take_free_lock(sem_t *lock)
{
    resolve_once();
    if (UNLIKELY(atomic_load_explicit(&cancels, relaxed)))
        return false;
    int *error = find_errno(), before = *error;
    if (LIKELY(real_sem_trywait(lock) == 0))
        return true;
    *error = before;
    return false;
}

EXPORT int sem_wait(sem_t *lock)
{
    if (take_free_lock(lock))
        return 0;
    WAIT_FOR_POST(lock, real_sem_wait(lock));
}

EXPORT int sem_timedwait(sem_t *lock, const struct timespec *until)
{
    if (take_free_lock(lock))
        return 0;
    WAIT_FOR_POST(lock, real_sem_timedwait(lock, until));
}

EXPORT int sem_clockwait(sem_t *lock, clockid_t clock, const struct timespec *until)
{
    if (take_free_lock(lock))
        return 0;
    WAIT_FOR_POST(lock, real_sem_clockwait(lock, clock, until));
}

/* If no thread was cancelled, libc's own function does nothing but the system call while the process has one thread,
 * and the hook makes it itself. A function between the program and the call costs 17 ns in its return alone, which no
 * processor predicts after a system call: three times what all the rest of the hook costs. */
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
    return is_single_threaded() && !atomic_load_explicit(&cancels, relaxed);
}

static inline ssize_t with_errno(ssize_t result)
{
    if (LIKELY(result >= 0))
        return result;
    errno = (int)-result;
    return -1;
}

/* The rest of the hook, for a call in a streak that waited or failed. */
COLD static ssize_t end_direct_call(ssize_t result, int fd, enum waits_kind kind, uint32_t streak)
{
    end_call(kind, (uint64_t)fd, (struct timed_call){.streak = streak});
    return with_errno(result);
}

/* A call in a streak comes first and saves no register: that would be half of what the hook does. */
#define CALL_IN_STREAK(name, kind, fd, buffer, length) \
    do { \
        uint32_t streak = self.streak; \
        if (UNLIKELY(!in_streak(streak) || !may_call_kernel())) \
            break; \
        self.streak = IN_CALL; \
        ssize_t result = call_kernel(SYS_##name, fd, buffer, length); \
        if (UNLIKELY(result < 0 || !stayed_on_cpu(self.rseq))) \
            return end_direct_call(result, fd, kind, streak); \
        self.streak = streak + 1; \
        return result; \
    } while (0)
#define DIRECT(name, ...) \
    (may_call_kernel() ? with_errno(call_kernel(SYS_##name, __VA_ARGS__)) : real_##name(__VA_ARGS__))
#else
#define CALL_IN_STREAK(name, kind, fd, buffer, length)
#define DIRECT(name, ...) real_##name(__VA_ARGS__)
#endif

__attribute__((noinline)) static ssize_t time_read(int fd, void *buffer, size_t length)
{
    if (UNLIKELY(atomic_load_explicit(&python.functions, relaxed) == FUNCTIONS_UNCHECKED))
        check_in_read();
    TIME_CALL(KIND_IO_READ, fd, ssize_t, DIRECT(read, fd, buffer, length));
}

EXPORT HOT ssize_t read(int fd, void *buffer, size_t length)
{
    CALL_IN_STREAK(read, KIND_IO_READ, fd, buffer, length);
    return time_read(fd, buffer, length);
}

__attribute__((noinline)) static ssize_t time_write(int fd, const void *buffer, size_t length)
{
    TIME_CALL(KIND_IO_WRITE, fd, ssize_t, DIRECT(write, fd, buffer, length));
}

EXPORT HOT ssize_t write(int fd, const void *buffer, size_t length)
{
    CALL_IN_STREAK(write, KIND_IO_WRITE, fd, buffer, length);
    return time_write(fd, buffer, length);
}

/* The hooks that need no code of their own. */
#define DEFINE_OWN(...)
#define DEFINE_CONDITION(...)
#define DEFINE_CALL(name, type, parameters, arguments, kind, object) \
    EXPORT type name parameters \
    { \
        TIME_CALL(kind, object, type, real_##name arguments); \
    }
#define DEFINE_WAIT(name, type, parameters, arguments, kind, object) \
    EXPORT type name parameters \
    { \
        TIME_WAIT(kind, object, type, real_##name arguments); \
    }
#define DEFINE(form, ...) DEFINE_##form(__VA_ARGS__)
HOOKS(DEFINE)
#undef DEFINE

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
