/* The names that Python gives its threads and that multiprocessing gives its processes, read when one is started.
 *
 * In: the argument of pthread_create; the frames in which multiprocessing forks. Out: names, as bytes.
 *
 * A thread that starts another one or a process holds the GIL, so that Python's own functions may be called. Only those
 * are that run no code of the program: an attribute that no class defines is looked up in the object itself.
 */

static struct naming {
    bool known; /* Python has all of these */
    const void *method_type, *function_type, *builtin_type, *tuple_type, *dict_type, *module_type;
    void *(*current_state)(void); /* of the thread that holds the GIL */
    void *(*get_self)(void *);
    void *(*get_function)(void *);
    void *(*find_in_type)(const void *, void *);
    void *(*get_attribute)(const void *, void *);
    void *(*make_text)(const char *);
    void *(*get_modules)(void);
    void *(*get_names)(const void *);
    void *(*get_item)(const void *, const char *);
    void *(*find_error)(void);
    void (*clear_error)(void);
    void (*release)(void *);
} naming;

/* Look up what is called later, when no lock of the loader may be waited for: the GIL is held then. */
COLD static void find_naming(void)
{
    const struct {
        const char *name;
        void *place;
    } wanted[] = {
        {"PyMethod_Type", &naming.method_type},
        {"PyFunction_Type", &naming.function_type},
        {"PyCFunction_Type", &naming.builtin_type},
        {"PyTuple_Type", &naming.tuple_type},
        {"PyDict_Type", &naming.dict_type},
        {"PyModule_Type", &naming.module_type},
        {"PyMethod_Self", &naming.get_self},
        {"PyMethod_Function", &naming.get_function},
        {"_PyType_Lookup", &naming.find_in_type},
        {"PyObject_GenericGetAttr", &naming.get_attribute},
        {"PyUnicode_FromString", &naming.make_text},
        {"PyImport_GetModuleDict", &naming.get_modules},
        {"PyModule_GetDict", &naming.get_names},
        {"PyDict_GetItemString", &naming.get_item},
        {"PyErr_Occurred", &naming.find_error},
        {"PyErr_Clear", &naming.clear_error},
        {"Py_DecRef", &naming.release},
    };
    naming.known = true;
    for (size_t n = 0; n < LENGTH(wanted); n++) {
        void *found = dlsym(RTLD_DEFAULT, wanted[n].name);
        naming.known &= found != NULL;
        memcpy(wanted[n].place, &found, sizeof found);
    }
    void *found = dlsym(RTLD_DEFAULT, "PyThreadState_GetUnchecked");
    if (found == NULL)
        found = dlsym(RTLD_DEFAULT, "_PyThreadState_UncheckedGet");
    naming.known &= found != NULL;
    memcpy(&naming.current_state, &found, sizeof found);
}

/* Whether the calling thread is in Python, holds the GIL and has no error to lose. */
static bool may_call_python(struct waits_header *header)
{
    if (!is_python_known() || !naming.known || !python.initialized())
        return false;
    const char *thread = python.this_thread();
    return thread != NULL && thread == naming.current_state() && check_functions(header, thread, false) &&
           naming.find_error() == NULL;
}

static bool has_type(const char *object, const void *type)
{
    const char *found;
    return object != NULL && try_pointer(object, python.at.object_type, &found) && found == type;
}

/* A new reference to the attribute, NULL where there is none. What a class defines by that name may be a property: it
 * is `own` attributes of objects that are asked for, or those of Python's own types. */
static void *find_attribute(const char *object, const char *name, bool own)
{
    void *key = naming.make_text(name), *found = NULL;
    if (key != NULL && !(own && naming.find_in_type(read_pointer(object, python.at.object_type), key) != NULL))
        found = naming.get_attribute(object, key);
    if (key != NULL)
        naming.release(key);
    if (naming.find_error() != NULL)
        naming.clear_error();
    return found;
}

/* Copy the text as UTF-8, at most `most` bytes of its beginning. 0 for what is no plain text. */
static size_t copy_text(const char *object, char *into, size_t most)
{
    struct string string;
    if (!has_type(object, python.text_type) || !read_string(object, &string))
        return 0;
    size_t used = 0, length = 0;
    while (length < string.length && (used += count_utf8_bytes(read_character(&string, length))) <= most)
        length++;
    string.length = length;
    return copy_string(&string, into, most);
}

static size_t copy_attribute(const char *object, const char *name, bool own, char *into, size_t most)
{
    void *found = find_attribute(object, name, own);
    if (found == NULL)
        return 0;
    size_t used = copy_text(found, into, most);
    naming.release(found);
    return used;
}

