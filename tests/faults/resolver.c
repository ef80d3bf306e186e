/* A resolver for tests: names that end in .shim.test are this machine, unknown, never looked up, or at
   an address, as the file says whose path is in RESOLVER_MODE_FILE. All other names are the system's. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int lookup(const char *, const char *, const struct addrinfo *, struct addrinfo **);

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    static const char suffix[] = ".shim.test";
    lookup *systems = (lookup *)dlsym(RTLD_NEXT, "getaddrinfo");
    size_t length = name ? strlen(name) : 0;
    char mode[16] = "";

    if (length < sizeof suffix || strcmp(name + length - (sizeof suffix - 1), suffix) != 0)
        return systems(name, service, hints, found);
    FILE *file = fopen(getenv("RESOLVER_MODE_FILE"), "r");
    if (file) {
        if (!fgets(mode, sizeof mode, file))
            mode[0] = 0;
        fclose(file);
    }
    if (strcmp(mode, "hang") == 0) {
        sleep(30);
        return EAI_AGAIN;
    }
    if (strcmp(mode, "unknown") == 0)
        return EAI_NONAME;
    return systems(mode[0] >= '0' && mode[0] <= '9' ? mode : "127.0.0.1", service, hints, found);
}
