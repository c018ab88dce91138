/* The hooks: which functions of libc the probe stands before, and where libc's own ones are.
 *
 * In: nothing. Out: real_NAME, libc's own function of that name, usable after resolve_once(). HOOKS is the one list:
 * the declarations and the table here come from it, and in calls.h the definitions of the hooks that need no code of
 * their own. To hook one more call, add a line.
 */

#if defined(COND_VERSION)
/* Set on the command line: between the probe and libc there is a sanitizer, whose functions have no versions. */
#elif defined(__x86_64__)
#define COND_VERSION "GLIBC_2.3.2"
#else
#define COND_VERSION "GLIBC_2.17"
#endif

/* Newer than glibc 2.17, which the wheel is built for: its headers do not have them. */
int pthread_cond_clockwait(pthread_cond_t *, pthread_mutex_t *, clockid_t, const struct timespec *);
int pthread_clockjoin_np(pthread_t, void **, clockid_t, const struct timespec *);
int sem_clockwait(sem_t *, clockid_t, const struct timespec *);
ssize_t preadv64v2(int, const struct iovec *, int, off64_t, int);
ssize_t pwritev64v2(int, const struct iovec *, int, off64_t, int);
ssize_t copy_file_range(int, off64_t *, int, off64_t *, size_t, unsigned);
int epoll_pwait2(int, struct epoll_event *, int, const struct timespec *, const sigset_t *);

/* X(form, name, ...). The forms:
 *   CALL       may wait or not; the hook records it when the thread left the CPU in it
 *   WAIT       does nothing but wait; the hook always records it
 *   OWN        the hook is written out: conditions.h, calls.h, children.h, threads.h, process.h
 *   CONDITION  the same, and libc has an old function of that name with another layout, which dlsym may give
 * CALL and WAIT go on with: type of the result, parameters, arguments, kind of wait, object of the record. */
