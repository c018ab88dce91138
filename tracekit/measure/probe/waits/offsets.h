/* Where CPython keeps what the probe reads. Written by tracekit/measure/probe/write_offsets.py: do not edit.
 *
 * X(field, value, expression): after a version's Python.h the expressions are checked against the values.
 * X(major, minor, since): the oldest PY_VERSION_HEX with these places.
 */

#define OFFSETS_3_9(X) \
    X(thread_frame, 24, offsetof(PyThreadState, frame)) \
    X(cframe_frame, -1, -1) \
    X(frame_code, 32, offsetof(PyFrameObject, f_code)) \
    X(frame_previous, 24, offsetof(PyFrameObject, f_back)) \
    X(frame_locals, 360, offsetof(PyFrameObject, f_localsplus)) \
    X(frame_instruction, 104, offsetof(PyFrameObject, f_lasti)) \
    X(code_instructions, 0, 0) \
    X(code_filename, 104, offsetof(PyCodeObject, co_filename)) \
    X(code_name, 112, offsetof(PyCodeObject, co_name)) \
    X(code_firstlineno, 40, offsetof(PyCodeObject, co_firstlineno)) \
    X(type_members, 232, offsetof(PyTypeObject, tp_members) - offsetof(PyObject, ob_type)) \
    X(object_type, 8, offsetof(PyObject, ob_type)) \
    X(string_length, 16, offsetof(PyASCIIObject, length)) \
    X(string_state, 32, offsetof(PyASCIIObject, state)) \
    X(ascii_size, 48, sizeof(PyASCIIObject)) \
    X(compact_size, 72, sizeof(PyCompactUnicodeObject))

#define OFFSETS_3_10(X) \
    X(thread_frame, 24, offsetof(PyThreadState, frame)) \
    X(cframe_frame, -1, -1) \
    X(frame_code, 32, offsetof(PyFrameObject, f_code)) \
    X(frame_previous, 24, offsetof(PyFrameObject, f_back)) \
    X(frame_locals, 352, offsetof(PyFrameObject, f_localsplus)) \
    X(frame_instruction, 96, offsetof(PyFrameObject, f_lasti)) \
    X(code_instructions, 0, 0) \
    X(code_filename, 104, offsetof(PyCodeObject, co_filename)) \
    X(code_name, 112, offsetof(PyCodeObject, co_name)) \
    X(code_firstlineno, 40, offsetof(PyCodeObject, co_firstlineno)) \
    X(type_members, 232, offsetof(PyTypeObject, tp_members) - offsetof(PyObject, ob_type)) \
    X(object_type, 8, offsetof(PyObject, ob_type)) \
    X(string_length, 16, offsetof(PyASCIIObject, length)) \
    X(string_state, 32, offsetof(PyASCIIObject, state)) \
    X(ascii_size, 48, sizeof(PyASCIIObject)) \
    X(compact_size, 72, sizeof(PyCompactUnicodeObject))

#define OFFSETS_3_11(X) \
    X(thread_frame, 56, offsetof(PyThreadState, cframe)) \
    X(cframe_frame, 8, offsetof(_PyCFrame, current_frame)) \
    X(frame_code, 32, offsetof(_PyInterpreterFrame, f_code)) \
    X(frame_previous, 48, offsetof(_PyInterpreterFrame, previous)) \
    X(frame_locals, 72, offsetof(_PyInterpreterFrame, localsplus)) \
    X(frame_instruction, 56, offsetof(_PyInterpreterFrame, prev_instr)) \
    X(code_instructions, 184, offsetof(PyCodeObject, co_code_adaptive)) \
    X(code_filename, 112, offsetof(PyCodeObject, co_filename)) \
    X(code_name, 128, offsetof(PyCodeObject, co_qualname)) \
    X(code_firstlineno, 72, offsetof(PyCodeObject, co_firstlineno)) \
    X(type_members, 232, offsetof(PyTypeObject, tp_members) - offsetof(PyObject, ob_type)) \
    X(object_type, 8, offsetof(PyObject, ob_type)) \
    X(string_length, 16, offsetof(PyASCIIObject, length)) \
    X(string_state, 32, offsetof(PyASCIIObject, state)) \
    X(ascii_size, 48, sizeof(PyASCIIObject)) \
    X(compact_size, 72, sizeof(PyCompactUnicodeObject))

