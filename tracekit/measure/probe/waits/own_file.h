/* The file of this process: its name, whether there is one from before exec, its mapping and its header.
 *
 * In: the folder and the process's own numbers. Out: the mapped header, for process.h.
 */

static uint64_t start_ticks(void)
{
    char text[1024];
    if (!read_small_file("/proc/self/stat", text, sizeof text))
        return 0;
    /* The name in brackets may hold anything, brackets too; start time is the 20th field after it. */
    char *at = strrchr(text, ')');
    for (int field = 0; at != NULL && field < 20; field++)
        at = strchr(at + 1, ' ');
    return at == NULL ? 0 : read_number(at + 1, NULL);
}

static uint64_t find_size_limit(void)
{
    struct rlimit limit;
    uint64_t most = LIMIT_BYTES;
    /* Beyond this limit a longer file is a signal that would end the program. */
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < most)
        most = limit.rlim_cur;
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur / SPACE_SHARE < most)
        most = limit.rlim_cur / SPACE_SHARE;
    return most;
}

/* The inode of the pid namespace: two containers that start in the same tick have the same pids. */
static uint64_t pid_namespace(void)
{
    struct stat found;
    return stat("/proc/self/ns/pid", &found) == 0 ? (uint64_t)found.st_ino : 0;
}

static bool is_own_file(const struct waits_header *header, uint64_t ticks)
{
    return memcmp(header->magic, WAITS_MAGIC, sizeof header->magic) == 0 && header->format == WAITS_FORMAT &&
           header->slots_at == WAITS_SLOTS_AT && header->pid == (uint32_t)own_pid && header->start_ticks == ticks &&
           header->pid_namespace == pid_namespace();
}

/* Whether the file is long enough to read: another process may just have begun to make it. */
static bool is_begun(int fd)
{
    struct stat found;
    return fstat(fd, &found) == 0 && found.st_size >= (off_t)slot_offset(FIRST_SLOTS);
}

/* The image before may have had more address space: limit the file to the slots that are mapped now. */
static bool fit_into_mapping(struct waits_header *header)
{
    uint64_t most = (mapped_bytes - WAITS_SLOTS_AT) / sizeof(struct waits_slot);
    if (header->limit <= most)
        return true;
    if (atomic_load_explicit(&header->taken, relaxed) > most)
        return false;
    header->limit = most;
    if (atomic_load_explicit(&header->ready, relaxed) > most)
        atomic_store_explicit(&header->ready, most, relaxed);
    return true;
}

/* Map `bytes` of the file, or as many as the address space allows. */
static struct waits_header *map_file(int fd, uint64_t bytes)
{
    for (; bytes >= slot_offset(FIRST_SLOTS); bytes /= 2) {
        void *place = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
        if (place != MAP_FAILED) {
            /* Without it the first touch of a page reads ahead as far as the file seems to go: 3 ms instead of 10
             * us. */
            madvise(place, bytes, MADV_RANDOM);
            mapped_bytes = bytes;
            return place;
        }
    }
    return NULL;
}

/* Write the path of this process's file to `path`; `number` tells it from those of earlier processes with this pid. */
static void name_own_file(unsigned number)
{
    char *at = append_number(stpcpy(stpcpy(path, folder), "/"), own_pid);
    if (number != 0)
        at = append_number(stpcpy(at, "."), number);
    stpcpy(at, ".bin");
}

