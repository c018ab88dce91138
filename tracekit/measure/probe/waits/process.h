/* Processes: the constructor, fork, exec and the end.
 *
 * In: the environment, own_file.h. Out: `file`, from which on everything is recorded; records of images, forks,
 * requests for exec and the exit.
 */

/* Where the program's first argument begins, and what it was: a title is written over it. */
static const char *title;
static uint64_t first_argument;

static uint64_t hash_title(void)
{
    return hash_bytes((const unsigned char *)title, strnlen(title, NAME_BYTES), 17);
}

/* Write to `into` what Python was told to run: "-m module", "-c" and how the code begins, or the file. The other
 * arguments are the program's own business. */
static size_t copy_command(char *const arguments[], char into[static NAME_BYTES])
{
    enum { CODE_BYTES = 60 };
    for (char *const *word = arguments + 1; *word != NULL; word++) {
        const char *option = *word;
        if (option[0] != '-')
            return (size_t)(stpncpy(into, option, NAME_BYTES) - into);
        for (const char *letter = option[1] == '-' ? "" : option + 1; *letter != '\0'; letter++) {
            if (strchr("cmWX", *letter) == NULL)
                continue;
            const char *value = letter[1] != '\0' ? letter + 1 : *++word;
            if (value == NULL)
                return 0;
            if (*letter != 'c' && *letter != 'm')
                break;
            char *at = stpcpy(into, *letter == 'c' ? "-c " : "-m ");
            return (size_t)(stpncpy(at, value, *letter == 'c' ? CODE_BYTES : NAME_BYTES - 3) - into);
        }
    }
    return 0;
}

COLD static void write_process_name(struct waits_header *header, enum waits_kind kind, pid_t pid, const char *name,
                                    size_t length)
{
    uint32_t id = write_name(header, name, length);
    if (id != 0)
        write_record(header, kind, now_ns(), 0, (uint64_t)pid, 0, id, 0);
}

/* Begin to record in this process, as an image that was just loaded or as a fork child. */
COLD static void begin_process(const struct waits_header *parents)
{
    int saved = errno;
    own_pid = getpid();
    atomic_store_explicit(&growing, false, relaxed);
    atomic_store_explicit(&no_room_until, 0, relaxed);
    self = (struct self){.rseq = self.rseq};
    last_site.id = 0;
    uint64_t ticks = start_ticks();
    bool again = false;
    struct waits_header *header = open_own_file(ticks, &again);
    if (header != NULL) {
        slots = (struct waits_slot *)((char *)header + WAITS_SLOTS_AT);
        threads = (struct waits_thread *)((char *)header + WAITS_HEADER_BYTES);
        if (again) {
            /* exec ended all threads but this one. */
            write_open_waits(header);
            memset(threads, 0, WAITS_THREADS * sizeof *threads);
            atomic_store_explicit(&header->ended, END_NONE, relaxed);
        } else {
            fill_header(header, ticks);
        }
        first_id = atomic_fetch_add_explicit(&header->images, 1, relaxed) * SITES;
        write_executable(header, parents);
        write_python(header);
        atomic_store_explicit(&header->switch_interval_ns, 0, relaxed);
        header->base_ticks = has_counter ? base_ticks : 0;
        header->base_ns = base_ns;
        atomic_store_explicit(&ours->alive, 1, relaxed);
        atomic_store_explicit(&file, header, memory_order_release);
        begin_thread(header);
        uint64_t now = now_ns();
        if (self.entry != NULL)
            self.entry->start_ns = now;
        if (parents != NULL) {
            write_record(header, KIND_THREAD_START, now, 0, 0, 0, 0, 0);
        } else {
            bool fresh;
            size_t length = strlen(header->executable);
            uint32_t id = find_text_id(hash_bytes((const unsigned char *)header->executable, length, 11), &fresh);
            write_text(header, id, header->executable, length + 1);
            write_record(header, KIND_IMAGE, now, 0, 0, 0, id, 0);
        }
    }
    errno = saved;
}

