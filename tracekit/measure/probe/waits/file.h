/* The file that records go to, and the calling thread's own state.
 *
 * In: records, as their fields. Out: slots in the shared mapping of the file, which grows as needed. recording() is
 * what every hook begins with: it makes sure that the file is this process's and that the thread is known.
 */

static struct waits_header *_Atomic file; /* NULL: nothing is recorded */
static struct waits_slot *slots;
static struct waits_thread *threads;
static size_t mapped_bytes;
static char path[PATH_MAX];
static char folder[PATH_MAX - 2 * NUMBER_BYTES - 8]; /* so that a name of two numbers fits into `path` */
static pid_t own_pid;
static size_t page_bytes;
static _Atomic bool growing;
static _Atomic uint64_t no_room_until; /* number of the record at which growing is tried again */
static uint32_t first_id;              /* so that the texts of each image in this file have ids of their own */

/* Memory that the kernel clears in a fork child, also in one that was made without libc. */
static struct ours {
    _Atomic uint32_t alive;              /* 0: this is a child, which has not begun to record yet */
    _Atomic uint64_t site_hashes[SITES]; /* hash of a function; its place is the id */
    _Atomic uint64_t stack_hashes[SITES]; /* the same of a stack */
} *ours;

COLD static void begin_in_child(void);

/* Make sure of room on disk: a page of a mapping that finds none when it is written is a SIGBUS. */
COLD static bool allocate_on_disk(int fd, uint64_t from, uint64_t to)
{
    if (syscall(SYS_fallocate, fd, 0, (off_t)from, (off_t)(to - from)) == 0)
        return true;
    /* A file system that cannot, an old kernel, a sandbox that refuses: then by writing. */
    struct rlimit limit;
    if ((errno != EOPNOTSUPP && errno != ENOSYS && errno != EPERM) || getrlimit(RLIMIT_FSIZE, &limit) != 0 ||
        limit.rlim_cur < to)
        return false;
    static const char zeros[4096];
    for (uint64_t at = from; at < to; at += sizeof zeros) {
        size_t length = to - at < sizeof zeros ? (size_t)(to - at) : sizeof zeros;
        if (syscall(SYS_pwrite64, fd, zeros, length, (off_t)at) != (ssize_t)length)
            return false;
    }
    return true;
}

static uint64_t slot_offset(uint64_t slot)
{
    return WAITS_SLOTS_AT + slot * sizeof(struct waits_slot);
}

/* Make sure of room through the mapping: it fails where a write would be a SIGBUS. All pages at once are cheaper than a
 * fault for every hundred records, too. */
COLD static bool populate(struct waits_header *header, uint64_t from, uint64_t to)
{
    uint64_t begin = from & ~(uint64_t)(page_bytes - 1);
    return madvise((char *)header + begin, to - begin, MADV_POPULATE_WRITE) == 0;
}

/* Give the file more room; one thread at a time, the others use the room that is left. */
COLD static void grow(struct waits_header *header, uint64_t number)
{
    if (number < atomic_load_explicit(&no_room_until, relaxed) ||
        atomic_exchange_explicit(&growing, true, memory_order_acquire))
        return;
    int saved = errno;
    uint64_t ready = atomic_load_explicit(&header->ready, relaxed);
    uint64_t step = ready < STEP_SLOTS ? ready : STEP_SLOTS;
    uint64_t wanted = ready + step < header->limit ? ready + step : header->limit;
    if (wanted > ready) {
        int fd = open_file(path, O_RDWR);
        bool room = fd >= 0 && allocate_on_disk(fd, slot_offset(ready), slot_offset(wanted));
        if (room)
            atomic_store_explicit(&header->ready, wanted, memory_order_release);
        /* A program that has no descriptor left, or changed its root or user, cannot open the file again. */
        if (populate(header, slot_offset(ready), slot_offset(wanted)) && fd < 0)
            atomic_store_explicit(&header->ready, wanted, memory_order_release);
        else if (!room)
            atomic_store_explicit(&no_room_until, number + RETRY_SLOTS, relaxed);
        if (fd >= 0)
            syscall(SYS_close, fd);
    }
    errno = saved;
    atomic_store_explicit(&growing, false, memory_order_release);
}

