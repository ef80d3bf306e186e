/* A mount that hangs, for tests: whoever opens or looks at a file below HUNG_FOLDER waits while HUNG_NOW exists. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void wait_for(const char *path)
{
    const char *folder = getenv("HUNG_FOLDER"), *now = getenv("HUNG_NOW");

    if (!path || !folder || !now || strncmp(path, folder, strlen(folder)) != 0)
        return;
    while (access(now, F_OK) == 0)
        usleep(50000);
}

#define OPEN(name)                                                                                  \
    int name(const char *path, int flags, ...)                                                      \
    {                                                                                               \
        static int (*systems)(const char *, int, ...);                                              \
        va_list rest;                                                                               \
        va_start(rest, flags);                                                                      \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;                   \
        va_end(rest);                                                                               \
        if (!systems)                                                                               \
            systems = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name);                     \
        wait_for(path);                                                                             \
        return systems(path, flags, mode);                                                          \
    }

OPEN(open)
OPEN(open64)

int stat(const char *path, struct stat *found)
{
    wait_for(path);
    return fstatat(AT_FDCWD, path, found, 0);
}

int stat64(const char *path, struct stat64 *found)
{
    wait_for(path);
    return fstatat64(AT_FDCWD, path, found, 0);
}
