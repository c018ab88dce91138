/* Threads that are being started: how long it takes, who starts them, and what they are called.
 *
 * In: pthread_create, python_names.h. Out: a record of each start, and of the name that the thread has in Python.
 */

/* What a new thread has to know; it copies it and frees the place. */
struct start {
    void *(*routine)(void *);
    void *argument;
    uint64_t requested_ns;
    uint32_t creator;
    uint32_t name; /* id of the text with the name that Python gave it, 0: none */
    char name_begin[SYSTEM_NAME_BYTES + 1];
};

static struct started {
    _Atomic bool used;
    struct start start;
} starts[STARTS];

struct library {
    uintptr_t address;
    const char *name; /* NULL: not found; empty for the program itself */
};

static int find_library(struct dl_phdr_info *info, size_t size, void *wanted)
{
    (void)size;
    struct library *library = wanted;
    for (int n = 0; n < info->dlpi_phnum; n++) {
        uintptr_t begin = info->dlpi_addr + info->dlpi_phdr[n].p_vaddr;
        if (info->dlpi_phdr[n].p_type != PT_LOAD || library->address - begin >= info->dlpi_phdr[n].p_memsz)
            continue;
        library->name = info->dlpi_name;
        return 1;
    }
    return 0;
}

/* The name of the library that has this address, "" for none. */
COLD static const char *find_library_name(uintptr_t address)
{
    struct library library = {.address = address};
    if (!dl_iterate_phdr(find_library, &library))
        return "";
    const char *slash = strrchr(library.name, '/');
    return slash == NULL ? library.name : slash + 1;
}

/* The id of the name of the library that a thread's first function is in, 0 for none. A std::thread begins in libstdc++
 * with an object whose virtual functions are the library's that made it. */
COLD static uint32_t name_library(struct waits_header *header, const struct start *start)
{
    const char *name = find_library_name((uintptr_t)start->routine), *functions, *maker = "";
    if (strncmp(name, "libstdc++", strlen("libstdc++")) == 0 && start->argument != NULL &&
        try_pointer(start->argument, 0, &functions))
        maker = find_library_name((uintptr_t)functions);
    if (maker[0] != '\0')
        name = maker;
    size_t length = strnlen(name, NAME_BYTES);
    bool fresh;
    uint32_t id = length == 0 ? 0 : find_text_id(hash_bytes((const unsigned char *)name, length, 13), &fresh);
    if (id != 0 && fresh)
        write_text(header, id, name, length);
    return id;
}

/* The name that Python gave the thread that is about to be started. */
COLD static void note_python_name(struct waits_header *header, struct start *start)
{
    int saved = errno;
    char name[NAME_BYTES + 1];
    size_t length = is_from_python((void *)start->routine) ? copy_thread_name(header, start->argument, name) : 0;
    name[length] = '\0';
    strncpy(start->name_begin, name, SYSTEM_NAME_BYTES);
    start->name_begin[SYSTEM_NAME_BYTES] = '\0';
    start->name = write_name(header, name, length);
    errno = saved;
}

static void *run_thread(void *place)
{
    struct started *started = place;
    struct start start = started->start;
    atomic_store_explicit(&started->used, false, memory_order_release);
    struct waits_header *header = recording();
    if (header != NULL) {
        uint64_t now = now_ns();
        if (self.entry != NULL)
            self.entry->start_ns = now;
        uint32_t library = 0;
        unsigned flags = 0;
        if (is_python_known() && !is_from_python((void *)start.routine)) {
            library = name_library(header, &start);
            flags = FLAG_NATIVE;
        }
        write_record(header, KIND_THREAD_START, now, now - start.requested_ns, 0, start.creator, library, flags);
        if (start.name != 0)
            write_name_record(header, self.tid, start.name, FLAG_KNOWN);
        memcpy(self.name, start.name_begin, sizeof self.name);
    }
    return start.routine(start.argument);
}

EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*routine)(void *), void *argument)
{
    resolve_once();
    struct waits_header *header = recording();
    if (header == NULL)
        return real_pthread_create(thread, attributes, routine, argument);
    uint64_t now = now_ns();
    for (unsigned n = 0; n < STARTS; n++) {
        struct started *started = &starts[(now + n) % STARTS];
        bool free = false;
        if (!atomic_compare_exchange_strong_explicit(&started->used, &free, true, memory_order_acquire, relaxed))
            continue;
        struct start *start = &started->start;
        start->routine = routine;
        start->argument = argument;
        start->requested_ns = now;
        start->creator = self.tid;
        note_python_name(header, start);
        int result = real_pthread_create(thread, attributes, run_thread, started);
        if (result != 0)
            atomic_store_explicit(&started->used, false, memory_order_release);
        return result;
    }
    return real_pthread_create(thread, attributes, routine, argument);
}
