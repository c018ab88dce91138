/* The Python in this process and the function that the calling thread is in.
 *
 * In: libpython's symbols, offsets.h. Out: find_site(), the id of the function, whose name, file and line are written
 * as a text when it is met for the first time. Nothing of Python is called that needs the GIL.
 */
#include "offsets.h"

/* Where this Python keeps what is read. 3.13 and newer publish it in a table at the start of _PyRuntime; before, these
 * are constants of each minor version, on 64 bit. */
struct layout {
    unsigned version;      /* major << 8 | minor */
    unsigned thread_frame; /* of the frame in the thread state; in 3.11 and 3.12 of the cframe */
    int cframe_frame;      /* of the frame in the cframe, -1: the thread state has the frame itself */
    unsigned frame_code, frame_previous;
    unsigned code_filename, code_name, code_firstlineno;
    unsigned object_type;
    unsigned string_length, string_state;
    unsigned ascii_size, compact_size; /* of a string's head: the characters follow */
    unsigned kind_shift;               /* of the bits kind:3 compact:1 ascii:1 in the string's state */
};

#define FIELD(field, value, expression) .field = value,
#define LAYOUT(major, minor) {.version = major << 8 | minor, OFFSETS_##major##_##minor(FIELD).kind_shift = 2},
static const struct layout LAYOUTS[] = {CONSTANT_VERSIONS(LAYOUT)};

/* Places in the table of _PyRuntime, in words. It begins with a cookie, the version and free_threaded. */
struct table {
    unsigned version;
    unsigned thread_frame, frame_code, frame_previous, code_filename, code_name, code_firstlineno;
    unsigned object_type, string_length, string_state, ascii_size;
};
#define TABLE(major, minor) {.version = major << 8 | minor, OFFSETS_##major##_##minor(FIELD)},
static const struct table TABLES[] = {TABLE_VERSIONS(TABLE)};

static struct python {
    _Atomic bool known;  /* a Python is loaded: addresses below are its */
    bool sites;          /* and its layout is known */
    uint32_t version;    /* PY_VERSION_HEX without the level */
    uintptr_t low, high; /* the module that holds it */
    void *(*this_thread)(void);
    int (*initialized)(void);
    const void *code_type;
    struct layout at;
} python;

static int find_module(struct dl_phdr_info *info, size_t size, void *wanted)
{
    (void)size;
    uintptr_t address = *(uintptr_t *)wanted;
    uintptr_t low = UINTPTR_MAX, high = 0;
    for (int n = 0; n < info->dlpi_phnum; n++) {
        if (info->dlpi_phdr[n].p_type != PT_LOAD)
            continue;
        uintptr_t begin = info->dlpi_addr + info->dlpi_phdr[n].p_vaddr;
        uintptr_t end = begin + info->dlpi_phdr[n].p_memsz;
        low = begin < low ? begin : low;
        high = end > high ? end : high;
    }
    if (address < low || address >= high)
        return 0;
    python.low = low;
    python.high = high;
    return 1;
}

static bool read_layout_table(unsigned version, const uint64_t *table)
{
    if (table == NULL || memcmp(table, "xdebugpy", 8) != 0 || table[1] >> 16 != version)
        return false;
    for (size_t n = 0; n < LENGTH(TABLES); n++) {
        const struct table *row = &TABLES[n];
        if (row->version != version)
            continue;
        unsigned ascii_size = (unsigned)table[row->ascii_size];
        python.at = (struct layout){
            .version = version,
            .thread_frame = (unsigned)table[row->thread_frame],
            .cframe_frame = -1,
            .frame_code = (unsigned)table[row->frame_code],
            .frame_previous = (unsigned)table[row->frame_previous],
            .code_filename = (unsigned)table[row->code_filename],
            .code_name = (unsigned)table[row->code_name],
            .code_firstlineno = (unsigned)table[row->code_firstlineno],
            .object_type = (unsigned)table[row->object_type],
            .string_length = (unsigned)table[row->string_length],
            .string_state = (unsigned)table[row->string_state],
            .ascii_size = ascii_size,
            .compact_size = ascii_size + 2 * sizeof(void *), /* utf8_length and utf8 */
            /* Without a GIL `interned` is a byte of its own from 3.14 on. */
            .kind_shift = table[2] && version >= 0x30E ? 8 : 2,
        };
        return true;
    }
    return false;
}