#define OFFSETS_3_12(X) \
    X(thread_frame, 56, offsetof(PyThreadState, cframe)) \
    X(cframe_frame, 0, offsetof(_PyCFrame, current_frame)) \
    X(frame_code, 0, offsetof(_PyInterpreterFrame, f_code)) \
    X(frame_previous, 8, offsetof(_PyInterpreterFrame, previous)) \
    X(frame_locals, 72, offsetof(_PyInterpreterFrame, localsplus)) \
    X(frame_instruction, 56, offsetof(_PyInterpreterFrame, prev_instr)) \
    X(code_instructions, 192, offsetof(PyCodeObject, co_code_adaptive)) \
    X(code_filename, 112, offsetof(PyCodeObject, co_filename)) \
    X(code_name, 128, offsetof(PyCodeObject, co_qualname)) \
    X(code_firstlineno, 68, offsetof(PyCodeObject, co_firstlineno)) \
    X(type_members, 232, offsetof(PyTypeObject, tp_members) - offsetof(PyObject, ob_type)) \
    X(object_type, 8, offsetof(PyObject, ob_type)) \
    X(string_length, 16, offsetof(PyASCIIObject, length)) \
    X(string_state, 32, offsetof(PyASCIIObject, state)) \
    X(ascii_size, 40, sizeof(PyASCIIObject)) \
    X(compact_size, 56, sizeof(PyCompactUnicodeObject))

#define OFFSETS_3_13(X) \
    X(thread_frame, 23, offsetof(_Py_DebugOffsets, thread_state.current_frame) / 8) \
    X(frame_code, 30, offsetof(_Py_DebugOffsets, interpreter_frame.executable) / 8) \
    X(frame_previous, 29, offsetof(_Py_DebugOffsets, interpreter_frame.previous) / 8) \
    X(frame_locals, 32, offsetof(_Py_DebugOffsets, interpreter_frame.localsplus) / 8) \
    X(frame_instruction, 31, offsetof(_Py_DebugOffsets, interpreter_frame.instr_ptr) / 8) \
    X(code_instructions, 43, offsetof(_Py_DebugOffsets, code_object.co_code_adaptive) / 8) \
    X(code_filename, 35, offsetof(_Py_DebugOffsets, code_object.filename) / 8) \
    X(code_name, 37, offsetof(_Py_DebugOffsets, code_object.qualname) / 8) \
    X(code_firstlineno, 39, offsetof(_Py_DebugOffsets, code_object.firstlineno) / 8) \
    X(object_type, 45, offsetof(_Py_DebugOffsets, pyobject.ob_type) / 8) \
    X(string_length, 69, offsetof(_Py_DebugOffsets, unicode_object.length) / 8) \
    X(string_state, 68, offsetof(_Py_DebugOffsets, unicode_object.state) / 8) \
    X(ascii_size, 70, offsetof(_Py_DebugOffsets, unicode_object.asciiobject_size) / 8) \
    X(type_members, 232, offsetof(PyTypeObject, tp_members) - offsetof(PyObject, ob_type))

