#define _GNU_SOURCE
#include "cspawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <unistd.h>

// A file, not a pipe: nothing waits for a program that does not read, and a program that ends early raises no SIGPIPE.
static int file_with(const void *bytes, size_t count) {
    int file = memfd_create("texloom-input", MFD_CLOEXEC);
    if (file < 0) return -1;
    for (size_t written = 0; written < count;) {
        ssize_t some = write(file, (const char *)bytes + written, count - written);
        if (some < 0 && errno == EINTR) continue;
        if (some <= 0) {
            int number = some < 0 ? errno : EIO;
            close(file);
            errno = number;
            return -1;
        }
        written += (size_t)some;
    }
    lseek(file, 0, SEEK_SET);
    return file;
}

int texloom_spawn(
    const char *program, char *const arguments[], char *const environment[], const void *input, size_t inputBytes,
    pid_t *child, int *errors) {
    int file = file_with(input, inputBytes);
    if (file < 0) return errno;
    int pipes[2];
    if (pipe2(pipes, O_CLOEXEC) != 0) {
        int number = errno;
        close(file);
        return number;
    }
    // Only the end that stays here.
    fcntl(pipes[0], F_SETFL, O_NONBLOCK);

    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    // These fail only without memory.
    int number = posix_spawn_file_actions_adddup2(&actions, file, STDIN_FILENO);
    if (number == 0) number = posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (number == 0) number = posix_spawn_file_actions_adddup2(&actions, pipes[1], STDERR_FILENO);
    // Libraries open descriptors that are not closed on exec.
    if (number == 0) number = posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    if (number == 0) number = posix_spawnattr_setsigmask(&attributes, &none);
    if (number == 0) number = posix_spawnattr_setsigdefault(&attributes, &all);
    if (number == 0)
        number = posix_spawnattr_setflags(
            &attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (number == 0) number = posix_spawn(child, program, &actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    close(file);
    close(pipes[1]);
    if (number == 0)
        *errors = pipes[0];
    else
        close(pipes[0]);
    return number;
}