/* Look for a Python in this process: in the constructor, and again when a program loads one later. */
COLD static void find_python(void)
{
    const char *(*get_version)(void) = (const char *(*)(void))dlsym(RTLD_DEFAULT, "Py_GetVersion");
    if (get_version == NULL)
        return;
    void *(*this_thread)(void) = (void *(*)(void))dlsym(RTLD_DEFAULT, "PyGILState_GetThisThreadState");
    int (*initialized)(void) = (int (*)(void))dlsym(RTLD_DEFAULT, "Py_IsInitialized");
    const void *code_type = dlsym(RTLD_DEFAULT, "PyCode_Type");
    uintptr_t inside = (uintptr_t)this_thread;
    if (this_thread == NULL || initialized == NULL || code_type == NULL)
        return;
    if (!dl_iterate_phdr(find_module, &inside))
        return;
    const char *text = get_version();
    if (text == NULL)
        return;
    unsigned major = (unsigned)read_number(text, &text);
    unsigned minor = *text == '.' ? (unsigned)read_number(text + 1, &text) : 0;
    unsigned micro = *text == '.' ? (unsigned)read_number(text + 1, NULL) : 0;
    unsigned version = major << 8 | minor;
    python.this_thread = this_thread;
    python.initialized = initialized;
    python.code_type = code_type;
    for (size_t n = 0; n < LENGTH(LAYOUTS) && sizeof(void *) == 8; n++) {
        if (LAYOUTS[n].version == version) {
            python.at = LAYOUTS[n];
            python.sites = true;
        }
    }
    if (sizeof(void *) == 8 && version >= 0x30D)
        python.sites = read_layout_table(version, dlsym(RTLD_DEFAULT, "_PyRuntime"));
    python.version = major << 24 | minor << 16 | (micro & 0xFF) << 8;
    atomic_store_explicit(&python.known, true, memory_order_release);
}

static inline bool is_python_known(void)
{
    return atomic_load_explicit(&python.known, memory_order_acquire);
}

static void write_python(struct waits_header *header)
{
    header->python = is_python_known() ? python.version : 0;
    header->sites = is_python_known() && python.sites;
}

static inline const char *read_pointer(const char *base, unsigned offset)
{
    const char *found;
    memcpy(&found, base + offset, sizeof found);
    return found;
}

struct string {
    const unsigned char *bytes;
    size_t length; /* characters */
    unsigned width;
};

static bool read_string(const char *object, struct string *string)
{
    if (object == NULL)
        return false;
    uint32_t state;
    memcpy(&state, object + python.at.string_state, sizeof state);
    state >>= python.at.kind_shift;
    unsigned width = state & 7u;
    bool compact = state >> 3 & 1u, ascii = state >> 4 & 1u;
    if (!compact || (width != 1 && width != 2 && width != 4))
        return false;
    ssize_t length;
    memcpy(&length, object + python.at.string_length, sizeof length);
    if (length < 0)
        return false;
    string->bytes = (const unsigned char *)object + (ascii ? python.at.ascii_size : python.at.compact_size);
    string->length = (size_t)length;
    string->width = width;
    return true;
}

static uint32_t read_character(const struct string *string, size_t at)
{
    uint32_t c = 0;
    memcpy(&c, string->bytes + at * string->width, string->width);
    return c;
}

static size_t count_utf8_bytes(uint32_t c)
{
    return c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
}

/* Copy as UTF-8, at most `most` bytes; of a longer one the end is kept, which says more of a path or a name. */
static size_t copy_string(const struct string *string, char *into, size_t most)
{
    static const unsigned char FIRST[] = {0, 0, 0xC0, 0xE0, 0xF0};
    size_t from = string->length, used = 0;
    while (from > 0 && used + count_utf8_bytes(read_character(string, from - 1)) <= most)
        used += count_utf8_bytes(read_character(string, --from));
    unsigned char *out = (unsigned char *)into;
    for (size_t n = from; n < string->length; n++) {
        uint32_t c = read_character(string, n);
        size_t bytes = count_utf8_bytes(c);
        for (size_t at = bytes - 1; at > 0; at--, c >>= 6)
            out[at] = (unsigned char)(0x80 | (c & 63));
        out[0] = (unsigned char)(c == 0 && bytes == 1 ? '?' : FIRST[bytes] | c);
        out += bytes;
    }
    return used;
}

