/* The file that the wait probe leaves per process, waits/<pid>.bin: a header, a table of threads, then slots.
 *
 * All fields are words in the machine's own byte order at fixed places; tracekit/bundle/waits_file.py reads it. All
 * stamps are CLOCK_MONOTONIC nanoseconds. The file is written through a shared mapping, so that what is in it survives
 * os._exit, SIGKILL and a crash. A process has one file: an image that replaces another by exec
 * continues it.
 */
#ifndef TRACEKIT_WAITS_H
#define TRACEKIT_WAITS_H

#include <stdatomic.h>
#include <stdint.h>

#define WAITS_MAGIC "TKWAITS"
#define WAITS_FORMAT 1u

enum waits_kind {
    /* Blocking intervals: start, duration, object; site is the waiter's function. */
    KIND_HOLE = 0,       /* reserved and never finished: its writer was killed */
    KIND_GIL = 1,        /* blocked in take_gil; object: the GIL; other: tid that held it when the wait began, or 0 */
    KIND_GIL_SWITCH = 2, /* blocked in drop_gil: until another thread had taken it, or for a mutex; object: the GIL */
    KIND_LOCK = 3,       /* semaphore or condition variable; object: its address */
    KIND_IO_READ = 4,    /* object: the fd */
    KIND_IO_WRITE = 5,   /* object: the fd */
    KIND_POLL = 6,       /* object: number of fds, for epoll its fd */
    KIND_SLEEP = 7,
    KIND_CHILD_WAIT = 8, /* object: the pid waited for, as signed 64 bit (-1 any) */

    /* The GIL's other events; only those that happen while a thread waits for it. */
    KIND_GIL_TAKE = 16, /* start: taken without a wait; object: the GIL */
    KIND_GIL_DROP = 17, /* start: dropped; duration: since it was taken, if FLAG_KNOWN; site: the holder's function */

    /* Who ended a wait of kind lock, of a millisecond and more; written by the waiter. start: of the wait; duration:
       until it was woken; object: the semaphore; other: tid that posted it; site: the function it was in */
    KIND_WAKEUP = 18,
    /* The stack of a wait or hold of a millisecond or more. start: that of the wait, or the end of the hold; object: its
     * kind; site: id of a text, per frame from the innermost "site:line ", the line 0 where it is not known. */
    KIND_STACK = 19,

    /* Starts and ends of threads and processes. */
    KIND_THREAD_START = 32, /* start: first instruction; duration: since pthread_create; other: creator's tid; if
                               FLAG_NATIVE its first function is not Python's; site: id of its library's name */
    KIND_THREAD_END = 33,   /* start: its last; duration: CPU ns; object: run-queue ns (if FLAG_KNOWN);
                               other: voluntary switches; site: involuntary switches */
    KIND_THREAD_NAME = 34,  /* site: id of the text; if FLAG_KNOWN the name that Python has, else the system's */
    KIND_FORK = 35,         /* start, duration: the call; object: the child's pid */
    KIND_IMAGE = 36,        /* start: the loader was done; site: id of the text with the executable's path */
    KIND_EXEC = 37,         /* start: exec was requested; object: the pid to be replaced, perhaps a child's */
    KIND_EXIT = 38,         /* start: exit or _exit was called; object: exit code */
    KIND_CHILD_ENDED = 39,  /* start: reaped; object: wait status; other: pid; duration: its CPU ns */
    KIND_PROCESS_NAME = 40, /* object: a pid; site: id of the name that multiprocessing gave that process */
    KIND_COMMAND = 41,      /* site: id of a text: what this image of Python runs, "-m module", "-c code" or a file */
    KIND_TITLE = 42,        /* site: id of the title that the process had in place of its command when it ended */

    KIND_TEXT = 48, /* 32 bytes of text at the slot's begin; site: id; part, parts: which of how many */
};

enum waits_flag {
    FLAG_KNOWN = 1,  /* the optional field of this kind is set */
    FLAG_NATIVE = 2, /* the thread has no Python thread state */
};

/* A text is UTF-8, padded with NULs: "qualname\0file\0line\0" for a site, one string for the others. */
struct waits_slot {
    uint64_t start_ns;
    uint64_t dur_ns;
    uint64_t object;
    uint32_t tid;
    uint32_t other;
    uint32_t site;         /* id of a text, 0: none */
    uint8_t flags;         /* of a text: part */
    uint8_t parts;         /* of a text: number of parts */
    _Atomic uint16_t kind; /* written last: a slot counts once this is not 0 */
};
_Static_assert(sizeof(struct waits_slot) == 40, "slots are 40 bytes in the file");

