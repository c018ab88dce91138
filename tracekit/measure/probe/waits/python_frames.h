/* The Python in this process and the function that the calling thread is in.
 *
 * In: libpython's symbols, layout.h, check_functions.h. Out: find_site(), the id of the function, whose name, file and
 * line are written as a text when it is met for the first time. Nothing of Python is called that needs the GIL.
 */

COLD static void find_naming(void);

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
    unsigned micro = *text == '.' ? (unsigned)read_number(text + 1, &text) : 0;
    /* "3.15.0rc1 (...)": what PY_VERSION_HEX ends with. */
    unsigned level = *text == 'a' ? 0xA0 : *text == 'b' ? 0xB0 : *text == 'r' ? 0xC0 : 0xF0;
    if (level != 0xF0)
        level |= (unsigned)read_number(text + (level == 0xC0 ? 2 : 1), NULL) & 0xF;
    unsigned version = major << 8 | minor;
    python.this_thread = this_thread;
    python.initialized = initialized;
    python.code_type = code_type;
    enum waits_functions functions = find_layout(version);
    if (functions == FUNCTIONS_UNCHECKED)
        functions = check_code_members();
    atomic_store_explicit(&python.functions, functions, relaxed);
    find_naming();
    python.version = major << 24 | minor << 16 | (micro & 0xFF) << 8 | level;
    atomic_store_explicit(&python.known, true, memory_order_release);
}

static inline bool is_python_known(void)
{
    return atomic_load_explicit(&python.known, memory_order_acquire);
}

/* Whether this is code of the module that holds Python. */
static inline bool is_from_python(const void *code)
{
    return is_python_known() && (uintptr_t)code >= python.low && (uintptr_t)code < python.high;
}

static void write_python(struct waits_header *header)
{
    header->python = is_python_known() ? python.version : 0;
    header->functions = is_python_known() ? atomic_load_explicit(&python.functions, relaxed) : FUNCTIONS_NONE;
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
        /* Half of a surrogate pair is no character. */
        if (c >= 0xD800 && c < 0xE000)
            c = 0xFFFD;
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

static inline uint32_t find_site_id(struct waits_header *header, const struct string *name,
                                    const struct string *filename, int line)
{
    uint64_t hash = hash_bytes(name->bytes, name->length * name->width, (uint64_t)(unsigned)line << 3 | name->width);
    hash = hash_bytes(filename->bytes, filename->length * filename->width, hash);
    bool fresh;
    uint32_t id = find_text_id(hash, &fresh);
    if (UNLIKELY(fresh))
        write_site(header, id, name, filename, line);
    return id;
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
    if (UNLIKELY(atomic_load_explicit(&python.functions, relaxed) != FUNCTIONS_READ) && !check_functions(header, thread, false))
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
        uint32_t id = find_site_id(header, &name, &filename, line);
        cache_site(id, &name, &filename, line);
        return id;
    }
    return 0;
}

/* The first thread reads a file while Python is being loaded: a time at which its function is known. */
COLD static void check_in_read(void)
{
    static bool was_initialized;
    struct waits_header *header = recording();
    if (header == NULL || self.tid != (uint32_t)own_pid)
        return;
    bool initialized = python.initialized();
    was_initialized |= initialized;
    if (was_initialized && !initialized)
        return;
    const char *thread = python.this_thread();
    if (thread != NULL)
        check_functions(header, thread, true);
}