/* Draw a slot; NULL when there is no room, which is counted. */
HOT static struct waits_slot *take_slot(struct waits_header *header)
{
    uint64_t number = atomic_fetch_add_explicit(&header->taken, 1, relaxed);
    uint64_t ready = atomic_load_explicit(&header->ready, memory_order_acquire);
    uint64_t margin = ready < 2 * (uint64_t)STEP_SLOTS ? ready / 2 : (uint64_t)STEP_SLOTS;
    if (UNLIKELY(number + margin >= ready && ready < header->limit)) {
        grow(header, number);
        ready = atomic_load_explicit(&header->ready, memory_order_acquire);
    }
    if (UNLIKELY(number >= ready)) {
        atomic_fetch_add_explicit(&header->lost, 1, relaxed);
        return NULL;
    }
    /* The place of the next records is in no cache yet, and to fetch it takes as long as all the rest. */
    __builtin_prefetch(&slots[number + 6], 1);
    return &slots[number];
}

/* In place of a stamp: the clock was read when the GIL was taken, because a thread waited; nothing was read. */
#define TAKEN_NS (UINT64_C(1) << 63)
#define TAKEN_UNSTAMPED UINT64_C(1)

struct gil {
    _Atomic(void *) cond;
    _Atomic(void *) switch_cond;
    _Atomic uint32_t holder;  /* who took it last */
    _Atomic uint32_t waiters; /* threads blocked in take_gil */
    _Atomic uint64_t taken;   /* when: a stamp, or ns with TAKEN_NS; 0: nobody holds it, or a child that forked */
    /* Threads in one of libc's waits for cond and for switch_cond, counted while they hold the mutex that belongs to
     * it: where there is none, a signal does nothing and need not go to libc. What that saves pays for counting
     * them. */
    _Atomic uint32_t in_cond, in_switch_cond;
};

static __thread struct self {
    uint32_t tid;
    bool ended;
    bool python; /* it had a Python thread state at some time */
    uint32_t streak;   /* calls since the last one in which it left the CPU, or IN_CALL */
    uint32_t nested;   /* calls since it has been IN_CALL */
    bool rseq_checked; /* it is known whether the kernel clears rseq_cs here; to check costs 100 ns */
    struct rseq_area *rseq;
    int *errno_at; /* NULL: not known yet */
    struct waits_thread *entry;
    struct gil *gil;              /* the GIL it waits for, or NULL */
    pthread_cond_t *gil_cond;     /* its first condition */
    struct waits_slot *gil_slot;  /* the record of that wait but for its end; kept for the next if there was no wait */
    uint64_t gil_since;
    uint64_t drop_ns;             /* when it began to wait for the mutex with which it gives the GIL up; or 0 */
    uint64_t dropped_ns;          /* when it gave up a contended GIL, if that is not recorded yet; or 0 */
    uint64_t dropped_taken, dropped_object;
    uint64_t checkpoint, queue_read; /* when its CPU time and its run-queue wait were last put into the table */
    uint64_t streak_since;           /* stamp of the first call of the streak */
    uint64_t streak_ns, streak_cpu;  /* both clocks, read in the streak */
    char name[SYSTEM_NAME_BYTES + 1]; /* the beginning of the name that Python gave it; empty: none */
} self __attribute__((tls_model("initial-exec")));

static pthread_key_t end_key;
static bool has_end_key;

COLD static void begin_thread(struct waits_header *header);

/* The header of the file to record into, or NULL. */
HOT static inline struct waits_header *recording(void)
{
    struct waits_header *header = atomic_load_explicit(&file, relaxed);
    if (UNLIKELY(header == NULL))
        return NULL;
    if (UNLIKELY(!atomic_load_explicit(&ours->alive, relaxed))) {
        begin_in_child();
        header = atomic_load_explicit(&file, relaxed);
        if (header == NULL)
            return NULL;
    }
    if (UNLIKELY(self.tid == 0))
        begin_thread(header);
    return header;
}

HOT static void write_record(struct waits_header *header, enum waits_kind kind, uint64_t start, uint64_t dur,
                              uint64_t object, uint32_t other, uint32_t site, unsigned flags)
{
    struct waits_slot *slot = take_slot(header);
    if (slot == NULL)
        return;
    slot->start_ns = start;
    slot->dur_ns = dur;
    slot->object = object;
    slot->tid = self.tid;
    slot->other = other;
    slot->site = site;
    slot->flags = (uint8_t)flags;
    atomic_store_explicit(&slot->kind, (uint16_t)kind, memory_order_release);
}

static inline unsigned native_flag(void)
{
    return self.python ? 0 : FLAG_NATIVE;
}

/* The thread left the CPU, or may have: its next calls are timed again. */
static inline void end_streak(void)
{
    if (self.streak != IN_CALL)
        self.streak = 0;
}
