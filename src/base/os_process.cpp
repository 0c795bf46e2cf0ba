// posix_spawn: no fork of a process that may hold gigabytes.
#include "base/os_process.h"

#include <fcntl.h>
#include <gnu/libc-version.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace rafter {

Result<int> run_process(const std::vector<std::string>& command) {
    RAFTER_CHECK(!command.empty(), "no program to run");
    std::vector<char*> arguments;
    for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));  // posix_spawn does not write to them
    arguments.push_back(nullptr);

    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t restored;  // a child expects signals to do what they do everywhere
    sigemptyset(&restored);
    sigaddset(&restored, SIGPIPE);
    sigaddset(&restored, SIGXFSZ);
    posix_spawnattr_setsigdefault(&attributes, &restored);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);

    pid_t child = 0;
    const int failed = posix_spawnp(&child, arguments[0], &actions, &attributes, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (failed != 0)
        return Error{fmt::format("{}: cannot be run: {}", command[0], std::generic_category().message(failed)), ErrorKind::kIo};

    int status = 0;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) return Error{fmt::format("{}: {}", command[0], std::generic_category().message(errno)), ErrorKind::kIo};
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::filesystem::path this_program() { return "/proc/self/exe"; }

std::string c_library() { return std::string("glibc ") + gnu_get_libc_version(); }

void fail_writes_without_signals() {
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

}  // namespace rafter
