/* Small files of /proc and the decimal numbers in them and in the names of files.
 *
 * In: a path. Out: its text, numbers. A hook may run in a signal handler or between fork and exec, where libc's own
 * formatting and scanning may allocate or lock: nothing here does.
 */

/* A system call of our own, so that what it opens is no record and no cancellation point. Changes errno. */
static int open_file(const char *name, int flags)
{
    return (int)syscall(SYS_openat, AT_FDCWD, name, flags | O_CLOEXEC, 0666);
}

static bool read_small_file(const char *name, char *into, size_t size)
{
    int fd = open_file(name, O_RDONLY);
    if (fd < 0)
        return false;
    ssize_t length = syscall(SYS_read, fd, into, size - 1);
    syscall(SYS_close, fd);
    if (length <= 0)
        return false;
    into[length] = '\0';
    return true;
}

/* The number that a text begins with, after spaces; 0 when there is none. *end is what follows it. */
static uint64_t read_number(const char *text, const char **end)
{
    uint64_t number = 0;
    while (*text == ' ' || *text == '\t')
        text++;
    for (; *text >= '0' && *text <= '9'; text++)
        number = number * 10 + (uint64_t)(*text - '0');
    if (end != NULL)
        *end = text;
    return number;
}

static uint64_t read_number_after(const char *text, const char *label)
{
    const char *found = strstr(text, label);
    return found == NULL ? 0 : read_number(found + strlen(label), NULL);
}

enum { NUMBER_BYTES = 22 }; /* the longest number, its sign and the NUL */

/* Write a number and a NUL; returns where the NUL is, as stpcpy does. */
static char *append_number(char *at, int64_t number)
{
    char digits[NUMBER_BYTES];
    size_t count = 0;
    uint64_t left = number < 0 ? -(uint64_t)number : (uint64_t)number;
    do
        digits[count++] = (char)('0' + left % 10);
    while ((left /= 10) != 0);
    if (number < 0)
        *at++ = '-';
    while (count > 0)
        *at++ = digits[--count];
    *at = '\0';
    return at;
}
