/* Threads: their name and end, what they used, and what each waits for at the moment.
 *
 * In: the end of each thread. Out: records of names and ends, and the thread table of the
 * file, which holds the wait a thread is in and its CPU time so far, for when the process is killed.
 */

/* Readings of a thread's usage take some 10 µs together. */
#define LONGEST_READING_NS 200000u
#define READINGS 3

/* CPU time and run-queue wait as the kernel's scheduler counts them. */
static bool read_schedstat(const char *name, uint64_t *cpu, uint64_t *queue)
{
    char text[96];
    if (!read_small_file(name, text, sizeof text))
        return false;
    const char *end;
    *cpu = read_number(text, &end);
    *queue = read_number(end, NULL);
    return true;
}

/* What a thread used since it began; of the first thread without what came before the probe was loaded. */
struct usage {
    uint64_t cpu, queue, voluntary, involuntary;
    uint64_t read_ns; /* when it was read */
    bool queue_known;
};

static uint64_t subtract(uint64_t value, uint64_t before)
{
    return value > before ? value - before : 0;
}

static void subtract_before(const struct waits_header *header, uint32_t tid, struct usage *used)
{
    if (tid != header->pid)
        return;
    used->cpu = subtract(used->cpu, header->before_cpu_ns);
    used->queue = subtract(used->queue, header->before_queue_ns);
    used->voluntary = subtract(used->voluntary, header->before_voluntary);
    used->involuntary = subtract(used->involuntary, header->before_involuntary);
}

/* Of the calling thread, since it was made. Where it lost its CPU between the readings, they are not of one moment: what
 * it waited for the CPU would be missing from the one and lie in the other. Then it reads again. */
COLD static struct usage read_own_usage(void)
{
    struct usage used = {0};
    struct rusage counts = {0};
    uint64_t begun, stale;
    for (unsigned tries = 0; tries < READINGS; tries++) {
        begun = now_ns();
        used.queue_known = read_schedstat("/proc/thread-self/schedstat", &stale, &used.queue);
        getrusage(RUSAGE_THREAD, &counts);
        used.voluntary = (uint64_t)counts.ru_nvcsw;
        used.involuntary = (uint64_t)counts.ru_nivcsw;
        used.cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
        used.read_ns = now_ns();
        if (used.read_ns - begun < LONGEST_READING_NS)
            break;
    }
    return used;
}

/* Keep what the thread has used so far in the table, so that little is lost if the process is killed. */
static void checkpoint(uint64_t now)
{
    if (LIKELY(now - self.checkpoint < CHECKPOINT_NS) || self.entry == NULL)
        return;
    int saved = errno;
    struct usage used = {0};
    uint64_t stale;
    self.checkpoint = now;
    struct waits_header *header = atomic_load_explicit(&file, relaxed);
    if (header != NULL) {
        /* Only one thread at a time, so that the two stamps belong together. */
        uint64_t last = atomic_load_explicit(&header->later_ns, relaxed);
        if (now - last >= CHECKPOINT_NS && now > last &&
            atomic_compare_exchange_strong_explicit(&header->later_ns, &last, now, relaxed, relaxed))
            atomic_store_explicit(&header->later_ticks, counter(), relaxed);
        bool again = now - self.queue_read < QUEUE_NS;
        if (again || read_schedstat("/proc/thread-self/schedstat", &stale, &used.queue)) {
            used.cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
            subtract_before(header, self.tid, &used);
            self.entry->cpu_ns = used.cpu;
            self.entry->checkpoint_ns = now;
            if (!again) {
                self.entry->run_queue_ns = used.queue;
                self.queue_read = now;
            }
        }
    }
    errno = saved;
}

/* Write a name under an id of its own: the table in which equal texts are found has room for the functions only. */
COLD static uint32_t write_name(struct waits_header *header, const char *name, size_t length)
{
    if (length == 0)
        return 0;
    uint32_t id = WAITS_NAME_IDS | (uint32_t)atomic_fetch_add_explicit(&header->names, 1, relaxed);
    write_text(header, id, name, length);
    return id;
}

COLD static void write_name_record(struct waits_header *header, uint32_t tid, uint32_t id, unsigned flags)
{
    struct waits_slot *slot = take_slot(header);
    if (slot == NULL)
        return;
    slot->start_ns = now_ns();
    slot->tid = tid;
    slot->site = id;
    slot->flags = (uint8_t)flags;
    atomic_store_explicit(&slot->kind, KIND_THREAD_NAME, memory_order_release);
}

/* The name that the system has for a thread. */
COLD static void write_system_name(struct waits_header *header, uint32_t tid, const char *name)
{
    size_t length = strnlen(name, SYSTEM_NAME_BYTES);
    bool fresh;
    uint32_t id = find_text_id(hash_bytes((const unsigned char *)name, length, 7), &fresh);
    if (id == 0 || length == 0)
        return;
    if (fresh)
        write_text(header, id, name, length + 1);
    write_name_record(header, tid, id, 0);
}

/* Enter in the table what the thread waits for. hide_wait comes after the record of the wait is whole, so that a reader
 * can drop an open wait that has a record. */