#define HOOKS(X) \
    X(CONDITION, pthread_cond_init) \
    X(CONDITION, pthread_cond_destroy) \
    X(CONDITION, pthread_cond_signal) \
    X(CONDITION, pthread_cond_wait) \
    X(CONDITION, pthread_cond_timedwait) \
    X(OWN, pthread_cond_clockwait) \
    X(OWN, pthread_mutex_lock) \
    X(OWN, pthread_create) \
    X(OWN, pthread_cancel) \
    X(CALL, pthread_join, int, (pthread_t thread, void **value), (thread, value), KIND_LOCK, 0) \
    X(CALL, pthread_timedjoin_np, int, (pthread_t thread, void **value, const struct timespec *until), \
      (thread, value, until), KIND_LOCK, 0) \
    X(CALL, pthread_clockjoin_np, int, \
      (pthread_t thread, void **value, clockid_t clock, const struct timespec *until), (thread, value, clock, until), \
      KIND_LOCK, 0) \
    X(OWN, sem_wait) \
    X(OWN, sem_trywait) \
    X(OWN, sem_timedwait) \
    X(OWN, sem_clockwait) \
    X(OWN, sem_post) \
    X(OWN, sem_open) \
    X(CALL, flock, int, (int fd, int operation), (fd, operation), KIND_LOCK, fd) \
    X(CALL, lockf64, int, (int fd, int operation, off64_t length), (fd, operation, length), KIND_LOCK, fd) \
    \
    X(OWN, read) \
    X(CALL, pread64, ssize_t, (int fd, void *buffer, size_t length, off64_t offset), (fd, buffer, length, offset), \
      KIND_IO_READ, fd) \
    X(CALL, readv, ssize_t, (int fd, const struct iovec *vectors, int count), (fd, vectors, count), KIND_IO_READ, fd) \
    X(CALL, preadv64, ssize_t, (int fd, const struct iovec *vectors, int count, off64_t offset), \
      (fd, vectors, count, offset), KIND_IO_READ, fd) \
    X(CALL, preadv64v2, ssize_t, (int fd, const struct iovec *vectors, int count, off64_t offset, int flags), \
      (fd, vectors, count, offset, flags), KIND_IO_READ, fd) \
    X(CALL, recv, ssize_t, (int fd, void *buffer, size_t length, int flags), (fd, buffer, length, flags), \
      KIND_IO_READ, fd) \
    X(CALL, recvfrom, ssize_t, \
      (int fd, void *restrict buffer, size_t length, int flags, __SOCKADDR_ARG from, socklen_t *restrict size), \
      (fd, buffer, length, flags, from, size), KIND_IO_READ, fd) \
    X(CALL, recvmsg, ssize_t, (int fd, struct msghdr *message, int flags), (fd, message, flags), KIND_IO_READ, fd) \
    X(CALL, recvmmsg, int, (int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout), \
      (fd, messages, count, flags, timeout), KIND_IO_READ, fd) \
    X(CALL, eventfd_read, int, (int fd, eventfd_t *value), (fd, value), KIND_IO_READ, fd) \
    X(CALL, accept, int, (int fd, __SOCKADDR_ARG from, socklen_t *restrict size), (fd, from, size), KIND_IO_READ, fd) \
    X(CALL, accept4, int, (int fd, __SOCKADDR_ARG from, socklen_t *restrict size, int flags), \
      (fd, from, size, flags), KIND_IO_READ, fd) \
    X(CALL, getaddrinfo, int, \
      (const char *restrict node, const char *restrict service, const struct addrinfo *restrict hints, \
       struct addrinfo **restrict result), \
      (node, service, hints, result), KIND_IO_READ, -1) \
    \
    X(OWN, write) \
    X(CALL, pwrite64, ssize_t, (int fd, const void *buffer, size_t length, off64_t offset), \
      (fd, buffer, length, offset), KIND_IO_WRITE, fd) \
    X(CALL, writev, ssize_t, (int fd, const struct iovec *vectors, int count), (fd, vectors, count), KIND_IO_WRITE, \
      fd) \
    X(CALL, pwritev64, ssize_t, (int fd, const struct iovec *vectors, int count, off64_t offset), \
      (fd, vectors, count, offset), KIND_IO_WRITE, fd) \
    X(CALL, pwritev64v2, ssize_t, (int fd, const struct iovec *vectors, int count, off64_t offset, int flags), \
      (fd, vectors, count, offset, flags), KIND_IO_WRITE, fd) \
    X(CALL, send, ssize_t, (int fd, const void *buffer, size_t length, int flags), (fd, buffer, length, flags), \
      KIND_IO_WRITE, fd) \
    X(CALL, sendto, ssize_t, \
      (int fd, const void *buffer, size_t length, int flags, __CONST_SOCKADDR_ARG to, socklen_t size), \
      (fd, buffer, length, flags, to, size), KIND_IO_WRITE, fd) \
    X(CALL, sendmsg, ssize_t, (int fd, const struct msghdr *message, int flags), (fd, message, flags), KIND_IO_WRITE, \
      fd) \
    X(CALL, sendmmsg, int, (int fd, struct mmsghdr *messages, unsigned count, int flags), \
      (fd, messages, count, flags), KIND_IO_WRITE, fd) \
    X(CALL, sendfile64, ssize_t, (int fd, int from, off64_t *offset, size_t count), (fd, from, offset, count), \
      KIND_IO_WRITE, fd) \
    X(CALL, splice, ssize_t, \
      (int from, off64_t *from_offset, int fd, off64_t *offset, size_t length, unsigned flags), \
      (from, from_offset, fd, offset, length, flags), KIND_IO_WRITE, fd) \
    X(CALL, copy_file_range, ssize_t, \
      (int from, off64_t *from_offset, int fd, off64_t *offset, size_t length, unsigned flags), \
      (from, from_offset, fd, offset, length, flags), KIND_IO_WRITE, fd) \
    X(CALL, connect, int, (int fd, __CONST_SOCKADDR_ARG to, socklen_t size), (fd, to, size), KIND_IO_WRITE, fd) \
    X(CALL, fsync, int, (int fd), (fd), KIND_IO_WRITE, fd) \
    X(CALL, fdatasync, int, (int fd), (fd), KIND_IO_WRITE, fd) \
    \
    X(CALL, poll, int, (struct pollfd *fds, nfds_t count, int timeout), (fds, count, timeout), \
      count == 0 && timeout >= 0 ? KIND_SLEEP : KIND_POLL, count) \
    X(CALL, ppoll, int, (struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask), \
      (fds, count, timeout, mask), count == 0 && timeout != NULL ? KIND_SLEEP : KIND_POLL, count) \
    /* Without a descriptor it is how time.sleep waits up to 3.10. */ \
    X(CALL, select, int, \
      (int count, fd_set *restrict readable, fd_set *restrict writable, fd_set *restrict except, \
       struct timeval *restrict timeout), \
      (count, readable, writable, except, timeout), count == 0 ? KIND_SLEEP : KIND_POLL, count) \
    X(CALL, pselect, int, \
      (int count, fd_set *restrict readable, fd_set *restrict writable, fd_set *restrict except, \
       const struct timespec *restrict timeout, const sigset_t *restrict mask), \
      (count, readable, writable, except, timeout, mask), count == 0 ? KIND_SLEEP : KIND_POLL, count) \
    X(CALL, epoll_wait, int, (int fd, struct epoll_event *events, int most, int timeout), \
      (fd, events, most, timeout), KIND_POLL, fd) \
    X(CALL, epoll_pwait, int, \
      (int fd, struct epoll_event *events, int most, int timeout, const sigset_t *mask), \
      (fd, events, most, timeout, mask), KIND_POLL, fd) \
    X(CALL, epoll_pwait2, int, \
      (int fd, struct epoll_event *events, int most, const struct timespec *timeout, const sigset_t *mask), \
      (fd, events, most, timeout, mask), KIND_POLL, fd) \
    \
    X(WAIT, nanosleep, int, (const struct timespec *length, struct timespec *left), (length, left), KIND_SLEEP, 0) \
    X(WAIT, clock_nanosleep, int, \
      (clockid_t clock, int flags, const struct timespec *length, struct timespec *left), \
      (clock, flags, length, left), KIND_SLEEP, 0) \
    X(WAIT, usleep, int, (useconds_t length), (length), KIND_SLEEP, 0) \
    X(WAIT, sleep, unsigned, (unsigned seconds), (seconds), KIND_SLEEP, 0) \
    X(WAIT, pause, int, (void), (), KIND_SLEEP, 0) \
    X(WAIT, sigwait, int, (const sigset_t *restrict set, int *restrict number), (set, number), KIND_SLEEP, 0) \
    X(WAIT, sigwaitinfo, int, (const sigset_t *restrict set, siginfo_t *restrict info), (set, info), KIND_SLEEP, 0) \
    X(WAIT, sigtimedwait, int, \
      (const sigset_t *restrict set, siginfo_t *restrict info, const struct timespec *restrict timeout), \
      (set, info, timeout), KIND_SLEEP, 0) \
    X(WAIT, sigsuspend, int, (const sigset_t *mask), (mask), KIND_SLEEP, 0) \
    \
    /* These two wait for their child inside libc. */ \
    X(WAIT, system, int, (const char *command), (command), KIND_CHILD_WAIT, -1) \
    X(WAIT, pclose, int, (FILE *stream), (stream), KIND_CHILD_WAIT, -1) \
    X(OWN, wait4) \
    X(OWN, waitid) \
    X(OWN, fork) \
    X(OWN, posix_spawn) \
    X(OWN, posix_spawnp) \
    X(OWN, execve) \
    X(OWN, execv) \
    X(OWN, execvp) \
    X(OWN, execvpe) \
    X(OWN, fexecve) \
    X(OWN, _exit)