/* In a fork child: the file is the parent's, and the other threads are not there. */
COLD static void begin_in_child(void)
{
    struct waits_header *parents = atomic_load_explicit(&file, relaxed);
    /* Another library's fork handler, or a signal handler, may have made a hooked call before. */
    if (parents == NULL || atomic_load_explicit(&ours->alive, relaxed))
        return;
    size_t parents_bytes = mapped_bytes;
    atomic_store_explicit(&file, NULL, relaxed);
    for (unsigned n = 0; n < STARTS; n++)
        atomic_store_explicit(&starts[n].used, false, relaxed);
    forget_places();
    begin_process(parents);
    munmap(parents, parents_bytes);
    /* The thread that forks in Python holds the GIL, and no other thread is left to wait for it. */
    for (unsigned n = 0; n < GILS; n++) {
        atomic_store_explicit(&gils[n].waiters, 0, relaxed);
        atomic_store_explicit(&gils[n].holder, self.tid, relaxed);
        atomic_store_explicit(&gils[n].taken, 0, relaxed);
    }
}

EXPORT pid_t fork(void)
{
    resolve_once();
    struct waits_header *header = recording();
    char name[NAME_BYTES];
    size_t length = header == NULL ? 0 : copy_launched_name(header, name);
    uint64_t start = now_ns();
    pid_t child = real_fork();
    int saved = errno;
    if (child == 0) {
        recording();
    } else if (header != NULL && child > 0) {
        write_record(header, KIND_FORK, start, now_ns() - start, (uint64_t)child, 0, find_site(header), 0);
        write_process_name(header, KIND_PROCESS_NAME, child, name, length);
    }
    errno = saved;
    return child;
}

/* Before exec. In a child of vfork, which borrows its parent's memory, this is only a stamp; else all threads end. */
static void note_exec(void)
{
    struct waits_header *header = recording();
    if (header == NULL)
        return;
    int saved = errno;
    pid_t requesting = (pid_t)syscall(SYS_getpid);
    write_record(header, KIND_EXEC, now_ns(), 0, (uint64_t)requesting, 0, 0, 0);
    if (requesting == own_pid) {
        write_drop(header);
        write_all_ends(header);
    }
    errno = saved;
}

/* A program that searches $PATH itself requests many files that are not there. */
static void note_exec_of(const char *name)
{
    int saved = errno;
    resolve_once();
    if (syscall(SYS_faccessat, AT_FDCWD, name, X_OK) == 0)
        note_exec();
    errno = saved;
}

#define SPAWN_PARAMETERS \
    pid_t *restrict child, const char *restrict name, const posix_spawn_file_actions_t *actions, \
        const posix_spawnattr_t *restrict attributes, char *const arguments[restrict], \
        char *const environment[restrict]

/* The child asks for exec inside libc; its number is known to the parent once that is done. */
static int note_spawn(__typeof__(&posix_spawn) spawn, SPAWN_PARAMETERS)
{
    pid_t own_place;
    if (child == NULL)
        child = &own_place;
    struct waits_header *header = recording();
    uint64_t requested = now_ns();
    int result = spawn(child, name, actions, attributes, arguments, environment);
    if (result == 0 && header != NULL)
        write_record(header, KIND_EXEC, requested, 0, (uint64_t)*child, 0, 0, 0);
    return result;
}

EXPORT int posix_spawn(SPAWN_PARAMETERS)
{
    resolve_once();
    return note_spawn(real_posix_spawn, child, name, actions, attributes, arguments, environment);
}

EXPORT int posix_spawnp(SPAWN_PARAMETERS)
{
    resolve_once();
    return note_spawn(real_posix_spawnp, child, name, actions, attributes, arguments, environment);
}

EXPORT int execve(const char *name, char *const arguments[], char *const environment[])
{
    note_exec_of(name);
    return real_execve(name, arguments, environment);
}

EXPORT int execv(const char *name, char *const arguments[])
{
    note_exec_of(name);
    return real_execv(name, arguments);
}

EXPORT int execvp(const char *name, char *const arguments[])
{
    resolve_once();
    note_exec();
    return real_execvp(name, arguments);
}

EXPORT int execvpe(const char *name, char *const arguments[], char *const environment[])
{
    resolve_once();
    note_exec();
    return real_execvpe(name, arguments, environment);
}

