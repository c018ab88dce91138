/* The stack that a thread was in during a wait or a hold that turned out long.
 *
 * In: the record of one that took CERTAIN_WAIT_NS or more. Out: a record of its stack, whose text names each frame's
 * function, by its id, and the line in it. The frames still stand as they stood: the thread is in the same C call, or on its
 * way out of it.
 */

enum { STACK_FRAMES = 24 };

/* The line that a frame is at; 0 where it is not known. What is called reads the code object and nothing else. */
static int find_line(const char *frame, const char *code)
{
    intptr_t at;
    if (python.get_line == NULL)
        return 0;
    if (python.at.code_instructions == 0) {
        int number;
        memcpy(&number, frame + python.at.frame_instruction, sizeof number);
        at = python.at.version == 0x30A ? (intptr_t)number * 2 : number;
    } else {
        ssize_t instructions;
        memcpy(&instructions, code + python.at.object_type + sizeof code, sizeof instructions);
        at = read_pointer(frame, python.at.frame_instruction) - (code + python.at.code_instructions);
        if (at / 2 >= instructions)
            return 0;
    }
    int line = at < 0 || at > INT_MAX ? 0 : python.get_line(code, (int)at);
    return line < 0 ? 0 : line;
}

COLD static void write_stack(struct waits_header *header, enum waits_kind kind, uint64_t stamp)
{
    if (!is_python_known() || !python.initialized() ||
        atomic_load_explicit(&python.functions, relaxed) != FUNCTIONS_READ)
        return;
    const char *thread = python.this_thread();
    if (thread == NULL)
        return;
    char text[STACK_FRAMES * 2 * (NUMBER_BYTES + 1)], *end = text;
    const char *frame = read_pointer(thread, python.at.thread_frame);
    if (frame != NULL && python.at.cframe_frame >= 0)
        frame = read_pointer(frame, (unsigned)python.at.cframe_frame);
    for (int depth = 0; frame != NULL && depth < STACK_FRAMES; frame = read_pointer(frame, python.at.frame_previous)) {
        const char *code = (const char *)((uintptr_t)read_pointer(frame, python.at.frame_code) & ~(uintptr_t)7);
        struct string name, filename;
        int first;
        if (code == NULL || read_pointer(code, python.at.object_type) != python.code_type)
            continue;
        memcpy(&first, code + python.at.code_firstlineno, sizeof first);
        if (!read_string(read_pointer(code, python.at.code_name), &name) ||
            !read_string(read_pointer(code, python.at.code_filename), &filename))
            return;
        end = append_number(end, (int)find_site_id(header, &name, &filename, first));
        *end++ = ':';
        end = append_number(end, find_line(frame, code));
        *end++ = ' ';
        depth++;
    }
    bool fresh;
    size_t length = (size_t)(end - text);
    uint32_t id = length == 0 ? 0 : find_stack_id(hash_bytes((const unsigned char *)text, length, 19), &fresh);
    if (id == 0)
        return;
    if (fresh)
        write_text(header, id, text, length - 1);
    write_record(header, KIND_STACK, stamp, 0, (uint64_t)kind, 0, id, 0);
}

static inline void write_long_stack(struct waits_header *header, enum waits_kind kind, uint64_t stamp, uint64_t dur)
{
    if (UNLIKELY(dur >= CERTAIN_WAIT_NS))
        write_stack(header, kind, stamp);
}