static void show_wait(enum waits_kind kind, uint64_t start, uint64_t object, uint32_t where)
{
    struct waits_thread *entry = self.entry;
    if (entry == NULL)
        return;
    entry->open_site = where;
    atomic_store_explicit(&entry->open_object, object, relaxed);
    atomic_store_explicit(&entry->open_start_ns, start, relaxed);
    atomic_store_explicit(&entry->open_kind, (uint32_t)kind, memory_order_release);
}

static inline void hide_wait(void)
{
    if (self.entry != NULL)
        atomic_store_explicit(&self.entry->open_kind, 0, relaxed);
}

COLD static void begin_thread(struct waits_header *header)
{
    uint32_t tid = (uint32_t)syscall(SYS_gettid);
    self.tid = tid;
    self.rseq = find_own_rseq();
    self.streak = 0;
    self.checkpoint = now_ns();
    if (self.ended)
        return;
    for (unsigned n = 0; n < WAITS_THREADS; n++) {
        uint32_t nobody = 0;
        /* Threads of neighbouring numbers look at different places first. */
        struct waits_thread *entry = &threads[(tid + n) % WAITS_THREADS];
        if (atomic_load_explicit(&entry->tid, relaxed) != 0)
            continue;
        if (atomic_compare_exchange_strong_explicit(&entry->tid, &nobody, tid, memory_order_acq_rel, relaxed)) {
            atomic_store_explicit(&entry->open_kind, 0, relaxed);
            entry->start_ns = 0;
            entry->checkpoint_ns = 0;
            self.entry = entry;
            break;
        }
    }
    if (self.entry == NULL)
        atomic_fetch_add_explicit(&header->no_thread_entry, 1, relaxed);
    if (has_end_key)
        pthread_setspecific(end_key, &self);
}

static void write_end(struct waits_header *header, uint32_t tid, struct usage used)
{
    subtract_before(header, tid, &used);
    struct waits_slot *slot = take_slot(header);
    if (slot == NULL)
        return;
    slot->start_ns = used.read_ns;
    slot->dur_ns = used.cpu;
    slot->object = used.queue;
    slot->tid = tid;
    slot->other = (uint32_t)used.voluntary;
    slot->site = (uint32_t)used.involuntary;
    slot->flags = used.queue_known ? FLAG_KNOWN : 0;
    atomic_store_explicit(&slot->kind, KIND_THREAD_END, memory_order_release);
}

/* The end of the calling thread, with what it used. */
COLD static void write_own_end(struct waits_header *header)
{
    write_end(header, self.tid, read_own_usage());
}

/* The path of a thread's file in /proc; `into` has 64 bytes. */
static const char *name_task_file(char *into, uint32_t tid, const char *file_name)
{
    stpcpy(append_number(stpcpy(into, "/proc/self/task/"), tid), file_name);
    return into;
}

COLD static void write_end_of(struct waits_header *header, uint32_t tid)
{
    char name[64], text[4096];
    struct usage used = {.queue_known = true};
    if (!read_schedstat(name_task_file(name, tid, "/schedstat"), &used.cpu, &used.queue))
        return;
    if (!read_small_file(name_task_file(name, tid, "/status"), text, sizeof text))
        return;
    used.voluntary = read_number_after(text, "\nvoluntary_ctxt_switches:");
    used.involuntary = read_number_after(text, "\nnonvoluntary_ctxt_switches:");
    used.read_ns = now_ns();
    write_end(header, tid, used);
}

COLD static void write_own_name(struct waits_header *header)
{
    char name[32] = "";
    /* Python gives its own name to the system, too, since 3.14. */
    if (prctl(PR_GET_NAME, name) == 0 && (self.name[0] == '\0' || strncmp(name, self.name, SYSTEM_NAME_BYTES) != 0))
        write_system_name(header, self.tid, name);
}

COLD static void write_name_of(struct waits_header *header, uint32_t tid)
{
    char name[64], text[32];
    if (!read_small_file(name_task_file(name, tid, "/comm"), text, sizeof text))
        return;
    text[strcspn(text, "\n")] = '\0';
    write_system_name(header, tid, text);
}

/* The ends of all threads: their process ends, or becomes another program. */
COLD static void write_all_ends(struct waits_header *header)
{
    for (unsigned n = 0; n < WAITS_THREADS; n++) {
        uint32_t tid = atomic_load_explicit(&threads[n].tid, relaxed);
        if (tid == 0)
            continue;
        if (tid == self.tid) {
            write_own_name(header);
            write_own_end(header);
        } else {
            write_name_of(header, tid);
            write_end_of(header, tid);
        }
    }
    if (self.entry == NULL)
        write_own_end(header);
}

static bool end_gil_wait(uint64_t now);
static void write_drop(struct waits_header *header);

static void end_thread(void *unused)
{
    (void)unused;
    int saved = errno;
    struct waits_header *header = recording();
    if (header != NULL && !self.ended) {
        if (self.gil != NULL)
            end_gil_wait(now_ns());
        write_drop(header);
        write_own_name(header);
        write_own_end(header);
        self.ended = true;
        if (self.entry != NULL) {
            atomic_store_explicit(&self.entry->open_kind, 0, relaxed);
            atomic_store_explicit(&self.entry->tid, 0, memory_order_release);
            self.entry = NULL;
        }
    }
    errno = saved;
}