EXPORT int fexecve(int fd, char *const arguments[], char *const environment[])
{
    resolve_once();
    note_exec();
    return real_fexecve(fd, arguments, environment);
}

COLD static void end_process(enum waits_end how, int code)
{
    struct waits_header *header = recording();
    /* A child of vfork that ends borrows its parent's memory: its end is not the parent's. */
    if (header == NULL || (pid_t)syscall(SYS_getpid) != own_pid)
        return;
    if (self.gil != NULL)
        end_gil_wait(now_ns());
    write_drop(header);
    char name[NAME_BYTES];
    if (how == END_UNDERSCORE_EXIT)
        write_process_name(header, KIND_PROCESS_NAME, own_pid, name, copy_process_name(header, name));
    if (title != NULL && hash_title() != first_argument)
        write_process_name(header, KIND_TITLE, own_pid, title, strnlen(title, NAME_BYTES));
    write_all_ends(header);
    uint64_t now = now_ns();
    write_record(header, KIND_EXIT, now, 0, (uint64_t)(uint32_t)code, 0, 0, 0);
    header->exit_code = code & 0xFF;
    header->ended_ns = now;
    header->process_cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    atomic_store_explicit(&header->ended, (uint32_t)how, memory_order_release);
}

static void at_exit(int code, void *unused)
{
    (void)unused;
    end_process(END_EXIT, code);
}

EXPORT void _exit(int code)
{
    resolve_once();
    end_process(END_UNDERSCORE_EXIT, code);
    real__exit(code);
    __builtin_unreachable();
}

EXPORT void _Exit(int code) __attribute__((alias("_exit")));

/* Whether the next library is libc itself, and not another preloaded library or a sanitizer. */
static bool is_before_libc(void)
{
    void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    if (libc == NULL)
        return false;
    bool same = dlsym(libc, "read") == (void *)real_read && dlsym(libc, "write") == (void *)real_write;
    dlclose(libc);
    return same;
}

static void load(char *const arguments[])
{
    resolve_once();
    const char *wanted = getenv("TRACEKIT_WAITS");
    if (wanted == NULL || wanted[0] != '/' || strlen(wanted) >= sizeof folder)
        return;
    strcpy(folder, wanted);
    page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    ours = mmap(NULL, sizeof *ours, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (ours == MAP_FAILED || madvise(ours, sizeof *ours, MADV_WIPEONFORK) != 0)
        return;
    char source[16] = "";
    read_small_file("/sys/devices/system/clocksource/clocksource0/current_clocksource", source, sizeof source);
    /* Where the kernel does not trust the counter across processors, the probe does not either. */
    has_counter = strncmp(source, "tsc", 3) == 0 && counter_is_steady();
    base_ns = now_ns();
    base_ticks = counter();
    const char *single = (const char *)dlsym(RTLD_DEFAULT, "__libc_single_threaded");
    if (single != NULL && is_before_libc())
        single_threaded = single;
    find_rseq();
    const char *all = getenv("TRACEKIT_WAITS_ALL_SIGNALS");
    /* High enough that no count of waiters comes back to 0. */
    waiters_at_first = all != NULL && strcmp(all, "1") == 0 ? UINT32_C(1) << 31 : 0;
    has_end_key = pthread_key_create(&end_key, end_thread) == 0;
    find_python();
    begin_process(NULL);
    struct waits_header *header = atomic_load_explicit(&file, relaxed);
    if (header == NULL)
        return;
    char command[NAME_BYTES];
    if (arguments[0] != NULL && is_python_known())
        write_process_name(header, KIND_COMMAND, own_pid, command, copy_command(arguments, command));
    title = arguments[0];
    first_argument = title == NULL ? 0 : hash_title();
    on_exit(at_exit, NULL);
    /* The first of all handlers in the child: the others may already wait for something. */
    pthread_atfork(NULL, NULL, begin_in_child);
}

/* glibc gives constructors what it gives main. */
__attribute__((constructor)) static void construct(int count, char *arguments[])
{
    (void)count;
    /* A program begins with errno 0. */
    int saved = errno;
    /* So that no linker leaves them out. */
    __asm__ volatile("" : : "r"(sources));
    load(arguments);
    errno = saved;
}