#define DECLARE(form, name, ...) static __typeof__(&name) real_##name;
HOOKS(DECLARE)
#undef DECLARE

#define VERSION_OF_OWN NULL
#define VERSION_OF_CALL NULL
#define VERSION_OF_WAIT NULL
#define VERSION_OF_CONDITION COND_VERSION
#define ENTRY(form, name, ...) {#name, VERSION_OF_##form, &real_##name},
static const struct hook {
    const char *name, *version;
    void *real; /* where the address goes */
} hooks[] = {HOOKS(ENTRY)};
#undef ENTRY

/* For a function that this libc does not have: no program is linked to it, but one may look it up by name. */
static int fail_as_missing(void)
{
    errno = ENOSYS;
    return -1;
}

static _Atomic bool resolved;

/* Another library's constructor may call a hook before the probe's own ran. Two threads may do this at the same time:
 * they find the same addresses. */
COLD static void resolve_libc(void)
{
    for (size_t n = 0; n < LENGTH(hooks); n++) {
        void *found = hooks[n].version ? dlvsym(RTLD_NEXT, hooks[n].name, hooks[n].version) : NULL;
        if (found == NULL)
            found = dlsym(RTLD_NEXT, hooks[n].name);
        if (found == NULL)
            found = (void *)fail_as_missing;
        memcpy(hooks[n].real, &found, sizeof found);
    }
    atomic_store_explicit(&resolved, true, memory_order_release);
}

/* Not 0 while the process has one thread: libc's own note of it. */
static const char *single_threaded = "";

static inline bool is_single_threaded(void)
{
    return *(const volatile char *)single_threaded;
}

static inline void resolve_once(void)
{
    if (UNLIKELY(!atomic_load_explicit(&resolved, memory_order_acquire)))
        resolve_libc();
}
