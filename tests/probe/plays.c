/* Programs that are hard on the wait probe, one per name. Each ends with 0 if everything went as it does without the
 * probe, and says what went wrong otherwise. Usage: plays NAME [NUMBER [THREADS]] */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MUST(what) \
    do { \
        if (!(what)) { \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #what, strerror(errno)); \
            exit(1); \
        } \
    } while (0)

extern char **environ;
static long number = 1;
static int threads = 1;
static char *self_path;

static void rest(long ns)
{
    struct timespec length = {ns / 1000000000, ns % 1000000000};
    while (nanosleep(&length, &length) != 0 && errno == EINTR)
        continue;
}

static void in_threads(int count, void *(*routine)(void *))
{
    pthread_t *all = calloc((size_t)count, sizeof *all);
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 128 * 1024);
    MUST(all != NULL);
    for (long n = 0; n < count; n++)
        MUST(pthread_create(&all[n], &small, routine, (void *)n) == 0);
    for (long n = 0; n < count; n++)
        MUST(pthread_join(all[n], NULL) == 0);
    free(all);
}

static void reap(pid_t child, int wanted)
{
    int status;
    MUST(child > 0);
    MUST(waitpid(child, &status, 0) == child);
    MUST(WIFEXITED(status) && WEXITSTATUS(status) == wanted);
}

/* ---- everything at once: for the sanitizers ---- */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int turn;
static sem_t lock;
static int to_child[2];

static void *mixed(void *place)
{
    int mine = (int)(long)place;
    char byte;
    for (int round = 0; round < number; round++) {
        MUST(pthread_mutex_lock(&mutex) == 0);
        while (turn % threads != mine)
            MUST(pthread_cond_wait(&changed, &mutex) == 0);
        turn++;
        MUST(pthread_cond_broadcast(&changed) == 0);
        MUST(pthread_mutex_unlock(&mutex) == 0);
        MUST(sem_wait(&lock) == 0);
        rest(1000);
        MUST(sem_post(&lock) == 0);
        MUST(write(to_child[1], "x", 1) == 1);
        MUST(read(to_child[0], &byte, 1) == 1);
        MUST(poll(NULL, 0, 1) == 0);
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        MUST(pthread_mutex_lock(&mutex) == 0);
        pthread_cond_t never;
        MUST(pthread_cond_init(&never, NULL) == 0);
        MUST(pthread_cond_timedwait(&never, &mutex, &now) == ETIMEDOUT);
        MUST(pthread_cond_destroy(&never) == 0);
        MUST(pthread_mutex_unlock(&mutex) == 0);
        if (round % 4 == 0) {
            pid_t child = fork();
            if (child == 0) {
                rest(1000);
                _exit(7);
            }
            reap(child, 7);
        }
    }
    return NULL;
}

static void play_mix(void)
{
    MUST(sem_init(&lock, 0, 2) == 0);
    MUST(pipe(to_child) == 0);
    in_threads(threads, mixed);
}

/* ---- processes ---- */

static void *forks(void *place)
{
    (void)place;
    for (long n = 0; n < number; n++) {
        pid_t child = fork();
        if (child == 0) {
            rest(1000000);
            _exit((int)n % 100);
        }
        reap(child, (int)n % 100);
    }
    return NULL;
}

static void play_forks(void)
{
    in_threads(threads, forks);
}

/* A child that libc knows nothing of. */
static void play_raw_fork(void)
{
    pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (child == 0) {
        rest(2000000);
        _exit(7);
    }
    reap(child, 7);
}

static void play_vfork(void)
{
    char *arguments[] = {self_path, "nothing", NULL};
    for (volatile long n = 0; n < number; n++) {
        pid_t child = vfork();
        if (child == 0) {
            execve("/nonexistent/on/the/path", arguments, environ);
            execve(self_path, arguments, environ);
            _exit(99);
        }
        reap(child, 0);
        child = vfork();
        if (child == 0)
            _exit(5);
        reap(child, 5);
        MUST(posix_spawn(&child, self_path, NULL, NULL, arguments, environ) == 0);
        reap(child, 0);
    }
}

static void *reads_until_exec(void *place)
{
    (void)place;
    char byte;
    int fds[2];
    MUST(pipe(fds) == 0);
    MUST(read(fds[0], &byte, 1) == 1);
    return NULL;
}

/* The same process is another program NUMBER times; another thread waits meanwhile. */
static void play_exec(void)
{
    char left[24];
    rest(1000000);
    if (number == 0)
        return;
    pthread_t other;
    MUST(pthread_create(&other, NULL, reads_until_exec, NULL) == 0);
    rest(20000000);
    snprintf(left, sizeof left, "%ld", number - 1);
    char *arguments[] = {self_path, "exec", left, NULL};
    execv(self_path, arguments);
    MUST(!"it came back");
}

/* ---- threads ---- */