#define OFFSETS_3_14(X) \
    X(thread_frame, 26, offsetof(_Py_DebugOffsets, thread_state.current_frame) / 8) \
    X(frame_code, 33, offsetof(_Py_DebugOffsets, interpreter_frame.executable) / 8) \
    X(frame_previous, 32, offsetof(_Py_DebugOffsets, interpreter_frame.previous) / 8) \
    X(frame_locals, 35, offsetof(_Py_DebugOffsets, interpreter_frame.localsplus) / 8) \
    X(frame_instruction, 34, offsetof(_Py_DebugOffsets, interpreter_frame.instr_ptr) / 8) \
    X(code_instructions, 48, offsetof(_Py_DebugOffsets, code_object.co_code_adaptive) / 8) \
    X(code_filename, 40, offsetof(_Py_DebugOffsets, code_object.filename) / 8) \
    X(code_name, 42, offsetof(_Py_DebugOffsets, code_object.qualname) / 8) \
    X(code_firstlineno, 44, offsetof(_Py_DebugOffsets, code_object.firstlineno) / 8) \
    X(object_type, 51, offsetof(_Py_DebugOffsets, pyobject.ob_type) / 8) \
    X(string_length, 79, offsetof(_Py_DebugOffsets, unicode_object.length) / 8) \
    X(string_state, 78, offsetof(_Py_DebugOffsets, unicode_object.state) / 8) \
    X(ascii_size, 80, offsetof(_Py_DebugOffsets, unicode_object.asciiobject_size) / 8) \
    X(type_members, 232, offsetof(PyTypeObject, tp_members) - offsetof(PyObject, ob_type))

#define OFFSETS_3_15(X) \
    X(thread_frame, 26, offsetof(_Py_DebugOffsets, thread_state.current_frame) / 8) \
    X(frame_code, 41, offsetof(_Py_DebugOffsets, interpreter_frame.executable) / 8) \
    X(frame_previous, 40, offsetof(_Py_DebugOffsets, interpreter_frame.previous) / 8) \
    X(frame_locals, 43, offsetof(_Py_DebugOffsets, interpreter_frame.localsplus) / 8) \
    X(frame_instruction, 42, offsetof(_Py_DebugOffsets, interpreter_frame.instr_ptr) / 8) \
    X(code_instructions, 56, offsetof(_Py_DebugOffsets, code_object.co_code_adaptive) / 8) \
    X(code_filename, 48, offsetof(_Py_DebugOffsets, code_object.filename) / 8) \
    X(code_name, 50, offsetof(_Py_DebugOffsets, code_object.qualname) / 8) \
    X(code_firstlineno, 52, offsetof(_Py_DebugOffsets, code_object.firstlineno) / 8) \
    X(object_type, 59, offsetof(_Py_DebugOffsets, pyobject.ob_type) / 8) \
    X(string_length, 91, offsetof(_Py_DebugOffsets, unicode_object.length) / 8) \
    X(string_state, 90, offsetof(_Py_DebugOffsets, unicode_object.state) / 8) \
    X(ascii_size, 92, offsetof(_Py_DebugOffsets, unicode_object.asciiobject_size) / 8) \
    X(type_members, 232, offsetof(PyTypeObject, tp_members) - offsetof(PyObject, ob_type))

#define CONSTANT_VERSIONS(X) X(3, 9) X(3, 10) X(3, 11) X(3, 12)

#define TABLE_VERSIONS(X) X(3, 13, 0x030d00f0) X(3, 14, 0x030e00f0) X(3, 15, 0x030f00c1)

#ifdef PY_VERSION_HEX
#define CHECK(field, value, expression) _Static_assert((expression) == (value), #field);
#if PY_MAJOR_VERSION == 3 && PY_MINOR_VERSION == 9
OFFSETS_3_9(CHECK)
#elif PY_MAJOR_VERSION == 3 && PY_MINOR_VERSION == 10
OFFSETS_3_10(CHECK)
#elif PY_MAJOR_VERSION == 3 && PY_MINOR_VERSION == 11
OFFSETS_3_11(CHECK)
#elif PY_MAJOR_VERSION == 3 && PY_MINOR_VERSION == 12
OFFSETS_3_12(CHECK)
#elif PY_MAJOR_VERSION == 3 && PY_MINOR_VERSION == 13
OFFSETS_3_13(CHECK)
#elif PY_MAJOR_VERSION == 3 && PY_MINOR_VERSION == 14
OFFSETS_3_14(CHECK)
#elif PY_MAJOR_VERSION == 3 && PY_MINOR_VERSION == 15
OFFSETS_3_15(CHECK)
#endif
#undef CHECK
#endif
