/* The hooks of waits for a child, which also record how each child ended.
 *
 * In: timing.h. Out: the hooks; a record of every child that was reaped.
 */

COLD static void write_child_end(pid_t child, int status, const struct rusage *used)
{
    struct waits_header *header = recording();
    if (header == NULL)
        return;
    int saved = errno;
    uint64_t cpu = ((uint64_t)used->ru_utime.tv_sec + (uint64_t)used->ru_stime.tv_sec) * 1000000000u +
                   ((uint64_t)used->ru_utime.tv_usec + (uint64_t)used->ru_stime.tv_usec) * 1000u;
    write_record(header, KIND_CHILD_ENDED, now_ns(), cpu, (uint32_t)status, (uint32_t)child, 0, FLAG_KNOWN);
    errno = saved;
}

static pid_t wait_for_child(pid_t pid, int *status, int options, struct rusage *used)
{
    struct rusage own;
    int result_status = 0;
    resolve_once();
    struct wait wait = {0};
    if (!(options & WNOHANG))
        wait = begin_wait(KIND_CHILD_WAIT, (uint64_t)(int64_t)pid);
    pid_t child = real_wait4(pid, &result_status, options, &own);
    int saved = errno;
    end_wait(&wait);
    if (child > 0) {
        if (WIFEXITED(result_status) || WIFSIGNALED(result_status))
            write_child_end(child, result_status, &own);
        if (status != NULL)
            *status = result_status;
        if (used != NULL)
            *used = own;
    }
    errno = saved;
    return child;
}

EXPORT pid_t wait(int *status)
{
    return wait_for_child(-1, status, 0, NULL);
}

EXPORT pid_t wait3(int *status, int options, struct rusage *used)
{
    return wait_for_child(-1, status, options, used);
}

EXPORT pid_t waitpid(pid_t pid, int *status, int options)
{
    return wait_for_child(pid, status, options, NULL);
}

EXPORT pid_t wait4(pid_t pid, int *status, int options, struct rusage *used)
{
    return wait_for_child(pid, status, options, used);
}

EXPORT int waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
    resolve_once();
    struct wait wait = {0};
    if (!(options & WNOHANG))
        wait = begin_wait(KIND_CHILD_WAIT, type == P_PID ? (uint64_t)id : (uint64_t)-1);
    int result = real_waitid(type, id, info, options);
    int saved = errno;
    end_wait(&wait);
    if (result == 0 && info != NULL && info->si_pid != 0 && !(options & WNOWAIT)) {
        static const struct rusage none;
        bool exited = info->si_code == CLD_EXITED;
        if (exited || info->si_code == CLD_KILLED || info->si_code == CLD_DUMPED)
            write_child_end(info->si_pid, exited ? (info->si_status & 0xFF) << 8 : info->si_status & 0x7F, &none);
    }
    errno = saved;
    return result;
}