static void *short_life(void *place)
{
    (void)place;
    rest(100000);
    return NULL;
}

static void *sleeps_20_ms(void *unused)
{
    (void)unused;
    rest(20000000);
    return NULL;
}

static void play_threads(void)
{
    for (long n = 0; n < number; n += threads)
        in_threads(threads, short_life);
}

static void *is_cancelled(void *place)
{
    char byte;
    return (void *)read(*(int *)place, &byte, 1);
}

/* Never waits, and yet every call may be its last. */
static void *is_cancelled_in_a_free_lock(void *unused)
{
    (void)unused;
    for (;;)
        MUST(sem_post(&lock) == 0 && sem_wait(&lock) == 0);
    return NULL;
}

static void play_cancel(void)
{
    MUST(sem_init(&lock, 0, 0) == 0);
    for (long n = 0; n < number; n++) {
        int fds[2];
        pthread_t thread;
        void *value;
        MUST(pipe(fds) == 0);
        MUST(pthread_create(&thread, NULL, n % 2 ? is_cancelled_in_a_free_lock : is_cancelled, fds) == 0);
        rest(n % 3 * 1000000);
        MUST(pthread_cancel(thread) == 0);
        MUST(pthread_join(thread, &value) == 0);
        MUST(value == PTHREAD_CANCELED);
        close(fds[0]);
        close(fds[1]);
    }
}

/* ---- calls that only newer programs make ---- */

static void play_joins(void)
{
    pthread_t thread;
    struct timespec until;
    void *value;
    MUST(pthread_create(&thread, NULL, sleeps_20_ms, NULL) == 0);
    clock_gettime(CLOCK_REALTIME, &until);
    MUST(pthread_timedjoin_np(thread, &value, &until) == ETIMEDOUT);
    until.tv_sec += 60;
    MUST(pthread_timedjoin_np(thread, &value, &until) == 0);
    MUST(pthread_create(&thread, NULL, sleeps_20_ms, NULL) == 0);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += 60;
    MUST(pthread_clockjoin_np(thread, &value, CLOCK_MONOTONIC, &until) == 0);
}

static void play_epoll(void)
{
    struct epoll_event event;
    const struct timespec length = {0, 20000000};
    int fd = epoll_create1(0);
    MUST(fd >= 0 && epoll_pwait2(fd, &event, 1, &length, NULL) == 0);
}

/* ---- records ---- */

/* Asks for a signal and does not wait for it: the fastest record there is. */
static void *many_records(void *place)
{
    (void)place;
    sigset_t none;
    const struct timespec at_once = {0, 0};
    sigemptyset(&none);
    for (long n = 0; n < number / threads; n++)
        MUST(sigtimedwait(&none, NULL, &at_once) == -1 && errno == EAGAIN);
    return NULL;
}

static void play_records(void)
{
    in_threads(threads, many_records);
}

/* Until somebody kills it: waits, says so, waits for good. */
static void play_until_killed(void)
{
    char byte;
    int fds[2];
    threads = 1;
    many_records(NULL);
    MUST(pipe(fds) == 0);
    MUST(write(STDOUT_FILENO, "!", 1) == 1);
    MUST(read(fds[0], &byte, 1) == 1);
}

/* ---- descriptors, limits ---- */

static void play_closes(void)
{
    char text[64];
    for (int fd = 0; fd < 256; fd++)
        close(fd);
    FILE *own = tmpfile();
    if (own == NULL || fileno(own) != 0)
        _exit(2);
    if (fprintf(own, "mine\n") != 5 || fflush(own) != 0)
        _exit(3);
    many_records(NULL);
    rewind(own);
    if (fgets(text, sizeof text, own) == NULL || strcmp(text, "mine\n") != 0 || fseek(own, 0, SEEK_END) != 0 ||
        ftell(own) != 5)
        _exit(4);
}

/* Neither descriptors nor the folder can be had any more. */
static void play_locked_out(void)
{
    while (dup(STDERR_FILENO) >= 0)
        continue;
    MUST(errno == EMFILE);
    many_records(NULL);
}

/* ---- signals ---- */

static int noise[2];

static void speaks(int signal)
{
    (void)signal;
    int saved = errno;
    for (int n = 0; n < 3; n++)
        if (write(noise[1], "x", 1) != 1)
            _exit(9);
    errno = saved;
}

static void ring_once_in(long us, int flags)
{
    struct sigaction action = {.sa_handler = speaks, .sa_flags = flags};
    struct itimerval timer = {.it_value = {us / 1000000, us % 1000000}};
    MUST(sigaction(SIGALRM, &action, NULL) == 0);
    MUST(setitimer(ITIMER_REAL, &timer, NULL) == 0);
}