COLD static void write_site(struct waits_header *header, uint32_t id, const struct string *name,
                          const struct string *filename, int line)
{
    char text[NAME_BYTES + PATH_BYTES + 2 + NUMBER_BYTES];
    size_t used = copy_string(name, text, NAME_BYTES);
    text[used++] = '\0';
    used += copy_string(filename, text + used, PATH_BYTES);
    text[used++] = '\0';
    used = (size_t)(append_number(text + used, line) - text) + 1;
    write_text(header, id, text, used);
}

/* The function of the thread's last wait: it is often that of the next one too, and comparing takes a third of
 * hashing. */
static __thread struct last_site {
    uint32_t id; /* 0: none */
    int line;
    unsigned name_width, file_width;
    size_t name_bytes, file_bytes;
    unsigned char text[CACHED_BYTES];
} last_site __attribute__((tls_model("initial-exec")));

static inline bool is_cached(const struct string *name, const struct string *filename, int line)
{
    return last_site.id != 0 && last_site.line == line && last_site.name_width == name->width &&
           last_site.file_width == filename->width && last_site.name_bytes == name->length * name->width &&
           last_site.file_bytes == filename->length * filename->width &&
           memcmp(last_site.text, name->bytes, last_site.name_bytes) == 0 &&
           memcmp(last_site.text + last_site.name_bytes, filename->bytes, last_site.file_bytes) == 0;
}

static void cache_site(uint32_t id, const struct string *name, const struct string *filename, int line)
{
    /* While it is half written there is none: a signal handler may look. */
    *(volatile uint32_t *)&last_site.id = 0;
    atomic_signal_fence(memory_order_seq_cst);
    size_t name_bytes = name->length * name->width, file_bytes = filename->length * filename->width;
    if (name_bytes > CACHED_BYTES || file_bytes > CACHED_BYTES - name_bytes)
        return;
    last_site.line = line;
    last_site.name_width = name->width;
    last_site.file_width = filename->width;
    last_site.name_bytes = name_bytes;
    last_site.file_bytes = file_bytes;
    memcpy(last_site.text, name->bytes, name_bytes);
    memcpy(last_site.text + name_bytes, filename->bytes, file_bytes);
    atomic_signal_fence(memory_order_seq_cst);
    *(volatile uint32_t *)&last_site.id = id;
}

/* The id of the Python function that the calling thread is in, 0 when there is none or it cannot be read.
 *
 * Reads the thread's own frame, which stands still while the thread is in a C call, with or without the GIL. A function
 * is recognised by its name, file and line, not by the address of its code, which another one may have later. */
HOT static uint32_t find_site(struct waits_header *header)
{
    if (!is_python_known())
        return 0;
    /* Once finalization has begun a daemon thread's state may be freed. */
    if (!python.initialized())
        return 0;
    const char *thread = python.this_thread();
    if (thread == NULL)
        return 0;
    self.python = true;
    if (!python.sites)
        return 0;
    const char *frame = read_pointer(thread, python.at.thread_frame);
    if (frame != NULL && python.at.cframe_frame >= 0)
        frame = read_pointer(frame, (unsigned)python.at.cframe_frame);
    /* Frames of C code lie between those of Python: they have no code object. */
    for (int depth = 0; frame != NULL && depth < 16; depth++, frame = read_pointer(frame, python.at.frame_previous)) {
        const char *code = (const char *)((uintptr_t)read_pointer(frame, python.at.frame_code) & ~(uintptr_t)7);
        if (code == NULL || read_pointer(code, python.at.object_type) != python.code_type)
            continue;
        struct string name, filename;
        int line;
        memcpy(&line, code + python.at.code_firstlineno, sizeof line);
        if (!read_string(read_pointer(code, python.at.code_name), &name) ||
            !read_string(read_pointer(code, python.at.code_filename), &filename))
            return 0;
        if (is_cached(&name, &filename, line))
            return last_site.id;
        uint64_t hash = hash_bytes(name.bytes, name.length * name.width, (uint64_t)(unsigned)line << 3 | name.width);
        hash = hash_bytes(filename.bytes, filename.length * filename.width, hash);
        bool fresh;
        uint32_t id = find_text_id(hash, &fresh);
        if (UNLIKELY(fresh))
            write_site(header, id, &name, &filename, line);
        cache_site(id, &name, &filename, line);
        return id;
    }
    return 0;
}