/* What a thread waits for right now, so that the wait of a killed process is not lost. Free when tid is 0. */
struct waits_thread {
    _Atomic uint32_t tid;
    _Atomic uint32_t open_kind; /* 0: does not wait; with WAITS_OPEN_TICKS the start is in ticks, see the header */
    _Atomic uint64_t open_start_ns;
    _Atomic uint64_t open_object;
    uint64_t start_ns;      /* first instruction, 0 where the probe came later */
    uint64_t checkpoint_ns; /* when cpu_ns was read, 0: never */
    uint64_t cpu_ns;
    uint64_t run_queue_ns;  /* read at that time or less than half a second before */
    uint32_t open_site;
    uint32_t reserved;
};
_Static_assert(sizeof(struct waits_thread) == 64, "thread entries are 64 bytes in the file");

/* The call may wait or not, and began at this tick of the processor's counter. */
#define WAITS_OPEN_TICKS 0x100u

#define WAITS_HEADER_BYTES 4096u
#define WAITS_THREADS 512u
#define WAITS_SLOTS_AT (WAITS_HEADER_BYTES + WAITS_THREADS * 64u)

/* Whether the functions of this Python can be read, and why not. */
enum waits_functions {
    FUNCTIONS_NONE = 0,        /* there is no Python */
    FUNCTIONS_READ = 1,        /* read, and found right */
    FUNCTIONS_UNCHECKED = 2,   /* its version is known, but no thread has been seen in a function so far */
    FUNCTIONS_VERSION = 3,     /* where this version keeps them is not known */
    FUNCTIONS_PRE_RELEASE = 4, /* it is a pre-release, older than the one that is known */
    FUNCTIONS_NO_TABLE = 5,    /* it does not say where it keeps them: _PyRuntime is missing or of another version */
    FUNCTIONS_CODE = 6,        /* its code objects are laid out otherwise than its version's are */
    FUNCTIONS_FRAMES = 7,      /* its frames are: what was read there is no function */
    FUNCTIONS_WRONG = 8,       /* another function was read than the one that a thread was in */
};

enum waits_end { END_NONE = 0, END_EXIT = 1, END_UNDERSCORE_EXIT = 2 };

/* Ids of texts from here on are stacks, and names; each name has one of its own. */
#define WAITS_STACK_IDS 0x40000000u
#define WAITS_NAME_IDS 0x80000000u

struct waits_header {
    char magic[8];
    uint32_t format;
    uint32_t slot_bytes;
    uint32_t slots_at;     /* offset of the first slot */
    uint32_t threads;      /* entries of the thread table, which begins at WAITS_HEADER_BYTES */
    uint32_t pid;
    uint32_t ppid;
    uint64_t start_ticks;  /* of the process, from /proc/self/stat */
    uint64_t monotonic_ns; /* three clocks, read together */
    uint64_t boottime_ns;
    uint64_t realtime_ns;
    uint64_t limit;           /* most slots the file may have; 0: no more than it has */
    _Atomic uint64_t ready;   /* slots that have room on disk */
    _Atomic uint64_t taken;   /* slots handed out; beyond `limit` they are lost */
    _Atomic uint64_t lost;    /* records that found no room */
    _Atomic uint32_t images;  /* executables so far: 1, more after exec */
    uint32_t python;          /* PY_VERSION_HEX, 0: no Python, or not known */
    _Atomic uint32_t functions; /* enum waits_functions */
    _Atomic uint32_t ended;   /* enum waits_end */
    int32_t exit_code;        /* when ended */
    _Atomic uint32_t no_thread_entry; /* threads that found the table full */
    uint64_t ended_ns;
    char executable[1024];
    uint64_t base_ticks; /* the counter and the clock when the image was loaded, 0: there is no such counter */
    uint64_t base_ns;
    _Atomic uint64_t later_ticks; /* and at some later time, 0: none */
    _Atomic uint64_t later_ns;
    /* What the first thread had used before the probe came to it: for the loader, or for the program before exec. It is
     * subtracted wherever that thread's use is recorded. */
    uint64_t before_cpu_ns;
    uint64_t before_queue_ns;
    uint32_t before_voluntary;
    uint32_t before_involuntary;
    uint64_t pid_namespace; /* which pid this is: its inode, 0: not known */
    _Atomic uint64_t switch_interval_ns; /* of the last wait for a GIL of this image, 0: not known */
    uint64_t process_cpu_ns; /* when ended: CPU time since it was made, also of threads that the probe did not see */
    _Atomic uint64_t names; /* names that have a text of their own */
};
_Static_assert(sizeof(struct waits_header) <= WAITS_HEADER_BYTES, "the header fits its page");

#endif