/* Open this process's file: its own from before exec, or a new one. NULL when that cannot be. */
COLD static struct waits_header *open_own_file(uint64_t ticks, bool *again)
{
    uint64_t bytes = find_size_limit();
    if (bytes < slot_offset(FIRST_SLOTS))
        return NULL;
    for (unsigned number = 0; number < 1000; number++) {
        name_own_file(number);
        int fd = open_file(path, O_RDWR | O_CREAT | O_EXCL);
        *again = false;
        if (fd < 0 && errno == EEXIST) {
            fd = open_file(path, O_RDWR);
            *again = true;
        }
        if (fd < 0)
            return NULL;
        if (*again && !is_begun(fd)) {
            syscall(SYS_close, fd);
            continue;
        }
        struct waits_header *header = NULL;
        if (*again || (allocate_on_disk(fd, 0, slot_offset(FIRST_SLOTS)) && ftruncate(fd, (off_t)bytes) == 0))
            header = map_file(fd, bytes);
        syscall(SYS_close, fd);
        if (header == NULL && !*again)
            syscall(SYS_unlinkat, AT_FDCWD, path, 0);
        if (header == NULL || !*again)
            return header;
        bool ours_again = is_own_file(header, ticks);
        if (ours_again && fit_into_mapping(header))
            return header;
        munmap(header, mapped_bytes);
        if (ours_again)
            return NULL;
        /* It belongs to a process that had this pid before. */
    }
    return NULL;
}

COLD static void fill_header(struct waits_header *header, uint64_t ticks)
{
    memset(header, 0, sizeof *header);
    header->format = WAITS_FORMAT;
    header->slot_bytes = sizeof(struct waits_slot);
    header->slots_at = WAITS_SLOTS_AT;
    header->threads = WAITS_THREADS;
    header->pid = (uint32_t)own_pid;
    header->ppid = (uint32_t)getppid();
    header->start_ticks = ticks;
    header->pid_namespace = pid_namespace();
    header->limit = (mapped_bytes - WAITS_SLOTS_AT) / sizeof(struct waits_slot);
    atomic_store_explicit(&header->ready, FIRST_SLOTS, relaxed);
    struct usage used = read_own_usage();
    header->before_cpu_ns = used.cpu;
    header->before_queue_ns = used.queue;
    header->before_voluntary = (uint32_t)used.voluntary;
    header->before_involuntary = (uint32_t)used.involuntary;
    /* After the readings, as a life begins here: a thread that loses its CPU while it reads did so before. */
    header->monotonic_ns = now_ns();
    header->boottime_ns = clock_ns(CLOCK_BOOTTIME);
    header->realtime_ns = clock_ns(CLOCK_REALTIME);
    /* Last, as a file that has it is whole. */
    memcpy(header->magic, WAITS_MAGIC, sizeof header->magic);
}

/* A fork child is the program that its parent is. */
static void write_executable(struct waits_header *header, const struct waits_header *parents)
{
    if (parents != NULL) {
        memcpy(header->executable, parents->executable, sizeof header->executable);
        return;
    }
    ssize_t length = readlink("/proc/self/exe", header->executable, sizeof header->executable - 1);
    header->executable[length > 0 ? length : 0] = '\0';
}

/* What the other threads waited for when one of them made the process another program. */
COLD static void write_open_waits(struct waits_header *header)
{
    uint64_t now = now_ns(), ticks = counter();
    double per_tick = 0;
    if (header->base_ticks != 0 && ticks > header->base_ticks)
        per_tick = (double)(now - header->base_ns) / (double)(ticks - header->base_ticks);
    for (unsigned n = 0; n < WAITS_THREADS; n++) {
        uint32_t tid = atomic_load_explicit(&threads[n].tid, relaxed);
        uint32_t kind = atomic_load_explicit(&threads[n].open_kind, relaxed);
        uint64_t start = atomic_load_explicit(&threads[n].open_start_ns, relaxed);
        if (tid == 0 || kind == 0)
            continue;
        if (kind & WAITS_OPEN_TICKS)
            start = start < ticks ? now - (uint64_t)((double)(ticks - start) * per_tick) : now;
        self.tid = tid;
        write_record(header, (enum waits_kind)(kind & ~WAITS_OPEN_TICKS), start, now - start,
            atomic_load_explicit(&threads[n].open_object, relaxed), 0, threads[n].open_site, 0);
    }
    self.tid = 0;
}
