/* Where this Python keeps what the probe reads, and reading its strings.
 *
 * In: offsets.h, the table that 3.13 and newer publish. Out: `python`, find_layout(), read_string().
 */
#include "offsets.h"

/* Where this Python keeps what is read. 3.13 and newer publish it in a table at the start of _PyRuntime; before, these
 * are constants of each minor version, on 64 bit. */
struct layout {
    unsigned version;      /* major << 8 | minor */
    unsigned thread_frame; /* of the frame in the thread state; in 3.11 and 3.12 of the cframe */
    int cframe_frame;      /* of the frame in the cframe, -1: the thread state has the frame itself */
    unsigned frame_code, frame_previous, frame_locals;
    unsigned frame_instruction; /* of the last instruction: up to 3.10 its number, later its address */
    unsigned code_instructions; /* of the first one in the code object, since 3.11 */
    unsigned code_filename, code_name, code_firstlineno;
    unsigned object_type;
    unsigned type_members; /* of a type's list of members, from where an object has its type */
    unsigned string_length, string_state;
    unsigned ascii_size, compact_size; /* of a string's head: the characters follow */
    unsigned kind_shift;               /* of the bits kind:3 compact:1 ascii:1 in the string's state */
};

#define FIELD(field, value, expression) .field = value,
#define LAYOUT(major, minor) {.version = major << 8 | minor, OFFSETS_##major##_##minor(FIELD).kind_shift = 2},
static const struct layout LAYOUTS[] = {CONSTANT_VERSIONS(LAYOUT)};

/* Places in the table of _PyRuntime, in words. It begins with a cookie, the version and free_threaded. */
struct table {
    uint64_t since; /* the oldest PY_VERSION_HEX with these places: before the final version they move */
    unsigned thread_frame, frame_code, frame_previous, frame_locals, frame_instruction, code_filename, code_name, code_firstlineno, code_instructions;
    unsigned object_type, type_members, string_length, string_state, ascii_size;
};
#define TABLE(major, minor, oldest) {.since = oldest, OFFSETS_##major##_##minor(FIELD)},
static const struct table TABLES[] = {TABLE_VERSIONS(TABLE)};

static struct python {
    _Atomic bool known;         /* a Python is loaded: addresses below are its */
    _Atomic uint32_t functions; /* enum waits_functions */
    uint32_t version;           /* PY_VERSION_HEX */
    uintptr_t low, high;        /* the module that holds it */
    void *(*this_thread)(void);
    int (*initialized)(void);
    const void *code_type, *text_type, *none;
    ssize_t (*get_length)(void *);
    uint32_t (*get_character)(void *, ssize_t);
    int (*get_line)(const void *, int); /* NULL where it would need the thread state: without a GIL */
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

/* Fill python.at from the table of _PyRuntime. */
static enum waits_functions read_layout_table(unsigned version, const uint64_t *table)
{
    if (table == NULL || memcmp(table, "xdebugpy", 8) != 0 || table[1] >> 16 != version)
        return FUNCTIONS_NO_TABLE;
    for (size_t n = 0; n < LENGTH(TABLES); n++) {
        const struct table *row = &TABLES[n];
        if (row->since >> 16 != version)
            continue;
        if (table[1] < row->since)
            return FUNCTIONS_PRE_RELEASE;
        unsigned ascii_size = (unsigned)table[row->ascii_size];
        if (table[2])
            python.get_line = NULL;
        python.at = (struct layout){
            .version = version,
            .thread_frame = (unsigned)table[row->thread_frame],
            .cframe_frame = -1,
            .frame_code = (unsigned)table[row->frame_code],
            .frame_previous = (unsigned)table[row->frame_previous],
            .frame_locals = (unsigned)table[row->frame_locals],
            .frame_instruction = (unsigned)table[row->frame_instruction],
            .code_instructions = (unsigned)table[row->code_instructions],
            .code_filename = (unsigned)table[row->code_filename],
            .code_name = (unsigned)table[row->code_name],
            .code_firstlineno = (unsigned)table[row->code_firstlineno],
            .object_type = (unsigned)table[row->object_type],
            .type_members = row->type_members,
            .string_length = (unsigned)table[row->string_length],
            .string_state = (unsigned)table[row->string_state],
            .ascii_size = ascii_size,
            .compact_size = ascii_size + 2 * sizeof(void *), /* utf8_length and utf8 */
            /* Without a GIL `interned` is a byte of its own from 3.14 on. */
            .kind_shift = table[2] && version >= 0x30E ? 8 : 2,
        };
        return FUNCTIONS_UNCHECKED;
    }
    return FUNCTIONS_VERSION;
}

/* Where this Python keeps what is read, if it is known. */
static enum waits_functions find_layout(unsigned version)
{
    python.text_type = dlsym(RTLD_DEFAULT, "PyUnicode_Type");
    python.none = dlsym(RTLD_DEFAULT, "_Py_NoneStruct");
    python.get_length = (ssize_t (*)(void *))dlsym(RTLD_DEFAULT, "PyUnicode_GetLength");
    python.get_character = (uint32_t (*)(void *, ssize_t))dlsym(RTLD_DEFAULT, "PyUnicode_ReadChar");
    python.get_line = (int (*)(const void *, int))dlsym(RTLD_DEFAULT, "PyCode_Addr2Line");
    if (python.text_type == NULL || python.get_length == NULL || python.get_character == NULL)
        return FUNCTIONS_NO_TABLE;
    if (sizeof(void *) != 8)
        return FUNCTIONS_VERSION;
    for (size_t n = 0; n < LENGTH(LAYOUTS); n++) {
        if (LAYOUTS[n].version == version) {
            python.at = LAYOUTS[n];
            return FUNCTIONS_UNCHECKED;
        }
    }
    return version < 0x30D ? FUNCTIONS_VERSION : read_layout_table(version, dlsym(RTLD_DEFAULT, "_PyRuntime"));
}