/* A handler writes in the middle of a wait of 100 ms: without and with a long row of quick calls before. */
static void play_signals(void)
{
    char bytes[8];
    int fds[2], zero = open("/dev/zero", O_RDONLY);
    MUST(pipe(noise) == 0 && pipe(fds) == 0 && zero >= 0);
    for (int calm = 0; calm < 2; calm++) {
        for (int n = 0; calm && n < 100000; n++)
            MUST(read(zero, bytes, 1) == 1);
        ring_once_in(100000, 0);
        MUST(read(fds[0], bytes, 1) == -1 && errno == EINTR);
        struct pollfd asked = {.fd = fds[0], .events = POLLIN};
        for (int n = 0; calm && n < 100000; n++)
            MUST(read(zero, bytes, 1) == 1);
        ring_once_in(100000, SA_RESTART);
        MUST(poll(&asked, 1, -1) == -1 && errno == EINTR);
    }
}

static sigjmp_buf away;

static void jumps(int signal)
{
    (void)signal;
    siglongjmp(away, 1);
}

/* The old way to give up on a read: jump out of it. Whoever jumped can still be seen to wait. */
static void play_jumps(void)
{
    char byte;
    int fds[2];
    MUST(pipe(fds) == 0);
    struct sigaction action = {.sa_handler = jumps};
    struct itimerval timer = {.it_value = {0, 20000}};
    MUST(sigaction(SIGALRM, &action, NULL) == 0);
    if (sigsetjmp(away, 1) == 0) {
        MUST(setitimer(ITIMER_REAL, &timer, NULL) == 0);
        MUST(read(fds[0], &byte, 1) == 1);
    }
    for (int n = 0; n < 200; n++)
        MUST(write(fds[1], "x", 1) == 1);
    struct pollfd asked = {.fd = fds[1], .events = POLLIN};
    for (int n = 0; n < 3; n++)
        MUST(poll(&asked, 1, 50) == 0);
}

/* ---- what a caller sees ---- */

static void *posts_later(void *empty)
{
    rest(20000000);
    MUST(sem_post(empty) == 0);
    return NULL;
}

static void play_errno(void)
{
    char byte = 0;
    int fds[2];
    sem_t empty;
    MUST(pipe(fds) == 0 && sem_init(&empty, 0, 0) == 0);
    MUST(fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0);
    for (int round = 0; round < 300; round++) {
        MUST(read(-1, &byte, 1) == -1 && errno == EBADF);
        MUST(write(-1, &byte, 1) == -1 && errno == EBADF);
        MUST(read(fds[0], &byte, 1) == -1 && errno == EAGAIN);
        MUST(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
        MUST(execve("/nonexistent", environ, environ) == -1 && errno == ENOENT);
        errno = 77;
        MUST(write(fds[1], &byte, 1) == 1 && read(fds[0], &byte, 1) == 1 && errno == 77);
        MUST(poll(NULL, 0, 0) == 0 && errno == 77);
        MUST(sem_post(&empty) == 0 && sem_wait(&empty) == 0);
    }
    struct timespec past = {0, 0};
    MUST(sem_timedwait(&empty, &past) == -1 && errno == ETIMEDOUT);
    MUST(sem_clockwait(&empty, CLOCK_MONOTONIC, &past) == -1 && errno == ETIMEDOUT);
    siginfo_t info = {0};
    MUST(waitid(P_ALL, 0, &info, WEXITED) == -1 && errno == ECHILD);
    MUST(pread(fds[0], &byte, 1, 0) == -1 && errno == ESPIPE);
    pthread_t other;
    MUST(pthread_create(&other, NULL, posts_later, &empty) == 0);
    errno = 77;
    MUST(sem_wait(&empty) == 0 && errno == 77);
    MUST(pthread_join(other, NULL) == 0);
}

/* As setproctitle does, over the arguments. */
static void play_title(void)
{
    strcpy(self_path, "server: worker");
}

static void play_nothing(void)
{
}

static const struct play {
    const char *name;
    void (*run)(void);
} plays[] = {
    {"mix", play_mix},         {"forks", play_forks},           {"raw-fork", play_raw_fork},
    {"vfork", play_vfork},     {"exec", play_exec},             {"threads", play_threads},
    {"cancel", play_cancel},   {"records", play_records},       {"until-killed", play_until_killed},
    {"closes", play_closes},   {"locked-out", play_locked_out}, {"signals", play_signals},
    {"jumps", play_jumps},     {"errno", play_errno},           {"nothing", play_nothing},
    {"joins", play_joins},     {"epoll", play_epoll},           {"title", play_title},
};

int main(int count, char **words)
{
    self_path = words[0];
    if (count > 2)
        number = atol(words[2]);
    if (count > 3)
        threads = atoi(words[3]);
    for (size_t n = 0; count > 1 && n < sizeof plays / sizeof *plays; n++) {
        if (strcmp(plays[n].name, words[1]) == 0) {
            plays[n].run();
            return 0;
        }
    }
    fprintf(stderr, "there is no such play\n");
    return 2;
}