/* The name of a function, not of any object that can be called. */
static size_t copy_function_name(const char *function, char *into, size_t most)
{
    if (has_type(function, naming.method_type))
        function = naming.get_function((void *)(uintptr_t)function);
    if (!has_type(function, naming.function_type) && !has_type(function, naming.builtin_type))
        return 0;
    return copy_attribute(function, "__name__", false, into, most);
}

/* Write the name of the Python thread that is about to be started with this argument of pthread_create to `into`, which
 * has NAME_BYTES: its length, 0 where it has none.
 *
 * The argument is {func, arg} of PyThread_start_new_thread; that arg is {.., function, arguments, ..} of module _thread,
 * since 3.8. threading calls the method _bootstrap of the Thread, whose name is the attribute _name. */
COLD static size_t copy_thread_name(struct waits_header *header, const char *argument, char *into)
{
    const char *routine, *start, *function, *arguments;
    if (argument == NULL || !may_call_python(header))
        return 0;
    if (!try_pointer(argument, 0, &routine) || !is_from_python(routine) ||
        !try_pointer(argument, sizeof routine, &start) || start == NULL ||
        !try_pointer(start, sizeof start, &function) || !try_pointer(start, 2 * sizeof start, &arguments) ||
        !has_type(arguments, naming.tuple_type))
        return 0;
    size_t used = copy_function_name(function, into, NAME_BYTES);
    if (used != strlen("_bootstrap") || memcmp(into, "_bootstrap", used) != 0 ||
        !has_type(function, naming.method_type))
        return used;
    const char *thread = naming.get_self((void *)(uintptr_t)function);
    used = copy_attribute(thread, "_name", true, into, NAME_BYTES);
    void *target = used != 0 ? NULL : find_attribute(thread, "_target", true);
    if (target != NULL) {
        used = copy_function_name(target, into, NAME_BYTES);
        naming.release(target);
    }
    return used;
}

/* The process object of the _launch of multiprocessing's popen_fork.py, or of a library that is made like it, that the
 * calling thread forks in or in a function called from there; NULL where there is none. */
static const char *find_launched(void)
{
    int called = 0;
    const char *frame = read_pointer(python.this_thread(), python.at.thread_frame);
    if (frame != NULL && python.at.cframe_frame >= 0)
        frame = read_pointer(frame, (unsigned)python.at.cframe_frame);
    for (int depth = 0; frame != NULL && depth < CHECKED_FRAMES; depth++, frame = read_pointer(frame, python.at.frame_previous)) {
        const char *code = (const char *)((uintptr_t)read_pointer(frame, python.at.frame_code) & ~(uintptr_t)7);
        struct string name, filename;
        if (code == NULL || read_pointer(code, python.at.object_type) != python.code_type)
            continue;
        if (called++ > 1)
            return NULL;
        if (!read_string(read_pointer(code, python.at.code_name), &name) ||
            !read_string(read_pointer(code, python.at.code_filename), &filename) ||
            !is_text(&name, python.at.version < 0x30B ? "_launch" : "Popen._launch"))
            continue;
        char path_end[PATH_BYTES + 1];
        path_end[copy_string(&filename, path_end, PATH_BYTES)] = '\0';
        const char *slash = strrchr(path_end, '/'), *launched;
        if (slash == NULL || strncmp(slash, "/popen_", strlen("/popen_")) != 0)
            continue;
        /* def _launch(self, process_obj). The lowest bits of a reference in a frame are marks, since 3.14. */
        const char *place = frame + python.at.frame_locals + sizeof launched;
        launched = (const char *)((uintptr_t)read_pointer(place, 0) & ~(uintptr_t)7);
        return is_readable(launched) ? launched : NULL;
    }
    return NULL;
}

/* Write the name of the process that multiprocessing is about to make to `into`, which has NAME_BYTES: its length, 0
 * where it makes none. */
COLD static size_t copy_launched_name(struct waits_header *header, char *into)
{
    if (!may_call_python(header))
        return 0;
    const char *launched = find_launched(), *type;
    if (launched == NULL || !try_pointer(launched, python.at.object_type, &type) || type == NULL)
        return 0;
    return copy_attribute(launched, "_name", true, into, NAME_BYTES);
}

/* The same of this process, when it ends by os._exit: that of a child of a fork server is not known before. */
COLD static size_t copy_process_name(struct waits_header *header, char *into)
{
    if (!may_call_python(header))
        return 0;
    const char *modules = naming.get_modules();
    if (!has_type(modules, naming.dict_type))
        return 0;
    const char *module = naming.get_item(modules, "multiprocessing.process");
    if (!has_type(module, naming.module_type))
        return 0;
    const char *process = naming.get_item(naming.get_names(module), "_current_process");
    if (process == NULL)
        return 0;
    size_t used = copy_attribute(process, "_name", true, into, NAME_BYTES);
    /* It is no child of multiprocessing. */
    return used == strlen("MainProcess") && memcmp(into, "MainProcess", used) == 0 ? 0 : used;
}
