/* The stage probe: a library that is preloaded into measured programs and records how far a new process has come.
 *
 * It appends one record of 32 bytes to the file that TRACEKIT_STAGES names, for each of these moments of a process:
 * exec is requested, the loader is done (the constructor below), a fork is requested, has returned in the parent, has
 * returned in the child, Python is initialised up to the import of `site`, Python begins with the program, the process
 * leaves: by _exit, which is intercepted, or by exit, when the destructor below is called. How far Python has come is
 * known from its own audit hook (PEP 578), which may be set before Python is initialised.
 *
 * No descriptor is kept open, because a program may close it and get the same number for a file of its own. Nothing is
 * allocated. A record that cannot be written is left out. errno is the caller's. A hook cannot be taken back: once the
 * program has begun, every later audit event costs Python a call that returns at once.
 */
#define _GNU_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef STAGES_SOURCES
#define STAGES_SOURCES "tracekit-stages-sources: unknown"
#endif
static const char sources[] = STAGES_SOURCES;

/* Read by tracekit/bundle/stages_file.py. Numbers are in the machine's own byte order. */
enum kind {
    IMAGE = 1,
    FORK_REQUESTED = 2,
    FORK_RETURNED = 3,
    FORKED = 4,
    INTERPRETER = 5,
    SITE = 6,
    EXIT = 7,
    EXEC = 8,
};

struct record {
    uint32_t magic;
    uint32_t kind;
    int64_t monotonic_ns;
    int32_t pid;
    int32_t ppid;
    uint64_t reserved;
};

_Static_assert(sizeof(struct record) == 32, "the reader expects 32 bytes");

enum { MAGIC = 0x53474154, PATH_MOST = 4096 };

typedef int (*hook)(const char *event, void *args, void *data);

static char path[PATH_MOST];
static int (*add_hook)(hook, void *);
static void *(*tuple_item)(void *, ssize_t);
static const char *(*utf8)(void *);
static bool initialised, begun;

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void write_record(enum kind kind, int64_t stamp, pid_t pid, pid_t ppid)
{
    int saved = errno;
    int file = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (file >= 0) {
        struct record record = {MAGIC, (uint32_t)kind, stamp, pid, ppid, 0};
        /* One write at the end of a file is whole or not at all but on a full disk; the reader checks the magic. */
        ssize_t written = write(file, &record, sizeof record);
        (void)written;
        close(file);
    }
    errno = saved;
}

static void put(enum kind kind, int64_t stamp)
{
    write_record(kind, stamp, getpid(), getppid());
}

static void fork_requested(void)
{
    put(FORK_REQUESTED, now_ns());
}

static void fork_returned(void)
{
    put(FORK_RETURNED, now_ns());
}

static void forked(void)
{
    put(FORKED, now_ns());
}

static int on_event(const char *event, void *args, void *data)
{
    (void)data;
    if (begun)
        return 0;
    if (!initialised && strcmp(event, "import") == 0) {
        void *name = tuple_item(args, 0);
        const char *text = name ? utf8(name) : NULL;
        if (text && strcmp(text, "site") == 0) {
            initialised = true;
            put(INTERPRETER, now_ns());
        }
    } else if (strncmp(event, "cpython.run_", 12) == 0) {
        begun = true;
        put(SITE, now_ns());
    }
    return 0;
}

/* Without a stamp of its own: a process that is killed. */
static void leave(void)
{
    if (*path)
        put(EXIT, now_ns());
}

__attribute__((visibility("default"), noreturn)) void _exit(int status)
{
    leave();
    for (;;)
        syscall(SYS_exit_group, status);
}

__attribute__((visibility("default"), noreturn)) void _Exit(int status)
{
    _exit(status);
}

__attribute__((destructor)) static void end(void)
{
    leave();
}

/* Also in a child of vfork, which shares its parent's memory and must change nothing in it. An exec that fails leaves
 * its record; the reader takes the last one before the image. */
__attribute__((visibility("default"))) int execve(const char *file, char *const argv[], char *const envp[])
{
    if (*path)
        put(EXEC, now_ns());
    return (int)syscall(SYS_execve, file, argv, envp);
}

__attribute__((visibility("default"))) int execv(const char *file, char *const argv[])
{
    return execve(file, argv, environ);
}

/* dlsym gives an object pointer, which ISO C does not let be cast to a function. */
static void find(void *where, const char *name, void *target)
{
    void *found = dlsym(where, name);
    memcpy(target, &found, sizeof found);
}

#define SPAWN_PARAMETERS \
    pid_t *restrict child, const char *restrict file, const posix_spawn_file_actions_t *actions, \
        const posix_spawnattr_t *restrict attributes, char *const argv[restrict], char *const envp[restrict]

/* The child requests exec inside libc; its number is known to the parent once that is done. */
static int note_spawn(const char *name, SPAWN_PARAMETERS)
{
    __typeof__(&posix_spawn) real;
    pid_t own_place;
    find(RTLD_NEXT, name, &real);
    if (!child)
        child = &own_place;
    int64_t requested = now_ns();
    int result = real(child, file, actions, attributes, argv, envp);
    if (result == 0 && *path)
        write_record(EXEC, requested, *child, getpid());
    return result;
}

__attribute__((visibility("default"))) int posix_spawn(SPAWN_PARAMETERS)
{
    return note_spawn("posix_spawn", child, file, actions, attributes, argv, envp);
}

__attribute__((visibility("default"))) int posix_spawnp(SPAWN_PARAMETERS)
{
    return note_spawn("posix_spawnp", child, file, actions, attributes, argv, envp);
}

__attribute__((constructor)) static void begin(void)
{
    int64_t stamp = now_ns();
    /* So that no linker leaves them out. */
    __asm__ volatile("" : : "r"(sources));
    const char *named = getenv("TRACEKIT_STAGES");
    if (!named || strlen(named) >= sizeof path)
        return;
    strcpy(path, named);
    put(IMAGE, stamp);
    pthread_atfork(fork_requested, fork_returned, forked);
    find(RTLD_DEFAULT, "PySys_AddAuditHook", &add_hook);
    find(RTLD_DEFAULT, "PyTuple_GetItem", &tuple_item);
    find(RTLD_DEFAULT, "PyUnicode_AsUTF8", &utf8);
    if (add_hook && tuple_item && utf8)
        add_hook(on_event, NULL);
}
