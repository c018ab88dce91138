/* Whether what is read as a function is one: checked once in each process, before the first function is recorded.
 *
 * In: layout.h. Out: python.functions, FUNCTIONS_READ or the reason why none is read. What would be read from a wrong
 * place is an address like any other: here each is tried first.
 *
 * - At load Python's own list of a code object's members says where its name, file and line are.
 * - In the first frame that is met, and in those that called it, the objects must be code and text by their types.
 *   Python's own functions for a text's length and characters must give what the probe reads.
 * - That first frame is that of a known function: Python imports its first modules by get_data of importlib, which
 *   reads a file. A program that embeds Python may be in another one then, and only the types are checked.
 */

enum { CHECKED_FRAMES = 8, CHECKED_MEMBERS = 64 };

/* Whether the word at this address can be read. The kernel looks at it before it sees that it is asked for nothing. */
static bool is_readable(const char *address)
{
    int saved = errno;
    bool fault = syscall(SYS_rt_sigprocmask, ~0, address, NULL, sizeof(uint64_t)) != 0 && errno == EFAULT;
    errno = saved;
    return !fault;
}

/* Read a pointer and try the address in it. */
static bool try_pointer(const char *base, unsigned offset, const char **found)
{
    if ((uintptr_t)base % sizeof base != 0 || !is_readable(base + offset))
        return false;
    *found = read_pointer(base, offset);
    return *found == NULL || is_readable(*found);
}

/* What PyMemberDef is in every version. */
struct member {
    const char *name;
    int type;
    ssize_t offset;
    int flags;
    const char *about;
};

/* Where the list has this member; -1 where it does not have it. */
static ssize_t find_member(const struct member *members, const char *name)
{
    for (const struct member *member = members; member - members < CHECKED_MEMBERS; member++) {
        if (!is_readable((const char *)member) || member->name == NULL || !is_readable(member->name))
            return -1;
        if (strncmp(member->name, name, 16) == 0)
            return member->offset;
    }
    return -1;
}

COLD static enum waits_functions check_code_members(void)
{
    const char *members;
    if (!try_pointer(python.code_type, python.at.object_type + python.at.type_members, &members) || members == NULL)
        return FUNCTIONS_CODE;
    const struct member *list = (const struct member *)(const void *)members;
    /* There is a qualified name since 3.11. */
    const char *name = find_member(list, "co_qualname") >= 0 ? "co_qualname" : "co_name";
    if (find_member(list, "co_filename") != (ssize_t)python.at.code_filename ||
        find_member(list, name) != (ssize_t)python.at.code_name ||
        find_member(list, "co_firstlineno") != (ssize_t)python.at.code_firstlineno)
        return FUNCTIONS_CODE;
    return FUNCTIONS_UNCHECKED;
}

/* Read a text of a code object, if Python reads the same one. */
static bool try_string(const char *code, unsigned offset, struct string *string)
{
    const char *object, *type;
    if (!try_pointer(code, offset, &object) || object == NULL)
        return false;
    if (!try_pointer(object, python.at.object_type, &type) || type != python.text_type)
        return false;
    if (!is_readable(object + python.at.string_state) || !is_readable(object + python.at.string_length) ||
        !read_string(object, string))
        return false;
    if ((ssize_t)string->length != python.get_length((void *)(uintptr_t)object))
        return false;
    for (size_t n = 0; n < string->length; n++)
        if (read_character(string, n) != python.get_character((void *)(uintptr_t)object, (ssize_t)n))
            return false;
    return true;
}

static bool is_text(const struct string *string, const char *wanted)
{
    size_t length = strlen(wanted);
    if (string->length != length)
        return false;
    for (size_t n = 0; n < length; n++)
        if (read_character(string, n) != (unsigned char)wanted[n])
            return false;
    return true;
}

/* Whether it is another function than the only one of that file that reads. */
static bool is_wrong_function(const struct string *name, const struct string *filename)
{
    const char *reads = python.at.version < 0x30B ? "get_data" : "FileLoader.get_data";
    return is_text(filename, "<frozen importlib._bootstrap_external>") && !is_text(name, reads);
}

/* Walk the frames of the calling thread as find_site does. `reads`: it is in a read. */
static enum waits_functions check_frames(const char *thread, bool reads)
{
    const char *frame;
    if (!try_pointer(thread, python.at.thread_frame, &frame))
        return FUNCTIONS_FRAMES;
    if (frame != NULL && python.at.cframe_frame >= 0 && !try_pointer(frame, (unsigned)python.at.cframe_frame, &frame))
        return FUNCTIONS_FRAMES;
    bool found = false;
    for (int depth = 0; frame != NULL && depth < CHECKED_FRAMES; depth++) {
        const char *code, *type;
        if (!is_readable(frame + python.at.frame_code))
            return FUNCTIONS_FRAMES;
        code = (const char *)((uintptr_t)read_pointer(frame, python.at.frame_code) & ~(uintptr_t)7);
        if (code != NULL && !try_pointer(code, python.at.object_type, &type))
            return FUNCTIONS_FRAMES;
        /* Frames of C code lie between those of Python: they have None, or nothing. */
        if (code != NULL && type != python.code_type && code != python.none)
            return FUNCTIONS_FRAMES;
        if (code != NULL && code != python.none) {
            struct string name, filename;
            if (!is_readable(code + python.at.code_firstlineno) || !try_string(code, python.at.code_name, &name) ||
                !try_string(code, python.at.code_filename, &filename))
                return FUNCTIONS_FRAMES;
            if (!found && reads && is_wrong_function(&name, &filename))
                return FUNCTIONS_WRONG;
            found = true;
        }
        if (!try_pointer(frame, python.at.frame_previous, &frame))
            return FUNCTIONS_FRAMES;
    }
    return found ? FUNCTIONS_READ : FUNCTIONS_UNCHECKED;
}

/* Whether functions can be read. Where that is not known yet it is found out now, if the thread is in one. */
COLD static bool check_functions(struct waits_header *header, const char *thread, bool reads)
{
    static _Atomic unsigned tries;
    uint32_t functions = atomic_load_explicit(&python.functions, relaxed);
    if (functions != FUNCTIONS_UNCHECKED)
        return functions == FUNCTIONS_READ;
    /* While there is no frame, more and more seldom: it costs some microseconds. */
    unsigned number = atomic_fetch_add_explicit(&tries, 1, relaxed);
    if (number < 64 || (number & (number - 1)) == 0) {
        functions = check_frames(thread, reads);
        atomic_store_explicit(&python.functions, functions, relaxed);
        atomic_store_explicit(&header->functions, functions, relaxed);
    }
    return functions == FUNCTIONS_READ;
}
